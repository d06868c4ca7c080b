//! Cookies of hosts outside the cookie domain: each for one host alone, by its name and by its seal. Knows no sessions
//! and not which hosts there are.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::HeaderValue;

use super::cookies::{CookieScope, Cookies, Lines, credential_of};
use super::sealed::{NONCE_BYTES, OVERHEAD_BYTES, Purpose, Sealer};
use super::ticket::HostBinding;
use crate::visit::{Credential, HANDLE_BYTES, SessionHandle};

/// What all hosts outside the cookie domain share.
#[derive(Debug)]
pub(super) struct Elsewhere {
    /// The names of their cookies.
    cookies: Cookies,
    sealer: Arc<Sealer>,
    /// The host of `public_url`.
    home: String,
}

impl Elsewhere {
    pub(super) fn new(secure: bool, home: &str, sealer: Arc<Sealer>) -> Self {
        let cookies = Cookies::new(CookieScope { domain: None, secure });
        Self { cookies, sealer, home: home.to_owned() }
    }

    /// The cookies of `host`, unless it has those of `scope`.
    pub(super) fn at<'c>(&'c self, scope: &CookieScope, host: &'c str) -> Option<HostCookies<'c>> {
        let outside = !scope.covers(&self.home, host);
        outside.then_some(HostCookies { cookies: &self.cookies, sealer: &self.sealer, host })
    }

    pub(super) fn hide(&self, headers: &mut HeaderMap) {
        self.cookies.hide(headers);
    }

    pub(super) fn sets_ours(&self, line: &[u8]) -> bool {
        self.cookies.sets_ours(line)
    }
}

/// The cookies of one host outside the cookie domain. What is sealed for it opens at no other, so that an app that
/// steals its own visitors' cookies can use them nowhere else and learns nothing from them.
#[derive(Clone, Copy, Debug)]
pub struct HostCookies<'c> {
    cookies: &'c Cookies,
    sealer: &'c Sealer,
    host: &'c str,
}

impl HostCookies<'_> {
    /// The session cookies of a request that were sealed for this host; anything else is none.
    pub fn credential(&self, headers: &HeaderMap, lines: Lines) -> Credential {
        let open = |value: &[u8]| {
            let sealed =
                if value.len() == SEALED_TEXT { URL_SAFE_NO_PAD.decode(value).ok()? } else { return None };
            let plain = self.sealer.open(Purpose::HostSession, self.host.as_bytes(), &sealed)?;
            Some(SessionHandle(plain.as_slice().try_into().ok()?))
        };
        credential_of(self.cookies.sessions(headers, lines), open)
    }

    /// The browser's half of a sign-in from this host, if it has one.
    pub fn binding(&self, headers: &HeaderMap) -> Option<HostBinding> {
        self.cookies.bindings(headers).find_map(|text| {
            let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
            let plain = self.sealer.open(Purpose::HostBinding, self.host.as_bytes(), &sealed)?;
            HostBinding::from_bytes(&plain)
        })
    }

    /// A `Set-Cookie` that keeps a session on this host. `nonce` must be random.
    pub fn keep_session(
        &self,
        handle: &SessionHandle,
        lifetime: Duration,
        nonce: [u8; NONCE_BYTES],
    ) -> HeaderValue {
        let sealed = self.sealer.seal(Purpose::HostSession, self.host.as_bytes(), &handle.0, nonce);
        self.cookies.keep_sealed_session(&URL_SAFE_NO_PAD.encode(sealed), lifetime)
    }

    /// A `Set-Cookie` that keeps the browser's half of sign-ins from this host. `nonce` must be random.
    pub fn keep_binding(
        &self,
        binding: &HostBinding,
        lifetime: Duration,
        nonce: [u8; NONCE_BYTES],
    ) -> HeaderValue {
        let plain = binding.to_bytes();
        let sealed = self.sealer.seal(Purpose::HostBinding, self.host.as_bytes(), &plain, nonce);
        self.cookies.keep_login(&URL_SAFE_NO_PAD.encode(sealed), lifetime)
    }
}

