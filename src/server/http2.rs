//! Connections that speak HTTP/2 (RFC 9113), with bounds on all that a client can make grow. Knows nothing of what is
//! served.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Body;
use hyper::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::flow::{Flow, Streams};
use super::held::Held;
use super::phase::{Phased, Watch};
use super::stream::Stream;
use super::{HEAD_BYTES, Peer, Serve};
use crate::headers::trim_values;

/// Serves a connection to its end.
pub(super) async fn serve<S: Serve>(
    stream: Stream,
    mut watch: Watch,
    (serve, peer): (S, Peer),
    streams: Streams,
) -> hyper::Result<()> {
    let phase = Arc::clone(watch.phase());
    let service = service_fn(move |mut request: Request<_>| {
        let taken = as_before(&mut request);
        let serve = serve.clone();
        let head_only = request.method() == Method::HEAD;
        async move {
            taken?;
            let answer: Response<_> = serve.serve(request, peer).await;
            Ok::<_, h2::Error>(if head_only {
                without_body(answer).map(|_| Held::empty(Flow::own()))
            } else {
                answer.map(|body| Held::new(body, Flow::own()))
            })
        }
    });
    let connection = pin!(
        http2::Builder::new(streams)
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .max_header_list_size(HEAD_BYTES)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BYTES)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN)
            .enable_connect_protocol()
            .serve_connection(TokioIo::new(Phased::in_frames(stream, phase)), service)
    );
    watch.until_end(connection, |connection| connection.graceful_shutdown()).await
}

/// Makes a request what it would be on HTTP/1.1: its host is in `Host`, its cookies are in one line, and no value begins or ends with a
/// blank, which is all that backends and the rest of the house know (RFC 9113 8.2.1, 8.2.3 and 8.3.1).
///
/// # Errors
/// Lengths that differ, or are none, end the stream (RFC 9113 8.1.1).
fn as_before<B>(request: &mut Request<B>) -> Result<(), h2::Error> {
    let host = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let headers = request.headers_mut();
    if let Some(host) = host.filter(|_| !headers.contains_key(HOST)) {
        headers.insert(HOST, host);
    }
    trim_values(headers);
    join_cookies(headers);
    join_lengths(headers)
}

/// The head of an answer to HEAD, which hyper would send a body behind (RFC 9110 9.3.2).
fn without_body<B: Body>(mut answer: Response<B>) -> Response<B> {
    if let Some(length) = answer.body().size_hint().exact().filter(|length| *length > 0) {
        answer.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    answer
}

/// Lengths that say the same are one (RFC 9110 8.6); h2 itself refuses those that do not fit the body.
fn join_lengths(headers: &mut HeaderMap) -> Result<(), h2::Error> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter().map(length_in);
    let Some(first) = lengths.next() else { return Ok(()) };
    match first {
        Some(length) if lengths.all(|other| other == Some(length)) => {
            headers.insert(CONTENT_LENGTH, length.into());
            Ok(())
        }
        Some(_) | None => Err(h2::Reason::PROTOCOL_ERROR.into()),
    }
}

/// The number of a length that is nothing but digits.
fn length_in(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// Requests at a time on one connection.
const STREAMS: u32 = 100;
/// Streams that a client opens and takes back before anybody has seen them, or breaks; with more the connection ends.
const RESETS: usize = 20;
/// Bytes of uploads that wait to be read, for each stream and for all of a connection. For every two bytes of the latter h2 keeps what one
/// of a small frame costs, and ends a connection that wants more: 8,000 single bytes, or messages of gRPC, may wait for an app.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes of an answer that wait to be sent, for each stream.
const SEND_BYTES: usize = 64 * 1024;
/// Whether a client is still there is asked this often, and must be answered within this time.
const PING_EVERY: Duration = Duration::from_secs(60);
const PONG_WITHIN: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_looks_as_on_http_1_1() {
        let mut request = Request::builder()
            .uri("https://app.test:8443/x")
            .header(COOKIE, "a=1")
            .header(COOKIE, "b=2")
            .header("x-other", " \t1 2\t ")
            .body(())
            .unwrap();
        as_before(&mut request).unwrap();
        let lines: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
        assert_eq!(lines, ["a=1; b=2"]);
        assert_eq!(request.headers()[HOST], "app.test:8443");
        assert_eq!(request.headers()["x-other"], "1 2");
        for (lengths, taken) in [
            (&["5"] as &[&str], Some("5")),
            (&["5", "5"], Some("5")),
            (&["05", "5 "], Some("5")),
            (&["5", "6"], None),
            (&["5", ""], None),
            (&[""], None),
            (&["+5"], None),
            (&["5, 5"], None),
            (&["18446744073709551616"], None),
        ] {
            let mut request = Request::builder().uri("https://app.test/").body(()).unwrap();
            for length in lengths {
                request.headers_mut().append(CONTENT_LENGTH, HeaderValue::from_str(length).unwrap());
            }
            let is_taken = as_before(&mut request).is_ok();
            assert_eq!(is_taken, taken.is_some(), "{lengths:?}");
            let told: Vec<_> = request.headers().get_all(CONTENT_LENGTH).iter().collect();
            assert!(taken.is_none_or(|taken| told == [taken]), "{lengths:?}: {told:?}");
        }
        let mut request =
            Request::builder().uri("https://app.test/").header(HOST, "x.test").body(()).unwrap();
        as_before(&mut request).unwrap();
        assert_eq!(request.headers()[HOST], "x.test", "two hosts are for others to refuse");
        let mut request = Request::builder().uri("/").body(()).unwrap();
        as_before(&mut request).unwrap();
        assert!(request.headers().is_empty());
    }
}
