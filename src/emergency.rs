//! Emergency access: a few people of the configuration, by password, while nobody can sign in at a provider. Knows no HTTP
//! messages and no rules.

mod password;
mod pulse;
mod watched;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::headers::Person;
use crate::identity::{Identity, Profile};
use crate::journal::{self, Audit, Place, Record, Somebody};
use crate::limits::{Kind, Limited, Limiter};
use crate::metrics::Metrics;
use crate::oidc::Provider;
use crate::policy::{App, EMERGENCY_ISSUER};
use crate::secret::Secret;
pub use password::{Hash, HashError, hash_password};
use watched::{Diary, Watched};

/// Who gets in, from where and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The people, no two of one name; at least one.
    pub users: Vec<User>,
    /// The networks they must be in; none are all.
    pub networks: Vec<IpNet>,
    /// Whether the operator says that it is an emergency, whatever the providers do.
    pub declared: bool,
    /// How long a provider must have been silent.
    pub after: Duration,
}

/// Somebody who gets in by password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name they type.
    pub name: String,
    /// What their password is checked with.
    pub hash: Hash,
    /// What they are members of.
    pub groups: Vec<String>,
}

/// The door that is shut as long as a provider answers.
pub struct Emergency {
    settings: Settings,
    people: Vec<Arc<Person>>,
    providers: Vec<Arc<Watched>>,
    /// Passwords that were right a moment ago, by an HMAC under a key of this process.
    passes: Cache<[u8; 32], u64>,
    key: hmac::Key,
    /// One password at a time, in a thread of its own.
    place: Arc<Semaphore>,
    limiter: Arc<Limiter>,
    metrics: Arc<Metrics>,
    audit: Audit,
}

/// What tries are counted with, and where they are told.
#[derive(Clone, Debug)]
pub struct Means {
    /// How often anybody may try.
    pub limiter: Arc<Limiter>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where passwords that were looked at are written down, and when the door opens and shuts.
    pub audit: Audit,
    /// The time, in Unix milliseconds.
    pub clock: fn() -> u64,
}

/// Why somebody does not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLetIn {
    /// Name or password are wrong.
    Wrong,
    /// A provider answers again.
    Shut,
    /// There were too many tries.
    Limited(Limited),
    /// The password could not be looked at in time.
    Busy,
}

/// What the log tells.
#[derive(Clone, Copy, Debug)]
enum Event<'a> {
    /// A provider has been silent for long enough.
    Opened { provider: &'a str },
    /// It answers again.
    Shut { provider: &'a str },
    /// A password was right.
    Accepted { user: &'a str, app: &'a str, client: Option<IpAddr> },
    /// Name or password were wrong.
    Refused { user: &'a str, app: &'a str, client: Option<IpAddr> },
}

/// Since when a password is known to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Anew,
    Already,
}

