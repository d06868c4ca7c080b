//! What takes a session to a host outside the cookie domain: the host asks by the browser, and gets a ticket by it.
//! Pure data, sealed. Knows no sessions, no store and no messages.

use std::time::Duration;

use aws_lc_rs::constant_time;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::sealed::{NONCE_BYTES, Purpose, Sealer};
use crate::visit::{HANDLE_BYTES, SessionHandle};

/// The browser's half of sign-ins from one host, in a cookie there. A ticket works only beside it.
#[derive(Clone, Debug)]
pub struct HostBinding {
    key: Zeroizing<[u8; KEY_BYTES]>,
    /// Which page was asked for last.
    page: [u8; PAGE_BYTES],
    /// How often in a row, since when in Unix seconds.
    asked: u8,
    since: u64,
}

/// A host asks for a ticket for the browser with one binding. In the address of the sign-in, sealed for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which binding.
    pub bound_to: BindingName,
    /// Which turn of a possible circle this is, from 1.
    pub turn: u8,
    /// When it was asked, in Unix seconds.
    pub at: u64,
}

/// A session on its way to one host and one browser, once. In the address that takes it there, sealed for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its own random name.
    pub id: [u8; ID_BYTES],
    /// What was asked for, at the time the ticket was made.
    pub ask: Ask,
    /// The session.
    pub handle: SessionHandle,
    /// The page to go on to.
    pub page: String,
}

/// Names a binding and opens nothing.
pub type BindingName = [u8; NAME_BYTES];

impl HostBinding {
    /// A new one. `key` must be random.
    pub fn new(key: [u8; KEY_BYTES]) -> Self {
        Self { key: Zeroizing::new(key), page: [0; PAGE_BYTES], asked: 0, since: 0 }
    }

    /// Notes that `page` is asked for at `now`; `true` if that has just happened too often for a person.
    pub fn note_ask(&mut self, page: &str, now: u64) -> bool {
        let page = first_of(&digest(&SHA256, page.as_bytes()));
        if self.page != page || self.since.abs_diff(now) > CIRCLE_TIME.as_secs() {
            (self.page, self.asked, self.since) = (page, 0, now);
        }
        self.asked += 1;
        let too_often = self.asked > MOST_ASKS;
        if too_often {
            // Whoever then tries again gets as many.
            self.asked = 0;
        }
        too_often
    }

    /// What names it.
    pub fn name(&self) -> BindingName {
        first_of(&digest(&SHA256, self.key.as_slice()))
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let since = self.since.to_be_bytes();
        Zeroizing::new([self.key.as_slice(), &self.page, &[self.asked], &since].concat())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<KEY_BYTES>()?;
        let (page, rest) = rest.split_first_chunk::<PAGE_BYTES>()?;
        let (asked, since) = rest.split_first()?;
        let since = u64::from_be_bytes(since.try_into().ok()?);
        Some(Self { key: Zeroizing::new(*key), page: *page, asked: *asked, since })
    }
}

impl Ask {
    /// As text that only `host` gets tickets for. `nonce` must be random.
    pub fn seal(&self, sealer: &Sealer, host: &str, nonce: [u8; NONCE_BYTES]) -> String {
        URL_SAFE_NO_PAD.encode(sealer.seal(Purpose::Ask, host.as_bytes(), &self.to_bytes(), nonce))
    }

    /// Reads what was sealed for `host`; anything else is `None`.
    pub fn open(sealer: &Sealer, host: &str, text: &str) -> Option<Self> {
        let plain = sealer.open(Purpose::Ask, host.as_bytes(), &URL_SAFE_NO_PAD.decode(text).ok()?)?;
        Self::from_bytes(plain.as_slice().try_into().ok()?)
    }

    /// Whether it is older than a sign-in may take, or from the future.
    pub fn is_late(&self, now: u64) -> bool {
        now.abs_diff(self.at) > ASK_LIFETIME.as_secs()
    }

    fn to_bytes(self) -> [u8; ASK_BYTES] {
        let mut bytes = [0; ASK_BYTES];
        bytes[..NAME_BYTES].copy_from_slice(&self.bound_to);
        bytes[NAME_BYTES] = self.turn;
        bytes[NAME_BYTES + 1..].copy_from_slice(&self.at.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; ASK_BYTES]) -> Option<Self> {
        let (bound_to, rest) = bytes.split_first_chunk::<NAME_BYTES>()?;
        let (turn, at) = rest.split_first()?;
        Some(Self { bound_to: *bound_to, turn: *turn, at: u64::from_be_bytes(at.try_into().ok()?) })
    }
}

impl Ticket {
    /// As text that only `host` redeems. `nonce` must be random.
    pub fn seal(&self, sealer: &Sealer, host: &str, nonce: [u8; NONCE_BYTES]) -> String {
        let ask = self.ask.to_bytes();
        let plain = [self.id.as_slice(), &ask, &self.handle.0, self.page.as_bytes()].concat();
        let plain = Zeroizing::new(plain);
        URL_SAFE_NO_PAD.encode(sealer.seal(Purpose::Ticket, host.as_bytes(), &plain, nonce))
    }

