//! The cookies that are ours: reading them among all others, and writing them. Knows no sessions.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};
use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};
use memchr::memmem::Finder;

use super::host_cookies::{Elsewhere, HostCookies};
use super::sealed::Sealer;
use crate::visit::{Credential, HANDLE_BYTES, SessionHandle, is_within};

/// Where our cookies are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieScope {
    /// The domain all apps lie in; `None` where one host is all there is.
    pub domain: Option<String>,
    /// Whether browsers reach us over https; only a loopback set-up may do without.
    pub secure: bool,
}

impl CookieScope {
    /// Whether browsers send the cookies of `home` to `host` too.
    pub fn covers(&self, home: &str, host: &str) -> bool {
        self.domain.as_ref().map_or(host == home, |domain| is_within(host, domain))
    }
}

/// How `Cookie` lines have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// As the browser sent them.
    AsSent,
    /// Through a front proxy that asks, which may have joined several with commas, as Envoy and some modules of HAProxy do.
    Joined,
}

/// Our two cookies: the session, and the browser's side of a sign-in under way.
#[derive(Debug)]
pub struct Cookies {
    session: String,
    login: String,
    scope: CookieScope,
    session_finder: Finder<'static>,
    login_finder: Finder<'static>,
    /// Whether one may stand behind a comma, which would be a way around `__Host-` (RFC 6265bis 5.6).
    may_be_joined: bool,
    /// The hosts outside the scope, if an app is on one.
    elsewhere: Option<Box<Elsewhere>>,
}

impl Cookies {
    /// Names the cookies by their scope: `__Host-foregate` on one host, `__Secure-foregate` on a domain, plain
    /// `foregate` without https (RFC 6265bis 4.1.3); the other one ends in `-login`.
    pub fn new(scope: CookieScope) -> Self {
        let prefix = match (scope.secure, &scope.domain) {
            (true, None) => "__Host-",
            (true, Some(_)) => "__Secure-",
            (false, _) => "",
        };
        let session = format!("{prefix}foregate");
        let login = format!("{session}-login");
        let finder = |name: &str| Finder::new(&format!("{name}=")).into_owned();
        let (session_finder, login_finder) = (finder(&session), finder(&login));
        let may_be_joined = prefix != "__Host-";
        Self { session_finder, login_finder, may_be_joined, session, login, scope, elsewhere: None }
    }

    /// With cookies, sealed by `sealer`, for each host outside the scope. `home` is the host of `public_url`.
    pub fn with_hosts_elsewhere(mut self, home: &str, sealer: Arc<Sealer>) -> Self {
        self.elsewhere = Some(Box::new(Elsewhere::new(self.scope.secure, home, sealer)));
        self
    }

    /// The cookies of a host outside the scope; `None` for the others, and where there are no apps on such hosts.
    pub fn at<'c>(&'c self, host: &'c str) -> Option<HostCookies<'c>> {
        self.elsewhere.as_ref()?.at(&self.scope, host)
    }

    /// What a request to `host` shows, in the form that counts there.
    pub fn credential_at(&self, host: &str, headers: &HeaderMap, lines: Lines) -> Credential {
        match self.at(host) {
            Some(own) => own.credential(headers, lines),
            None => credential_of(self.sessions(headers, lines), parse_handle),
        }
    }

    /// The session cookies of a request that are well formed, in the order sent. A neighbour may have set one of
    /// the same name, so all are kept, up to sixteen.
    pub fn credential(&self, headers: &HeaderMap) -> Credential {
        credential_of(self.sessions(headers, Lines::AsSent), parse_handle)
    }

