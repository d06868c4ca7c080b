//! A form on its way through a sign-in: sealed, in the browser, until it can be sent once more. Pure data. Knows no
//! sessions, no messages, and nobody who sent one.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::{Url, form_urlencoded};

use super::sealed::{NONCE_BYTES, OVERHEAD_BYTES, Purpose, Sealer};

/// What a browser posted to one host as `application/x-www-form-urlencoded`, and can post again byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptForm {
    /// Its own random name.
    pub id: [u8; ID_BYTES],
    /// When it was sent, in Unix seconds.
    at: u64,
    address: String,
    fields: Vec<(String, String)>,
}

impl KeptForm {
    /// A form that was posted to `address`, a path with its query, of `origin` at `now`. `id` must be random.
    ///
    /// `None` for what a page cannot make a browser send as it was: a body over 64 KiB or in another spelling than
    /// browsers write, fields that no form submits so, and an address over 4 KiB or that browsers spell otherwise.
    pub fn new(id: [u8; ID_BYTES], now: u64, (origin, address): (&str, &str), body: &[u8]) -> Option<Self> {
        let whole = format!("{origin}{address}");
        let same = |url: Url| url.as_str() == whole && url.fragment().is_none();
        let same = Url::parse(&whole).is_ok_and(same);
        if !same || !address.starts_with('/') || address.len() > LONGEST_ADDRESS || body.len() > LARGEST {
            return None;
        }
        Some(Self { id, at: now, address: address.to_owned(), fields: fields_of(body)? })
    }

    /// As text that only `host` opens. `nonce` must be random.
    pub fn seal(&self, sealer: &Sealer, host: &str, nonce: [u8; NONCE_BYTES]) -> String {
        let length = u16::try_from(self.address.len()).unwrap_or_default().to_be_bytes();
        let head = [self.id.as_slice(), &self.at.to_be_bytes(), &length, self.address.as_bytes()].concat();
        let plain = [head, body_of(&self.fields).into_bytes()].concat();
        URL_SAFE_NO_PAD.encode(sealer.seal(Purpose::KeptForm, host.as_bytes(), &plain, nonce))
    }

    /// Reads what was sealed for `host`; anything else is `None`.
    pub fn open(sealer: &Sealer, host: &str, text: &str) -> Option<Self> {
        let plain = sealer.open(Purpose::KeptForm, host.as_bytes(), &URL_SAFE_NO_PAD.decode(text).ok()?)?;
        let (id, rest) = plain.split_first_chunk::<ID_BYTES>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (address, body) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let address = String::from_utf8(address.to_vec()).ok()?;
        Some(Self { id: *id, at: u64::from_be_bytes(*at), address, fields: fields_of(body)? })
    }

    /// The path with its query that it was posted to, as it was asked for.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same in its two parts.
    pub fn path_and_query(&self) -> (&str, Option<&str>) {
        let parts = self.address.split_once('?');
        parts.map_or((self.address.as_str(), None), |(path, query)| (path, Some(query)))
    }

    /// Names and values in their order.
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// When it stops to count, in Unix seconds.
    pub fn until(&self) -> u64 {
        self.at.saturating_add(LIFETIME.as_secs())
    }

    /// Whether it is older than an hour, or from the future.
    pub fn is_late(&self, now: u64) -> bool {
        now.abs_diff(self.at) > LIFETIME.as_secs()
    }

    /// Whether it was sent so lately that whoever signs in now still waits for it: ten minutes.
    pub fn is_fresh(&self, now: u64) -> bool {
        now.abs_diff(self.at) <= FRESH.as_secs()
    }
}

/// The fields of a body, if a page with them makes a browser send these very bytes.
fn fields_of(body: &[u8]) -> Option<Vec<(String, String)>> {
    let fields: Vec<_> = form_urlencoded::parse(body).into_owned().collect();
    let same = body_of(&fields).as_bytes() == body;
    (same && fields.iter().all(|(name, value)| can_be_a_field(name, value))).then_some(fields)
}

