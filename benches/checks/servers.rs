//! The two servers: foregate itself, and hyper as anybody would start it, answering the same bytes unasked. Each
//! prints its address when it is ready and ends when its input does.

use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use bytes::Bytes;
use foregate::http::{Faces, unix_now};
use foregate::server::{self, bind};
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;

use crate::{people, runtime};

pub(crate) fn bare() -> anyhow::Result<()> {
    let headers = Arc::new(people::answer_of(&people::site(0, None)?));
    runtime()?.block_on(async {
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
            let headers = Arc::clone(&headers);
            tokio::spawn(async move {
                let service = service_fn(|_: Request<Incoming>| {
                    let mut response = Response::new(Empty::<Bytes>::new());
                    response.headers_mut().clone_from(&headers);
                    async { Ok::<_, Infallible>(response) }
                });
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new());
                // The load hangs up when it is done, which is no news.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

pub(crate) fn foregate(sessions: usize) -> anyhow::Result<()> {
    let site = people::site(sessions, None)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("cookies");
    runtime()?.block_on(async {
        let mut cookies = Vec::with_capacity(sessions);
        for number in 0..sessions {
            let handle = people::signed_in(&site, people::person(number, people::GROUPS), unix_now()).await?;
            cookies.push(people::cookie(&site, &handle));
        }
        people::write_cookies(&file, &cookies)?;
        drop(cookies);
        let listener = bind(ANY)?;
        println!("{} {}", listener.local_addr()?, file.display());
        let settings = server::Settings {
            listen: ANY,
            admin_listen: ANY,
            trusted_proxies: vec!["127.0.0.0/8".parse().context("a network")?],
            head_timeout: std::time::Duration::from_secs(10),
            idle_timeout: std::time::Duration::from_secs(180),
            connections: 1000,
            drain: std::time::Duration::from_secs(1),
        };
        let metrics = Arc::clone(&site.metrics);
        let faces = Faces(Arc::new(ArcSwap::from_pointee(site)));
        server::run(listener, &settings, faces, metrics, until_input_ends()).await;
        Ok(())
    })
}

fn until_input_ends() -> CancellationToken {
    let stop = CancellationToken::new();
    let told = stop.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.cancel();
    });
    stop
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