    /// The values of the session cookies, well formed or not, in the order sent, up to sixteen; those that commas join come last.
    pub(super) fn sessions<'h>(
        &'h self,
        headers: &'h HeaderMap,
        lines: Lines,
    ) -> impl Iterator<Item = &'h [u8]> {
        let joined = self.may_be_joined && lines == Lines::Joined;
        let joined = joined.then(|| joined_values(headers, &self.session_finder)).into_iter().flatten();
        values(headers, &self.session_finder).chain(joined).take(MOST_COOKIES)
    }

    /// The login cookies of a request, in the order sent, up to sixteen.
    pub fn bindings<'h>(&'h self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h str> {
        values(headers, &self.login_finder)
            .take(MOST_COOKIES)
            .filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// A `Set-Cookie` that keeps a session.
    pub fn keep_session(&self, handle: &SessionHandle, lifetime: Duration) -> HeaderValue {
        self.set(&self.session, &write_handle(handle), lifetime)
    }

    /// The same for one that is sealed.
    pub(super) fn keep_sealed_session(&self, text: &str, lifetime: Duration) -> HeaderValue {
        self.set(&self.session, text, lifetime)
    }

    /// A `Set-Cookie` that ends it in the browser.
    pub fn drop_session(&self) -> HeaderValue {
        self.set(&self.session, "", Duration::ZERO)
    }

    /// A `Set-Cookie` that keeps the browser's side of sign-ins.
    pub fn keep_login(&self, binding: &str, lifetime: Duration) -> HeaderValue {
        self.set(&self.login, binding, lifetime)
    }

    /// A `Set-Cookie` that drops it.
    pub fn drop_login(&self) -> HeaderValue {
        self.set(&self.login, "", Duration::ZERO)
    }

    /// Removes our cookies from a request to a backend, leaving all others byte for byte.
    pub fn hide(&self, headers: &mut HeaderMap) {
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.hide(headers);
        }
        let holds_ours = |value: &HeaderValue| {
            [&self.session_finder, &self.login_finder]
                .iter()
                .any(|finder| finder.find(value.as_bytes()).is_some())
        };
        if !headers.get_all(COOKIE).iter().any(holds_ours) {
            return;
        }
        let kept: Vec<HeaderValue> =
            headers.get_all(COOKIE).iter().filter_map(|value| self.without_ours(value.as_bytes())).collect();
        headers.remove(COOKIE);
        for value in kept {
            headers.append(COOKIE, value);
        }
    }

    /// Whether a `Set-Cookie` is about a cookie of ours. One without a name is read by its value, as browsers send that
    /// back as if it were a name and a value.
    pub fn sets_ours(&self, line: &[u8]) -> bool {
        let pair = line.split(|&byte| byte == b';').next().unwrap_or(line).trim_ascii();
        let named = match pair.iter().position(|&byte| byte != b'=' && !byte.is_ascii_whitespace()) {
            Some(start) => &pair[start..],
            None => return false,
        };
        let name = named.split(|&byte| byte == b'=').next().unwrap_or(named).trim_ascii();
        name == self.session.as_bytes()
            || name == self.login.as_bytes()
            || self.elsewhere.as_ref().is_some_and(|elsewhere| elsewhere.sets_ours(line))
    }

    fn without_ours(&self, value: &[u8]) -> Option<HeaderValue> {
        let ours = |pair: &&[u8]| {
            let name = pair.split(|&byte| byte == b'=').next().unwrap_or(pair).trim_ascii();
            name == self.session.as_bytes() || name == self.login.as_bytes()
        };
        let kept: Vec<&[u8]> = value.split(|&byte| byte == b';').filter(|pair| !ours(pair)).collect();
        let joined = kept.join(&b';');
        // Some proxies join cookies with commas; a line that would still show ours is better lost.
        if self.names_ours(&joined) {
            return None;
        }
        if joined.trim_ascii().is_empty() { None } else { HeaderValue::from_bytes(joined.trim_ascii()).ok() }
    }

    /// Whether a cookie of ours begins somewhere in a line.
    fn names_ours(&self, line: &[u8]) -> bool {
        let begins = |&start: &usize| start == 0 || b"; \t,".contains(&line[start - 1]);
        [&self.session_finder, &self.login_finder]
            .iter()
            .any(|finder| finder.find_iter(line).any(|start| begins(&start)))
    }

    fn set(&self, name: &str, value: &str, lifetime: Duration) -> HeaderValue {
        let mut cookie = Cookie::build((name, value)).path("/").http_only(true).same_site(SameSite::Lax);
        if self.scope.secure {
            cookie = cookie.secure(true);
        }
        if let Some(domain) = &self.scope.domain {
            cookie = cookie.domain(domain.as_str());
        }
        let text = format!("{}; Max-Age={}", cookie.build(), lifetime.as_secs());
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// The sessions that cookies with these values show.
pub(super) fn credential_of<'h>(
    values: impl Iterator<Item = &'h [u8]>,
    read: impl Fn(&[u8]) -> Option<SessionHandle>,
) -> Credential {
    let (mut first, mut others) = (None, Vec::new());
    values.filter_map(read).take(MOST_COOKIES).for_each(|handle| match first {
        None => first = Some(handle),
        Some(_) => others.push(handle),
    });
    first.map_or(Credential::None, |first| Credential::Session(first, others))
}

