//! The body of a request on its way to a backend. Knows no connections.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{DropGuard, WaitForCancellationFutureOwned};

use super::moment::Moment;
use crate::headers::OwnNames;

/// The one body type of requests to backends.
#[derive(Debug, Default)]
pub enum Outgoing {
    /// Nothing, as most requests have.
    #[default]
    Nothing,
    /// All of it, at hand.
    Whole(Whole),
    /// What a client sends, as it comes.
    Stream(Box<Upload>),
}

/// A body that has been read to its end.
#[derive(Clone, Debug)]
pub struct Whole {
    data: Option<Bytes>,
    trailers: Option<Box<HeaderMap>>,
}

/// A body that is still coming.
#[derive(Debug)]
pub struct Upload {
    body: Incoming,
    /// How many bytes more there may be.
    room: u64,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    pulse: Arc<Pulse>,
    until: Option<Until>,
    strainer: Option<Strainer>,
}

/// What ends a body from outside, and is told that it moves.
#[derive(Debug)]
pub struct Until {
    /// Ready when the rest must not be sent.
    pub over: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Set at every piece of the body.
    pub moved: Arc<AtomicBool>,
    /// Kept for as long as the body is.
    pub held: Arc<DropGuard>,
}

/// What lets only those trailers through that a backend may take for the visitor's.
#[derive(Clone, Debug)]
pub struct Strainer {
    /// The identity headers that clients may not send.
    pub own_names: Arc<OwnNames>,
    /// Removes these and whatever else may not come from a visitor.
    pub strip: fn(&OwnNames, &mut HeaderMap),
}

/// What can be wrong with the body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestFault {
    /// The client sent nothing for too long: 408.
    #[error("the client sent nothing for too long")]
    Idle,
    /// The client went away or broke its own framing: 400, if anybody is there to read it.
    #[error("the client broke off")]
    Broken,
    /// It is longer than the app takes: 413.
    #[error("the body is longer than the app takes")]
    TooLarge,
}

/// When a body last moved, and what became of it; shared by its two ends.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    moved: Moment,
    fault: AtomicU8,
    over: AtomicBool,
}

impl Outgoing {
    /// The same body, broken off as soon as it must not be sent any more. One that is all there is not.
    #[must_use]
    pub fn until(mut self, until: Until) -> Self {
        if let Self::Stream(upload) = &mut self {
            upload.until = Some(until);
        }
        self
    }

    /// The same body with its trailers, of which only what gets through the strainer is sent; without one, none is.
    #[must_use]
    pub fn with_trailers(mut self, strainer: impl FnOnce() -> Strainer) -> Self {
        if let Self::Stream(upload) = &mut self {
            upload.strainer = Some(strainer());
        }
        self
    }

    /// Sets how long the client may be silent and how much it may send. A short body of known length is read here, so
    /// that a slow client holds no connection to the backend.
    pub(super) async fn bounded(mut self, idle: Duration, most: Option<u64>) -> Result<Self, RequestFault> {
        let most = most.unwrap_or(u64::MAX);
        if self.size_hint().lower() > most {
            return Err(RequestFault::TooLarge);
        }
        let Self::Stream(upload) = &mut self else { return Ok(self) };
        (upload.idle, upload.room) = (idle, most);
        match upload.body.size_hint().exact() {
            Some(length) if length <= READ_FIRST_BYTES => upload.read(length).await.map(Self::Whole),
            Some(_) | None => Ok(self),
        }
    }

    /// The same body once more, if it is all there.
    pub(super) fn copy(&self) -> Option<Self> {
        match self {
            Self::Nothing => Some(Self::Nothing),
            Self::Whole(whole) => Some(Self::Whole(whole.clone())),
            Self::Stream(_) => None,
        }
    }

    /// Tells how a body that streams gets on.
    pub(super) fn pulse(&self) -> Option<Arc<Pulse>> {
        match self {
            Self::Stream(upload) => Some(Arc::clone(&upload.pulse)),
            Self::Nothing | Self::Whole(_) => None,
        }
    }
}

impl From<Incoming> for Outgoing {
    fn from(body: Incoming) -> Self {
        if body.is_end_stream() {
            return Self::Nothing;
        }
        Self::Stream(Box::new(Upload {
            body,
            room: u64::MAX,
            idle: Duration::MAX,
            timer: None,
            pulse: Arc::default(),
            until: None,
            strainer: None,
        }))
    }
}