    /// Reads what was sealed for `host`; anything else is `None`.
    pub fn open(sealer: &Sealer, host: &str, text: &str) -> Option<Self> {
        let plain = sealer.open(Purpose::Ticket, host.as_bytes(), &URL_SAFE_NO_PAD.decode(text).ok()?)?;
        let (id, rest) = plain.split_first_chunk::<ID_BYTES>()?;
        let (ask, rest) = rest.split_first_chunk::<ASK_BYTES>()?;
        let (handle, page) = rest.split_first_chunk::<HANDLE_BYTES>()?;
        let page = std::str::from_utf8(page).ok()?.to_owned();
        Some(Self { id: *id, ask: Ask::from_bytes(ask)?, handle: SessionHandle(*handle), page })
    }

    /// Whether it has expired, or comes from the future.
    pub fn is_late(&self, now: u64) -> bool {
        now.abs_diff(self.ask.at) > TICKET_LIFETIME.as_secs()
    }

    /// Until when it counts, in Unix seconds.
    pub fn until(&self) -> u64 {
        self.ask.at.saturating_add(TICKET_LIFETIME.as_secs())
    }

    /// Whether it is for the browser with this binding.
    pub fn is_for(&self, binding: &HostBinding) -> bool {
        constant_time::verify_slices_are_equal(&self.ask.bound_to, &binding.name()).is_ok()
    }
}

/// The first bytes of a digest; a missing byte would be a zero.
fn first_of<const N: usize>(digest: &aws_lc_rs::digest::Digest) -> [u8; N] {
    digest.as_ref().first_chunk::<N>().copied().unwrap_or([0; N])
}

/// How long a ticket counts.
const TICKET_LIFETIME: Duration = Duration::from_secs(30);
/// How long a sign-in for a ticket may take; a later one asks again by itself.
const ASK_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// Within which time the same page is not asked for more than so often by a person.
const CIRCLE_TIME: Duration = Duration::from_secs(30);
const MOST_ASKS: u8 = 5;
const KEY_BYTES: usize = 32;
const NAME_BYTES: usize = 16;
const PAGE_BYTES: usize = 8;
const ID_BYTES: usize = 16;
const ASK_BYTES: usize = NAME_BYTES + 1 + 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const NOW: u64 = 1_800_000_000;
    const NONCE: [u8; NONCE_BYTES] = [3; NONCE_BYTES];

    fn sealer() -> Sealer {
        Sealer::new(&[Secret::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")]).unwrap()
    }

    fn ticket() -> Ticket {
        Ticket {
            id: [1; ID_BYTES],
            ask: Ask { bound_to: HostBinding::new([5; KEY_BYTES]).name(), turn: 2, at: NOW },
            handle: SessionHandle([7; HANDLE_BYTES]),
            page: "https://photos.family.org/a?b=c".to_owned(),
        }
    }

    #[test]
    fn a_ticket_opens_at_its_host_and_as_nothing_else() {
        let (keys, ticket) = (sealer(), ticket());
        let text = ticket.seal(&keys, "photos.family.org", NONCE);
        assert_eq!(Ticket::open(&keys, "photos.family.org", &text), Some(ticket.clone()));
        assert_eq!(Ticket::open(&keys, "b.family.org", &text), None);
        assert_eq!(Ask::open(&keys, "photos.family.org", &text), None);
        let ask = ticket.ask.seal(&keys, "photos.family.org", NONCE);
        assert_eq!(Ask::open(&keys, "photos.family.org", &ask), Some(ticket.ask));
        assert_eq!(Ask::open(&keys, "b.family.org", &ask), None);
        assert_eq!(Ticket::open(&keys, "photos.family.org", &ask), None);
        for cut in 0..text.len() {
            assert_eq!(Ticket::open(&keys, "photos.family.org", &text[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_ticket_counts_for_half_a_minute_on_both_sides() {
        let ticket = ticket();
        for (now, late) in
            [(NOW, false), (NOW + 30, false), (NOW + 31, true), (NOW - 30, false), (NOW - 31, true)]
        {
            assert_eq!(ticket.is_late(now), late, "{now}");
        }
        assert_eq!(ticket.until(), NOW + 30);
        assert!(!ticket.ask.is_late(NOW + 3600) && ticket.ask.is_late(NOW + 3601));
    }

    #[test]
    fn a_ticket_is_for_one_binding() {
        assert!(ticket().is_for(&HostBinding::new([5; KEY_BYTES])));
        assert!(!ticket().is_for(&HostBinding::new([6; KEY_BYTES])));
    }

    #[test]
    fn a_page_asked_for_again_and_again_is_a_circle() {
        let mut binding = HostBinding::new([5; KEY_BYTES]);
        let mut ask = |page: &str, now| {
            let circle = binding.note_ask(page, now);
            binding = HostBinding::from_bytes(&binding.to_bytes()).unwrap();
            circle
        };
        for _ in 0..5 {
            assert!(!ask("/a", NOW));
        }
        assert!(ask("/a", NOW), "the sixth time");
        assert!((0..5).all(|_| !ask("/a", NOW)), "who tries again gets as many");
        assert!((0..20).all(|tab| !ask(&format!("/{tab}"), NOW)), "many tabs are no circle");
        assert!((0..20).all(|turn| !ask("/a", NOW + 10 * turn)), "nor is a patient person");
    }
}
