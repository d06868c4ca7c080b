//! Who a connection is from, told by the PROXY protocol ahead of its first byte, versions 1 and 2 (HAProxy's
//! `proxy-protocol.txt`). Knows nothing of whom to believe.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::{RecvFlags, recv};
use thiserror::Error;
use tokio::io::Interest;

use super::stream::Stream;

/// Why there is no header.
#[derive(Debug, Error)]
pub(super) enum HeaderError {
    #[error("it does not begin with a PROXY protocol header")]
    Wrong,
    #[error("it broke off before its PROXY protocol header was complete ({0})")]
    Io(#[from] io::Error),
}

/// Whom a connection is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The client at this address.
    Client(IpAddr),
    /// A client whose address the front proxy does not tell, or its own health check in version 1.
    Untold,
    /// The front proxy itself, such as for a health check.
    Proxy,
}

/// Takes the header off a connection, and nothing of what is behind it.
pub(super) async fn take(stream: &Stream) -> Result<Source, HeaderError> {
    let mut header = Vec::new();
    let mut piece = [0; PIECE_BYTES];
    loop {
        let came = stream.receive(&mut piece, RecvFlags::PEEK).await?;
        let share = share(&header, &piece[..came]);
        let taken = stream.receive(&mut piece[..share], RecvFlags::empty()).await?;
        if taken == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        header.extend_from_slice(&piece[..taken]);
        match parse(&header) {
            Parsed::Whole(source) => return Ok(source),
            Parsed::Partial => {}
            Parsed::Wrong => return Err(HeaderError::Wrong),
        }
    }
}

