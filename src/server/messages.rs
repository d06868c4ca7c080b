//! Where the bytes of an HTTP/1.1 client are within its messages, to find what hyper takes and shows nothing of: a length
//! that is told in two ways (RFC 9112 6.1), of which it takes `Transfer-Encoding`, and a target with a fragment, which no
//! target has (RFC 9112 3.2) and which it cuts off. Knows no more of heads than their ends, their first line and those
//! two lines.

use std::mem;

use memchr::memchr;

/// The messages of one connection, as far as they have been seen.
#[derive(Debug, Default)]
pub(super) struct Messages {
    at: At,
    head: Head,
    /// The beginning of a line whose end has not come yet.
    part: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before or within a head.
    #[default]
    Head,
    /// So many bytes before the end of a body.
    Body(u64),
    /// Before the size of a chunk.
    Size,
    /// So many bytes before the end of a chunk.
    Chunk(u64),
    /// Behind the bytes of a chunk.
    ChunkEnd,
    /// Behind the last chunk.
    Trailers,
    /// Somewhere that no server would go on from.
    Lost,
}

/// What a head has said so far.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    begun: bool,
    length: Option<u64>,
    coded: bool,
    fragment: bool,
}

impl Head {
    /// Whether another server could read it differently than hyper does.
    fn is_ambiguous(self) -> bool {
        self.fragment || self.coded && self.length.is_some()
    }
}

impl Messages {
    /// Looks at the next bytes. True if a head that ends in them, or goes on, tells its length in two ways or has a fragment.
    pub(super) fn see(&mut self, mut bytes: &[u8]) -> bool {
        // A check is nearly always one head in one piece: that costs one look without a branch for each byte.
        if self.is_fresh() && is_plain(bytes) {
            return false;
        }
        let mut ambiguous = false;
        while !bytes.is_empty() && self.at != At::Lost {
            if let At::Body(left) | At::Chunk(left) = &mut self.at {
                let part = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= part as u64;
                bytes = &bytes[part..];
                self.end_of_bytes();
                continue;
            }
            let Some(end) = memchr(b'\n', bytes) else {
                self.part.extend_from_slice(bytes);
                if self.part.len() > LONGEST_LINE_BYTES {
                    *self = Self { at: At::Lost, ..Self::default() };
                }
                break;
            };
            if self.part.is_empty() {
                self.line(&bytes[..end]);
            } else {
                let mut part = mem::take(&mut self.part);
                part.extend_from_slice(&bytes[..end]);
                self.line(&part);
            }
            ambiguous |= self.head.is_ambiguous();
            bytes = &bytes[end + 1..];
        }
        ambiguous
    }

    /// Whether the next byte begins a message.
    fn is_fresh(&self) -> bool {
        self.at == At::Head && !self.head.begun && self.part.is_empty()
    }

    fn end_of_bytes(&mut self) {
        if self.at == At::Body(0) {
            self.at = At::Head;
        } else if self.at == At::Chunk(0) {
            self.at = At::ChunkEnd;
        }
    }

    /// Takes a line without its line feed.
    fn line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.at = match self.at {
            At::Head => return self.line_of_head(line),
            At::Size => chunk_size(line)
                .map_or(At::Lost, |size| if size == 0 { At::Trailers } else { At::Chunk(size) }),
            At::ChunkEnd if line.is_empty() => At::Size,
            At::Trailers if line.is_empty() => At::Head,
            At::Trailers => At::Trailers,
            At::ChunkEnd | At::Body(_) | At::Chunk(_) | At::Lost => At::Lost,
        };
    }

    fn line_of_head(&mut self, line: &[u8]) {
        // Most lines are none of these two.
        match line.first() {
            None if self.head.begun => self.end_of_head(),
            Some(_) if !self.head.begun => {
                self.head = Head { begun: true, fragment: memchr(b'#', line).is_some(), ..Head::default() };
            }
            Some(b't' | b'T') if is(b"transfer-encoding:", line) => self.head.coded = true,
            Some(b'c' | b'C') if is(b"content-length:", line) => {
                match length(line["content-length:".len()..].trim_ascii()) {
                    Some(length) => self.head.length = Some(length),
                    None => self.at = At::Lost,
                }
            }
            // Nor do empty lines ahead of a request count (RFC 9112 2.2).
            None | Some(_) => {}
        }
    }

    fn end_of_head(&mut self) {
        let head = mem::take(&mut self.head);
        self.at = match head.length {
            _ if head.coded => At::Size,
            None | Some(0) => At::Head,
            Some(length) => At::Body(length),
        };
    }
}