impl Emergency {
    /// The door for these people, beside providers that are asked again and again; what is known of them from `before` stays
    /// known. `None` if the system has no randomness.
    pub fn new(
        settings: Settings,
        providers: Vec<Provider>,
        before: Option<&Self>,
        wanted_claims: &[String],
        means: Means,
    ) -> Option<Self> {
        let Means { limiter, metrics, audit, clock } = means;
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &aws_lc_rs::rand::SystemRandom::new()).ok()?;
        let known = |provider: &Provider| {
            let mut all = before.iter().flat_map(|before| &before.providers);
            all.find(|one| one.is_of(provider)).filter(|one| one.after() == settings.after).cloned()
        };
        let watched = |provider: Provider| {
            if let Some(known) = known(&provider) {
                known.tell_in(&audit);
                return known;
            }
            let diary = Diary::new(audit.clone(), clock);
            Arc::new(Watched::new(provider, settings.after, Arc::clone(&metrics), diary))
        };
        let providers = providers.into_iter().map(watched).collect();
        let was_declared = before.is_some_and(|before| before.settings.declared);
        if settings.declared && !was_declared {
            note_declared(&audit, "opened", clock());
        } else if was_declared && !settings.declared {
            note_declared(&audit, "shut", clock());
        }
        let people = settings.users.iter().map(|user| Arc::new(person(user, wanted_claims))).collect();
        let place = before.map_or_else(|| Arc::new(Semaphore::new(1)), |before| Arc::clone(&before.place));
        let passes = Cache::new(MOST_PASSES);
        Some(Self { settings, people, providers, passes, key, place, limiter, metrics, audit })
    }

    /// Asks the providers again and again; never ends.
    pub async fn watch(&self) {
        let all: Vec<_> = self.providers.iter().map(|one| Arc::clone(one).watch()).collect();
        let mut asking: tokio::task::JoinSet<()> = all.into_iter().collect();
        while asking.join_next().await.is_some() {}
        std::future::pending().await
    }

    /// Whether the operator says that it is an emergency.
    pub fn is_declared(&self) -> bool {
        self.settings.declared
    }

    /// Whether it is one for anybody.
    pub fn is_open(&self) -> bool {
        self.settings.declared || self.providers.iter().any(|one| one.is_silent())
    }

    /// Whether it is one for this app: it allows that, and none of the providers whose people it takes answers.
    pub fn is_open_for(&self, app: &App) -> bool {
        app.emergency && (self.settings.declared || self.all_of(app, Watched::is_silent))
    }

    /// Whether somebody at this address may get in. An address that nobody vouches for is in no network.
    pub fn takes_from(&self, client: Option<IpAddr>) -> bool {
        let networks = &self.settings.networks;
        networks.is_empty() || client.is_some_and(|client| networks.iter().any(|one| one.contains(&client)))
    }

    /// Whether what stands behind `Basic` has the name of one of these people, whatever the password, or cannot be read, so that it may.
    pub fn names(&self, shown: &str) -> bool {
        read(shown).is_none_or(|(name, _)| self.settings.users.iter().any(|user| user.name == name))
    }

    /// Who somebody is by what stands behind `Basic`. The caller has seen that it is an emergency for the app; where no
    /// operator says so, its providers are asked once more before the password is looked at.
    ///
    /// # Errors
    /// See [`NotLetIn`].
    pub async fn admit(
        &self,
        shown: &str,
        app: &App,
        client: Option<IpAddr>,
        now: u64,
    ) -> Result<Arc<Person>, NotLetIn> {
        let pass = self.pass(shown, app, client);
        let (name, password) = read(shown).ok_or(NotLetIn::Wrong)?;
        let place = self.settings.users.iter().position(|user| user.name == name);
        if let (Some(place), true) = (place, self.is_known(&pass, now)) {
            self.metrics.emergency_requests.inc();
            return Ok(Arc::clone(&self.people[place]));
        }
        let found = tokio::time::timeout(ADMIT_TIME, self.check((place, password), app, (pass, client), now));
        match found.await.unwrap_or(Err(NotLetIn::Busy)) {
            Ok((place, known)) => {
                self.metrics.emergency_requests.inc();
                if known == Known::Anew {
                    self.metrics.emergency_accepted.inc();
                    self.tell(Event::Accepted { user: &name, app: &app.name, client }, now);
                }
                Ok(Arc::clone(&self.people[place]))
            }
            Err(NotLetIn::Wrong) => {
                self.metrics.emergency_refused.inc();
                // What is none of the names may be a password in the wrong place.
                let user = if place.is_some() { name.as_str() } else { "" };
                self.tell(Event::Refused { user, app: &app.name, client }, now);
                Err(NotLetIn::Wrong)
            }
            Err(other) => Err(other),
        }
    }

    /// Tells the log of a password, and the audit log.
    fn tell(&self, event: Event<'_>, now: u64) {
        tell(event);
        let (reason, user, app, client) = match event {
            Event::Accepted { user, app, client } => ("accepted", user, app, client),
            Event::Refused { user, app, client } => ("refused", user, app, client),
            Event::Opened { .. } | Event::Shut { .. } => return,
        };
        self.audit.note(now.saturating_mul(1000), || Record {
            who: Somebody {
                user: user.to_owned(),
                issuer: EMERGENCY_ISSUER.to_owned(),
                ..Somebody::default()
            },
            place: Place { client, ..Place::default() },
            app: Some(app.to_owned()),
            reason: Some(reason),
            ..Record::of(journal::Event::Emergency)
        });
    }

    /// Whose password it is. An unknown name takes as long as a known one. Of many requests with one password, as a page makes them
    /// at once, the first is a try, and the others find what came of it.
    async fn check(
        &self,
        (place, password): (Option<usize>, Secret),
        app: &App,
        (pass, client): ([u8; 32], Option<IpAddr>),
        now: u64,
    ) -> Result<(usize, Known), NotLetIn> {
        if !self.settings.declared {
            for watched in &self.providers {
                if app.takes_people_of(watched.issuer()) && !watched.asked_now().await {
                    return Err(NotLetIn::Shut);
                }
            }
        }
        let turn = Arc::clone(&self.place).acquire_owned().await.map_err(|_| NotLetIn::Busy)?;
        if let (Some(place), true) = (place, self.is_known(&pass, now)) {
            return Ok((place, Known::Already));
        }
        let user =
            place.or(Some(0)).and_then(|place| self.settings.users.get(place)).ok_or(NotLetIn::Wrong)?;
        self.limiter.take(Kind::Emergency, client, now).map_err(NotLetIn::Limited)?;
        let hash = user.hash.clone();
        // Held to the end, also if nobody waits for it any more.
        let checked = tokio::task::spawn_blocking(move || (hash.is_of(&password), turn));
        let (right, _turn) = checked.await.map_err(|_| NotLetIn::Busy)?;
        let place = place.filter(|_| right).ok_or(NotLetIn::Wrong)?;
        self.limiter.give_back(Kind::Emergency, client);
        self.passes.insert(pass, now.saturating_add(PASS_SECONDS));
        Ok((place, Known::Anew))
    }

    /// Whether a password was right a moment ago.
    fn is_known(&self, pass: &[u8; 32], now: u64) -> bool {
        self.passes.get(pass).is_some_and(|until| until > now)
    }

    fn all_of(&self, app: &App, test: fn(&Watched) -> bool) -> bool {
        let mut of_app = self.providers.iter().filter(|one| app.takes_people_of(one.issuer())).peekable();
        of_app.peek().is_some() && of_app.all(|one| test(one))
    }

    /// What finds a password that was right for this app from this address.
    fn pass(&self, shown: &str, app: &App, client: Option<IpAddr>) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [shown, &app.name, &client.map(|client| client.to_string()).unwrap_or_default()] {
            context.update(part.as_bytes());
            context.update(&[0]);
        }
        let mut pass = [0; 32];
        pass.copy_from_slice(context.sign().as_ref());
        pass
    }
}

