//! One look at one app: what is asked, and what the answers mean. Knows not what was seen before.

use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::Place;
use crate::browser::{NONCE_BYTES, Sealer};
use crate::oidc::Provider;
use crate::outside::{self, Answer, Meaning, PROBE, PROGRAM, SignIns, Way, Wire};

/// What kind of fault an answer tells of, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Strangers are let in.
    Open,
    /// They are if they make up headers.
    Forged,
    /// Somebody else than foregate refuses, or nobody knows.
    Strange,
    /// There is no answer.
    Unreachable,
}

impl Kind {
    /// Its name, in lines and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Forged => "forged",
            Self::Strange => "strange",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether somebody is let in who should not be.
    pub fn is_open(self) -> bool {
        match self {
            Self::Open | Self::Forged => true,
            Self::Strange | Self::Unreachable => false,
        }
    }

    /// What helps.
    pub fn fix(self) -> &'static str {
        match self {
            Self::Open => {
                "let the front proxy ask foregate about this host, as `foregate snippet` prints it; `foregate check --url` tells more"
            }
            Self::Forged => {
                "let the front proxy overwrite what clients send as forwarded and identity headers, as `foregate snippet` prints it for each of them"
            }
            Self::Strange => {
                "see in the front proxy's log who answers, and that foregate is asked first; `foregate check --url` tells more"
            }
            Self::Unreachable => {
                "see that foregate itself reaches the front proxy by this name, or write canary.address and canary.ca_file"
            }
        }
    }
}

/// What is looked at, and with what.
pub(super) struct Look<'l> {
    pub(super) place: &'l Place,
    pub(super) way: &'l Way,
    pub(super) sign_ins: &'l SignIns,
    pub(super) providers: &'l [Provider],
}

/// What is wrong, and what was seen.
type Fault = (Kind, String);

