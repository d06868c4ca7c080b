//! The one way out to identity providers: a bounded HTTP exchange. Knows neither OpenID Connect nor tokens.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustix::io::Errno;
use thiserror::Error;
use tokio::time::Instant;
use url::{Origin, Position, Url};

use crate::metrics::Metrics;
use crate::outbound::dial::Dial;
use crate::trace::{self, Came, Part};

mod dial;
pub(crate) mod flight;
pub(crate) mod json;
#[cfg(test)]
pub(crate) mod testing;

/// A handle for requests to one provider; cheap to clone, and all clones share connections and permissions.
///
/// Only origins named by [`Outbound::permit`] and the internal address can be reached. Redirects are never
/// followed, answers are at most 1 MiB, and nothing is asked for or taken compressed.
#[derive(Clone)]
pub struct Outbound {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client<Dial, Full<Bytes>>,
    map: Option<DialMap>,
    deadline: Duration,
    permitted: Mutex<Vec<Origin>>,
    /// Why TLS cannot work here; told when somebody needs it, as a loopback provider does not.
    tls_fault: Option<String>,
    metrics: Arc<Metrics>,
}

/// Sends requests for a provider's public origin to an internal address.
#[derive(Clone, Debug)]
pub struct DialMap {
    /// Where browsers find the provider; only the origin counts. It stays the `Host`.
    pub public_origin: Url,
    /// Where connections go instead; only the origin counts. TLS is for this host's name.
    pub internal: Url,
}

/// What kept an exchange from yielding an answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OutboundError {
    /// The whole exchange took longer than the deadline.
    #[error("no complete answer within the deadline")]
    Timeout,
    /// No connection, or no TLS session.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// This machine has no means to connect: no file, port or memory is left.
    #[error("this machine cannot connect: {0}")]
    Exhausted(String),
    /// The answer is larger than we take.
    #[error("the answer is larger than {LIMIT_BYTES} bytes")]
    TooLarge {
        /// Which it was.
        status: StatusCode,
    },
    /// The answer is compressed.
    #[error("the answer is compressed, which nobody asked for")]
    Compressed {
        /// Which it was.
        status: StatusCode,
    },
    /// The request was not sent, as it is not allowed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection ended early, or what came is not HTTP.
    #[error("the exchange broke: {0}")]
    Broken(String),
}

/// Why a request may not leave.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Not an absolute http or https address, or one with a user name in it.
    #[error("{0} is no plain http or https address")]
    Address(String),
    /// Neither the configuration nor the provider's discovery document named this origin.
    #[error("{0} is not an origin of this provider")]
    Origin(String),
    /// http in clear text to another machine.
    #[error("{0} would be asked in clear text; http is for loopback and the internal address only")]
    ClearText(String),
    /// This machine offers no trusted root certificates.
    #[error("https is impossible here: {0}")]
    NoTls(String),
}

/// How an admitted request is dialled.
enum Route {
    Direct,
    Mapped,
}

impl Outbound {
    /// A way out with the usual deadline of 4 seconds for a whole exchange, 2 of them for connecting.
    pub fn new(map: Option<DialMap>, metrics: Arc<Metrics>) -> Self {
        Self::with_deadline(map, DEADLINE, metrics)
    }

    /// A way out with a `deadline` for each whole exchange, from connecting to the last byte of the answer.
    pub fn with_deadline(map: Option<DialMap>, deadline: Duration, metrics: Arc<Metrics>) -> Self {
        let (dial, tls_fault) = Dial::new(map.as_ref(), deadline.min(CONNECT_DEADLINE));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(4)
            .http1_max_buf_size(HEAD_LIMIT_BYTES)
            .build(dial);
        let permitted = Mutex::default();
        Self { shared: Arc::new(Shared { client, map, deadline, permitted, tls_fault, metrics }) }
    }

    /// A way out to one address alone that the operator wrote, and which may be in clear text. What goes that way is no provider's,
    /// and is not counted as such.
    #[cfg(feature = "otlp")]
    pub fn inside(address: &Url, deadline: Duration) -> Self {
        let map = DialMap { public_origin: address.clone(), internal: address.clone() };
        Self::with_deadline(Some(map), deadline, Arc::default())
    }

