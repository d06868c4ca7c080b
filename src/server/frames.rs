//! What a client's bytes on an HTTP/2 connection amount to, frame by frame: whether a head is on its way, and how much
//! of it is no request (RFC 9113 4.1). Knows no headers and no streams.

/// The frames of one connection, as far as they have been seen.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes of the preface that are still to come.
    preface: usize,
    head: [u8; HEAD_BYTES],
    /// Bytes of the frame's own head that are there.
    got: usize,
    /// Bytes of its payload that are still to come, and whether they are of a body.
    left: usize,
    data: bool,
    /// A list of headers that goes on in the next frame.
    open: bool,
}

/// What some bytes amounted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whether something is left that must be completed before anything else can be understood.
    pub half: bool,
    /// Whether all was complete at some point, so that what is half now began with these bytes.
    pub whole: bool,
    /// Frames that ask for nothing but work.
    pub noise: u32,
    /// Frames that began.
    pub begun: u32,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self { preface: PREFACE_BYTES, head: [0; HEAD_BYTES], got: 0, left: 0, data: false, open: false }
    }

    /// Looks at the next bytes.
    pub(super) fn see(&mut self, mut bytes: &[u8]) -> Seen {
        let mut seen = Seen { whole: !self.is_half(), ..Seen::default() };
        while !bytes.is_empty() {
            let skip = self.preface.max(self.left).min(bytes.len());
            if skip > 0 {
                self.preface = self.preface.saturating_sub(skip);
                self.left = self.left.saturating_sub(skip);
                bytes = &bytes[skip..];
            } else {
                let part = (HEAD_BYTES - self.got).min(bytes.len());
                self.head[self.got..self.got + part].copy_from_slice(&bytes[..part]);
                self.got += part;
                bytes = &bytes[part..];
                if self.got == HEAD_BYTES {
                    seen.begun += 1;
                    seen.noise += u32::from(self.begin());
                }
            }
            seen.whole |= !self.is_half();
        }
        seen.half = self.is_half();
        seen
    }

    /// Begins with a frame whose head is complete. True if it is noise.
    fn begin(&mut self) -> bool {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.got = 0;
        self.data = kind == DATA;
        match kind {
            DATA => self.left == 0 && flags & END_STREAM == 0,
            HEADERS | CONTINUATION => {
                self.open = flags & END_HEADERS == 0;
                false
            }
            // Answers to frames of ours, and room for bodies.
            SETTINGS | PING => flags & ACK == 0,
            WINDOW_UPDATE => false,
            _ => true,
        }
    }

    fn is_half(&self) -> bool {
        self.preface > 0 || self.open || self.got > 0 || (self.left > 0 && !self.data)
    }
}

const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [.., high, middle, low] = length.to_be_bytes();
        [&[high, middle, low, kind, flags, 0, 0, 0, 1][..], &vec![0xff; length]].concat()
    }

    fn seen(half: bool, whole: bool) -> Seen {
        Seen { half, whole, ..Seen::default() }
    }

    fn begun() -> Frames {
        let mut frames = Frames::new();
        assert_eq!(frames.see(&[b'x'; 23]), seen(true, false));
        assert_eq!(frames.see(b"x"), seen(false, true));
        frames
    }

    #[test]
    fn a_head_is_half_until_its_last_byte() {
        let whole = seen(false, true);
        let begins = seen(true, true);
        let lasts = seen(true, false);
        let mut frames = begun();
        for (bytes, seen) in [
            (frame(HEADERS, END_HEADERS, 7), whole),
            (frame(HEADERS, 0, 7), begins),
            (frame(CONTINUATION, 0, 7), lasts),
            (frame(CONTINUATION, END_HEADERS, 7), whole),
            (frame(HEADERS, END_HEADERS, 7)[..12].to_vec(), begins),
            (vec![0xff; 3], lasts),
            (vec![0xff], whole),
            (frame(DATA, 0, 7)[..8].to_vec(), begins),
            (vec![1], whole),
            (vec![0; 7], whole),
            (
                [frame(WINDOW_UPDATE, 0, 4), frame(PING, 0, 8)[..10].to_vec()].concat(),
                Seen { noise: 1, ..begins },
            ),
            ([vec![0xff; 7], frame(HEADERS, END_HEADERS, 1)[..9].to_vec()].concat(), begins),
        ] {
            assert_eq!(Seen { begun: 0, ..frames.see(&bytes) }, seen, "{bytes:?}");
        }
    }

    #[test]
    fn what_asks_for_nothing_is_noise() {
        for (kind, flags, length, noise) in [
            (DATA, 0, 0, 1),
            (DATA, END_STREAM, 0, 0),
            (DATA, 0, 1, 0),
            (HEADERS, END_HEADERS, 5, 0),
            (2, 0, 5, 1),
            (3, 0, 4, 1),
            (SETTINGS, 0, 0, 1),
            (SETTINGS, ACK, 0, 0),
            (PING, 0, 8, 1),
            (PING, ACK, 8, 0),
            (WINDOW_UPDATE, 0, 4, 0),
            (77, 0, 0, 1),
        ] {
            let bytes = frame(kind, flags, length);
            assert_eq!(begun().see(&bytes).noise, noise, "{kind} {flags}");
            let mut frames = begun();
            let apart: u32 = bytes.iter().map(|byte| frames.see(&[*byte]).noise).sum();
            assert_eq!(apart, noise, "byte by byte: {kind} {flags}");
        }
    }
}