/// The values of every cookie that `finder` names, `=` included, over all lines. Only a semicolon ends a cookie, as in browsers: with a
/// blank, a quote or a comma somebody could begin a cookie of ours within the value of another one, and an app that writes a text of
/// theirs into a cookie would do.
fn values<'h>(headers: &'h HeaderMap, finder: &'h Finder<'static>) -> impl Iterator<Item = &'h [u8]> {
    headers.get_all(COOKIE).iter().flat_map(move |line| {
        let line = line.as_bytes();
        finder.find_iter(line).filter(move |&start| begins_a_cookie(&line[..start])).map(move |start| {
            let value = &line[start + finder.needle().len()..];
            let end = memchr::memchr(b';', value).unwrap_or(value.len());
            value[..end].trim_ascii_end()
        })
    })
}

/// The values of those that a comma begins or ends, as where a proxy joins several lines.
fn joined_values<'h>(headers: &'h HeaderMap, finder: &'h Finder<'static>) -> impl Iterator<Item = &'h [u8]> {
    headers.get_all(COOKIE).iter().flat_map(move |line| {
        let line = line.as_bytes();
        finder.find_iter(line).filter_map(move |start| {
            let before = line[..start].trim_ascii_end().last().copied();
            let value = &line[start + finder.needle().len()..];
            let end = memchr::memchr2(b';', b',', value).unwrap_or(value.len());
            let is_joined = before == Some(b',') || value.get(end) == Some(&b',');
            let begins = before.is_none_or(|byte| b";,".contains(&byte));
            (is_joined && begins).then(|| value[..end].trim_ascii_end())
        })
    })
}

/// Whether a cookie begins behind this part of a line.
fn begins_a_cookie(before: &[u8]) -> bool {
    before.trim_ascii_end().last().is_none_or(|&byte| byte == b';')
}

/// Reads a session cookie's value: exactly 48 bytes in base64url, canonical. Written out without a branch or a table,
/// as every check comes by here and the value is a secret.
pub fn parse_handle(value: &[u8]) -> Option<SessionHandle> {
    let text: &[u8; HANDLE_TEXT] = value.try_into().ok()?;
    let mut sixes = [0; HANDLE_TEXT];
    let mut wrong = 0;
    for (six, &letter) in sixes.iter_mut().zip(text) {
        *six = six_bits(letter);
        wrong |= *six;
    }
    let mut handle = [0; HANDLE_BYTES];
    for (bytes, sixes) in handle.chunks_exact_mut(3).zip(sixes.chunks_exact(4)) {
        let word = sixes.iter().fold(0, |word, &six| word << 6 | u32::from(six));
        bytes.copy_from_slice(&word.to_be_bytes()[1..]);
    }
    (wrong & NO_SIX == 0).then_some(SessionHandle(handle))
}

/// What a letter of base64url stands for (RFC 4648 5), or [`NO_SIX`].
fn six_bits(letter: u8) -> u8 {
    let mut six = NO_SIX;
    for (first, last, value) in
        [(b'A', b'Z', 0), (b'a', b'z', 26), (b'0', b'9', 52), (b'-', b'-', 62), (b'_', b'_', 63)]
    {
        let offset = letter.wrapping_sub(first);
        six = if offset <= last - first { offset + value } else { six };
    }
    six
}

