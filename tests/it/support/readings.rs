//! How servers read what they are sent: every path and every host that one of them may find in a request. Servers disagree,
//! so that each reading counts.

use std::collections::BTreeSet;

/// A request as it came to a backend.
pub struct Received<'r> {
    pub method: &'r str,
    pub target: &'r str,
    pub lines: Vec<(&'r str, &'r str)>,
}

impl<'r> Received<'r> {
    pub fn parse(request: &'r str) -> Self {
        let head = request.split("\r\n\r\n").next().unwrap_or_default();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let (method, rest) = first.split_once(' ').unwrap_or((first, ""));
        let target = rest.rsplit_once(' ').map_or(rest, |(target, _)| target);
        let lines = lines.filter_map(|line| line.split_once(':'));
        Self { method, target, lines: lines.map(|(name, value)| (name, value.trim())).collect() }
    }

    /// The values of a header, under any name that software may take for it.
    pub fn all(&self, name: &str) -> Vec<&'r str> {
        let wanted = fold(name);
        self.lines.iter().filter(|(other, _)| fold(other) == wanted).map(|(_, value)| *value).collect()
    }

    /// Every host it can be for: those of its lines, and that of a whole address in its request line.
    pub fn hosts(&self) -> BTreeSet<String> {
        let in_target = [split_address(self.target).0, as_browsers(self.target).map(|(host, _)| host)];
        self.all("host").into_iter().chain(in_target.into_iter().flatten()).map(host).collect()
    }

    /// Every path it can be for.
    pub fn paths(&self) -> BTreeSet<String> {
        let mut found = paths(split_address(self.target).1);
        if let Some((_, path)) = as_browsers(self.target) {
            found.extend(paths(path));
        }
        found
    }
}

fn fold(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// The host and the rest of a target that is a whole address.
fn split_address(target: &str) -> (Option<&str>, &str) {
    let Some((scheme, rest)) = target.split_once("://") else { return (None, target) };
    if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return (None, target);
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    (Some(&rest[..end]), &rest[end..])
}

/// The same as the URL standard of browsers reads it, and with it servers in JavaScript: any number of slashes, of either kind,
/// stands before the host.
fn as_browsers(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once(':')?;
    let is_special =
        ["http", "https", "ws", "wss", "ftp"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
    let rest = rest.trim_start_matches(['/', '\\']);
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    is_special.then(|| (&rest[..end], &rest[end..]))
}

/// A host as servers compare it: small letters, without user, port and the dot of the root.
fn host(value: &str) -> String {
    let value = value.rsplit('@').next().unwrap_or(value);
    let name = if value.starts_with('[') { value } else { value.split(':').next().unwrap_or(value) };
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Every path that a server may find in a target: RFC 3986 with its steps in any order, and what is done beyond it.
pub fn paths(target: &str) -> BTreeSet<String> {
    let whole = in_ascii(target.split('?').next().unwrap_or_default().as_bytes());
    let bare = whole.split('#').next().unwrap_or_default().to_owned();
    let mut found = BTreeSet::from([bare, whole]);
    // Each step is one that some servers take and others do not, but for decoding, which all do, some of them twice.
    let maybe: [fn(&str) -> String; 3] = [without_parameters, with_slashes, merged];
    branch(&mut found, &maybe);
    branch(&mut found, &[without_dots]);
    found = found.iter().map(|path| decoded(path)).collect();
    branch(&mut found, &[decoded, overlong, up_to_nul]);
    branch(&mut found, &maybe);
    branch(&mut found, &[without_dots]);
    branch(&mut found, &[merged]);
    found
}

fn branch(paths: &mut BTreeSet<String>, steps: &[fn(&str) -> String]) {
    for step in steps {
        let next: Vec<String> = paths.iter().map(|path| step(path)).collect();
        paths.extend(next);
    }
}

/// `;jsessionid=1` and its like are no part of a segment for Java's servers.
fn without_parameters(path: &str) -> String {
    let name = |segment: &str| segment.split(';').next().unwrap_or_default().to_owned();
    path.split('/').map(name).collect::<Vec<_>>().join("/")
}

fn with_slashes(path: &str) -> String {
    path.replace('\\', "/")
}

fn merged(path: &str) -> String {
    let mut path = path.to_owned();
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

/// RFC 3986 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (index, segment) in segments.iter().enumerate() {
        let last = index + 1 == segments.len();
        match *segment {
            "." => {}
            ".." => drop(kept.pop()),
            other => {
                kept.push(other);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// Percent-decoded once; what is no encoding stays.
fn decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high << 4 | low).expect("two digits"));
                at += 3;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    in_ascii(&out)
}

/// Bytes beyond ASCII as letters that nothing else has, so that what is no UTF-8 can still be told apart.
pub fn in_ascii(bytes: &[u8]) -> String {
    let one = |byte: &u8| {
        if byte.is_ascii() { char::from(*byte).to_string() } else { format!("\u{1}{byte:02x}") }
    };
    bytes.iter().map(one).collect()
}

/// Overlong forms as lax decoders of UTF-8 read them.
fn overlong(path: &str) -> String {
    path.replace("\u{1}c0\u{1}ae", ".")
        .replace("\u{1}e0\u{1}80\u{1}ae", ".")
        .replace("\u{1}c0\u{1}af", "/")
        .replace("\u{1}e0\u{1}80\u{1}af", "/")
        .replace("\u{1}c1\u{1}9c", "\\")
}

/// C's strings end there.
fn up_to_nul(path: &str) -> String {
    path.split('\0').next().unwrap_or_default().to_owned()
}

#[test]
fn readings_find_what_tricks_hide() {
    for trick in [
        "/public/../admin/x",
        "/public/%2e%2E/admin/x",
        "/public/..%2fadmin/x",
        "/public%2f..%2Fadmin%2fx",
        "/public/..;/admin/x",
        "/public/..;x=1/admin/x",
        "/public\\..\\admin\\x",
        "/public/..%5cadmin/x",
        "/public/%252e%252e/admin/x",
        "/public/%c0%ae%c0%ae/admin/x",
        "/public/..%c0%afadmin/x",
        "//admin/x",
        "/;/admin/x",
        "/./admin;a=b/x",
        "/%61dmin/x",
        "/admin/x%00.png",
        "/admin/x#/public",
        "/admin/x?/public",
        "http://app.test/admin/x",
        "http:///app.test/admin/x",
        "HTTPS:\\\\app.test\\admin/x",
        "http:app.test/admin/x",
        "/public/x/..//../admin/./x",
    ] {
        let request = format!("GET {trick} HTTP/1.1\r\nHost: x\r\n\r\n");
        let paths = Received::parse(&request).paths();
        assert!(paths.contains("/admin/x"), "{trick}: {paths:?}");
    }
    for plain in ["/public/x", "/public/a.b/..."] {
        assert_eq!(paths(plain), BTreeSet::from([plain.to_owned()]));
    }
    let request = "GET http://u@OPEN.test:80/ HTTP/1.1\r\nHost: App.Test.:443\r\nHOST: third\r\n\r\n";
    let hosts = Received::parse(request).hosts();
    assert_eq!(hosts.iter().map(String::as_str).collect::<Vec<_>>(), ["app.test", "open.test", "third"]);
}
