//! Tunnels: bytes both ways between a visitor and a backend, until one of them, time, or the house ends it. Knows no
//! protocol and no decision.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::live::Live;
use crate::upstream::{Moment, Tunnel};

/// All tunnels of the house.
#[derive(Debug)]
pub struct Tunnels {
    /// How long one may stay without a byte.
    idle: Duration,
    open: TaskTracker,
    closing: CancellationToken,
}

impl Tunnels {
    /// None yet; each ends when no byte has come for `idle`.
    pub fn new(idle: Duration) -> Self {
        Self { idle, open: TaskTracker::new(), closing: CancellationToken::new() }
    }

    /// The same tunnels, but those that are opened from now on end when no byte has come for `idle`.
    #[must_use]
    pub fn with_idle(&self, idle: Duration) -> Self {
        Self { idle, open: self.open.clone(), closing: self.closing.clone() }
    }

    /// Ends them all, and those that are still to be opened: no tunnel is ever finished by waiting for it.
    pub async fn end(&self) {
        self.closing.cancel();
        self.open.close();
        self.open.wait().await;
    }

    /// Opens a tunnel as soon as both sides have changed protocols, for as long as its visitor would be let in.
    /// The backend's own account of it is kept as long.
    pub(super) fn open(&self, visitor: OnUpgrade, (backend, held): (OnUpgrade, Option<Tunnel>), live: Live) {
        let (idle, closing) = (self.idle, self.closing.clone());
        self.open.spawn(async move {
            let both = async { tokio::try_join!(visitor, backend) };
            let Ok(Ok((visitor, backend))) = timeout(OPENING_TIME, both).await else {
                tracing::debug!("a tunnel was not opened");
                return;
            };
            let end = tokio::select! {
                end = run((visitor, &live), backend, idle) => end,
                () = live.refused() => End::Refused,
                () = closing.cancelled() => End::House,
            };
            drop(held);
            tracing::debug!(?end, "a tunnel ended");
        });
    }
}

/// What ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both sides have said all they had to say.
    Done,
    /// One of them broke.
    Broken,
    /// Nobody has said anything for too long.
    Idle,
    /// The visitor would not be let in any more.
    Refused,
    /// The program ends.
    House,
}

async fn run((visitor, live): (Upgraded, &Live), backend: Upgraded, idle: Duration) -> End {
    let pulse = Pulse::default();
    let mut visitor = Felt { side: TokioIo::new(visitor), pulse: &pulse, uses: Some(live) };
    let mut backend = Felt { side: TokioIo::new(backend), pulse: &pulse, uses: None };
    tokio::select! {
        copied = copy_bidirectional(&mut visitor, &mut backend) => match copied {
            Ok(_) => End::Done,
            Err(_) => End::Broken,
        },
        () = pulse.stops(idle) => End::Idle,
    }
}

/// When a byte last came from either side.
#[derive(Debug, Default)]
struct Pulse {
    moved: Moment,
    /// Whether one side has said its last word, so that the other has little time left for its own.
    half: AtomicBool,
}

impl Pulse {
    /// Waits until no byte has come for `idle`, or for a short time behind one side's last word.
    async fn stops(&self, idle: Duration) {
        loop {
            let half = self.half.load(Ordering::Relaxed);
            let allowed = if half { idle.min(HALF_TIME) } else { idle };
            let end = self.moved.last() + allowed;
            let now = Instant::now();
            if end <= now {
                return;
            }
            // Looked at again, as there may be less time by then.
            sleep_until(end.min(now + HALF_TIME)).await;
        }
    }
}

/// One side of a tunnel, whose bytes are felt.
struct Felt<'p, S> {
    side: S,
    pulse: &'p Pulse,
    /// Whose session it uses to send bytes.
    uses: Option<&'p Live>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Felt<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.side).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = &read {
            self.pulse.moved.note();
            if buf.filled().len() == before {
                self.pulse.half.store(true, Ordering::Relaxed);
            } else if let Some(live) = self.uses {
                live.uses();
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Felt<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.side).poll_write(cx, buf);
        if written.is_ready() {
            // A side that takes what was said long ago is not idle.
            self.pulse.moved.note();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.side).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.side).poll_shutdown(cx)
    }
}

/// How long both sides may take to change protocols once the backend has agreed.
const OPENING_TIME: Duration = Duration::from_secs(30);
/// How long one side may be silent when the other has said its last word.
const HALF_TIME: Duration = Duration::from_secs(30);
