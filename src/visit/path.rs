//! A URL path in its one canonical form, or marked as one that servers read differently. Knows no rules.

use std::borrow::Cow;

use super::Malformed;

/// A path as sent, with the form that rules may look at.
#[derive(Debug)]
pub struct Path<'r> {
    raw: &'r [u8],
    canonical: Option<Cow<'r, str>>,
}

impl<'r> Path<'r> {
    /// Reads a path that starts with `/` and carries neither query nor fragment.
    ///
    /// The canonical form is the path percent-decoded once (RFC 3986 6.2.2.2). A path that holds an encoded or
    /// doubled separator, `\`, `;` or an encoded `%`, `?`, `#` has none: servers disagree about what it names.
    ///
    /// # Errors
    /// [`Malformed::Path`] for dot segments in any spelling, control bytes, `#` and broken percent-encoding,
    /// which no browser sends.
    pub fn parse(raw: &'r [u8]) -> Result<Self, Malformed> {
        if raw.first() != Some(&b'/') {
            return Err(Malformed::Path);
        }
        if is_plain(raw) {
            let text = std::str::from_utf8(raw).map_err(|_| Malformed::Path)?;
            return Ok(Self { raw, canonical: Some(Cow::Borrowed(text)) });
        }
        let decoded = decode(raw)?;
        if has_dot_segment(&decoded.bytes) {
            return Err(Malformed::Path);
        }
        let clear = !decoded.ambiguous && !decoded.bytes.windows(2).any(|pair| pair == b"//");
        let canonical = if clear { String::from_utf8(decoded.bytes).ok().map(Cow::Owned) } else { None };
        Ok(Self { raw, canonical })
    }

    /// The form rules are matched against; `None` where servers may disagree about it.
    pub fn canonical(&self) -> Option<&str> {
        self.canonical.as_deref()
    }

    /// The segment at `index`, counted from 0, if it can be part of a name: sent in unreserved letters alone, which
    /// every server reads alike (RFC 3986 2.3), and not too many of them. Encoded ones are not looked through, and
    /// what separates the parts of names, such as `:`, is in none.
    pub fn plain_segment(&self, index: usize) -> Option<&'r str> {
        self.canonical.as_ref()?;
        let segment = self.raw.get(1..)?.split(|&byte| byte == b'/').nth(index)?;
        let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        let is_plain = (1..=LONGEST_NAME).contains(&segment.len()) && segment.iter().all(unreserved);
        std::str::from_utf8(segment).ok().filter(|_| is_plain)
    }

    /// The bytes as sent, for a URL that leads back to the same page.
    pub fn raw(&self) -> &'r [u8] {
        self.raw
    }
}

/// Whether every byte stands for itself and no segment is empty or begins with a dot.
fn is_plain(raw: &[u8]) -> bool {
    let mut before = 0;
    for &byte in raw {
        if !PLAIN[usize::from(byte)] || (before == b'/' && (byte == b'/' || byte == b'.')) {
            return false;
        }
        before = byte;
    }
    true
}

struct Decoded {
    bytes: Vec<u8>,
    ambiguous: bool,
}

fn decode(raw: &[u8]) -> Result<Decoded, Malformed> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut ambiguous = false;
    let mut rest = raw.iter().copied();
    while let Some(byte) = rest.next() {
        let decoded = match byte {
            b'%' => {
                let byte = hex(rest.next())? << 4 | hex(rest.next())?;
                ambiguous |= b"/\\;%?#".contains(&byte);
                byte
            }
            // A target has none of these (RFC 9112 3.2), so that whoever finds one there reads another target.
            b'#' | b'?' | b' ' => return Err(Malformed::Path),
            b'\\' | b';' => {
                ambiguous = true;
                byte
            }
            byte => byte,
        };
        if decoded.is_ascii_control() {
            return Err(Malformed::Path);
        }
        bytes.push(decoded);
    }
    Ok(Decoded { bytes, ambiguous })
}

fn hex(digit: Option<u8>) -> Result<u8, Malformed> {
    let value = digit.and_then(|digit| char::from(digit).to_digit(16)).ok_or(Malformed::Path)?;
    u8::try_from(value).map_err(|_| Malformed::Path)
}

/// Whether some server may find `.` or `..` as a segment, counting `\` as a separator and `;` as the start of
/// parameters, as some servers do.
fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/' || byte == b'\\')
        .map(|segment| segment.split(|&byte| byte == b';').next().unwrap_or(segment))
        .any(|segment| segment == b"." || segment == b"..")
}

/// Letters of the longest segment that names something.
const LONGEST_NAME: usize = 128;

/// Bytes of a path that stand for themselves in every server.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9')
            || matches!(
                byte as u8,
                b'/' | b'-' | b'_' | b'.' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')'
            )
            || matches!(byte as u8, b'*' | b'+' | b',' | b'=' | b':' | b'@');
        byte += 1;
    }
    plain
};

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(raw: &[u8]) -> Result<Option<String>, Malformed> {
        Path::parse(raw).map(|path| path.canonical().map(str::to_owned))
    }

    #[test]
    fn every_unambiguous_spelling_has_one_form() {
        for (raw, form) in [
            ("/", "/"),
            ("/a/b.html", "/a/b.html"),
            ("/%61dmin", "/admin"),
            ("/caf%C3%A9", "/café"),
            ("/café", "/café"),
            ("/a%20b", "/a b"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
        ] {
            assert_eq!(canonical(raw.as_bytes()), Ok(Some(form.to_owned())), "{raw}");
        }
    }

    #[test]
    fn only_a_segment_in_plain_letters_names_something() {
        let long = format!("/a/{}", "x".repeat(129));
        for (raw, index, name) in [
            ("/kb/7", 0, Some("kb")),
            ("/kb/7", 1, Some("7")),
            ("/kb/7", 2, None),
            ("/kb/", 1, None),
            ("/kb/A-b_c.~9/x", 1, Some("A-b_c.~9")),
            ("/%6bb/7", 1, Some("7")),
            ("/kb/%37", 1, None),
            ("/kb/7%20", 1, None),
            ("/kb/7:admin", 1, None),
            ("/kb/7,8", 1, None),
            ("/kb/7|8", 1, None),
            ("/kb/7@8", 1, None),
            ("/kb/7*", 1, None),
            ("/kb/é", 1, None),
            ("/kb//7", 1, None),
            ("/kb/7;x", 1, None),
            ("/a%2fb/7", 1, None),
            (&long, 1, None),
            (&long[..131], 1, Some(&long[3..131])),
        ] {
            assert_eq!(Path::parse(raw.as_bytes()).unwrap().plain_segment(index), name, "{raw} {index}");
        }
    }

    #[test]
    fn what_servers_read_differently_has_no_form() {
        for raw in [
            "/a//b", "/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a;b", "/a%3bb", "/a%25b", "/a%252fb", "/a%3fb",
            "/a%23b", "/%ff",
        ] {
            assert_eq!(canonical(raw.as_bytes()), Ok(None), "{raw}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        for raw in [
            "",
            "a",
            "*",
            "http://app.test/a",
            "/a/../b",
            "/..",
            "/.",
            "/a/./b",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/public/..%2fadmin",
            "/public/..%5cadmin",
            "/public/..;/admin",
            "/a%",
            "/a%zz",
            "/a%2",
            "/a%00",
            "/a%0ab",
            "/a\tb",
            "/a#b",
            "/a b",
            "/a?b",
            "/..\\x",
        ] {
            assert_eq!(canonical(raw.as_bytes()), Err(Malformed::Path), "{raw}");
        }
    }
}