impl Upload {
    async fn read(&mut self, length: u64) -> Result<Whole, RequestFault> {
        // Most come in one piece, which needs no copy.
        let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
        let mut trailers = None;
        while let Some(frame) = std::future::poll_fn(|cx| self.poll(cx)).await.transpose()? {
            match frame.into_data() {
                Ok(more) if first.is_empty() => first = more,
                Ok(more) => {
                    if joined.is_empty() {
                        joined.reserve(usize::try_from(length).unwrap_or_default());
                        joined.extend_from_slice(&first);
                    }
                    joined.extend_from_slice(&more);
                }
                Err(frame) => trailers = frame.into_trailers().ok().map(Box::new),
            }
        }
        let data = if joined.is_empty() { first } else { joined.freeze() };
        Ok(Whole { data: Some(data), trailers })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestFault>>> {
        if let Some(until) = &mut self.until
            && until.over.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(self.pulse.fail(RequestFault::Broken))));
        }
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.pulse.moved.note();
                    if let Some(frame) = self.strained(frame) {
                        return Poll::Ready(Some(self.counted(frame)));
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    return Poll::Ready(Some(Err(self.pulse.fail(RequestFault::Broken))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    ready!(self.poll_idle(cx));
                    return Poll::Ready(Some(Err(self.pulse.fail(RequestFault::Idle))));
                }
            }
        }
    }

    /// What may be sent of a frame: of trailers, what gets through the strainer.
    fn strained(&self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let mut trailers = match frame.into_trailers() {
            Ok(trailers) => trailers,
            Err(frame) => return Some(frame),
        };
        let strainer = self.strainer.as_ref()?;
        (strainer.strip)(&strainer.own_names, &mut trailers);
        if trailers.is_empty() { None } else { Some(Frame::trailers(trailers)) }
    }

    fn counted(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, RequestFault> {
        if let Some(until) = &self.until {
            until.moved.store(true, Ordering::Relaxed);
        }
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.room.checked_sub(length) {
            Some(room) => {
                self.room = room;
                Ok(frame)
            }
            None => Err(self.pulse.fail(RequestFault::TooLarge)),
        }
    }

    /// Ready when nothing came for too long. The timer is moved only when it goes off, as pieces are many.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(end) = self.pulse.last().checked_add(self.idle) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        while timer.as_mut().poll(cx).is_ready() {
            let Some(end) = self.pulse.last().checked_add(self.idle).filter(|end| *end > Instant::now())
            else {
                return Poll::Ready(());
            };
            timer.as_mut().reset(end);
        }
        Poll::Pending
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.pulse.over.store(true, Ordering::Relaxed);
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = RequestFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestFault>>> {
        match &mut *self {
            Self::Nothing => Poll::Ready(None),
            Self::Whole(whole) => {
                let data = whole.data.take().filter(|data| !data.is_empty()).map(Frame::data);
                let next = data.or_else(|| whole.trailers.take().map(|trailers| Frame::trailers(*trailers)));
                Poll::Ready(next.map(Ok))
            }
            Self::Stream(upload) => upload.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Whole(whole) => whole.trailers.is_none() && whole.data.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(upload) => upload.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Whole(whole) => {
                SizeHint::with_exact(whole.data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Self::Stream(upload) => upload.body.size_hint(),
        }
    }
}

impl Pulse {
    /// When the body last moved.
    pub(super) fn last(&self) -> Instant {
        self.moved.last()
    }

    /// Whether the body was sent, or given up.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn fail(&self, fault: RequestFault) -> RequestFault {
        self.fault.store(1 + fault as u8, Ordering::Relaxed);
        fault
    }

    /// What was wrong with the body, if that is why nothing came of the request.
    pub(super) fn fault(&self) -> Option<RequestFault> {
        let fault = self.fault.load(Ordering::Relaxed);
        [RequestFault::Idle, RequestFault::Broken, RequestFault::TooLarge]
            .into_iter()
            .find(|known| 1 + *known as u8 == fault)
    }
}

/// A body of known length up to this is read before a connection to the backend is taken.
const READ_FIRST_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use hyper::service::service_fn;
    use hyper::{Request, Response, server};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncWriteExt as _, duplex};
    use tokio::sync::mpsc::unbounded_channel;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn a_body_that_stands_still_is_no_use_of_a_session() {
        let (mut client, near) = duplex(1024);
        let (hand, mut handed) = unbounded_channel();
        let service = service_fn(move |request: Request<Incoming>| {
            hand.send(request.into_body()).unwrap();
            pending::<Result<Response<Outgoing>, RequestFault>>()
        });
        tokio::spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(near), service));
        client.write_all(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
        let (moved, token) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let mut body = Outgoing::from(handed.recv().await.unwrap()).until(Until {
            over: Box::pin(token.clone().cancelled_owned()),
            moved: Arc::clone(&moved),
            held: Arc::new(token.drop_guard()),
        });
        let mut poll = |cx: &mut Context<'_>| Pin::new(&mut body).poll_frame(cx);
        assert!(poll_fn(|cx| Poll::Ready(poll(cx).is_pending())).await);
        assert!(!moved.load(Ordering::Relaxed), "nothing has come");
        client.write_all(b"1\r\nx\r\n").await.unwrap();
        let frame = poll_fn(poll).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "x");
        assert!(moved.load(Ordering::Relaxed));
    }
}