/// What a browser sends for fields (WHATWG URL, application/x-www-form-urlencoded serializing).
fn body_of(fields: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Whether a hidden field comes back as it is (WHATWG HTML, constructing the entry list): one without a name is left
/// out, `_charset_` gets a value of the browser's, NUL cannot stand in a page, and every newline becomes CRLF.
fn can_be_a_field(name: &str, value: &str) -> bool {
    let stays = |text: &str| !text.contains('\0') && !text.replace("\r\n", "").contains(['\r', '\n']);
    let charset = name.eq_ignore_ascii_case("_charset_");
    !name.is_empty() && stays(name) && stays(value) && (!charset || value == "UTF-8")
}

const ID_BYTES: usize = 16;
/// Bytes of the largest body.
const LARGEST: usize = 64 * 1024;
/// Bytes of the longest address.
const LONGEST_ADDRESS: usize = 4096;
/// Letters of the longest sealed form.
pub const LONGEST_KEPT_FORM: usize =
    ((ID_BYTES + 8 + 2 + LONGEST_ADDRESS + LARGEST + OVERHEAD_BYTES) * 4).div_ceil(3);
const LIFETIME: Duration = Duration::from_secs(60 * 60);
const FRESH: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NONCE: [u8; NONCE_BYTES] = [3; NONCE_BYTES];

    fn sealer() -> Sealer {
        Sealer::new(&[Secret::new(KEY)]).unwrap()
    }

    fn kept(address: &str, body: &[u8]) -> Option<KeptForm> {
        KeptForm::new([1; ID_BYTES], 1000, ("https://app.test", address), body)
    }

    #[test]
    fn a_body_is_kept_only_if_a_browser_would_send_it_again_byte_for_byte() {
        for (body, is_kept) in [
            ("", true),
            ("a=1", true),
            ("a=1&b=2&a=3&a=1", true),
            ("a=", true),
            ("a=b%3Dc%26d&e=%2B+%25", true),
            ("n%C3%A4me=%E2%82%AC&x=%F0%9F%98%80", true),
            ("text=one%0D%0Atwo%0D%0A", true),
            ("tab%09=%01%1F%7F", true),
            ("_charset_=UTF-8&a=1", true),
            ("_charset_=windows-1252", false),
            ("_charset_=", false),
            ("_CharSet_=x", false),
            ("a", false),
            ("=1", false),
            ("=", false),
            ("a=1&", false),
            ("&a=1", false),
            ("a=1&&b=2", false),
            ("a=1;b=2", false),
            ("a=b=c", false),
            ("a=%e2%82%ac", false),
            ("a=%41", false),
            ("a=%20", false),
            ("a=~", false),
            ("a=%", false),
            ("a=%FF", false),
            ("a=%EF%BF%BD", true),
            ("a=\u{e4}", false),
            ("a=%00", false),
            ("a%00=1", false),
            ("a=one%0Atwo", false),
            ("a=one%0Dtwo", false),
            ("a=one%0A%0Dtwo", false),
            ("a=one%0D%0D%0A", false),
            ("a%0A=1", false),
            ("{\"a\":1}", false),
        ] {
            assert_eq!(kept("/", body.as_bytes()).is_some(), is_kept, "{body}");
        }
        assert!(kept("/", b"a=\xff").is_none());
        let long = |value: usize| kept("/", format!("a={}", "x".repeat(value)).as_bytes());
        assert!(long(LARGEST - 2).is_some() && long(LARGEST - 1).is_none());
    }

    #[test]
    fn an_address_is_kept_only_if_a_browser_asks_for_it_as_it_was() {
        for (address, is_kept) in [
            ("/", true),
            ("/a/b?c=d&e=%20f", true),
            ("/a?", true),
            ("//evil.test/x", true),
            ("/a%2Fb;c?u=https://x.test/", true),
            ("/a\\b", false),
            ("/a/../b", false),
            ("/a/%2e%2e/b", false),
            ("/a b", false),
            ("/a#b", false),
            ("/\u{e4}", false),
            ("/a?\"", false),
            ("", false),
            (".evil.test/", false),
            (":1@evil.test/", false),
        ] {
            assert_eq!(kept(address, b"a=1").is_some(), is_kept, "{address}");
        }
        assert!(kept(&format!("/{}", "x".repeat(LONGEST_ADDRESS)), b"a=1").is_none());
    }

    #[test]
    fn it_opens_at_its_host_alone_and_comes_back_as_it_was() {
        let form = kept("/p?q=1", b"b=1&a=%3Cx%3E&b=2").unwrap();
        let text = form.seal(&sealer(), "app.test", NONCE);
        assert_eq!(KeptForm::open(&sealer(), "app.test", &text), Some(form.clone()));
        assert_eq!(KeptForm::open(&sealer(), "b.test", &text), None);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(form.fields(), [pair("b", "1"), pair("a", "<x>"), pair("b", "2")]);
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(KeptForm::open(&sealer(), "app.test", &changed), None, "letter {index}");
            assert_eq!(KeptForm::open(&sealer(), "app.test", &text[..index]), None, "cut at {index}");
        }
        let other = URL_SAFE_NO_PAD.encode(sealer().seal(Purpose::Ticket, b"app.test", &[0; 40], NONCE));
        assert_eq!(KeptForm::open(&sealer(), "app.test", &other), None);
    }

    #[test]
    fn the_largest_form_has_the_longest_text() {
        let address = format!("/{}", "x".repeat(LONGEST_ADDRESS - 1));
        let form = kept(&address, format!("a={}", "x".repeat(LARGEST - 2)).as_bytes()).unwrap();
        assert_eq!(form.seal(&sealer(), "app.test", NONCE).len(), LONGEST_KEPT_FORM);
    }

    #[test]
    fn it_counts_for_an_hour_and_is_fresh_for_ten_minutes() {
        let form = kept("/", b"a=1").unwrap();
        for (now, fresh, late) in [
            (1000, true, false),
            (1600, true, false),
            (1601, false, false),
            (4600, false, false),
            (4601, false, true),
            (0, false, false),
            (u64::MAX, false, true),
        ] {
            assert_eq!((form.is_fresh(now), form.is_late(now)), (fresh, late), "{now}");
        }
        assert_eq!(form.until(), 4600);
    }
}