/// Writes it.
pub fn write_handle(handle: &SessionHandle) -> String {
    URL_SAFE_NO_PAD.encode(handle.0)
}

/// Letters of a handle in base64url.
const HANDLE_TEXT: usize = HANDLE_BYTES / 3 * 4;
/// More than six bits can say.
const NO_SIX: u8 = 0x80;
/// How many cookies of one name are looked at.
const MOST_COOKIES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(domain: Option<&str>, secure: bool) -> Cookies {
        Cookies::new(CookieScope { domain: domain.map(str::to_owned), secure })
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap())).collect()
    }

    fn found(lines: &[&str]) -> usize {
        match cookies(None, true).credential(&headers(lines)) {
            Credential::None => 0,
            Credential::Session(_, others) => 1 + others.len(),
        }
    }

    #[test]
    fn our_cookie_is_found_however_proxies_leave_it() {
        let value = "A".repeat(64);
        let ours = format!("__Host-foregate={value}");
        for lines in [
            vec![ours.clone()],
            vec![format!("a=b; {ours}; c=d")],
            vec!["a=b".to_owned(), ours.clone()],
            vec![format!("a=b;{ours}")],
            vec![format!("a=b; \t{ours} ; c=d")],
            vec![format!(" {ours} ")],
            vec![format!("a=b;; {ours}")],
            vec![format!("x={{\"k\":1}}; {ours}")],
        ] {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(found(&lines), 1, "{lines:?}");
        }
        assert_eq!(found(&[&format!("{ours}; {ours}")]), 2, "a neighbour's copy does not hide ours");
        assert_eq!(found(&[&format!("{ours}; ").repeat(40)]), MOST_COOKIES);
    }

    #[test]
    fn no_cookie_of_ours_begins_within_another_one_but_where_a_front_proxy_may_join_them() {
        let written = |letter: u8| write_handle(&SessionHandle([letter; HANDLE_BYTES]));
        for (domain, secure, name) in [
            (Some("example.com"), true, "__Secure-foregate"),
            (None, false, "foregate"),
            (None, true, "__Host-foregate"),
        ] {
            let (one, two) = (format!("{name}={}", written(1)), format!("{name}={}", written(2)));
            for (line, as_sent, joined) in [
                (format!("a=b; {one}"), "1", "1"),
                (format!("a=b,{one},c=d"), "", "1"),
                (format!("{one}, c=d; {two}"), "2", "21"),
                (format!("a=b, {two}; {one}"), "1", "12"),
                (format!("{one},{two}"), "", "12"),
                (format!("a=b {one}"), "", ""),
                (format!("a=b\t{one}"), "", ""),
                (format!("a=\"b {one}\""), "", ""),
            ] {
                for (lines, wanted) in [(Lines::AsSent, as_sent), (Lines::Joined, joined)] {
                    let shown = cookies(domain, secure).credential_at("a.test", &headers(&[&line]), lines);
                    let found: String = match shown {
                        Credential::None => String::new(),
                        Credential::Session(first, others) => [vec![first], others]
                            .concat()
                            .iter()
                            .map(|handle| handle.0[0].to_string())
                            .collect(),
                    };
                    let wanted = if name == "__Host-foregate" { as_sent } else { wanted };
                    assert_eq!(found, wanted, "{lines:?}: {line}");
                }
            }
        }
    }

    #[test]
    fn a_broken_cookie_is_no_cookie() {
        let value = "A".repeat(64);
        for line in [
            "__Host-foregate=",
            "__Host-foregate",
            "__Host-foregate=garbage",
            &format!("__Host-foregate={}", "A".repeat(63)),
            &format!("__Host-foregate={}", "A".repeat(65)),
            &format!("__Host-foregate={}", "!".repeat(64)),
            &format!("__Host-foregate=\"{value}\""),
            &format!("x__Host-foregate={value}"),
            // What a neighbour can write into a cookie of its own.
            &format!("x=1 __Host-foregate={value}"),
            &format!("x=1,__Host-foregate={value}"),
            &format!("x=1, __Host-foregate={value}; y=2"),
            &format!("x=\"1; \\\" __Host-foregate={value}\""),
            &format!("x __Host-foregate={value}"),
            &format!("=__Host-foregate={value}"),
            &format!("__Host-foregate={value} x"),
            &format!("__Host-foregate={value}, x=1"),
            &format!("__host-foregate={value}"),
            &format!("__Host-foregate-login={value}"),
            &format!("__Secure-foregate={value}"),
            &format!("foregate={value}"),
            &format!("__Host-foregate={}", "A".repeat(8192)),
        ] {
            assert_eq!(found(&[line]), 0, "{line}");
        }
    }

    #[test]
    fn a_handle_is_what_the_library_reads() {
        for byte in 0..=u8::MAX {
            let handle = SessionHandle(std::array::from_fn(|index| byte.wrapping_mul(index as u8 | 1)));
            assert_eq!(parse_handle(write_handle(&handle).as_bytes()), Some(handle));
            for place in 0..4 {
                let mut text = [b'Q'; HANDLE_TEXT];
                text[HANDLE_TEXT - 1 - place] = byte;
                let read = URL_SAFE_NO_PAD.decode(text).ok();
                assert_eq!(parse_handle(&text).map(|handle| handle.0.to_vec()), read, "{byte}");
            }
        }
    }

    #[test]
    fn cookies_are_named_and_bound_by_their_scope() {
        let handle = SessionHandle([0; HANDLE_BYTES]);
        let hour = Duration::from_secs(3600);
        let value = "A".repeat(64);
        for (domain, secure, text) in [
            (
                None,
                true,
                format!("__Host-foregate={value}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=3600"),
            ),
            (
                Some("example.com"),
                true,
                format!(
                    "__Secure-foregate={value}; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com; Max-Age=3600"
                ),
            ),
            (None, false, format!("foregate={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age=3600")),
        ] {
            assert_eq!(cookies(domain, secure).keep_session(&handle, hour), text);
        }
        assert_eq!(
            cookies(None, true).drop_session(),
            "__Host-foregate=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn a_backend_that_sets_a_cookie_of_ours_is_noticed() {
        let own = cookies(None, true);
        for (line, ours) in [
            ("__Host-foregate=x; Path=/", true),
            ("__Host-foregate-login=x", true),
            (" __Host-foregate =x", true),
            ("__Host-foregate", true),
            ("=__Host-foregate=x", true),
            (" = __Host-foregate=x; Secure", true),
            ("==__Host-foregate=x", true),
            ("a=__Host-foregate=x", false),
            ("__Host-foregate2=x", false),
            ("__host-foregate=x", false),
            ("foregate=x", false),
            ("sid=1; __Host-foregate=x", false),
            ("", false),
            ("=", false),
        ] {
            assert_eq!(own.sets_ours(line.as_bytes()), ours, "{line}");
        }
    }

    #[test]
    fn backends_never_see_ours_and_see_all_others_unchanged() {
        let own = cookies(None, true);
        for (before, after) in [
            (vec!["a=1; __Host-foregate=x; b=\"2, 3\""], vec!["a=1; b=\"2, 3\""]),
            (vec!["__Host-foregate=x; __Host-foregate-login=y"], vec![]),
            (vec!["a=1", "__Host-foregate=x"], vec!["a=1"]),
            (vec!["a=1, __Host-foregate=x", "b=2"], vec!["b=2"]),
            (vec!["a=1,__Host-foregate-login=x"], vec![]),
            (vec!["a=1,\t__Host-foregate=x"], vec![]),
            (vec!["a=__Host-foregate=1;  b=2"], vec!["a=__Host-foregate=1;  b=2"]),
        ] {
            let mut headers = headers(&before);
            own.hide(&mut headers);
            let left: Vec<_> = headers.get_all(COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(left, after);
        }
    }
}
