//! What a connection is doing, told by its bytes and its requests. Knows no clock but the ticks it is handed.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::Entry;
use super::frames::Frames;
use super::messages::Messages;
use super::stream::Stream;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Waiting for the first byte of a request.
    Idle,
    /// Within a request head.
    Head,
    /// Answering.
    Busy,
    /// Waiting for the other side to take what was sent.
    Stuck,
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
    /// The tick since which nothing that was sent has been taken.
    stuck: Since,
    /// On HTTP/2, where requests overlap: the tick since which a head is on its way, and how many are being answered.
    half: Since,
    open: AtomicU32,
    /// On HTTP/1.1, whether there was a message whose length is told in two ways, or a target with a fragment.
    unclear: AtomicBool,
    /// On HTTP/1.1, whether it changed protocols: what comes now are no messages.
    changed: AtomicBool,
    /// The number of a [`Verdict`], or 0.
    verdict: AtomicU8,
    /// Whom a verdict wakes.
    task: Mutex<Option<Waker>>,
}

/// How a connection ends that took too long, or that is there when all must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// After the request in flight, if there is one.
    Finish = 1,
    /// At once.
    Close = 2,
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

    /// Marks one of several requests as being answered until the guard is dropped.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// Whether nobody can say for sure where the requests on this connection begin and end.
    pub(super) fn is_unclear(&self) -> bool {
        self.unclear.load(Ordering::Relaxed)
    }

    /// How many ticks have passed on the clock of all connections.
    pub(super) fn tick(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// The phase, and for how many ticks it has lasted.
    pub(super) fn lasts(&self) -> (State, u32) {
        let tick = self.tick();
        if let Some(begun) = self.half.tick() {
            return (State::Head, tick.wrapping_sub(begun));
        }
        if let Some(begun) = self.stuck.tick() {
            return (State::Stuck, tick.wrapping_sub(begun));
        }
        let now = match self.open.load(Ordering::Relaxed) {
            0 => State::of(self.now.load(Ordering::Relaxed)),
            _ => State::Busy,
        };
        (now, tick.wrapping_sub(self.since.load(Ordering::Relaxed)))
    }

    /// Ends the connection; the harder of two verdicts counts.
    pub(super) fn judge(&self, verdict: Verdict) {
        if self.verdict.fetch_max(verdict as u8, Ordering::AcqRel) < verdict as u8 {
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
            task.iter().for_each(Waker::wake_by_ref);
        }
    }
}

/// The connection's own eye on its phase, for a task that is polled for every request: while there is no verdict, a
/// look costs no lock.
pub(super) struct Watch {
    phase: Arc<Phase>,
    /// The task that a verdict wakes, as the phase knows it.
    task: Option<Waker>,
    told: u8,
}

impl Watch {
    pub(super) fn new(phase: Arc<Phase>) -> Self {
        Self { phase, task: None, told: 0 }
    }

    /// The phase it looks at.
    pub(super) fn phase(&self) -> &Arc<Phase> {
        &self.phase
    }

    /// Runs a connection to its end, which a verdict hastens: `finish` tells it to take no further requests.
    pub(super) async fn until_end<C, E>(
        &mut self,
        mut connection: Pin<&mut C>,
        finish: impl Fn(Pin<&mut C>),
    ) -> Result<(), E>
    where
        C: Future<Output = Result<(), E>>,
    {
        poll_fn(|cx| {
            match self.news(cx) {
                Some(Verdict::Close) => return Poll::Ready(Ok(())),
                Some(Verdict::Finish) => finish(connection.as_mut()),
                None => {}
            }
            connection.as_mut().poll(cx)
        })
        .await
    }

    /// Waits for what comes before the first request; `None` if it takes too long. The phase is [`State::Head`], so that
    /// only the harder verdict ends it.
    pub(super) async fn over<F: Future + Unpin>(&mut self, mut future: F) -> Option<F::Output> {
        poll_fn(|cx| match self.news(cx) {
            Some(Verdict::Close) => Poll::Ready(None),
            Some(Verdict::Finish) | None => Pin::new(&mut future).poll(cx).map(Some),
        })
        .await
    }