/// Whether these bytes are surely one head without a body or a fragment: they end as a head does, no line before that is
/// empty, and none has a dash where the two names have one, behind their first letter: browsers say
/// `Upgrade-Insecure-Requests`.
fn is_plain(bytes: &[u8]) -> bool {
    if memchr(b'#', bytes).is_some() {
        return false;
    }
    let Some(count) = bytes.len().checked_sub(REACH).filter(|_| bytes.ends_with(b"\r\n\r\n")) else {
        return false;
    };
    let after = |distance: usize| &bytes[distance..][..count];
    let mut wrong = 0;
    for (((&feed, &next), &length), &encoding) in
        after(0).iter().zip(after(1)).zip(after(LENGTH_DASH)).zip(after(ENCODING_DASH))
    {
        let first = next | 0x20;
        let ours = u8::from(next < b' ')
            | (u8::from(length == b'-') & u8::from(first == b'c'))
            | (u8::from(encoding == b'-') & u8::from(first == b't'));
        wrong |= u8::from(feed == b'\n') & ours;
    }
    wrong == 0 && !bytes[count..bytes.len() - 4].contains(&b'\n')
}

fn is(name: &[u8], line: &[u8]) -> bool {
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

fn length(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// The size of a chunk, without its extensions.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let text = line.split(|&byte| byte == b';').next()?.trim_ascii();
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
    u64::from_str_radix(std::str::from_utf8(text).ok().filter(|_| digits)?, 16).ok()
}

/// How far behind a line feed `content-length` and `transfer-encoding` have their dash, and how far to look at all.
const LENGTH_DASH: usize = 8;
const ENCODING_DASH: usize = 9;
const REACH: usize = 10;
/// A longer line is longer than any head may be.
const LONGEST_LINE_BYTES: usize = super::HEAD_BYTES as usize;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether a connection with these bytes has a message that could be read in two ways, however the bytes are cut.
    fn ambiguous(bytes: &[u8], cuts: &[usize]) -> bool {
        let (mut messages, mut at, mut ambiguous) = (Messages::default(), 0_usize, false);
        for cut in cuts.iter().copied().chain(std::iter::once(usize::MAX)) {
            let end = at.saturating_add(cut).min(bytes.len());
            ambiguous |= messages.see(&bytes[at..end]);
            at = end;
        }
        ambiguous
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade-Insecure-Requests: 1\r\nX-Something-Else: content-length: 1\r\n\r\n";
    const POST: &str =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 31\r\n\r\n\r\ntransfer-encoding: chunked\r\n\r";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1f;a=b\r\n\r\n\r\nA\r\ncontent-length: 5\r\n\r\n\n\n\n\r\n0\r\nT: x\r\n\r\n";
    const AMBIGUOUS: [&str; 8] = [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: y\r\nContent-Length: 5\r\n\r\n",
        "\r\n\nGET / HTTP/1.1\ntransfer-encoding:x\ncontent-length:0\n\n",
        "GET / HTTP/1.1\r\nTRANSFER-ENCODING: chunked\r\ncONTENT-lENGTH: 0\r\n\r\n",
        "GET / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\nA: b\r\n\r\n",
        "GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET /?x# HTTP/1.1\nHost: a\n\n",
        "POST http://a/# HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
    ];
    const FRAGMENTS_ELSEWHERE: &str =
        "GET / HTTP/1.1\r\nReferer: http://a/#b\r\nContent-Length: 10\r\n\r\nGET /#x\r\n\n";

    #[test]
    fn the_samples_are_what_they_should_be() {
        assert_eq!(POST.split_once("\r\n\r\n").unwrap().1.len(), 31);
        let chunk = CHUNKED.split_once("a=b\r\n").unwrap().1.split_once("\r\n0\r\n").unwrap().0;
        assert_eq!(chunk.len(), 0x1f);
        assert!(is_plain(GET.as_bytes()) && !is_plain(format!("{GET}{GET}").as_bytes()));
        for text in AMBIGUOUS.iter().chain(&[POST, CHUNKED, FRAGMENTS_ELSEWHERE]) {
            assert!(!is_plain(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        /// What comes before a message on its connection, and where the bytes are cut, changes nothing.
        #[test]
        fn only_messages_that_are_ambiguous_are_found(
            before in prop::collection::vec(prop::sample::select(vec![GET, POST, CHUNKED, FRAGMENTS_ELSEWHERE]), 0..5),
            last in prop::option::of(prop::sample::select(AMBIGUOUS.to_vec())),
            cuts in prop::collection::vec(0_usize..200, 0..12),
        ) {
            let bytes = before.concat() + last.unwrap_or_default();
            prop_assert_eq!(ambiguous(bytes.as_bytes(), &cuts), last.is_some(), "{:?} {:?}", bytes, cuts);
        }

        /// Anything at all is looked at to its end.
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0..4) {
            let start = ["", POST, CHUNKED, "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"][start as usize];
            ambiguous(&[start.as_bytes(), &bytes].concat(), &[start.len(), 7]);
        }
    }
}