impl Stream {
    /// One read from the socket itself, as soon as there is something.
    async fn receive(&self, buf: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.async_io(Interest::READABLE, || Ok(recv(tcp, &mut *buf, flags)?.1)).await,
            Self::Unix(unix) => {
                unix.async_io(Interest::READABLE, || Ok(recv(unix, &mut *buf, flags)?.1)).await
            }
            Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// How many of the bytes that came belong to the header that has begun.
fn share(header: &[u8], came: &[u8]) -> usize {
    let most = match header.first().or_else(|| came.first()) {
        // Up to the length, and then as many as it says.
        Some(&first) if first == SIGNATURE[0] => match length(header) {
            Some(length) => length.saturating_sub(header.len()),
            None => FIXED_BYTES.saturating_sub(header.len()),
        },
        _ => memchr::memchr(b'\n', came).map_or(came.len(), |at| at + 1),
    };
    most.min(came.len())
}

#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// All of it.
    Whole(Source),
    /// It is one as far as it goes.
    Partial,
    /// It is none, or longer than any should be.
    Wrong,
}

fn parse(header: &[u8]) -> Parsed {
    if header.first() == SIGNATURE.first() { parse_binary(header) } else { parse_text(header) }
}

/// Version 1: one line such as `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`.
fn parse_text(header: &[u8]) -> Parsed {
    let Some(line) = header.strip_suffix(b"\r\n") else {
        let begun = header.len().min(PROXY.len());
        let sound = header[..begun] == PROXY.as_bytes()[..begun] && header.len() < LONGEST_LINE_BYTES;
        return if sound && !header.contains(&b'\n') { Parsed::Partial } else { Parsed::Wrong };
    };
    let Some(words) = std::str::from_utf8(line).ok().and_then(|line| line.strip_prefix(PROXY)) else {
        return Parsed::Wrong;
    };
    let words: Vec<&str> = words.split(' ').collect();
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    match words[..] {
        // Whatever stands behind it does not count.
        ["UNKNOWN", ..] => Parsed::Whole(Source::Untold),
        [family, source, target, from, to] if port(from) && port(to) => {
            let parsed = match family {
                "TCP4" => pair::<Ipv4Addr>(source, target),
                "TCP6" => pair::<Ipv6Addr>(source, target),
                _ => None,
            };
            parsed.map_or(Parsed::Wrong, |source| Parsed::Whole(Source::Client(source)))
        }
        _ => Parsed::Wrong,
    }
}

/// The first of two addresses of one family.
fn pair<A: std::str::FromStr + Into<IpAddr>>(source: &str, target: &str) -> Option<IpAddr> {
    let _: A = target.parse().ok()?;
    source.parse::<A>().ok().map(|source| source.into().to_canonical())
}

/// Version 2: the signature, version and command, family, length, addresses, and further values that do not count.
fn parse_binary(header: &[u8]) -> Parsed {
    let begun = header.len().min(SIGNATURE.len());
    if header[..begun] != SIGNATURE[..begun] {
        return Parsed::Wrong;
    }
    let Some(length) = length(header) else { return Parsed::Partial };
    let (command, family) = (header[12], header[13]);
    if !matches!(command, LOCAL | PROXIED) || length > LONGEST_BYTES {
        return Parsed::Wrong;
    }
    if header.len() < length {
        return Parsed::Partial;
    }
    let addresses = &header[FIXED_BYTES..length];
    match (command, family >> 4) {
        (LOCAL, _) => Parsed::Whole(Source::Proxy),
        (_, UNSPECIFIED | UNIX) => Parsed::Whole(Source::Untold),
        (_, INET) => source::<4>(addresses, 12).map_or(Parsed::Wrong, Parsed::Whole),
        (_, INET6) => source::<16>(addresses, 36).map_or(Parsed::Wrong, Parsed::Whole),
        _ => Parsed::Wrong,
    }
}

/// The source, which stands first, if all that belongs to the addresses is there.
fn source<const N: usize>(addresses: &[u8], all: usize) -> Option<Source>
where
    IpAddr: From<[u8; N]>,
{
    let source = addresses.get(..all)?.first_chunk::<N>()?;
    Some(Source::Client(IpAddr::from(*source).to_canonical()))
}

/// The length of a whole header of version 2, as soon as it is known.
fn length(header: &[u8]) -> Option<usize> {
    let length = header.get(14..FIXED_BYTES)?;
    Some(FIXED_BYTES + usize::from(u16::from_be_bytes([length[0], length[1]])))
}

/// What version 1 begins with.
const PROXY: &str = "PROXY ";
/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, command, family and length.
const FIXED_BYTES: usize = 16;
/// The longest line of version 1, with its end.
const LONGEST_LINE_BYTES: usize = 107;
/// The longest header of version 2: there is room for a certificate in its values.
const LONGEST_BYTES: usize = 4096;
/// What is looked at in one piece.
const PIECE_BYTES: usize = 256;
/// Version 2, and the front proxy speaks for itself.
const LOCAL: u8 = 0x20;
/// Version 2, and it speaks for a client.
/// Reads anything as a header, in pieces, as [`take`] does.
#[cfg(any(test, fuzzing))]
pub(super) fn look_at(bytes: &[u8]) {
    let (mut header, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let share = share(&header, &rest[..rest.len().min(5)]);
        assert!(share > 0, "every piece is of some use");
        header.extend_from_slice(&rest[..share]);
        rest = &rest[share..];
        match parse(&header) {
            Parsed::Partial => assert!(header.len() <= LONGEST_BYTES.max(LONGEST_LINE_BYTES)),
            Parsed::Whole(_) | Parsed::Wrong => return,
        }
    }
}

const PROXIED: u8 = 0x21;
const UNSPECIFIED: u8 = 0;
const INET: u8 = 1;
const INET6: u8 = 2;
const UNIX: u8 = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Parsed {
        Parsed::Whole(Source::Client(text.parse().unwrap()))
    }

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, body].concat()
    }

    #[test]
    fn a_line_names_the_client_or_is_none() {
        for (line, parsed) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", address("192.0.2.1")),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", address("2001:db8::1")),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", address("192.0.2.1")),
            ("PROXY UNKNOWN\r\n", Parsed::Whole(Source::Untold)),
            ("PROXY UNKNOWN what ever\r\n", Parsed::Whole(Source::Untold)),
            ("P", Parsed::Partial),
            ("PROXY TCP4 192.0.2.1 198", Parsed::Partial),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r", Parsed::Partial),
            ("GET / HTTP/1.1\r\n", Parsed::Wrong),
            ("G", Parsed::Wrong),
            ("proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n", Parsed::Wrong),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n", Parsed::Wrong),
            ("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", Parsed::Wrong),
            ("PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n", Parsed::Wrong),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n", Parsed::Wrong),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n", Parsed::Wrong),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n", Parsed::Wrong),
            ("PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n", Parsed::Wrong),
            ("PROXY TCP4 192.0.2.01 198.51.100.1 1 2\r\n", Parsed::Wrong),
            ("PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n", Parsed::Wrong),
            ("PROXY \r\n", Parsed::Wrong),
        ] {
            assert_eq!(parse(line.as_bytes()), parsed, "{line:?}");
        }
        assert_eq!(parse(&[b"PROXY UNKNOWN ", &[b'x'; 94][..]].concat()), Parsed::Wrong, "too long");
    }

    #[test]
    fn a_binary_header_names_the_client_or_is_none() {
        let four = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 4, 1, 187];
        let six = [&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets()[..], &[0; 20]].concat();
        for (header, parsed) in [
            (binary(0x21, 0x11, &four), address("192.0.2.1")),
            (binary(0x21, 0x21, &six), address("2001:db8::1")),
            (binary(0x21, 0x11, &[&four[..], &[4, 0, 1, 0]].concat()), address("192.0.2.1")),
            (binary(0x21, 0x12, &four), address("192.0.2.1")),
            (binary(0x20, 0x11, &four), Parsed::Whole(Source::Proxy)),
            (binary(0x20, 0x00, &[]), Parsed::Whole(Source::Proxy)),
            (binary(0x21, 0x00, &[1, 2, 3]), Parsed::Whole(Source::Untold)),
            (binary(0x21, 0x31, &[0; 216]), Parsed::Whole(Source::Untold)),
            (binary(0x21, 0x11, &four[..11]), Parsed::Wrong),
            (binary(0x21, 0x21, &four), Parsed::Wrong),
            (binary(0x21, 0x41, &four), Parsed::Wrong),
            (binary(0x22, 0x11, &four), Parsed::Wrong),
            (binary(0x11, 0x11, &four), Parsed::Wrong),
            (binary(0x21, 0x11, &[0; 5000]), Parsed::Wrong),
            (binary(0x21, 0x11, &four)[..20].to_vec(), Parsed::Partial),
            (SIGNATURE[..3].to_vec(), Parsed::Partial),
            (b"\r\n\r\nGET / HTTP/1.1".to_vec(), Parsed::Wrong),
        ] {
            assert_eq!(parse(&header), parsed, "{header:?}");
        }
    }

    proptest! {
        /// However the bytes arrive, the header is taken and nothing behind it.
        #[test]
        fn no_byte_behind_the_header_is_taken(cuts in prop::collection::vec(1_usize..40, 0..20), text: bool) {
            let whole = if text {
                b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n".to_vec()
            } else {
                binary(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 1, 0, 1, 0, 2, 4, 0, 3, 1, 2, 3])
            };
            let wire = [&whole[..], b"GET / HTTP/1.1\r\n\r\nPROXY TCP4\n"].concat();
            let (mut header, mut at) = (Vec::new(), 0);
            let mut cuts = cuts.into_iter().chain(std::iter::repeat(7));
            while parse(&header) != address("192.0.2.1") {
                let came = &wire[at..(at + cuts.next().unwrap()).min(wire.len())];
                let share = share(&header, came);
                prop_assert!(share > 0);
                header.extend_from_slice(&came[..share]);
                at += share;
                prop_assert!(parse(&header) != Parsed::Wrong, "{header:?}");
            }
            prop_assert_eq!(header, whole);
        }
    }
}