/// Letters of a sealed handle in base64url.
const SEALED_TEXT: usize = ((HANDLE_BYTES + OVERHEAD_BYTES) * 4).div_ceil(3);

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;
    use crate::secret::Secret;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const DAY: Duration = Duration::from_secs(86_400);

    fn cookies(domain: Option<&str>, secure: bool) -> Cookies {
        let sealer = Arc::new(Sealer::new(&[Secret::new(KEY)]).unwrap());
        let scope = CookieScope { domain: domain.map(str::to_owned), secure };
        Cookies::new(scope).with_hosts_elsewhere("auth.example.com", sealer)
    }

    fn sent(set_cookie: &HeaderValue) -> HeaderMap {
        let pair = set_cookie.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(pair).unwrap())])
    }

    fn handle_at(cookies: &Cookies, host: &str, headers: &HeaderMap) -> Option<SessionHandle> {
        match cookies.credential_at(host, headers, Lines::AsSent) {
            Credential::Session(handle, _) => Some(handle),
            Credential::None => None,
        }
    }

    #[test]
    fn a_host_outside_the_domain_has_cookies_of_its_own() {
        for (domain, host, outside) in [
            (Some("example.com"), "auth.example.com", false),
            (Some("example.com"), "example.com", false),
            (Some("example.com"), "photos.family.org", true),
            (Some("example.com"), "evilexample.com", true),
            (None, "auth.example.com", false),
            (None, "wiki.example.com", true),
            (None, "sub.auth.example.com", true),
        ] {
            assert_eq!(cookies(domain, true).at(host).is_some(), outside, "{domain:?} {host}");
            let alone = Cookies::new(CookieScope { domain: domain.map(str::to_owned), secure: true });
            assert!(alone.at(host).is_none(), "nothing of this where no app lies outside");
        }
    }

    #[test]
    fn a_session_counts_at_the_host_it_was_sealed_for_and_in_that_form_alone() {
        let handle = SessionHandle([7; HANDLE_BYTES]);
        for (domain, secure) in [(Some("example.com"), true), (None, true), (Some("example.com"), false)] {
            let cookies = cookies(domain, secure);
            let at = cookies.at("photos.family.org").unwrap();
            let line = at.keep_session(&handle, DAY, [1; NONCE_BYTES]);
            let text = line.to_str().unwrap();
            let start = if secure { "__Host-foregate=" } else { "foregate=" };
            let end = if secure {
                "; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=86400"
            } else {
                "; HttpOnly; SameSite=Lax; Path=/; Max-Age=86400"
            };
            assert!(text.starts_with(start) && text.ends_with(end) && !text.contains("Domain"), "{text}");
            let headers = sent(&line);
            assert!(handle_at(&cookies, "photos.family.org", &headers) == Some(handle.clone()));
            for host in ["b.family.org", "family.org", "auth.example.com", "wiki.example.com", "x.test"] {
                assert!(handle_at(&cookies, host, &headers).is_none(), "{host}");
            }
            let central = sent(&cookies.keep_session(&handle, DAY));
            assert!(handle_at(&cookies, "auth.example.com", &central) == Some(handle.clone()));
            assert!(handle_at(&cookies, "photos.family.org", &central).is_none());
            // The plain handle under the very name that the host's own cookie has.
            let plain = format!("{start}{}", super::super::write_handle(&handle));
            let plain = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&plain).unwrap())]);
            assert!(handle_at(&cookies, "photos.family.org", &plain).is_none());
        }
    }

    #[test]
    fn every_change_to_a_sealed_cookie_makes_it_none() {
        let cookies = cookies(Some("example.com"), true);
        let host = "photos.family.org";
        let line =
            cookies.at(host).unwrap().keep_session(&SessionHandle([7; HANDLE_BYTES]), DAY, [1; NONCE_BYTES]);
        let pair = line.to_str().unwrap().split(';').next().unwrap().as_bytes().to_vec();
        let start = pair.iter().position(|&byte| byte == b'=').unwrap() + 1;
        let count = |pair: &[u8]| {
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_bytes(pair).unwrap())]);
            usize::from(handle_at(&cookies, host, &headers).is_some())
        };
        assert_eq!((count(&pair), pair.len() - start), (1, SEALED_TEXT));
        for index in start..pair.len() {
            for other in [b'A', b'B', b'_'] {
                let mut changed = pair.clone();
                changed[index] = if changed[index] == other { b'x' } else { other };
                assert_eq!(count(&changed), 0, "letter {index}");
            }
            assert_eq!(count(&pair[..index]), 0, "cut at {index}");
        }
        let twice = [b"__Host-foregate=junk; ".as_slice(), &pair].concat();
        assert_eq!(count(&twice), 1, "a broken one hides no good one");
    }

    #[test]
    fn backends_see_neither_kind_of_ours() {
        let cookies = cookies(Some("example.com"), true);
        let line = "a=1; __Host-foregate=x; __Secure-foregate=y; __Host-foregate-login=z";
        let mut headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(line))]);
        cookies.hide(&mut headers);
        assert_eq!(headers.get(COOKIE).unwrap(), "a=1");
    }

    #[test]
    fn a_binding_counts_at_its_host_alone() {
        let cookies = cookies(Some("example.com"), true);
        let binding = HostBinding::new([9; 32]);
        let line = cookies.at("photos.family.org").unwrap().keep_binding(&binding, DAY, [1; NONCE_BYTES]);
        assert!(line.to_str().unwrap().starts_with("__Host-foregate-login="), "{line:?}");
        let at = |host| cookies.at(host).unwrap().binding(&sent(&line));
        assert_eq!(at("photos.family.org").map(|kept| kept.name()), Some(binding.name()));
        assert!(at("b.family.org").is_none());
    }
}