    /// Allows requests to the origins of `urls`, and to no other but the internal address, from now on.
    pub fn permit<'a>(&self, urls: impl IntoIterator<Item = &'a Url>) {
        let mut origins: Vec<Origin> = Vec::new();
        for origin in urls.into_iter().map(Url::origin) {
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        *self.shared.permitted.lock().unwrap_or_else(PoisonError::into_inner) = origins;
    }

    /// Sends `request`, whose address must be absolute, and collects the answer, whatever its status.
    ///
    /// `Accept` and `User-Agent` are added where absent; `Host` is always the address's.
    ///
    /// # Errors
    /// See [`OutboundError`]; nothing was sent if it is `Refused` or `Connect`.
    pub async fn fetch(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, OutboundError> {
        let mut request = self.admit(request)?;
        let running = trace::start(Part::Provider)
            .of("server.address", || request.uri().host().unwrap_or_default().to_owned())
            .of("http.request.method", || request.method().as_str().to_owned());
        running.tell(request.headers_mut());
        let (asked, metrics) = (Instant::now(), &self.shared.metrics);
        let answer = tokio::time::timeout(self.shared.deadline, self.exchange(request)).await;
        metrics.provider_seconds.observe(asked.elapsed().as_secs_f64());
        let answer = answer.unwrap_or(Err(OutboundError::Timeout));
        if answer.as_ref().map_or(true, |answer| answer.status().is_server_error()) {
            metrics.provider_errors.inc();
        }
        running.end(match &answer {
            Ok(answer) => Came::Status(answer.status().as_u16()),
            Err(_) => Came::ToNothing,
        });
        answer
    }

    fn admit(&self, request: Request<Vec<u8>>) -> Result<Request<Full<Bytes>>, Refusal> {
        let (mut parts, body) = request.into_parts();
        let unusable = || Refusal::Address(parts.uri.to_string());
        let url = Url::parse(&parts.uri.to_string()).map_err(|_| unusable())?;
        let uri: Uri = url.as_str().parse().map_err(|_| unusable())?;
        let route = self.route(&url)?;
        parts.uri = uri;
        parts.version = Version::HTTP_11;
        complete(&mut parts.headers);
        if let Route::Mapped = route {
            // Providers build their issuer from these (protocols.md, 10).
            for (name, text) in [
                (X_FORWARDED_PROTO, url.scheme()),
                (X_FORWARDED_HOST, &url[Position::BeforeHost..Position::AfterPort]),
            ] {
                let value = HeaderValue::from_str(text).map_err(|_| Refusal::Address(url.to_string()))?;
                parts.headers.insert(name, value);
            }
        }
        Ok(Request::from_parts(parts, Full::new(Bytes::from(body))))
    }

    /// Decides whether and how `url` may be asked.
    fn route(&self, url: &Url) -> Result<Route, Refusal> {
        let shared = &self.shared;
        let is_plain = url.username().is_empty() && url.password().is_none() && url.has_host();
        if !is_plain || !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Address(url.to_string()));
        }
        let origin = url.origin();
        let map = shared.map.as_ref();
        let is_internal = map.is_some_and(|map| map.internal.origin() == origin);
        let is_permitted =
            || shared.permitted.lock().unwrap_or_else(PoisonError::into_inner).contains(&origin);
        if !is_internal && !is_permitted() {
            return Err(Refusal::Origin(origin.ascii_serialization()));
        }
        let mapped = map.filter(|map| map.public_origin.origin() == origin);
        let dialled = mapped.map_or(url, |map| &map.internal);
        if dialled.scheme() == "http" && !is_internal && mapped.is_none() && !is_loopback(url) {
            return Err(Refusal::ClearText(origin.ascii_serialization()));
        }
        if let ("https", Some(fault)) = (dialled.scheme(), &shared.tls_fault) {
            return Err(Refusal::NoTls(fault.clone()));
        }
        Ok(if mapped.is_some() { Route::Mapped } else { Route::Direct })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Vec<u8>>, OutboundError> {
        let answer = self.shared.client.request(request).await.map_err(|error| {
            let told = chain(&error);
            match (error.is_connect(), is_exhaustion(&error)) {
                (true, true) => OutboundError::Exhausted(told),
                (true, false) => OutboundError::Connect(told),
                (false, _) => OutboundError::Broken(told),
            }
        })?;
        let (parts, body) = answer.into_parts();
        if parts.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(OutboundError::Compressed { status: parts.status });
        }
        let body = collect(body, parts.status).await?;
        Ok(Response::from_parts(parts, body))
    }
}

/// Whether `url` names this very machine: `localhost`, a name under it, or a loopback address.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
        }
        None => false,
    }
}

fn complete(headers: &mut HeaderMap) {
    headers.remove(HOST);
    headers.remove(ACCEPT_ENCODING);
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
}

async fn collect(body: Incoming, status: StatusCode) -> Result<Vec<u8>, OutboundError> {
    if body.size_hint().lower() > LIMIT_BYTES as u64 {
        return Err(OutboundError::TooLarge { status });
    }
    match Limited::new(body, LIMIT_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(OutboundError::TooLarge { status }),
        Err(error) => Err(OutboundError::Broken(chain(&*error))),
    }
}

/// Whether it is this machine that has run out of something, which says nothing about whom it wanted to ask.
fn is_exhaustion(error: &(dyn Error + 'static)) -> bool {
    let scarce = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::ADDRNOTAVAIL, Errno::AGAIN];
    let mut cause = Some(error);
    while let Some(error) = cause {
        let code = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        if code.is_some_and(|code| scarce.iter().any(|one| one.raw_os_error() == code)) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

const DEADLINE: Duration = Duration::from_secs(4);
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// Shorter than common servers keep idle connections (gunicorn 2 s, Node 5 s), so that a code is not sent
/// into one that is just closing.
const IDLE: Duration = Duration::from_millis(1500);
const LIMIT_BYTES: usize = 1024 * 1024;
const HEAD_LIMIT_BYTES: usize = 64 * 1024;
const AGENT: &str = concat!("foregate/", env!("CARGO_PKG_VERSION"));
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

#[cfg(test)]
mod tests;
