//! The two servers: foregate itself, and hyper as anybody would start it, answering the same bytes unasked. Each
//! prints its address when it is ready and ends when its input does.

use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use bytes::Bytes;
use foregate::http::{Faces, Site};
use foregate::server::{self, bind};
use http::header::UPGRADE;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::{people, runtime};

pub(crate) fn bare() -> anyhow::Result<()> {
    let headers = Arc::new(people::answer_of(&people::site(0, None)?));
    runtime()?.block_on(async {
        serve_each(move |stream| {
            let headers = Arc::clone(&headers);
            async move {
                let service = service_fn(|_: Request<Incoming>| {
                    let mut response = Response::new(Empty::<Bytes>::new());
                    response.headers_mut().clone_from(&headers);
                    async { Ok::<_, Infallible>(response) }
                });
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new());
                // The load hangs up when it is done, which is no news.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            }
        })
        .await
    })
}

pub(crate) fn foregate(sessions: usize) -> anyhow::Result<()> {
    serve(people::site(sessions, None)?, sessions)
}

/// foregate as the proxy itself.
pub(crate) fn foregate_proxy(sessions: usize, backend: &str) -> anyhow::Result<()> {
    serve(people::proxy_site(sessions, backend.parse()?)?, sessions)
}

/// hyper-util's client behind hyper's server, as anybody would put them together: a proxy that asks nobody.
pub(crate) fn bare_proxy(backend: &str) -> anyhow::Result<()> {
    let authority: Authority = backend.parse()?;
    runtime()?.block_on(async {
        let client: Client<HttpConnector, Incoming> = Client::builder(TokioExecutor::new()).build_http();
        serve_each(move |stream| {
            let (client, authority) = (client.clone(), authority.clone());
            async move {
                let service = service_fn(move |request| pass_on(client.clone(), authority.clone(), request));
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new());
                let served = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
                // The load hangs up when it is done, which is no news.
                let _ = served.await;
            }
        })
        .await
    })
}

async fn pass_on(
    client: Client<HttpConnector, Incoming>,
    authority: Authority,
    mut request: Request<Incoming>,
) -> anyhow::Result<Response<Incoming>> {
    let from = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(uri)?;
    let mut response = client.request(request).await?;
    if let Some(from) = from {
        let to = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            if let (Ok(from), Ok(to)) = (from.await, to.await) {
                let _ = copy_bidirectional(&mut TokioIo::new(from), &mut TokioIo::new(to)).await;
            }
        });
    }
    Ok(response)
}

fn serve(site: Site, sessions: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("cookies");
    runtime()?.block_on(async {
        people::sign_in_all(&site, sessions, &file).await?;
        listen(site, &file).await
    })
}

/// Prints where it listens and which file has the cookies, and serves until the input ends.
pub(crate) async fn listen(site: Site, cookies: &Path) -> anyhow::Result<()> {
    let listener = bind(ANY)?;
    println!("{} {}", listener.local_addr()?, cookies.display());
    let settings = server::Settings {
        trusted_sockets: false,
        trusted_proxies: vec!["127.0.0.0/8".parse().context("a network")?],
        head_timeout: std::time::Duration::from_secs(10),
        idle_timeout: std::time::Duration::from_secs(180),
        send_timeout: std::time::Duration::from_secs(60),
        connections: 1000,
        drain: std::time::Duration::from_secs(1),
    };
    let metrics = Arc::clone(&site.metrics);
    let faces = Faces(Arc::new(ArcSwap::from_pointee(site)));
    server::run(listener, &settings, faces, metrics, until_input_ends()).await;
    Ok(())
}

/// Prints where it listens, and serves each connection in a task of its own until the input ends.
pub(crate) async fn serve_each<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F,
) -> anyhow::Result<()> {
    let listener = bind(ANY)?;
    println!("{} -", listener.local_addr()?);
    let stop = until_input_ends();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let (stream, _) = accepted?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

/// Cancelled when nobody writes to this program any more.
pub(crate) fn until_input_ends() -> CancellationToken {
    let stop = CancellationToken::new();
    let told = stop.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.cancel();
    });
    stop
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
