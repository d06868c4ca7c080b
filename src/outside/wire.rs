//! The way to a public address as a browser goes it: name, connection, TLS, one request for each connection. Follows
//! nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use crate::outbound::is_loopback;
use crate::trust;

/// An address on the network with its name looked up.
pub struct Wire {
    url: Url,
    way: Way,
    addresses: Vec<SocketAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// By which way an address is reached.
#[derive(Clone, Debug)]
pub struct Way {
    /// Who is connected to in place of the address's own host, as `host:port`.
    pub instead: Option<Box<str>>,
    /// Whose certificates are good.
    pub roots: Arc<RootCertStore>,
    /// Who it says that asks.
    pub agent: &'static str,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The beginning of its body.
    pub body: String,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Way {
    /// As browsers go it, with the certificates that the system trusts.
    pub fn of_browsers(agent: &'static str) -> Self {
        Self { instead: None, roots: Arc::new(trust::system_roots()), agent }
    }
}

impl Wire {
    /// Looks up who is to be connected to for `url`; the reason if there is no address.
    ///
    /// # Errors
    /// Why it cannot be reached, in words.
    pub async fn open(url: &Url, way: &Way) -> Result<Self, String> {
        let found = timeout(STEP, addresses(url, way.instead.as_deref())).await;
        let addresses = found.map_err(|_| LATE.to_owned())??;
        let tls = if url.scheme() == "https" { Some(connector(url, &way.roots)?) } else { None };
        Ok(Self { url: url.clone(), way: way.clone(), addresses, tls })
    }

    /// The addresses that the name has.
    pub fn addresses(&self) -> String {
        self.addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
    }

    /// Connects, and for how many days the certificate that is shown will be good; `None` without TLS.
    ///
    /// # Errors
    /// Why there is no connection or no TLS, in words.
    pub async fn days(&self, now: u64) -> Result<Option<u64>, String> {
        let tcp = timeout(STEP, self.tcp()).await.map_err(|_| "no connection in time".to_owned())??;
        let Some((connector, name)) = &self.tls else { return Ok(None) };
        let secured = timeout(STEP, connector.connect(name.clone(), tcp)).await;
        let secured = secured.map_err(|_| "no TLS in time".to_owned())?.map_err(|error| error.to_string())?;
        let shown = secured.get_ref().1.peer_certificates().unwrap_or_default();
        let Some((own, others)) = shown.split_first() else {
            return Err("no certificate was shown".to_owned());
        };
        good_for(&self.way.roots, (own, others), name, now).map(Some)
    }

    /// Sends a request for a page with these header lines, on a connection of its own.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn ask(&self, lines: &[(&str, &str)]) -> Result<Answer, String> {
        self.ask_for(&self.url[Position::BeforePath..Position::AfterQuery], lines).await
    }

    /// The same for another page of the host.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn ask_for(&self, target: &str, lines: &[(&str, &str)]) -> Result<Answer, String> {
        let host = &self.url[Position::BeforeHost..Position::AfterPort];
        let mut request = Request::get(target).header(HOST, host).header(USER_AGENT, self.way.agent);
        for (name, value) in lines {
            request = request.header(*name, HeaderValue::from_str(value).map_err(|error| error.to_string())?);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let end = Instant::now() + STEP;
        let stream = timeout_at(end, self.stream()).await.map_err(|_| LATE.to_owned())??;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let exchange = async {
            let answer = timeout_at(end, sender.send_request(request)).await;
            let answer = answer.map_err(|_| LATE.to_owned())?.map_err(|error| error.to_string())?;
            let (parts, body) = answer.into_parts();
            Ok(Answer { status: parts.status, headers: parts.headers, body: beginning(body).await })
        };
        let mut connection = std::pin::pin!(connection);
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }

    async fn stream(&self) -> Result<Box<dyn Stream>, String> {
        let tcp = self.tcp().await?;
        let Some((connector, name)) = &self.tls else { return Ok(Box::new(tcp)) };
        let secured = connector.connect(name.clone(), tcp).await.map_err(|error| error.to_string())?;
        Ok(Box::new(secured))
    }

    async fn tcp(&self) -> Result<TcpStream, String> {
        let mut last = "it has no address".to_owned();
        for address in &self.addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = format!("{address}: {error}"),
            }
        }
        Err(last)
    }
}

/// The beginning of a body: of one that is long, breaks off or never ends there is no more to be told.
async fn beginning(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            if bytes.len() >= LONGEST_BODY_BYTES {
                break;
            }
        }
    };
    let _ = timeout(BODY_TIME, reading).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Wire").field(&self.url.as_str()).finish()
    }
}

impl Answer {
    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

async fn addresses(url: &Url, instead: Option<&str>) -> Result<Vec<SocketAddr>, String> {
    if let Some(instead) = instead {
        let found: Vec<SocketAddr> = lookup_host(instead).await.map_err(|error| error.to_string())?.collect();
        return if found.is_empty() { Err(NOWHERE.to_owned()) } else { Ok(found) };
    }
    let port = url.port_or_known_default().unwrap_or(443);
    let found: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![(address, port).into()],
        Some(Host::Ipv6(address)) => vec![(address, port).into()],
        // Browsers ask nobody about these (RFC 6761 6.3).
        Some(Host::Domain(_)) if is_loopback(url) => {
            let own: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            own.map(|address| (address, port).into()).into()
        }
        Some(Host::Domain(name)) => {
            lookup_host((name, port)).await.map_err(|error| error.to_string())?.collect()
        }
        None => Vec::new(),
    };
    if found.is_empty() { Err(NOWHERE.to_owned()) } else { Ok(found) }
}

fn connector(url: &Url, roots: &Arc<RootCertStore>) -> Result<(TlsConnector, ServerName<'static>), String> {
    let config = ClientConfig::builder_with_provider(trust::cryptography())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), server_name(url)?))
}

fn server_name(url: &Url) -> Result<ServerName<'static>, String> {
    match url.host() {
        Some(Host::Ipv4(address)) => Ok(IpAddr::from(address).into()),
        Some(Host::Ipv6(address)) => Ok(IpAddr::from(address).into()),
        Some(Host::Domain(name)) => {
            ServerName::try_from(name.to_owned()).map_err(|_| format!("{name} is no name for TLS"))
        }
        None => Err("the address has no host".to_owned()),
    }
}

/// For how many whole days from `now` the chain will be accepted: it is asked about at later times.
fn good_for(
    roots: &Arc<RootCertStore>,
    (own, others): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    name: &ServerName<'_>,
    now: u64,
) -> Result<u64, String> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), trust::cryptography())
        .build()
        .map_err(|error| error.to_string())?;
    let is_good = |days: u64| {
        let then = UnixTime::since_unix_epoch(Duration::from_secs(now + days * DAY_SECONDS));
        verifier.verify_server_cert(own, others, name, &[], then).is_ok()
    };
    let (mut good, mut bad) = (0, LONGEST_DAYS);
    if is_good(bad) {
        return Ok(bad);
    }
    while good + 1 < bad {
        let middle = u64::midpoint(good, bad);
        if is_good(middle) { good = middle } else { bad = middle }
    }
    Ok(good)
}

/// How long one step may take.
const STEP: Duration = Duration::from_secs(5);
/// How long a body is read, whose beginning is enough.
const BODY_TIME: Duration = Duration::from_secs(2);
const LONGEST_BODY_BYTES: usize = 64 * 1024;
const DAY_SECONDS: u64 = 86_400;
/// Longer than any certificate in use is good.
const LONGEST_DAYS: u64 = 4000;
const LATE: &str = "no answer in time";
const NOWHERE: &str = "the name has no address";