impl std::fmt::Debug for Emergency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Emergency")
    }
}

/// Writes down that the operator has said that it is an emergency, or that it is over.
pub fn note_declared(audit: &Audit, reason: &'static str, now_millis: u64) {
    audit.note(now_millis, || Record {
        by: Some(journal::By::File),
        reason: Some(reason),
        detail: Some("emergency.declared".to_owned()),
        ..Record::of(journal::Event::Emergency)
    });
}

fn person(user: &User, wanted_claims: &[String]) -> Person {
    let profile = Profile {
        issuer: EMERGENCY_ISSUER.to_owned(),
        // Never the subject of anybody that a provider vouches for.
        subject: format!("emergency:{}", user.name),
        username: user.name.clone(),
        nameless: false,
        name: user.name.clone(),
        email: String::new(),
        groups: user.groups.clone(),
        claims: serde_json::Map::new(),
        auth_time: 0,
        asked: None,
    };
    Person::new(Identity::pack(&profile, EMERGENCY_ISSUER.into(), wanted_claims))
}

/// A name and a password, out of what stands behind `Basic` (RFC 7617 2).
fn read(shown: &str) -> Option<(String, Secret)> {
    let plain = Zeroizing::new(STANDARD.decode(shown).ok()?);
    let (name, password) = std::str::from_utf8(&plain).ok()?.split_once(':')?;
    let sound = |text: &str| !text.is_empty() && !text.contains(char::is_control) && text.len() <= LONGEST;
    (sound(name) && sound(password)).then(|| (name.to_owned(), Secret::new(password)))
}

fn tell(event: Event<'_>) {
    let (what, user, app, client, provider) = match event {
        Event::Opened { provider } => ("opened", "", "", None, provider),
        Event::Shut { provider } => ("shut", "", "", None, provider),
        Event::Accepted { user, app, client } => ("accepted", user, app, client, ""),
        Event::Refused { user, app, client } => ("refused", user, app, client, ""),
    };
    let client = client.map(|client| client.to_string()).unwrap_or_default();
    tracing::warn!(target: "foregate::emergency", event = "emergency", what, user, app, client, provider, "emergency access");
}

/// How long a right password is remembered, for one app and one address.
const PASS_SECONDS: u64 = 300;
const MOST_PASSES: usize = 1000;
/// With the question to the provider; a check is answered within 5 s.
const ADMIT_TIME: Duration = Duration::from_secs(4);
/// Bytes of the longest name and of the longest password.
const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_password_are_read_as_they_are() {
        for (plain, found) in [
            ("alice:pass:word", Some(("alice", "pass:word"))),
            ("alice: ", Some(("alice", " "))),
            ("älice:pässword", Some(("älice", "pässword"))),
            ("alice:", None),
            (":x", None),
            ("alice", None),
            ("alice:a\nb", None),
        ] {
            let read = read(&STANDARD.encode(plain));
            let read = read.as_ref().map(|(name, password)| (name.as_str(), password.expose()));
            assert_eq!(read, found, "{plain}");
        }
        assert!(read("no base64!").is_none());
        assert!(read(&STANDARD.encode(format!("a:{}", "x".repeat(LONGEST + 1)))).is_none());
    }
}
