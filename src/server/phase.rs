//! What a connection is doing, told by its bytes and its requests. Knows no clock but the ticks it is handed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Waiting for the first byte of a request.
    Idle,
    /// Within a request head.
    Head,
    /// Answering.
    Busy,
}

impl State {
    fn of(number: u8) -> Self {
        [Self::Idle, Self::Head].into_iter().find(|state| *state as u8 == number).unwrap_or(Self::Busy)
    }
}

/// What a connection is doing and since when; shared by the connection and the one task that watches all.
#[derive(Debug, Default)]
pub(super) struct Phase {
    now: AtomicU8,
    /// The tick at which it began.
    since: AtomicU32,
    ticks: Arc<AtomicU32>,
    verdict: AtomicU8,
    judged: Notify,
}

/// How a connection that took too long ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// At once.
    Close,
    /// After the request in flight, if there is one.
    Finish,
}

impl Phase {
    /// A connection that has just been opened. `ticks` is the clock, moved on by the watcher.
    pub(super) fn new(ticks: Arc<AtomicU32>) -> Self {
        let since = AtomicU32::new(ticks.load(Ordering::Relaxed));
        Self { ticks, since, ..Self::default() }
    }

    fn enter(&self, state: State) {
        self.since.store(self.ticks.load(Ordering::Relaxed), Ordering::Relaxed);
        self.now.store(state as u8, Ordering::Relaxed);
    }

    /// Starts the time of a connection that has just been accepted: who connects has something to ask.
    pub(super) fn accepted(&self) {
        self.enter(State::Head);
    }

    /// Marks a request as being answered until the guard is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.enter(State::Busy);
        Busy(Arc::clone(self))
    }

    /// The phase, and for how many ticks it has lasted.
    pub(super) fn lasts(&self) -> (State, u32) {
        let ticks = self.ticks.load(Ordering::Relaxed);
        (State::of(self.now.load(Ordering::Relaxed)), ticks.wrapping_sub(self.since.load(Ordering::Relaxed)))
    }

    /// Ends the connection.
    pub(super) fn judge(&self, verdict: Verdict) {
        self.verdict.store(verdict as u8, Ordering::Relaxed);
        self.judged.notify_one();
    }

    /// Waits for the end.
    pub(super) async fn verdict(&self) -> Verdict {
        self.judged.notified().await;
        if self.verdict.load(Ordering::Relaxed) == Verdict::Close as u8 {
            Verdict::Close
        } else {
            Verdict::Finish
        }
    }
}

/// A request being answered.
pub(super) struct Busy(Arc<Phase>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(State::Idle);
    }
}

/// A stream that notes when a request begins to arrive.
pub(super) struct Phased {
    stream: TcpStream,
    phase: Arc<Phase>,
}

impl Phased {
    pub(super) fn new(stream: TcpStream, phase: Arc<Phase>) -> Self {
        Self { stream, phase }
    }
}

impl AsyncRead for Phased {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before && self.phase.now.load(Ordering::Relaxed) == State::Idle as u8 {
            self.phase.enter(State::Head);
        }
        read
    }
}

impl AsyncWrite for Phased {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