    /// The verdict, once; the task of `cx` is woken when there is another.
    pub(super) fn news(&mut self, cx: &Context<'_>) -> Option<Verdict> {
        if self.task.as_ref().is_none_or(|task| !task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            // Before the look below, so that a verdict is either seen there or wakes.
            self.phase.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.task);
        }
        let verdict = self.phase.verdict.load(Ordering::Acquire);
        if verdict == self.told {
            return None;
        }
        self.told = verdict;
        Some(if verdict == Verdict::Close as u8 { Verdict::Close } else { Verdict::Finish })
    }
}

/// A request being answered.
pub(super) struct Busy(Arc<Phase>);

impl Busy {
    /// Notes that no further messages come, as the protocol is changed by this answer.
    pub(super) fn changes(&self) {
        self.0.changed.store(true, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(State::Idle);
    }
}

/// One of several requests being answered.
pub(super) struct Open(Arc<Phase>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.enter(State::Idle);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A tick at which something began, if it has.
#[derive(Debug, Default)]
pub(super) struct Since(AtomicU32);

impl Since {
    pub(super) fn begin(&self, tick: u32) {
        self.0.store(tick.wrapping_add(1).max(1), Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(super) fn tick(&self) -> Option<u32> {
        self.0.load(Ordering::Relaxed).checked_sub(1)
    }
}

/// A stream that notes when a request begins to arrive, and when nobody takes what is sent. It may keep the entry of its
/// connection, as it may outlive the requests on it: as a tunnel it is still one of the connections there may be.
pub(super) struct Phased {
    stream: Stream,
    phase: Arc<Phase>,
    stuck: bool,
    sight: Sight,
    _entry: Option<Entry>,
}

/// What is seen of the bytes that are read.
enum Sight {
    Messages(Messages),
    Frames(Box<Noted>),
    /// What nobody here can read, behind a change of protocols.
    Nothing,
}

/// Frames, how many of them were noise within one tick, and how many came since others had a turn.
struct Noted {
    frames: Frames,
    tick: u32,
    noise: u32,
    turn: u32,
}

impl Phased {
    /// One on which requests come one by one.
    pub(super) fn new(stream: Stream, phase: Arc<Phase>) -> Self {
        Self { stream, phase, stuck: false, sight: Sight::Messages(Messages::default()), _entry: None }
    }

    /// The same, which counts as a connection for as long as it lives.
    pub(super) fn keeping(stream: Stream, entry: Entry) -> Self {
        let phase = Arc::clone(entry.phase());
        Self { _entry: Some(entry), ..Self::new(stream, phase) }
    }

    /// One on which they come in frames.
    pub(super) fn in_frames(stream: Stream, phase: Arc<Phase>) -> Self {
        let noted = Noted { frames: Frames::new(), tick: 0, noise: 0, turn: 0 };
        Self { stream, phase, stuck: false, sight: Sight::Frames(Box::new(noted)), _entry: None }
    }

    /// # Errors
    /// Where they make work and ask for nothing, so that nobody looks at them any further.
    fn note_read(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.sight {
            Sight::Messages(_) if self.phase.changed.load(Ordering::Relaxed) => self.sight = Sight::Nothing,
            Sight::Messages(messages) => {
                if self.phase.now.load(Ordering::Relaxed) == State::Idle as u8 {
                    self.phase.enter(State::Head);
                }
                if messages.see(bytes) {
                    self.phase.unclear.store(true, Ordering::Relaxed);
                }
            }
            Sight::Frames(noted) => return noted.note(bytes, &self.phase),
            Sight::Nothing => {}
        }
        Ok(())
    }

    /// Whether this connection has had so many frames in a row that it waits until all others have been looked after: those
    /// who read its bodies, too, which h2 keeps frame by frame, and no more than so many small ones.
    fn is_others_turn(&mut self) -> bool {
        let Sight::Frames(noted) = &mut self.sight else { return false };
        let is_over = noted.turn >= TURN;
        if is_over {
            noted.turn = 0;
        }
        is_over
    }

    fn note_write<T>(&mut self, written: &Poll<T>) {
        // Compared with a bit of our own first, so that a write that just goes through stores nothing.
        if written.is_pending() != self.stuck {
            self.stuck = written.is_pending();
            if self.stuck { self.phase.stuck.begin(self.phase.tick()) } else { self.phase.stuck.end() }
        }
    }
}

impl Noted {
    /// Tells the phase of a head that is on its way, and ends a connection that makes work and asks for nothing.
    fn note(&mut self, bytes: &[u8], phase: &Phase) -> io::Result<()> {
        let (seen, tick) = (self.frames.see(bytes), phase.tick());
        if seen.whole {
            phase.half.end();
        }
        if seen.half && phase.half.tick().is_none() {
            phase.half.begin(tick);
        }
        if tick != self.tick {
            (self.tick, self.noise) = (tick, 0);
        }
        self.noise += seen.noise;
        self.turn += seen.begun;
        if self.noise > MOST_NOISE {
            tracing::debug!("a client makes work on HTTP/2 and asks for nothing: its connection is closed");
            phase.judge(Verdict::Close);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl AsyncRead for Phased {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_others_turn() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let bytes = &buf.filled()[before..];
        if !bytes.is_empty() {
            self.note_read(bytes)?;
        }
        if let (Poll::Pending, Sight::Frames(noted)) = (&read, &mut self.sight) {
            noted.turn = 0;
        }
        read
    }
}

impl AsyncWrite for Phased {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_write(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.note_write(&flushed);
        flushed
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_write(&written);
        written
    }
}

/// Frames within one tick that ask for nothing. A browser that leaves a page takes back what it asked for there, some
/// hundred at once.
const MOST_NOISE: u32 = 500;
/// Frames that a connection is looked after for at a time.
const TURN: u32 = 200;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_verdict_wakes_and_is_told_once_and_the_harder_one_counts() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        let phase = Arc::new(Phase::new(Arc::default()));
        let mut watch = Watch::new(Arc::clone(&phase));
        assert_eq!(watch.news(&cx), None);
        for (judged, news, woken) in [
            (Verdict::Finish, Some(Verdict::Finish), 1),
            (Verdict::Finish, None, 1),
            (Verdict::Close, Some(Verdict::Close), 2),
            (Verdict::Finish, None, 2),
        ] {
            phase.judge(judged);
            assert_eq!(watch.news(&cx), news, "{judged:?}");
            assert_eq!(count.0.load(Ordering::Relaxed), woken, "{judged:?}");
        }
    }

    #[tokio::test]
    async fn nothing_is_looked_for_behind_a_change_of_protocols() {
        let (stream, _other) = tokio::net::UnixStream::pair().unwrap();
        let phase = Arc::new(Phase::new(Arc::default()));
        let mut phased = Phased::new(Stream::Unix(stream), Arc::clone(&phase));
        phased.note_read(b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\nearly bytes without an end of line").unwrap();
        phase.busy().changes();
        phased.note_read(b"\nContent-Length: 1\nTransfer-Encoding: chunked\n\n").unwrap();
        assert!(matches!(phased.sight, Sight::Nothing) && !phase.is_unclear());
    }

    #[test]
    fn a_verdict_that_came_before_the_first_look_is_seen_and_a_new_task_is_woken() {
        let phase = Arc::new(Phase::new(Arc::default()));
        phase.judge(Verdict::Finish);
        let mut watch = Watch::new(Arc::clone(&phase));
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        for count in [&first, &second] {
            let waker = Waker::from(Arc::clone(count));
            watch.news(&Context::from_waker(&waker));
        }
        assert_eq!(watch.told, Verdict::Finish as u8);
        phase.judge(Verdict::Close);
        let woken = [&first, &second].map(|count| count.0.load(Ordering::Relaxed));
        assert_eq!(woken, [0, 1]);
    }
}
