//! How often anybody may try what costs foregate or a provider something. Pure: time is an argument. Knows no requests and
//! not what is tried.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::metrics::Metrics;

/// What is counted, each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sign-ins that are begun.
    SignIn,
    /// Browsers that come back from the provider and are not signed in.
    Callback,
    /// Codes that a provider does not redeem.
    Code,
    /// Tokens that count for nothing, and devices that ask.
    Token,
    /// Passwords for emergency access that are wrong.
    Emergency,
}

/// How often there may be something within a minute, and at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// From one client: an IPv4 address, or an IPv6 network of 64 bits.
    pub client: u32,
    /// From all together.
    pub total: u32,
}

/// The rates of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Of [`Kind::SignIn`].
    pub sign_ins: Rate,
    /// Of [`Kind::Callback`].
    pub callbacks: Rate,
    /// Of [`Kind::Code`].
    pub codes: Rate,
    /// Of [`Kind::Token`].
    pub tokens: Rate,
    /// Of [`Kind::Emergency`].
    pub emergency: Rate,
}

/// Nobody may try just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Seconds until another try makes sense; at least 1.
    pub seconds: u64,
}

/// Counts tries. It remembers 131,072 clients in 2 MiB, however many there are: the one that tried least makes room for a new
/// one, and whoever is forgotten only gets their tries back. What all try together is counted all the same.
#[derive(Debug)]
pub struct Limiter {
    settings: Settings,
    counts: Arc<Counts>,
    metrics: Arc<Metrics>,
}

/// What has been counted, whatever the rates are.
#[derive(Debug)]
struct Counts {
    /// With a secret of its own, so that nobody can aim at the place of another.
    hasher: RandomState,
    shards: Vec<Mutex<Vec<Slot>>>,
    totals: [AtomicU64; KINDS.len()],
    /// When the log told last of a kind, once for clients and once for all together.
    told: [[AtomicU64; 2]; KINDS.len()],
}

/// A client's mark, and until when its tries fill its minute, in microseconds.
type Slot = [u64; 2];

impl Limiter {
    /// A limiter with these rates, which goes on from what was counted `before`.
    pub fn new(settings: Settings, before: Option<&Self>, metrics: Arc<Metrics>) -> Self {
        let counts = before.map_or_else(|| Arc::new(Counts::default()), |before| Arc::clone(&before.counts));
        for kind in KINDS {
            SCOPES.iter().for_each(|scope| drop(metrics.limited.get_or_create(&labels(kind, scope))));
        }
        Self { settings, counts, metrics }
    }

    /// Counts a try at `now`, in Unix seconds, if there may be one. Where nobody vouches for the client's address it counts
    /// among all together only, as a proxy is never taken for its visitors.
    ///
    /// # Errors
    /// [`Limited`] if there were too many.
    pub fn take(&self, kind: Kind, client: Option<IpAddr>, now: u64) -> Result<(), Limited> {
        let micros = now.saturating_mul(SECOND);
        let rate = self.rate(kind);
        if let Some(client) = client {
            let fill = |until: &mut u64| fill(until, rate.client, micros);
            self.counts
                .with_slot(kind, client, fill)
                .map_err(|wait| self.refuse(kind, (0, client), wait, now))?;
        }
        let mut taken = Ok(());
        let _ =
            self.counts.totals[kind as usize].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| {
                let mut until = until;
                taken = fill(&mut until, rate.total, micros);
                taken.is_ok().then_some(until)
            });
        taken.map_err(|wait| {
            self.give_back_of_client(kind, client);
            self.refuse(kind, (1, client.unwrap_or(NOBODY)), wait, now)
        })
    }

    /// Takes a try back that came to something.
    pub fn give_back(&self, kind: Kind, client: Option<IpAddr>) {
        self.give_back_of_client(kind, client);
        let step = step(self.rate(kind).total);
        let _ =
            self.counts.totals[kind as usize]
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| Some(until.saturating_sub(step)));
    }

    fn give_back_of_client(&self, kind: Kind, client: Option<IpAddr>) {
        let Some(client) = client else { return };
        let step = step(self.rate(kind).client);
        let _: Result<(), u64> = self.counts.with_slot(kind, client, |until| {
            *until = until.saturating_sub(step);
            Ok(())
        });
    }

    fn rate(&self, kind: Kind) -> Rate {
        match kind {
            Kind::SignIn => self.settings.sign_ins,
            Kind::Callback => self.settings.callbacks,
            Kind::Code => self.settings.codes,
            Kind::Token => self.settings.tokens,
            Kind::Emergency => self.settings.emergency,
        }
    }

    /// Counts a refusal, and tells the log once a minute.
    #[cold]
    fn refuse(&self, kind: Kind, (scope, client): (usize, IpAddr), wait: u64, now: u64) -> Limited {
        self.metrics.limited.get_or_create(&labels(kind, SCOPES[scope])).inc();
        let told = self.counts.told[kind as usize][scope].swap(now / 60, Ordering::Relaxed);
        if told != now / 60 {
            tracing::warn!(
                kind = kind.name(),
                by = SCOPES[scope],
                %client,
                "there are too many tries, which get 429 for now; server.limits sets how many there may be"
            );
        }
        Limited { seconds: wait.div_ceil(SECOND).max(1) }
    }
}

