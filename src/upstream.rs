//! Backends, where foregate itself is the proxy: kept connections, and requests that carry a grant. Knows no
//! rules.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use http::uri::Authority;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::policy::Grant;

/// Where one backend is and how to speak with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The places it can be reached at, all alike; at least one.
    pub targets: Vec<Target>,
}

/// One place to send requests to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub place: Place,
    /// What it calls itself, for requests that do not keep the host that was asked for.
    pub authority: Authority,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A host, by name or address without brackets, and a port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Why a backend did not answer.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// The app names none.
    #[error("the app has no upstream")]
    None,
    /// No connection could be made, or not in time.
    #[error("cannot connect to {0}: {1}")]
    Connect(Authority, String),
    /// The head of the answer did not come in time.
    #[error("no answer from {0} in time")]
    Late(Authority),
    /// The connection broke before an answer came.
    #[error("no answer from {0}: {1}")]
    Broken(Authority, hyper::Error),
}

type Sender = SendRequest<Incoming>;

/// Connections kept for their next request, by backend.
#[derive(Debug)]
pub struct Upstreams {
    backends: Vec<Settings>,
    kept: Mutex<HashMap<Place, Vec<Kept>>>,
}

#[derive(Debug)]
struct Kept {
    sender: Sender,
    /// When its last answer began.
    since: Instant,
}

impl Upstreams {
    /// No connection to any of these backends yet.
    pub fn new(backends: Vec<Settings>) -> Self {
        Self { backends, kept: Mutex::default() }
    }

    /// Sends a request that was let in to the app it was let in to.
    ///
    /// # Errors
    /// [`UpstreamError`]. The request may have reached the backend if it is `Late` or `Broken`.
    pub async fn send(
        &self,
        grant: &Grant<'_>,
        request: Request<Incoming>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let route = grant.app().route.as_ref().ok_or(UpstreamError::None)?;
        let settings = self.backends.get(route.backend.0).ok_or(UpstreamError::None)?;
        let target = settings.targets.first().ok_or(UpstreamError::None)?;
        let authority = &target.authority;
        let (mut sender, kept) = match self.take(&target.place) {
            Some(sender) => (sender, true),
            None => (connect(target).await?, false),
        };
        let mut sent = timely(authority, sender.try_send_request(request)).await?;
        // A kept connection may just have been closed. What was given back was never sent, so it can be once more.
        if kept && let Err(Some(request)) = sent.as_mut().map_err(TrySendError::take_message) {
            sender = connect(target).await?;
            sent = timely(authority, sender.try_send_request(request)).await?;
        }
        let broken = |error: TrySendError<_>| UpstreamError::Broken(authority.clone(), error.into_error());
        let response = sent.map_err(broken)?;
        self.keep(&target.place, sender);
        Ok(response)
    }

    /// A connection that waits for a request: the one last used, as those before it are more likely to have been
    /// closed. One whose last answer is still being read stays where it is.
    fn take(&self, place: &Place) -> Option<Sender> {
        let mut idle = self.kept.lock().ok()?;
        let kept = idle.get_mut(place)?;
        let is_stale = |kept: &Kept| kept.sender.is_ready() && kept.since.elapsed() > IDLE_TIME;
        kept.retain(|kept| !kept.sender.is_closed() && !is_stale(kept));
        let index = kept.iter().rposition(|kept| kept.sender.is_ready())?;
        Some(kept.remove(index).sender)
    }

    /// Puts a connection back while its answer is being read.
    fn keep(&self, place: &Place, sender: Sender) {
        if let Ok(mut idle) = self.kept.lock() {
            let kept = idle.entry(place.clone()).or_default();
            kept.retain(|kept| !kept.sender.is_closed());
            if kept.len() < MOST_KEPT {
                kept.push(Kept { sender, since: Instant::now() });
            }
        }
    }
}

async fn timely<T>(authority: &Authority, answer: impl Future<Output = T>) -> Result<T, UpstreamError> {
    tokio::time::timeout(ANSWER_TIME, answer).await.map_err(|_| UpstreamError::Late(authority.clone()))
}

async fn connect(target: &Target) -> Result<Sender, UpstreamError> {
    let failed = |why: String| UpstreamError::Connect(target.authority.clone(), why);
    let Place::Tcp(host, port) = &target.place else { return Err(failed("is a socket".to_owned())) };
    let connected = tokio::time::timeout(CONNECT_TIME, TcpStream::connect((host.as_str(), *port))).await;
    let stream = connected
        .map_err(|_| failed("no answer in time".to_owned()))?
        .map_err(|error| failed(error.to_string()))?;
    let _ = stream.set_nodelay(true);
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
    // It ends by itself when the sender is dropped or the backend closes it.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a backend broke");
        }
    });
    Ok(sender)
}

/// How long a request may take up to the first byte of its answer, its own body included.
const ANSWER_TIME: Duration = Duration::from_secs(600);
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Connections kept for one backend.
const MOST_KEPT: usize = 64;
/// How long one is kept: shorter than common backends do, as a request on a connection that is just being closed is
/// lost.
const IDLE_TIME: Duration = Duration::from_millis(1500);
