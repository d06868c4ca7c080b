//! Requests as strangers make them up: whatever makes one server see another host or path than the next.

use std::time::{SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// A request, before it is sent.
#[derive(Clone, Debug)]
pub struct Made {
    pub method: &'static str,
    /// What stands before the path in the request line: nothing, or a scheme and an authority.
    pub before: String,
    pub host: String,
    /// Path and query.
    pub uri: String,
    pub forged: Vec<&'static str>,
    /// Whether somebody is signed in who may see more than strangers, and not all.
    pub as_bob: bool,
}

impl Made {
    pub fn target(&self) -> String {
        format!("{}{}", self.before, self.uri)
    }
}

/// Runs a law over requests: the same ones each time, and others or more where `DIFFERENTIAL_SEED` (a number, or `clock`) and
/// `DIFFERENTIAL_CASES` say so.
pub fn hold<S: Strategy>(
    cases: u32,
    requests: &S,
    law: impl Fn(S::Value) -> Result<(), TestCaseError>,
) -> u32 {
    let asked = |name: &str| std::env::var(name).ok();
    let cases = asked("DIFFERENTIAL_CASES").map_or(cases, |cases| cases.parse().expect("a number"));
    let seed = match asked("DIFFERENTIAL_SEED").as_deref() {
        None => 0,
        Some("clock") => SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs(),
        Some(seed) => seed.parse().expect("a number"),
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    if let Err(error) = TestRunner::new_with_rng(config, rng).run(requests, law) {
        panic!("DIFFERENTIAL_SEED={seed}: {error}");
    }
    cases
}

/// Requests to one of these hosts.
pub fn requests(hosts: &'static [&'static str]) -> impl Strategy<Value = Made> {
    (
        prop_oneof![4 => Just("GET"), 3 => select(METHODS)],
        prop_oneof![12 => Just(String::new()), 1 => before(hosts)],
        spelt_host(hosts),
        uri(),
        prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(select(FORGED), 1..4)],
        prop::bool::weighted(0.3),
    )
        .prop_map(|(method, before, host, uri, forged, as_bob)| Made {
            method,
            before,
            host,
            uri,
            forged,
            as_bob,
        })
}

/// A scheme and an authority, as in requests to proxies (RFC 9112 3.2.2), or what looks like them.
fn before(hosts: &'static [&'static str]) -> impl Strategy<Value = String> {
    (
        select(&["http://", "http://", "HTTP://", "https://", "//", "ws://", "http:/", "http:///"][..]),
        spelt_host(hosts),
    )
        .prop_map(|(scheme, host)| format!("{scheme}{host}"))
}

fn spelt_host(hosts: &'static [&'static str]) -> impl Strategy<Value = String> {
    let odd = (select(hosts), select(hosts), 0..14_u8).prop_map(|(host, other, style)| match style {
        0 => host.to_ascii_uppercase(),
        1 => format!("{host}."),
        2 => format!("{host}:80"),
        3 => format!("{}.:443", host.replacen('o', "O", 1)),
        4 => format!("{host}:"),
        5 => format!("{host}:+80"),
        6 => format!("{host}:99999"),
        7 => format!("{other}@{host}"),
        8 => format!("{host},{other}"),
        9 => format!("{host} {other}"),
        10 => format!("{host}.."),
        11 => format!("{host}/{other}"),
        12 => format!("{host}#{other}"),
        _ => host.replacen('o', "%6f", 1),
    });
    prop_oneof![10 => select(hosts).prop_map(str::to_owned), 1 => odd]
}

/// A path and a query.
pub fn uri() -> impl Strategy<Value = String> {
    let query = prop_oneof![5 => Just(""), 1 => select(QUERIES)];
    (prop_oneof![5 => tame_path(), 1 => wild_path(), 1 => around()], query)
        .prop_map(|(path, query)| path + query)
}

/// Segments between single slashes, some letters of which are encoded.
fn tame_path() -> impl Strategy<Value = String> {
    let words = prop::collection::vec((select(PLAIN), any::<u32>()), 0..3);
    (select(FIRST), any::<u32>(), words).prop_map(|(first, mask, words)| {
        let all = std::iter::once((first, mask)).chain(words);
        all.map(|(word, mask)| format!("/{}", spelt(word, mask))).collect()
    })
}

/// Anything between anything.
fn wild_path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![3 => select(WORDS), 2 => select(DOTS)];
    let between = prop_oneof![3 => Just("/"), 2 => select(SEPARATORS)];
    (any::<bool>(), prop::collection::vec((between, segment, any::<u32>()), 1..6)).prop_map(
        |(sound, parts)| {
            let path: String = parts
                .into_iter()
                .map(|(between, word, mask)| format!("{between}{}", spelt(word, mask)))
                .collect();
            if sound && !path.starts_with('/') { format!("/{path}") } else { path }
        },
    )
}