impl Look<'_> {
    /// Asks without a session and with forged headers; on a page for everybody only whether forged headers reach the app. The
    /// first fault is all of them.
    pub(super) async fn take(&self, sealer: &Sealer, now: u64) -> Result<(), Fault> {
        let unreachable = |error| (Kind::Unreachable, error);
        let wire = Wire::open(&self.place.url, self.way).await.map_err(unreachable)?;
        let word = word(sealer, now);
        let probe = PROBE;
        let word = word.as_deref().map(|word| (probe.as_str(), word));
        let lines: Vec<(&str, &str)> = std::iter::once(PROGRAM).chain(word).collect();
        let plain = wire.ask(&lines).await.map_err(unreachable)?;
        self.judge(&plain, sealer, now).await?;
        let nobody = nobody();
        let forged = self.forged(&nobody);
        let all =
            lines.iter().copied().chain(forged.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        // Whoever breaks off at forged headers lets nobody in.
        let Ok(forged) = wire.ask(&all.collect::<Vec<_>>()).await else { return Ok(()) };
        self.judge_forged(&forged, sealer)?;
        match &self.place.open {
            Some(path) => self.look_at_open(&wire, path, &nobody).await,
            None => Ok(()),
        }
    }

    /// A stranger must be refused, and by foregate.
    async fn judge(&self, answer: &Answer, sealer: &Sealer, now: u64) -> Result<(), Fault> {
        let status = answer.status;
        match self.sign_ins.meaning(&self.place.url, answer) {
            Meaning::SignIn(_) | Meaning::Unauthorized | Meaning::Forbidden => Ok(()),
            Meaning::Open => Err((Kind::Open, format!("{} for somebody without a session", status.as_u16()))),
            // Foregate marks none that lets in, so that a mark on one is a copy.
            _ if outside::read(sealer, &answer.headers).is_some() => Ok(()),
            Meaning::Elsewhere(to) if self.sign_ins.comes_back(&to) && self.signs_in(&to, now).await => {
                Ok(())
            }
            Meaning::Elsewhere(to) => {
                let kind = if to.origin() == self.place.url.origin() { Kind::Open } else { Kind::Strange };
                let to = to.origin().ascii_serialization() + to.path();
                Err((kind, format!("{} to {to}, which is no sign-in of foregate", status.as_u16())))
            }
            Meaning::Nowhere => Err((Kind::Strange, format!("{} that leads nowhere", status.as_u16()))),
            Meaning::Strange => Err((Kind::Strange, format!("{} that is not foregate's", status.as_u16()))),
        }
    }

    /// Whether a provider says that people sign in there.
    async fn signs_in(&self, to: &Url, now: u64) -> bool {
        for provider in self.providers {
            let announced = tokio::time::timeout(ANNOUNCE_TIME, provider.announced(now)).await;
            if announced.is_ok_and(|told| told.is_ok_and(|told| told.authorization.origin() == to.origin())) {
                return true;
            }
        }
        false
    }

    /// Forged headers may be refused in more ways, but must let nobody in.
    fn judge_forged(&self, answer: &Answer, sealer: &Sealer) -> Result<(), Fault> {
        let status = answer.status;
        let is_marked = outside::read(sealer, &answer.headers).is_some();
        let is_open = match self.sign_ins.meaning(&self.place.url, answer) {
            Meaning::Open => true,
            Meaning::Elsewhere(to) => to.origin() == self.place.url.origin() && !is_marked,
            // An app that does not have the page.
            Meaning::Strange => status == StatusCode::NOT_FOUND && !is_marked,
            Meaning::SignIn(_) | Meaning::Unauthorized | Meaning::Forbidden | Meaning::Nowhere => false,
        };
        if is_open {
            let seen =
                format!("{} for somebody who made up headers, and refused without them", status.as_u16());
            return Err((Kind::Forged, seen));
        }
        Ok(())
    }

    /// On a page for everybody the app answers. It must not be told a name that a client made up.
    async fn look_at_open(&self, wire: &Wire, path: &str, nobody: &str) -> Result<(), Fault> {
        let lines: Vec<(&str, &str)> = std::iter::once(PROGRAM)
            .chain(self.place.names.iter().map(|name| (name.as_str(), nobody)))
            .collect();
        // That the page is not there is the app's affair.
        let Ok(answer) = wire.ask_for(path, &lines).await else { return Ok(()) };
        let told = |text: &str| text.contains(nobody);
        let in_headers = answer.headers.values().any(|value| value.to_str().is_ok_and(told));
        if told(&answer.body) || in_headers {
            let seen = format!("on {path} the app was told a name that the client made up, and repeats it");
            return Err((Kind::Forged, seen));
        }
        Ok(())
    }

    /// What a client must not be able to say: who it is, and what it asks for. It asks for what everybody may see, so that it
    /// would be let in if it were believed.
    fn forged(&self, nobody: &str) -> Vec<(String, String)> {
        let place = self.place;
        let (host, path) = match (&place.open, &place.open_host) {
            (Some(path), _) => (place.url.host_str().unwrap_or_default(), path.as_str()),
            (None, Some(host)) => (host.as_str(), "/"),
            (None, None) => (place.url.host_str().unwrap_or_default(), "/foregate-canary"),
        };
        let scheme = place.url.scheme();
        let url = format!("{scheme}://{host}{path}");
        let said = [
            ("x-forwarded-host", host),
            ("x-forwarded-proto", scheme),
            ("x-forwarded-uri", path),
            ("x-forwarded-method", "OPTIONS"),
            ("x-forwarded-for", CLIENT),
            ("x-original-url", url.as_str()),
            ("x-original-method", "OPTIONS"),
        ];
        let known = KNOWN.iter().map(|name| (*name).to_owned());
        let mut names: Vec<String> = place.names.iter().cloned().chain(known).collect();
        names.sort_unstable();
        names.dedup();
        let said = said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        names.into_iter().map(|name| (name, nobody.to_owned())).chain(said).collect()
    }
}

fn word(sealer: &Sealer, now: u64) -> Option<String> {
    let mut nonce = [0; NONCE_BYTES];
    aws_lc_rs::rand::fill(&mut nonce).ok()?;
    Some(outside::seal(sealer, now, nonce))
}

/// A name that nobody has, and no app knows by itself.
fn nobody() -> String {
    let mut bytes = [0_u8; 8];
    // Without randomness an app could know it from before, which is no harm: it must never have been told.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes.iter().fold("foregate-canary-".to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

/// Names under which apps believe to be told who somebody is, whatever their own line says.
const KNOWN: [&str; 6] = [
    "remote-user",
    "remote-groups",
    "x-authentik-username",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-auth-request-user",
];
/// An address that is nobody's (RFC 5737).
const CLIENT: &str = "192.0.2.99";
/// How long a provider may take to say where people sign in, which it has said before.
const ANNOUNCE_TIME: Duration = Duration::from_secs(2);
