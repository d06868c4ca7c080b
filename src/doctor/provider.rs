//! The providers: whether each is who the configuration says, answers, signs with keys we have, and knows us.

use url::{Origin, Url};

use super::Sheet;
use crate::config::Config;
use crate::http::unix_now;
use crate::jwt::LEEWAY_SECONDS;
use crate::login::{Named, Providers};
use crate::metrics::Metrics;
use crate::oidc::{Announced, Provider, ProviderError, Reception};

/// Looks at every provider; where browsers sign in.
pub(super) async fn examine(config: &Config, sheet: &mut Sheet<'_>) -> Vec<Origin> {
    let providers = Providers::new(config.providers.clone(), None, &std::sync::Arc::new(Metrics::default()));
    let mut origins = Vec::new();
    let alone = providers.iter().len() == 1;
    for named in providers.iter() {
        let prefix = if alone { String::new() } else { format!("{}: ", named.name()) };
        let mut patient = Patient { named, prefix, sheet: &mut *sheet };
        origins.push(named.provider().issuer().origin());
        if let Some(announced) = patient.discovery().await {
            origins.push(announced.authorization.origin());
            patient.addresses(&announced);
            patient.keys(&announced).await;
            patient.clock().await;
            patient.credentials().await;
            patient.userinfo(&announced).await;
            patient.sign_in(&announced).await;
        } else {
            for name in ["keys", "clock", "client credentials", "userinfo", "redirect URI"] {
                patient.skip(name, "there is no discovery document");
            }
        }
    }
    origins
}

/// One provider, and the sheet about it.
struct Patient<'p, 's, 't> {
    named: &'p Named,
    prefix: String,
    sheet: &'s mut Sheet<'t>,
}

