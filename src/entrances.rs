//! Where bytes of strangers come in, each as one function that takes any and tells what must hold. Fuzzers call them (`fuzz/`),
//! and so do tests, with what fuzzers have found. No part of the program.

use std::sync::{Arc, LazyLock};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, request};
use url::Url;

use crate::browser::{
    Ask, CookieScope, Cookies, KeptForm, Origins, Purpose, ReturnTo, Sealer, Ticket, parse_handle,
    write_handle,
};
use crate::config::{Config, Environment, show};
use crate::http::dialect::{Dialect, read_url};
use crate::secret::Secret;
use crate::visit::{AppToken, Credential, Path, Scheme, Target, holds_app_token, parse_host};

/// One of them.
pub type Entrance = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const ALL: [(&str, Entrance); 11] = [
    ("head", head),
    ("path", path),
    ("cookies", cookies),
    ("sealed", sealed),
    ("return_to", return_to),
    ("config", config),
    ("token", token),
    ("keys", keys),
    ("document", document),
    ("connection", connection),
    ("hop", hop),
];

/// The head of a check: a method and an address, then header lines. In each dialect it is one visit, in one spelling, or none.
pub fn head(bytes: &[u8]) {
    let Some(parts) = parts_of(bytes) else { return };
    for dialect in [Dialect::Traefik, Dialect::Nginx, Dialect::Caddy, Dialect::Haproxy, Dialect::Envoy] {
        let Ok(visit) = dialect.read(&parts, &COOKIES, Scheme::Https) else { continue };
        sound(&visit.target);
        let address = address_of(&visit.target);
        let again = read_url(&address, visit.target.method.clone());
        let again = again.expect("what was read is read again");
        assert_eq!(again.host, visit.target.host, "{dialect:?}");
        assert_eq!(again.path.canonical(), visit.target.path.canonical(), "{dialect:?}");
        assert_eq!((again.path.raw(), again.query), (visit.target.path.raw(), visit.target.query));
        let _ = visit.authorization.shown();
    }
}

/// A path. Its canonical form is the same however it is spelt, and nobody may read it in another way.
pub fn path(bytes: &[u8]) {
    let Ok(path) = Path::parse(bytes) else { return };
    canonical(&path);
    let Some(text) = path.canonical() else { return };
    // Every byte in its longest spelling names the same.
    let spelt: String = std::iter::once('/'.to_string())
        .chain(text.bytes().skip(1).map(|byte| match byte {
            b'/' => "/".to_owned(),
            byte => format!("%{byte:02x}"),
        }))
        .collect();
    let again = Path::parse(spelt.as_bytes()).expect("another spelling");
    assert_eq!(again.canonical(), Some(text));
}

/// Lines of `Cookie`. What is hidden from backends is ours, all of it, and nothing else.
pub fn cookies(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.append(http::header::COOKIE, value);
    }
    let credential = COOKIES.credential(&headers);
    let before = headers.clone();
    COOKIES.hide(&mut headers);
    assert!(matches!(COOKIES.credential(&headers), Credential::None), "a session is left: {headers:?}");
    assert_eq!(COOKIES.bindings(&headers).count(), 0, "a login is left: {headers:?}");
    let once = headers.clone();
    COOKIES.hide(&mut headers);
    assert_eq!(headers, once, "nothing is left to hide");
    if COOKIES.bindings(&before).count() == 0
        && matches!(credential, Credential::None)
        && !speaks_of_us(&before)
    {
        assert_eq!(before, headers, "cookies of others stay as they are");
    }
    if let Some(handle) = parse_handle(bytes) {
        assert_eq!(write_handle(&handle).as_bytes(), bytes, "a handle has one spelling");
    }
}

/// Sealed text. Nobody makes one without the keys, and nothing opens as something else.
pub fn sealed(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for purpose in [Purpose::State, Purpose::Binding, Purpose::Ask, Purpose::Ticket, Purpose::KeptForm] {
        assert!(SEALER.open(purpose, b"app.test", bytes).is_none());
        assert!(SEALER.open_text(purpose, &text).is_none());
        let whole = SEALER.seal(purpose, b"app.test", bytes, [7; 12]);
        assert_eq!(SEALER.open(purpose, b"app.test", &whole).expect("ours").as_slice(), bytes);
        assert!(SEALER.open(purpose, b"other.test", &whole).is_none());
    }
    let seal = |purpose| {
        use base64::Engine as _;
        let whole = SEALER.seal(purpose, b"app.test", bytes, [7; 12]);
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(whole)
    };
    // What foregate itself has sealed is read with care too.
    let _ = Ask::open(&SEALER, "app.test", &seal(Purpose::Ask));
    let _ = Ticket::open(&SEALER, "app.test", &seal(Purpose::Ticket));
    let _ = KeptForm::open(&SEALER, "app.test", &seal(Purpose::KeptForm));
    crate::login::look_at_halves(bytes);
}

/// An address to send somebody back to. It leads to us or nowhere, also as browsers read it.
pub fn return_to(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let port_of = |host: &str| (host == "app.test" || host == "auth.test").then_some(443);
    let origins = Origins { public_url: &PUBLIC_URL, port_of: &port_of, theirs: &["/oauth2/"] };
    let Some(to) = ReturnTo::parse(&text, &origins) else { return };
    let url = Url::parse(to.as_str()).expect("an absolute address");
    assert_eq!(url.as_str(), to.as_str(), "in one spelling");
    assert_eq!((url.scheme(), url.port(), url.username(), url.password()), ("https", None, "", None));
    assert!(matches!(url.host_str(), Some("app.test" | "auth.test")), "{to:?}");
    let open = |byte: u8| byte <= b' ' || byte == b'\\' || byte == 0x7f;
    assert!(!to.as_str().bytes().any(open), "{to:?}");
    let again = ReturnTo::parse(to.as_str(), &origins).expect("what was allowed is allowed");
    assert_eq!(again, to);
}

