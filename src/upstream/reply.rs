//! The body of a backend's answer on its way to the client. Knows no requests.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::time::Instant;

use super::outgoing::Pulse;
use super::pool::Hold;

/// The body of an answer. Dropped before its end, it breaks the request off at the backend.
#[derive(Debug)]
pub struct ReplyBody(Inner);

#[derive(Debug)]
enum Inner {
    /// All of it is here, the connection free again.
    Whole(VecDeque<Frame<Bytes>>),
    /// It still comes, behind what is here.
    Stream(VecDeque<Frame<Bytes>>, Arc<Stream>),
}

/// Why an answer ends early.
#[derive(Debug, Error)]
pub enum ReplyError {
    /// The backend broke off.
    #[error("the backend broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// Nothing moved for too long.
    #[error("nothing moved for too long")]
    Idle,
}

/// An answer that still comes, where both its reader and [`Streams`] find it.
#[derive(Debug)]
pub(super) struct Stream {
    idle: Duration,
    upload: Option<Arc<Pulse>>,
    flow: Mutex<Flow>,
}

#[derive(Debug)]
struct Flow {
    /// Its source and what is held for it; nothing once it ended.
    source: Option<(Incoming, Hold)>,
    /// Whether it was ended because nothing moved.
    cut: bool,
    moved: Instant,
    /// Who waits for more.
    reader: Option<Waker>,
}

impl ReplyBody {
    /// Nothing.
    pub(super) fn empty() -> Self {
        Self(Inner::Whole(VecDeque::new()))
    }

    /// Takes over an answer: what has come of it is read at once, so that the connection of a short one is free before
    /// anybody reads.
    pub(super) async fn begin(
        body: Incoming,
        hold: Hold,
        (idle, upload): (Duration, Option<Arc<Pulse>>),
        streams: &Streams,
    ) -> Result<Self, hyper::Error> {
        let mut body = body;
        let mut frames = VecDeque::new();
        if read_ahead(&mut body, &mut frames).await? {
            finish(hold, upload.as_deref());
            return Ok(Self(Inner::Whole(frames)));
        }
        let flow = Flow { source: Some((body, hold)), cut: false, moved: Instant::now(), reader: None };
        let stream = Arc::new(Stream { idle, upload, flow: Mutex::new(flow) });
        streams.watch(&stream);
        Ok(Self(Inner::Stream(frames, stream)))
    }
}

/// Reads what is there, within a bound, without waiting; whether that was all.
async fn read_ahead(body: &mut Incoming, frames: &mut VecDeque<Frame<Bytes>>) -> Result<bool, hyper::Error> {
    let mut body = pin!(body);
    let mut bytes = 0;
    while bytes < READ_AHEAD_BYTES {
        if body.is_end_stream() {
            return Ok(true);
        }
        let next = poll_fn(|cx| {
            Poll::Ready(match body.as_mut().poll_frame(cx) {
                Poll::Ready(frame) => Some(frame),
                Poll::Pending => None,
            })
        });
        match next.await {
            None => return Ok(false),
            Some(None) => return Ok(true),
            Some(Some(frame)) => {
                let frame = frame?;
                bytes += frame.data_ref().map_or(0, Bytes::len);
                frames.push_back(frame);
            }
        }
    }
    Ok(body.is_end_stream())
}

/// Frees a connection whose answer came to its end. One on which the request is still being sent is of no use to the
/// next, and closes.
fn finish(hold: Hold, upload: Option<&Pulse>) {
    if upload.is_none_or(Pulse::is_over) {
        hold.finish();
    }
}

impl Stream {
    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        let mut flow = self.flow();
        if flow.cut {
            return Poll::Ready(Some(Err(ReplyError::Idle)));
        }
        let Some((body, _)) = &mut flow.source else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *body).poll_frame(cx);
        let ends = body.is_end_stream();
        match polled {
            Poll::Pending => {
                match &mut flow.reader {
                    Some(reader) => reader.clone_from(cx.waker()),
                    reader @ None => *reader = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            Poll::Ready(frame) => {
                flow.moved = Instant::now();
                let broken = matches!(frame, Some(Err(_)));
                let done = if ends || broken || frame.is_none() { flow.source.take() } else { None };
                drop(flow);
                if let (Some((_, hold)), false) = (done, broken) {
                    finish(hold, self.upload.as_deref());
                }
                Poll::Ready(frame.map(|frame| frame.map_err(ReplyError::Broken)))
            }
        }
    }

    /// Ends it if nothing has moved for too long, whoever is to blame: the backend or the reader.
    fn cut_if_idle(&self, now: Instant) {
        let mut flow = self.flow();
        let uploaded = self.upload.as_ref().map_or(flow.moved, |pulse| pulse.last());
        if flow.source.is_none() || now.saturating_duration_since(flow.moved.max(uploaded)) < self.idle {
            return;
        }
        flow.cut = true;
        let (source, reader) = (flow.source.take(), flow.reader.take());
        drop(flow);
        drop(source);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = ReplyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        match &mut self.0 {
            Inner::Whole(frames) => Poll::Ready(frames.pop_front().map(Ok)),
            Inner::Stream(frames, stream) => match frames.pop_front() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => stream.poll(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Whole(frames) => frames.is_empty(),
            Inner::Stream(frames, stream) => {
                let flow = stream.flow();
                frames.is_empty() && !flow.cut && flow.source.is_none()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (Inner::Whole(frames) | Inner::Stream(frames, _)) = &self.0;
        let here = frames.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
        let rest = match &self.0 {
            // With a length of its own it could have no trailers behind it (RFC 9112 7.1.2).
            Inner::Whole(frames) if frames.iter().any(Frame::is_trailers) => SizeHint::default(),
            Inner::Whole(_) => SizeHint::with_exact(0),
            Inner::Stream(_, stream) => match &stream.flow().source {
                Some((body, _)) => body.size_hint(),
                None => SizeHint::with_exact(0),
            },
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(here));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(here)) {
            hint.set_upper(upper);
        }
        hint
    }
}

/// All answers that still come, so that those nobody reads can be ended: whoever does not read is never asked.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<Vec<Weak<Stream>>>);

impl Streams {
    fn watch(&self, stream: &Arc<Stream>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(stream));
    }

    /// Ends those in which nothing has moved for too long.
    pub(super) fn cut_idle(&self, now: Instant) {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|stream| stream.strong_count() > 0);
        let live: Vec<_> = watched.iter().filter_map(Weak::upgrade).collect();
        drop(watched);
        live.iter().for_each(|stream| stream.cut_if_idle(now));
    }
}

/// So much of an answer is taken from the backend before anybody reads.
const READ_AHEAD_BYTES: usize = 64 * 1024;
