//! Hosts in one spelling. Knows nothing of which hosts are configured.

use std::borrow::Cow;

use super::Malformed;

/// Reads a `Host` value into its one spelling: lower case, no port, no trailing dot, non-ASCII names in
/// their `xn--` form, IPv6 addresses in brackets.
///
/// # Errors
/// [`Malformed::Host`] for lists, user info, percent-encoding, white space and everything else that is no host.
pub fn parse_host(value: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    let text = std::str::from_utf8(value).map_err(|_| Malformed::Host)?;
    if is_settled(value) {
        return Ok(Cow::Borrowed(text));
    }
    let name = without_port(text)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    if !name.is_empty() && name.bytes().all(is_plain) {
        return if has_empty_label(name) { Err(Malformed::Host) } else { Ok(Cow::Borrowed(name)) };
    }
    let allowed = |byte: u8| !byte.is_ascii() || byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    if !name.bytes().all(allowed) {
        return Err(Malformed::Host);
    }
    let host = url::Host::parse(name).map_err(|_| Malformed::Host)?.to_string();
    if has_empty_label(&host) { Err(Malformed::Host) } else { Ok(Cow::Owned(host)) }
}

/// Also at its end: one dot of the root was taken off already, and a second one would leave another spelling of the host.
fn has_empty_label(name: &str) -> bool {
    name.split('.').any(str::is_empty)
}

/// Whether `host` is `domain` or lies below it, label by label.
pub fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

/// Whether a value is a host in its one spelling already, which is what front proxies send: plain labels with a dot
/// between them. Without a branch for each byte, as every check comes by here.
fn is_settled(value: &[u8]) -> bool {
    let (mut before, mut wrong) = (DOT, 0);
    for &byte in value {
        let kind = KINDS[usize::from(byte)];
        wrong |= kind & (before | OTHER);
        before = kind;
    }
    wrong == 0 && before != DOT
}

/// Bytes of a host that need no second look; capitals do, as names are compared in lower case.
fn is_plain(byte: u8) -> bool {
    KINDS[usize::from(byte)] != OTHER
}

fn without_port(text: &str) -> Result<&str, Malformed> {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(end) => text.split_at(end + 2),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(name),
        Some(digits) if digits.parse::<u16>().is_ok() && !digits.starts_with('+') => Ok(name),
        Some(_) | None => Err(Malformed::Host),
    }
}

/// What a byte is in a host: part of a label, a dot, or something else; two kinds share no bit.
const KINDS: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        match byte as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => kinds[byte] = LABEL,
            b'.' => kinds[byte] = DOT,
            _ => {}
        }
        byte += 1;
    }
    kinds
};
const LABEL: u8 = 0;
const DOT: u8 = 1;
const OTHER: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_host_is_one_host() {
        for spelling in ["app.test", "APP.test", "app.test.", "app.test:443", "App.Test.:8080"] {
            assert_eq!(parse_host(spelling.as_bytes()).as_deref(), Ok("app.test"), "{spelling}");
        }
        assert_eq!(parse_host("bücher.test".as_bytes()).as_deref(), Ok("xn--bcher-kva.test"));
        assert_eq!(parse_host(b"a.b-c.d_0").as_deref(), Ok("a.b-c.d_0"));
        assert_eq!(parse_host(b"[::1]:4180").as_deref(), Ok("[::1]"));
        assert_eq!(parse_host(b"127.0.0.1:80").as_deref(), Ok("127.0.0.1"));
    }

    #[test]
    fn what_is_no_single_host_is_refused() {
        for value in [
            "",
            ".",
            "a,b",
            "app.test,second.test",
            "a b",
            "u@app.test",
            "app.test:",
            "app.test:+80",
            "app.test:x",
            "%61pp.test",
            "app..test",
            "..app.test",
            "app.test..",
            "APP.test..",
            "app.test..:443",
            "bücher.test..",
            "app.test...",
            ".app.test",
            "[::1",
            "app.test:80:90",
            "app.test/x",
            "app.test\\x",
            "\u{7f}",
        ] {
            assert_eq!(parse_host(value.as_bytes()), Err(Malformed::Host), "{value:?}");
        }
        assert_eq!(parse_host(b"\xff.test"), Err(Malformed::Host));
    }
}