/// A configuration. It is read, or it is told what is wrong with it.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::from_text(Some(("foregate.toml", text)), &Environment::default()) {
        Ok(loaded) => drop(show(&loaded)),
        Err(findings) => assert!(findings.iter().len() > 0, "it was refused without a word"),
    }
}

/// A token, of whatever kind: taken apart without believing it.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(token) = AppToken::parse(text) {
        assert_eq!(token.expose(), text, "an app token has one spelling");
        assert!(holds_app_token(format!("Bearer {text}").as_bytes()));
    }
    let _ = holds_app_token(bytes);
    crate::jwt::look_at_token(text);
}

/// A key set of a provider.
pub fn keys(bytes: &[u8]) {
    crate::jwt::look_at_keys(bytes);
}

/// The metadata of a provider. Nothing in it sends us to where we would not go.
pub fn document(bytes: &[u8]) {
    crate::oidc::look_at_document(bytes);
}

/// What a connection begins with: a PROXY protocol header, messages.
pub fn connection(bytes: &[u8]) {
    crate::server::look_at_beginning(bytes);
}

/// Header lines on their way to a backend. Nothing that speaks of one connection goes on.
pub fn hop(bytes: &[u8]) {
    let Some(parts) = parts_of(bytes) else { return };
    crate::http::look_at_hop(parts.headers);
}

/// `METHOD address`, then header lines.
fn parts_of(bytes: &[u8]) -> Option<request::Parts> {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, address) = first.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(address);
    for line in lines {
        let colon = memchr::memchr(b':', line)?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        request = request.header(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// What every visit promises to whoever judges it.
fn sound(target: &Target<'_>) {
    let host = parse_host(target.host.as_bytes()).expect("a host in its one spelling");
    assert_eq!(host, target.host);
    canonical(&target.path);
    assert!(target.method != Method::CONNECT, "nobody would judge what goes through a tunnel");
    let query = target.query.unwrap_or_default();
    assert!(!query.iter().any(|byte| byte.is_ascii_control() || *byte == b'#'));
}

/// What every path promises.
fn canonical(path: &Path<'_>) {
    assert_eq!(path.raw().first(), Some(&b'/'));
    assert!(!path.raw().iter().any(|byte| byte.is_ascii_control() || b"?#".contains(byte)));
    let Some(text) = path.canonical() else { return };
    assert!(text.starts_with('/') && !text.contains("//"), "{text:?}");
    let bad = |c: char| c.is_ascii_control() || "\\;%?#".contains(c);
    assert!(!text.contains(bad), "{text:?}");
    assert!(!text.split('/').any(|segment| segment == "." || segment == ".."), "{text:?}");
}

/// The address of a target, as nginx would tell it.
fn address_of(target: &Target<'_>) -> Vec<u8> {
    let start = format!("{}://{}", target.scheme.as_str(), target.host).into_bytes();
    let query = target.query.map(|query| [b"?", query].concat()).unwrap_or_default();
    [start, target.path.raw().to_vec(), query].concat()
}

fn speaks_of_us(headers: &HeaderMap) -> bool {
    headers.values().any(|line| memchr::memmem::find(line.as_bytes(), b"foregate").is_some())
}

static PUBLIC_URL: LazyLock<Url> = LazyLock::new(|| Url::parse("https://auth.test").expect("a URL"));
static SEALER: LazyLock<Arc<Sealer>> = LazyLock::new(|| {
    let key = Secret::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    Arc::new(Sealer::new(&[key]).expect("a key"))
});
static COOKIES: LazyLock<Cookies> = LazyLock::new(|| {
    let scope = CookieScope { domain: Some("test".to_owned()), secure: true };
    Cookies::new(scope).with_hosts_elsewhere("auth.test", Arc::clone(&SEALER))
});

#[cfg(test)]
mod tests {
    use std::path::Path as File;

    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// What is kept for an entrance: hand-written samples, and what fuzzers have found.
    fn corpus(name: &str) -> Vec<Vec<u8>> {
        let dir = File::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let files = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let mut kept: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
        kept.sort();
        assert!(kept.len() >= 3, "{name}: there is little to begin with");
        kept
    }

    #[test]
    fn whatever_was_kept_holds() {
        for (name, enter) in ALL {
            corpus(name).iter().for_each(|bytes| enter(bytes));
        }
    }

    /// Pieces of two samples, with some bytes changed.
    fn mixed(name: &'static str) -> impl Strategy<Value = Vec<u8>> {
        let kept = corpus(name);
        let part = || (prop::sample::select(kept.clone()), any::<Index>());
        let change = (
            any::<Index>(),
            prop_oneof![any::<u8>(), prop::sample::select(b"%/.;\\\0\r\n:,=\"'[]{}#?@ \xff".to_vec())],
        );
        (part(), part(), prop::collection::vec(change, 0..6)).prop_map(|((a, to), (b, from), changes)| {
            let cut = |bytes: &[u8], at: Index| at.index(bytes.len() + 1);
            let mut bytes = [&a[..cut(&a, to)], &b[cut(&b, from)..]].concat();
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes
        })
    }

    #[test]
    fn whatever_comes_holds() {
        for (name, enter) in ALL {
            let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
                cases: 400,
                failure_persistence: None,
                ..ProptestConfig::default()
            });
            let any_bytes = prop::collection::vec(any::<u8>(), 0..400);
            let bytes = prop_oneof![3 => mixed(name), 1 => any_bytes];
            if let Err(error) = runner.run(&bytes, |bytes| {
                enter(&bytes);
                Ok(())
            }) {
                panic!("{name}: {error}");
            }
        }
    }
}
