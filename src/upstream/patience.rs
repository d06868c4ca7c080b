//! How much a backend may say before it answers: interim answers (1xx, RFC 9110 15.2) are few and short. Knows no requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::dial::Socket;

/// What may still come before an answer, shared by whoever waits for it and the bytes of the connection.
#[derive(Debug)]
pub(super) struct Patience(AtomicUsize);

/// A connection that breaks where its other end says too much.
#[derive(Debug)]
pub(super) struct Patient {
    socket: Socket,
    patience: Arc<Patience>,
    /// The frames, where HTTP/2 is spoken.
    heads: Option<Heads>,
}

/// The heads of an HTTP/2 connection's frames (RFC 9113 4.1).
#[derive(Debug, Default)]
struct Heads {
    head: [u8; FRAME_HEAD_BYTES],
    got: usize,
    /// Bytes of the payload that are still to come.
    left: usize,
}

impl Patience {
    /// With nothing that may come.
    #[cfg(test)]
    pub(super) fn none() -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(0)))
    }

    /// An answer on HTTP/1.1 is waited for.
    pub(super) fn begin(&self) {
        self.0.store(BYTES, Ordering::Relaxed);
    }

    /// It is there: what comes now is its body, or no HTTP at all.
    pub(super) fn end(&self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
    }

    /// One more answer on HTTP/2 is waited for. What others did not need is saved up to [`MOST_HEADS`].
    pub(super) fn one_more(&self) {
        let more = |left: usize| Some((left + HEADS).min(MOST_HEADS));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Takes so much off; whether there was as much.
    fn take(&self, much: usize) -> bool {
        let less = |left: usize| if left == usize::MAX { Some(left) } else { left.checked_sub(much) };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Patient {
    /// A connection that speaks HTTP/1.1, on which nothing is waited for yet.
    pub(super) fn http1(socket: Socket) -> (Self, Arc<Patience>) {
        let patience = Arc::new(Patience(AtomicUsize::new(usize::MAX)));
        (Self { socket, patience: Arc::clone(&patience), heads: None }, patience)
    }

    /// One that speaks HTTP/2.
    pub(super) fn http2(socket: Socket) -> (Self, Arc<Patience>) {
        let patience = Arc::new(Patience(AtomicUsize::new(0)));
        (Self { socket, patience: Arc::clone(&patience), heads: Some(Heads::default()) }, patience)
    }

    /// Looks at what came.
    fn hear(&mut self, bytes: &[u8]) -> io::Result<()> {
        let much = self.heads.as_mut().map_or(bytes.len(), |heads| heads.see(bytes));
        if self.patience.take(much) {
            Ok(())
        } else {
            Err(io::Error::other("it says too much before it answers"))
        }
    }
}

impl Heads {
    /// How many heads of answers begin in the next bytes: final ones and interim ones, and no trailers.
    fn see(&mut self, mut bytes: &[u8]) -> usize {
        let mut begun = 0;
        while !bytes.is_empty() {
            let skip = self.left.min(bytes.len());
            self.left -= skip;
            bytes = &bytes[skip..];
            let part = (FRAME_HEAD_BYTES - self.got).min(bytes.len());
            self.head[self.got..self.got + part].copy_from_slice(&bytes[..part]);
            self.got += part;
            bytes = &bytes[part..];
            if self.got == FRAME_HEAD_BYTES {
                let [high, middle, low, kind, flags, ..] = self.head;
                self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                self.got = 0;
                begun += usize::from(kind == HEADERS && flags & END_STREAM == 0);
            }
        }
        begun
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        match read {
            Poll::Ready(Ok(())) => Poll::Ready(self.hear(&buffer.filled()[before..])),
            other @ (Poll::Ready(Err(_)) | Poll::Pending) => other,
        }
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Bytes up to the end of an answer's head on HTTP/1.1: as much for interim answers as for the head itself, and what may
/// have been read of the body together with it.
const BYTES: usize = 256 * 1024;
/// Heads for one answer on HTTP/2: itself, and interim ones.
const HEADS: usize = 1 + 16;
/// As many for the streams that there are at a time.
const MOST_HEADS: usize = 100 * HEADS;
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_heads_of_answers_are_counted_however_they_are_cut() {
        let frame = |kind: u8, flags: u8, length: u8| {
            [&[0, 0, length, kind, flags, 0, 0, 0, 1][..], &vec![1; usize::from(length)]].concat()
        };
        let (interim, trailers) = (frame(HEADERS, 4, 20), frame(HEADERS, 4 | END_STREAM, 20));
        let all = [interim.clone(), frame(0, 0, 200), trailers, frame(4, 0, 0), interim].concat();
        assert_eq!(Heads::default().see(&all), 2);
        for size in [1, 2, 8, 9, 10, 31] {
            let mut heads = Heads::default();
            assert_eq!(all.chunks(size).map(|piece| heads.see(piece)).sum::<usize>(), 2, "{size}");
        }
    }

    #[test]
    fn patience_ends_and_is_not_saved_up() {
        let patience = Patience(AtomicUsize::new(usize::MAX));
        assert!(patience.take(usize::MAX - 1) && patience.take(usize::MAX), "nothing is waited for");
        patience.begin();
        assert!(patience.take(BYTES) && !patience.take(1));
        patience.end();
        assert!(patience.take(1));
        let patience = Patience(AtomicUsize::new(0));
        assert!(patience.take(0) && !patience.take(1), "nobody asked");
        (0..1000).for_each(|_| patience.one_more());
        assert!(patience.take(MOST_HEADS) && !patience.take(1));
        patience.one_more();
        assert!(patience.take(HEADS) && !patience.take(1));
    }
}