impl Kind {
    /// How logs and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Callback => "callback",
            Self::Code => "code",
            Self::Token => "token",
            Self::Emergency => "emergency",
        }
    }
}

impl Counts {
    /// Calls `with` with what is remembered of a client, and forgets whoever tried least if it is new.
    fn with_slot<T>(
        &self,
        kind: Kind,
        client: IpAddr,
        with: impl FnOnce(&mut u64) -> Result<T, u64>,
    ) -> Result<T, u64> {
        let mark = self.hasher.hash_one((kind as u8, network_of(client))).max(1);
        let [shard, set] = [mark as usize % SHARDS, mark as usize / SHARDS % SETS];
        let mut slots = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let near = &mut slots[set * WAYS..][..WAYS];
        let place = near.iter().position(|slot| slot[0] == mark);
        let place = place.unwrap_or_else(|| {
            let least = near.iter().enumerate().min_by_key(|(_, slot)| slot[1]).map_or(0, |(place, _)| place);
            near[least] = [mark, 0];
            least
        });
        with(&mut near[place][1])
    }
}

impl Default for Counts {
    fn default() -> Self {
        let shard = || Mutex::new(vec![[0; 2]; SETS * WAYS]);
        Self {
            hasher: RandomState::new(),
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            totals: Default::default(),
            told: Default::default(),
        }
    }
}

/// Fills a minute by one more try, which is so many microseconds until it fits. A clock that was set back makes nobody wait
/// longer than a minute.
fn fill(until: &mut u64, rate: u32, now: u64) -> Result<(), u64> {
    let full = now.saturating_add(MINUTE);
    let filled = (*until).clamp(now, full).saturating_add(step(rate));
    if filled > full {
        return Err(filled - full);
    }
    *until = filled;
    Ok(())
}

/// How much of a minute one try fills.
fn step(rate: u32) -> u64 {
    MINUTE / u64::from(rate.max(1))
}

/// What counts as one client.
pub(crate) type Network = [u8; 9];