/// Out of a public place into a closed one, by one trick.
fn around() -> impl Strategy<Value = String> {
    let (from, to) =
        (select(&["/public", "/foo/x/bar", "/x"][..]), select(&["admin/x", "family/x", "kb/7/edit"][..]));
    (from, select(SEPARATORS), select(DOTS), select(SEPARATORS), to)
        .prop_map(|(from, before, dots, behind, to)| format!("{from}{before}{dots}{behind}{to}"))
}

/// A word of which some letters are percent-encoded, in either case of the digits; every fourth one is.
fn spelt(word: &str, mask: u32) -> String {
    if mask & 3 != 0 || word.contains('%') {
        return word.to_owned();
    }
    let letter = |(index, byte): (usize, u8)| match mask >> (2 + index % 15 * 2) & 3 {
        0 => format!("%{byte:02x}"),
        1 if byte.is_ascii_lowercase() => format!("%{byte:02X}"),
        _ => String::from_utf8_lossy(&[byte]).into_owned(),
    };
    if word.is_ascii() { word.bytes().enumerate().map(letter).collect() } else { word.to_owned() }
}

const METHODS: &[&str] = &["GET", "HEAD", "POST", "OPTIONS", "DELETE", "PROPFIND", "post", "QUERY"];
/// What rules speak of.
const FIRST: &[&str] = &["public", "public", "public", "public", "admin", "foo", "health", "family", "kb"];
const PLAIN: &[&str] =
    &["x", "7", "bar", "edit", "admin", "a.b", "...", "a+b", "~x", "café", "caf%C3%A9", "a%20b"];
const WORDS: &[&str] = &[
    "public",
    "public",
    "admin",
    "admin",
    "foo",
    "bar",
    "x",
    "health",
    "family",
    "kb",
    "7",
    "edit",
    "PUBLIC",
    "Admin",
    "public;",
    "admin;a=b",
    ".foregate",
    "a b",
    "public.",
    "admin%20",
    "%ff",
    "\u{ff0e}\u{ff0e}",
    "public:80",
    "@admin",
    "",
];
const DOTS: &[&str] = &[
    "..",
    "..",
    ".",
    "%2e%2e",
    "%2E.",
    ".%2e",
    "%2E",
    "..;",
    "..;x=1",
    "%252e%252e",
    "..%00",
    "..%20",
    "..\u{b}",
    "%c0%ae%c0%ae",
    "%e0%80%ae.",
    "..%5c..",
    "..%09",
    "...",
    "%u002e%u002e",
    "%%32%65%%32%65",
];
const SEPARATORS: &[&str] = &[
    "/",
    "//",
    "/./",
    "%2f",
    "%2F",
    "\\",
    "%5c",
    "%5C",
    ";",
    ";/",
    "/;/",
    "%3b",
    "%3B/",
    "%252f",
    "%25",
    "%c0%af",
    "%e0%80%af",
    "%3f",
    "?",
    "#",
    "%23",
    "%00",
    "%00/",
    "%2",
    "%zz",
    "%",
    "/%2e/",
    "\u{ff0f}",
    "%u002f",
    "%0a",
    "%09",
    "%7f",
    "|",
    "^",
    "\"",
    "\t",
    "\u{1}",
    "///",
];
const QUERIES: &[&str] = &[
    "?",
    "?x=1",
    "?/../admin",
    "??/public/x",
    "?a#b",
    "#",
    "#/public/x",
    "?%00",
    "?a=%2e%2e%2f",
    "?;/public",
    "?é",
    "?a=b;c=d&a=%zz",
    "?\\..\\",
    "? ",
    "?a b",
    "?/public/..;/",
    "?_method=DELETE",
];
/// They say `forged` where no server may believe them.
const FORGED: &[&str] = &[
    "X-Original-URL: /public/forged",
    "X-Original-URL: http://open.foregate.localhost/forged",
    "X-Original-Method: FORGED",
    "X-Original-URI: /public/forged",
    "X-Rewrite-URL: /public/forged",
    "X-Forwarded-Uri: /public/forged",
    "X-Forwarded-Host: open.foregate.localhost",
    "X-Forwarded-Method: FORGED",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Prefix: /public/forged",
    "X_Forwarded_Uri: /public/forged",
    "X_Original_URL: /public/forged",
    "X.Forwarded.Host: open.foregate.localhost",
    "X-Envoy-Original-Path: /public/forged",
    "X-Auth-Request-Redirect: /public/forged",
    "X-HTTP-Method-Override: FORGED",
    "X-Method-Override: FORGED",
    "X-Script-Name: /public/forged",
    "SCRIPT_NAME: /public/forged",
    "Path-Info: /public/forged",
    "Daphne-Root-Path: /public/forged",
    "Forwarded: host=open.foregate.localhost;proto=https",
    "Host: open.foregate.localhost",
    "Connection: X-Forwarded-Uri, X-Forwarded-Host, X-Original-URL",
    "Connection: Host",
    "Upgrade: websocket",
];
