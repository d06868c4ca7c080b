//! One request to one target: sent, waited for, and sent once more where that is safe. Knows no other targets.

use std::error::Error as _;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::{sleep_until, timeout};

use super::UpstreamError;
use super::link::{Link, Unanswered, prepare};
use super::outgoing::{Outgoing, Pulse};
use super::pool::{Hold, Pending, Pool, Want};
use super::reply::{ReplyBody, Streams};

/// A request that came to nothing, given back where it was surely not sent.
pub(super) struct Failed {
    pub error: UpstreamError,
    pub unsent: Option<Request<Outgoing>>,
}

/// Which requests may be sent once more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// What the other end says it has not looked at.
    Refused,
    /// Whatever broke: once or twice is the same (RFC 9110 9.2.2).
    Any,
}

/// Sends a request to the target of `pool`, for `host` or else by the target's own name.
pub(super) async fn exchange(
    pool: &Arc<Pool>,
    mut request: Request<Outgoing>,
    host: Option<&HeaderValue>,
    streams: &Streams,
) -> Result<Response<ReplyBody>, Box<Failed>> {
    let pending = Pending::new(pool);
    let host = host.unwrap_or(&pool.host);
    let mut want = if request.headers().contains_key(UPGRADE) { Want::Tunnel } else { Want::Any };
    let mut tries = 0;
    loop {
        let (mut link, kept) = match pool.take(want).await {
            Ok(taken) => taken,
            // Whoever has waited so long does not wait again elsewhere.
            Err(error @ UpstreamError::Crowded(_)) => return Err(Failed::lost(error)),
            Err(error) => return Err(Failed::unsent(error, request)),
        };
        tries += 1;
        let again = if tries == 1 { copy(&request, &link, kept) } else { None };
        let pulse = request.body().pulse();
        prepare(link.speaks(), &mut request, host, &pool.scheme);
        let sent = in_time(pulse.as_deref(), pool.times.response_header, link.send(request)).await;
        let Unanswered { unsent, why } = match sent {
            Some(Ok(response)) => {
                return answer(response, Hold::new(link, pending), pool, (pulse, streams)).await;
            }
            Some(Err(unanswered)) => unanswered,
            None => return Err(Failed::lost(UpstreamError::Late(Arc::clone(&pool.name)))),
        };
        let may_repeat = |repeat| why.as_ref().is_some_and(|why| may_repeat(why, repeat));
        request = match (unsent, again) {
            // A kept connection may just have been closed, and so may one that was waited for.
            (Some(unsent), _) if kept && tries <= MOST_REPEATS => unsent,
            (Some(unsent), _) => return Err(Failed::unsent(broken(pool, why), unsent)),
            (None, Some((repeat, again))) if may_repeat(repeat) => again,
            (None, _) => {
                let fault = pulse.and_then(|pulse| pulse.fault()).map(UpstreamError::Request);
                return Err(Failed::lost(fault.unwrap_or_else(|| broken(pool, why))));
            }
        };
        pool.metrics.upstream_retries.inc();
        if let Link::Lane(lane) = &link {
            lane.leave();
        }
        if want == Want::Any {
            want = Want::Fresh;
        }
    }
}

fn broken(pool: &Pool, why: Option<hyper::Error>) -> UpstreamError {
    let name = Arc::clone(&pool.name);
    match why {
        Some(why) => UpstreamError::Broken(name, why),
        None => UpstreamError::Connect(name, "the connection ended at once".to_owned()),
    }
}

async fn answer(
    response: Response<Incoming>,
    hold: Hold,
    pool: &Pool,
    (pulse, streams): (Option<Arc<Pulse>>, &Streams),
) -> Result<Response<ReplyBody>, Box<Failed>> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let mut response = response.map(|_| ReplyBody::empty());
        if let Some(tunnel) = hold.into_tunnel() {
            response.extensions_mut().insert(tunnel);
        }
        return Ok(response);
    }
    let mut codings = response.headers().get_all(TRANSFER_ENCODING).iter();
    if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Failed::lost(UpstreamError::Coded(Arc::clone(&pool.name))));
    }
    let (parts, body) = response.into_parts();
    match ReplyBody::begin(body, hold, (pool.times.stream_idle, pulse), streams).await {
        Ok(body) => Ok(Response::from_parts(parts, body)),
        Err(error) => Err(Failed::lost(UpstreamError::Broken(Arc::clone(&pool.name), error))),
    }
}

/// What to send if nothing comes of the first time. Only connections that were there before break by themselves, and
/// only streams are refused.
fn copy(request: &Request<Outgoing>, link: &Link, kept: bool) -> Option<(Repeat, Request<Outgoing>)> {
    let repeat = match (request.method(), request.body()) {
        (
            &Method::GET | &Method::HEAD | &Method::OPTIONS | &Method::PUT | &Method::DELETE,
            Outgoing::Nothing,
        ) if kept => Repeat::Any,
        _ => Repeat::Refused,
    };
    if repeat == Repeat::Refused && !matches!(link, Link::Lane(_)) {
        return None;
    }
    let mut again = Request::new(request.body().copy()?);
    again.method_mut().clone_from(request.method());
    again.uri_mut().clone_from(request.uri());
    again.headers_mut().clone_from(request.headers());
    Some((repeat, again))
}

/// Whether a request that was sent, and came to this, may be sent once more.
fn may_repeat(error: &hyper::Error, repeat: Repeat) -> bool {
    let cause = error.source();
    if let Some(h2) = cause.and_then(|cause| cause.downcast_ref::<h2::Error>()) {
        let refused = h2.reason() == Some(h2::Reason::REFUSED_STREAM);
        // Streams behind the last one that a GOAWAY names were not looked at (RFC 9113 6.8).
        let left = h2.is_go_away() && h2.is_remote() && h2.reason() == Some(h2::Reason::NO_ERROR);
        return refused || left;
    }
    let broke = || {
        let kind = cause.and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        error.is_incomplete_message()
            || error.is_closed()
            || matches!(
                kind,
                Some(
                    io::ErrorKind::ConnectionReset
                        | io::ErrorKind::BrokenPipe
                        | io::ErrorKind::ConnectionAborted
                )
            )
    };
    repeat == Repeat::Any && broke()
}

/// The answer, if its head comes in time after the last byte of the request.
async fn in_time<T>(pulse: Option<&Pulse>, time: Duration, answer: impl Future<Output = T>) -> Option<T> {
    let Some(pulse) = pulse else { return timeout(time, answer).await.ok() };
    let mut answer = pin!(answer);
    loop {
        let end = pulse.last() + time;
        tokio::select! {
            biased;
            answer = &mut answer => return Some(answer),
            () = sleep_until(end) => {}
        }
        if pulse.last() + time <= end {
            return None;
        }
    }
}

/// So often another connection is tried for a request that was not sent on a kept one.
const MOST_REPEATS: usize = 3;

impl Failed {
    fn unsent(error: UpstreamError, request: Request<Outgoing>) -> Box<Self> {
        Box::new(Self { error, unsent: Some(request) })
    }

    fn lost(error: UpstreamError) -> Box<Self> {
        Box::new(Self { error, unsent: None })
    }
}