/// The client of an address: whoever has an IPv6 address usually has 2^64 of them.
pub(crate) fn network_of(client: IpAddr) -> Network {
    let mut network = [0; 9];
    match client.to_canonical() {
        IpAddr::V4(address) => network[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => {
            network[0] = 6;
            network[1..].copy_from_slice(&address.octets()[..8]);
            // Told apart from every IPv4 address by its last bytes, which are 0 there.
            network.rotate_left(1);
        }
    }
    network
}

fn labels(kind: Kind, scope: &'static str) -> [(&'static str, &'static str); 2] {
    [("kind", kind.name()), ("by", scope)]
}

const KINDS: [Kind; 5] = [Kind::SignIn, Kind::Callback, Kind::Code, Kind::Token, Kind::Emergency];
/// Who had too many tries.
const SCOPES: [&str; 2] = ["client", "total"];
const NOBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
/// Locks, so that clients seldom wait for each other.
const SHARDS: usize = 64;
const SETS: usize = 512;
/// Places that a client can have.
const WAYS: usize = 4;
const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { client: 3, total: 1_000_000 };

    fn limiter(sign_ins: Rate) -> Limiter {
        let settings = Settings { sign_ins, callbacks: RATE, codes: RATE, tokens: RATE, emergency: RATE };
        Limiter::new(settings, None, Arc::default())
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_client_has_so_many_tries_at_once_and_gets_them_back_over_a_minute() {
        let limiter = limiter(RATE);
        let one = address("203.0.113.7");
        let take = |now| limiter.take(Kind::SignIn, one, now).map_err(|limited| limited.seconds);
        assert_eq!([take(1000), take(1000), take(1000)], [Ok(()); 3]);
        assert_eq!(take(1000), Err(20));
        assert_eq!(take(1019), Err(1));
        assert_eq!((take(1020), take(1020)), (Ok(()), Err(20)));
        limiter.give_back(Kind::SignIn, one);
        assert_eq!((take(1020), take(1020)), (Ok(()), Err(20)));
        assert_eq!(limiter.take(Kind::Callback, one, 1020), Ok(()), "another kind");
        assert_eq!(limiter.take(Kind::SignIn, address("203.0.113.8"), 1020), Ok(()), "another client");
        assert_eq!([take(1200), take(1200), take(1200)], [Ok(()); 3]);
        assert_eq!(take(1200), Err(20), "no more than a minute's is saved up");
        assert_eq!(take(10), Err(20), "a clock that was set back costs a minute at most");
        let text = limiter.metrics.text();
        for line in ["kind=\"sign_in\",by=\"client\"} 6", "kind=\"callback\",by=\"client\"} 0"] {
            assert!(text.contains(&format!("foregate_limited_total{{{line}")), "{line}\n{text}");
        }
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_64_bits() {
        for (one, other, same) in [
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("203.0.113.7", "203.0.113.8", false),
            ("203.0.113.7", "::ffff:203.0.113.7", true),
            ("1.2.3.4", "102:304::", false),
            ("0.0.0.0", "::1", false),
        ] {
            let limiter = limiter(Rate { client: 1, ..RATE });
            assert_eq!(limiter.take(Kind::SignIn, address(one), 1), Ok(()));
            assert_eq!(limiter.take(Kind::SignIn, address(other), 1).is_err(), same, "{one} {other}");
        }
    }

    #[test]
    fn all_together_have_so_many_and_a_client_who_is_over_takes_none_of_them() {
        let limiter = limiter(Rate { client: 2, total: 4 });
        let take = |client| limiter.take(Kind::SignIn, client, 1000);
        let taken = |client, tries: usize| (0..tries).filter(|_| take(client).is_ok()).count();
        assert_eq!(taken(address("10.0.0.1"), 100), 2);
        assert_eq!(taken(address("10.0.0.2"), 1), 1);
        assert_eq!(taken(None, 100), 1, "nobody in particular");
        assert_eq!(take(address("10.0.0.3")), Err(Limited { seconds: 15 }));
        assert_eq!(limiter.take(Kind::SignIn, address("10.0.0.3"), 1015), Ok(()));
        limiter.give_back(Kind::SignIn, address("10.0.0.3"));
        assert_eq!(limiter.take(Kind::SignIn, address("10.0.0.4"), 1015), Ok(()));
    }

    #[test]
    fn millions_of_clients_take_no_more_room_and_do_not_wash_away_whoever_tries_often() {
        let limiter = limiter(Rate { client: 10, total: u32::MAX });
        let busy = address("203.0.113.7");
        let room = || -> usize {
            limiter
                .counts
                .shards
                .iter()
                .map(|shard| shard.lock().unwrap().capacity() * size_of::<Slot>())
                .sum()
        };
        let before = room();
        while limiter.take(Kind::SignIn, busy, 1000).is_ok() {}
        for number in 0..2_000_000_u32 {
            let flood = Some(IpAddr::from(number.to_be_bytes()));
            assert!(flood == busy || limiter.take(Kind::SignIn, flood, 1000).is_ok());
        }
        assert!(limiter.take(Kind::SignIn, busy, 1000).is_err(), "still known");
        assert_eq!((room(), before), (2 << 20, 2 << 20));
    }

    #[test]
    fn what_was_counted_stays_counted_under_other_rates() {
        let before = limiter(RATE);
        let one = address("203.0.113.7");
        while before.take(Kind::SignIn, one, 1000).is_ok() {}
        let settings = Settings { sign_ins: Rate { client: 60, ..RATE }, ..before.settings };
        let after = Limiter::new(settings, Some(&before), Arc::default());
        assert_eq!(after.take(Kind::SignIn, one, 1000), Err(Limited { seconds: 1 }));
        assert_eq!(after.take(Kind::SignIn, one, 1001), Ok(()));
    }
}