impl<'p> Patient<'p, '_, '_> {
    fn provider(&self) -> &'p Provider {
        self.named.provider()
    }

    fn ok(&mut self, name: &str, seen: impl Into<String>) {
        self.sheet.ok(format!("{}{name}", self.prefix), seen);
    }

    fn warn(&mut self, name: &str, seen: impl Into<String>, fix: impl Into<String>) {
        self.sheet.warn(format!("{}{name}", self.prefix), seen, fix);
    }

    fn fail(&mut self, name: &str, seen: impl Into<String>, fix: impl Into<String>) {
        self.sheet.fail(format!("{}{name}", self.prefix), seen, fix);
    }

    fn skip(&mut self, name: &str, why: &str) {
        self.sheet.skip(format!("{}{name}", self.prefix), why);
    }

    /// What is asked, and where, if that is another address.
    fn asked(&self, url: &Url) -> String {
        match self.provider().internal_url() {
            Some(internal) if url.origin() == self.provider().issuer().origin() => {
                format!("{url}, asked at {}", internal.origin().ascii_serialization())
            }
            Some(_) | None => url.to_string(),
        }
    }

    async fn discovery(&mut self) -> Option<Announced> {
        let provider = self.provider();
        let place = provider.discovery_address().map_or_else(|_| String::new(), |url| self.asked(&url));
        match provider.announced(unix_now()).await {
            Ok(announced) => {
                self.ok("discovery", place);
                self.ok("issuer", format!("{}, letter by letter as configured", provider.issuer_text()));
                Some(announced)
            }
            Err(ProviderError::Issuer { configured, found }) => {
                self.ok("discovery", place);
                let seen = format!("configured {configured:?}, and it calls itself {found:?}");
                self.fail("issuer", seen, issuer_fix(&configured, &found));
                None
            }
            Err(error) => {
                let fix = discovery_fix(&error);
                self.fail("discovery", format!("{place}: {error}"), fix);
                None
            }
        }
    }

    /// With `internal_url` everything that foregate asks should go that way.
    fn addresses(&mut self, announced: &Announced) {
        let Some(internal) = self.provider().internal_url() else { return };
        let home = self.provider().issuer().origin();
        let asked = [&announced.token, &announced.jwks].into_iter().chain(&announced.userinfo);
        let outside: Vec<&str> = asked.filter(|url| url.origin() != home).map(Url::as_str).collect();
        let internal = internal.origin().ascii_serialization();
        if outside.is_empty() {
            return self.ok(
                "internal_url",
                format!("every address is asked at {internal}, and browsers go to the public one"),
            );
        }
        let seen = format!("{} are asked as they are, not at {internal}", outside.join(", "));
        self.warn(
            "internal_url",
            seen,
            "let the provider announce them below its issuer, or open the way to them",
        );
    }

    async fn keys(&mut self, announced: &Announced) {
        let names: Vec<String> = announced.algorithms.iter().map(|one| format!("{one:?}")).collect();
        let names = names.join(", ");
        if names == "HS256" {
            return self
                .ok("keys", "ID tokens are signed with the client secret (HS256), and need no other key");
        }
        let place = self.asked(&announced.jwks);
        match self.named.keys().count(&announced.jwks, &announced.algorithms, unix_now()).await {
            Ok(0) => {
                let seen = format!("{place} has no key for {names}");
                self.fail("keys", seen, "choose a signing key for this client at the provider");
            }
            Ok(count) => self.ok("keys", format!("{count} for {names}, at {place}")),
            Err(error) => self.fail("keys", format!("{place}: {error}"), REACH),
        }
    }

    async fn clock(&mut self) {
        let date = self.provider().date().await.ok().flatten();
        let theirs = date.as_deref().and_then(|date| httpdate::parse_http_date(date).ok());
        let theirs = theirs.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let Some(theirs) = theirs.map(|time| time.as_secs()) else {
            let fix = "compare the clocks of both machines yourself";
            return self.warn("clock", "the provider's answers have no usable Date header", fix);
        };
        let (ours, leeway) = (unix_now(), LEEWAY_SECONDS);
        let apart = ours.abs_diff(theirs);
        let ahead = if ours > theirs { "ahead of" } else { "behind" };
        let seen = format!("ours is {apart} seconds {ahead} the provider's; ID tokens allow {leeway}");
        if apart > leeway {
            self.fail("clock", seen, "set both machines by NTP");
        } else if apart >= leeway / 2 {
            self.warn("clock", seen, "set both machines by NTP");
        } else {
            self.ok("clock", format!("at most a few seconds apart: {apart}"));
        }
    }

    async fn credentials(&mut self) {
        let id = self.provider().client_id();
        match self.provider().try_credentials(unix_now()).await {
            Err(ProviderError::InvalidGrant { .. }) => {
                self.ok("client credentials", format!("the provider knows the client {id:?} and its secret"));
            }
            Err(error @ ProviderError::InvalidClient { .. }) => self.fail(
                "client credentials",
                error.to_string(),
                "copy client_id and client_secret anew from the provider; if they are right, set client_auth",
            ),
            Err(error) if error.is_outage() => self.fail("client credentials", error.to_string(), REACH),
            Err(error) => self.warn(
                "client credentials",
                format!("not known: {error}"),
                "sign in once; the log says more if that fails",
            ),
            Ok(()) => self.warn(
                "client credentials",
                "the provider gives tokens for a code that nobody was given",
                "do not use this provider before that is explained",
            ),
        }
    }

    async fn userinfo(&mut self, announced: &Announced) {
        let Some(url) = &announced.userinfo else {
            return self.ok("userinfo", "not offered; everything is read from the ID token");
        };
        let place = self.asked(url);
        match self.provider().try_userinfo(unix_now()).await {
            Err(ProviderError::TokenRejected { .. }) => self.ok("userinfo", place),
            Err(error) if error.is_outage() => self.fail("userinfo", format!("{place}: {error}"), REACH),
            Err(error) => {
                let fix = "sign in once; the log says more if that fails";
                self.warn("userinfo", format!("{place} takes a made-up token oddly: {error}"), fix);
            }
            Ok(()) => {
                let fix = "do not use this provider before that is explained";
                self.warn("userinfo", format!("{place} answers a made-up token"), fix);
            }
        }
    }

    async fn sign_in(&mut self, announced: &Announced) {
        let provider = self.provider();
        let (place, ours) = (self.asked(&announced.authorization), provider.redirect_uri());
        let register = || {
            format!(
                "register {ours} at the provider as a redirect URI of the client {:?}",
                provider.client_id()
            )
        };
        match provider.try_sign_in(unix_now()).await {
            Ok(Reception::Back(code)) if code.is_empty() || NOBODY_THERE.contains(&&*code) => {
                self.ok("redirect URI", format!("{ours} is accepted by {place}"));
            }
            Ok(Reception::Back(code)) => {
                let seen = format!("{ours} is accepted, and the sign-in refused with {code:?}");
                let fix = "compare scopes, prompt and response types with what this client may ask for there";
                self.fail("redirect URI", seen, fix);
            }
            Ok(Reception::Elsewhere(to)) if !to.path().contains("error") => {
                self.ok("redirect URI", format!("{place} goes on to {}", without_query(&to)));
            }
            Ok(Reception::Elsewhere(to)) => {
                let seen = format!("{place} sends browsers to {}", without_query(&to));
                self.fail("redirect URI", seen, register());
            }
            Ok(Reception::Page(status @ 400..=499)) => {
                let seen = format!("{place} answers {status} to a sign-in that comes back to {ours}");
                self.fail("redirect URI", seen, register());
            }
            Ok(Reception::Page(status)) => {
                let seen = format!("not known: {place} answers {status} with a page of its own");
                self.warn(
                    "redirect URI",
                    seen,
                    format!("open it in a browser; if it complains, {}", register()),
                );
            }
            Err(error) => {
                let seen = format!("not known, as this machine cannot ask {place}: {error}");
                self.warn("redirect URI", seen, "see that browsers reach that address");
            }
        }
    }
}

fn discovery_fix(error: &ProviderError) -> &'static str {
    if error.is_outage() {
        "see that the provider runs, and that this machine reaches it: by the issuer's address, or set internal_url"
    } else if matches!(error, ProviderError::Status { .. }) {
        "correct the issuer: copy it from the provider's settings, path and all"
    } else if matches!(error, ProviderError::Algorithms { .. }) {
        "choose a signing key at the provider, so that it signs with RS256 or ES256"
    } else {
        "look into the provider's log, and compare its settings"
    }
}

fn issuer_fix(configured: &str, found: &str) -> String {
    let bare = |text: &str| text.trim_end_matches('/').to_owned();
    if bare(configured) == bare(found) {
        return format!("write issuer = {found:?}: only the slash at the end differs");
    }
    format!("write issuer = {found:?} if that is your provider, or correct its own public address")
}

fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

const REACH: &str = "see that the provider is well, and that this machine reaches that address";
/// What a provider says of a browser it does not know, if nothing else is wrong (Core 3.1.2.6).
const NOBODY_THERE: [&str; 4] =
    ["login_required", "interaction_required", "consent_required", "account_selection_required"];
