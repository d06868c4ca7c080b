//! What people have let the client have: codes, then tokens, each good for its own use alone. Knows no HTTP.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;

use super::people::{Person, Scope};
use super::shelf::{Shelf, fresh_name};
use super::signer::hash;

/// Who has signed in, when, and what the client may have of it.
#[derive(Clone, Debug)]
pub(super) struct Consent {
    /// Who.
    pub(super) person: &'static Person,
    /// The name of the sign-in, for `sid`.
    pub(super) sid: String,
    /// When they said who they are, in Unix seconds.
    pub(super) auth_time: u64,
    /// How much the client may know.
    pub(super) scope: Scope,
}

/// What the one who redeems a code must know, and what they get back with it.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// The hash of the verifier (RFC 7636 4.2).
    pub(super) challenge: String,
    /// For the ID token.
    pub(super) nonce: Option<String>,
}

/// Tokens that were just made.
#[derive(Debug)]
pub(super) struct Issued {
    /// On whose behalf.
    pub(super) consent: Consent,
    /// For the first ID token alone (OpenID Connect Core 12.2).
    pub(super) nonce: Option<String>,
    /// Good for [`ACCESS_SECONDS`].
    pub(super) access: String,
    /// Good for one use, where `offline_access` was granted.
    pub(super) refresh: Option<String>,
}

/// Why there are no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTokens {
    /// Unknown, used, too late, or not by who began it: `invalid_grant`.
    Refused,
    /// The system gives no random bytes.
    Broken,
}

/// Everything that was granted and has not ended.
#[derive(Debug)]
pub(super) struct Grants(Shelf<Grant>);

/// One sign-in for the client. Codes and tokens are `NAME.SECRET`, so each use finds the others to end.
#[derive(Debug)]
struct Grant {
    consent: Consent,
    /// The code's secret, kept after its use, as a second use ends the grant (RFC 6749 4.1.2).
    code: String,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Code(Terms),
    Tokens { access: Option<(String, u64)>, refresh: Option<String>, spent: Option<String>, until: u64 },
}

impl Grants {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Shelf::new(MOST_GRANTS))
    }

    /// Makes a code.
    pub(super) fn begin(&mut self, consent: Consent, terms: Terms, now: u64) -> Result<String, Unspecified> {
        let (name, code) = (fresh_name()?, fresh_name()?);
        let written = format!("{name}.{code}");
        self.0.put(name, Grant { consent, code, stage: Stage::Code(terms) }, now + CODE_SECONDS, now);
        Ok(written)
    }

    /// Turns a code into tokens, once, for who knows its verifier. A wrong verifier spends it too.
    pub(super) fn redeem(&mut self, code: &str, verifier: &str, now: u64) -> Result<Issued, NoTokens> {
        let (name, secret) = code.split_once('.').ok_or(NoTokens::Refused)?;
        let grant = self.0.find(name, now).ok_or(NoTokens::Refused)?;
        if !same(&grant.code, secret) {
            return Err(NoTokens::Refused);
        }
        // From here on the code is spent, and with it all that came of it if this is its second use.
        let Some(Grant { consent, code, stage: Stage::Code(terms) }) = self.0.take(name, now) else {
            return Err(NoTokens::Refused);
        };
        if !is_verifier(verifier) || !same(&hash(verifier.as_bytes()), &terms.challenge) {
            return Err(NoTokens::Refused);
        }
        self.issue(name, (consent, code, terms.nonce), (None, now + GRANT_SECONDS), now)
    }

    /// Turns a refresh token into the next one. One that was replaced ends the grant (RFC 9700 4.14.2).
    pub(super) fn refresh(&mut self, token: &str, now: u64) -> Result<Issued, NoTokens> {
        let (name, secret) = token.split_once('.').ok_or(NoTokens::Refused)?;
        match self.0.find(name, now).map(|grant| &grant.stage) {
            Some(Stage::Tokens { refresh: Some(live), until, .. }) if same(live, secret) => {
                let end = (Some(secret.to_owned()), *until);
                let Some(Grant { consent, code, .. }) = self.0.take(name, now) else {
                    return Err(NoTokens::Refused);
                };
                self.issue(name, (consent, code, None), end, now)
            }
            Some(Stage::Tokens { spent: Some(spent), .. }) if same(spent, secret) => {
                self.0.take(name, now);
                Err(NoTokens::Refused)
            }
            Some(Stage::Code(_) | Stage::Tokens { .. }) | None => Err(NoTokens::Refused),
        }
    }

    fn issue(
        &mut self,
        name: &str,
        (consent, code, nonce): (Consent, String, Option<String>),
        (spent, until): (Option<String>, u64),
        now: u64,
    ) -> Result<Issued, NoTokens> {
        let fresh = || fresh_name().map_err(|_| NoTokens::Broken);
        let access = fresh()?;
        let refresh = if consent.scope.has("offline_access") { Some(fresh()?) } else { None };
        let issued = Issued {
            consent: consent.clone(),
            nonce,
            access: format!("{name}.{access}"),
            refresh: refresh.as_ref().map(|secret| format!("{name}.{secret}")),
        };
        let access = Some((access, now + ACCESS_SECONDS));
        let stage = Stage::Tokens { access, refresh, spent, until };
        self.0.put(name.to_owned(), Grant { consent, code, stage }, until, now);
        Ok(issued)
    }

    /// On whose behalf an access token speaks.
    pub(super) fn bearer(&self, token: &str, now: u64) -> Option<&Consent> {
        let (name, secret) = token.split_once('.')?;
        let grant = self.0.find(name, now)?;
        match &grant.stage {
            Stage::Tokens { access: Some((live, until)), .. } if same(live, secret) && *until > now => {
                Some(&grant.consent)
            }
            Stage::Tokens { .. } | Stage::Code(_) => None,
        }
    }

    /// Ends what a token stands for: an access token itself, a refresh token the whole grant (RFC 7009 2.1).
    pub(super) fn revoke(&mut self, token: &str, now: u64) {
        let Some((name, secret)) = token.split_once('.') else { return };
        let Some(grant) = self.0.find(name, now) else { return };
        let Stage::Tokens { access, refresh, until, .. } = &grant.stage else { return };
        let until = *until;
        let is_refresh = refresh.as_ref().is_some_and(|live| same(live, secret));
        if !is_refresh && !access.as_ref().is_some_and(|(live, _)| same(live, secret)) {
            return;
        }
        let Some(mut grant) = self.0.take(name, now) else { return };
        if !is_refresh && let Stage::Tokens { access, .. } = &mut grant.stage {
            *access = None;
            self.0.put(name.to_owned(), grant, until, now);
        }
    }

    /// Ends everything that came of a sign-in.
    pub(super) fn end(&mut self, sid: &str) {
        self.0.keep_only(|grant| grant.consent.sid != sid);
    }
}

/// Compares secrets without telling by the time it takes where they differ.
pub(super) fn same(left: &str, right: &str) -> bool {
    verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

/// RFC 7636 4.1: 43 to 128 unreserved characters.
fn is_verifier(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

/// Seconds a code waits to be redeemed.
pub(super) const CODE_SECONDS: u64 = 60;
/// Seconds an access token is good for.
pub(super) const ACCESS_SECONDS: u64 = 300;
/// Seconds after which a grant ends, however often it is refreshed.
const GRANT_SECONDS: u64 = 8 * 3600;
const MOST_GRANTS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "a-verifier-of-the-shortest-length-there-is-";

    fn granted(scope: &str) -> (Grants, String) {
        let person = Person::find("alice").unwrap();
        let consent = Consent { person, sid: "sid".into(), auth_time: 0, scope: Scope::parse(scope) };
        let terms = Terms { challenge: hash(VERIFIER.as_bytes()), nonce: Some("n".into()) };
        let mut grants = Grants::new();
        let code = grants.begin(consent, terms, 0).unwrap();
        (grants, code)
    }

    fn redeemed() -> (Grants, String, Issued) {
        let (mut grants, code) = granted("openid offline_access");
        let issued = grants.redeem(&code, VERIFIER, 0).unwrap();
        (grants, code, issued)
    }

    #[test]
    fn a_code_is_good_for_a_minute_and_for_who_began() {
        for (verifier, now, good) in [
            (VERIFIER, 59, true),
            (VERIFIER, 60, false),
            ("", 0, false),
            ("another-verifier-that-is-quite-long-enough-", 0, false),
            (&VERIFIER[1..], 0, false),
        ] {
            let (mut grants, code) = granted("openid");
            assert_eq!(grants.redeem(&code, verifier, now).is_ok(), good, "{verifier} at {now}");
            assert_eq!(
                grants.redeem(&code, VERIFIER, now).err(),
                Some(NoTokens::Refused),
                "spent either way"
            );
        }
        let (mut grants, code) = granted("openid");
        let name = code.split_once('.').unwrap().0;
        for bad in ["", ".", name, &format!("{name}."), &format!("{name}.x"), &format!("x{code}")] {
            assert!(grants.redeem(bad, VERIFIER, 0).is_err(), "{bad}");
        }
        assert!(grants.redeem(&code, VERIFIER, 0).is_ok(), "a guess does not spend the code");
    }

    #[test]
    fn the_second_use_of_a_code_ends_all_that_came_of_it() {
        let (mut grants, code, issued) = redeemed();
        assert!(grants.bearer(&issued.access, 0).is_some());
        assert!(grants.redeem(&code, VERIFIER, 1).is_err());
        assert!(grants.bearer(&issued.access, 1).is_none());
        assert!(grants.refresh(&issued.refresh.unwrap(), 1).is_err());
    }

    #[test]
    fn refresh_tokens_are_good_once_and_the_old_one_ends_all() {
        let (mut grants, _, first) = redeemed();
        let (access, first) = (first.access, first.refresh.unwrap());
        assert!(grants.refresh(&access, 1).is_err(), "an access token is no refresh token");
        let second = grants.refresh(&first, 1).unwrap();
        assert!(second.nonce.is_none() && second.refresh.as_ref() != Some(&first));
        assert!(grants.bearer(&access, 1).is_none(), "replaced");
        assert!(grants.bearer(&second.access, 1).is_some());
        assert!(grants.bearer(&second.access, 1 + ACCESS_SECONDS).is_none(), "too late");
        assert!(grants.refresh(&first, 2).is_err());
        assert!(
            grants.refresh(&second.refresh.unwrap(), 3).is_err(),
            "stolen or lost: nobody has it any more"
        );
    }

    #[test]
    fn a_grant_ends_however_often_it_is_refreshed() {
        let (mut grants, _, issued) = redeemed();
        let last = grants.refresh(&issued.refresh.unwrap(), GRANT_SECONDS - 1).unwrap();
        assert!(grants.refresh(&last.refresh.unwrap(), GRANT_SECONDS).is_err());
        let (mut grants, code) = granted("openid");
        assert!(
            grants.redeem(&code, VERIFIER, 0).unwrap().refresh.is_none(),
            "offline_access was not granted"
        );
    }

    #[test]
    fn revoking_ends_what_the_token_stands_for() {
        let (mut grants, _, issued) = redeemed();
        let refresh = issued.refresh.unwrap();
        grants.revoke("nobody.knows", 0);
        grants.revoke(&issued.access, 0);
        assert!(grants.bearer(&issued.access, 0).is_none());
        let next = grants.refresh(&refresh, 0).unwrap();
        grants.revoke(next.refresh.as_ref().unwrap(), 0);
        assert!(
            grants.bearer(&next.access, 0).is_none() && grants.refresh(&next.refresh.unwrap(), 0).is_err()
        );
        let (mut grants, _, issued) = redeemed();
        grants.end("another");
        assert!(grants.bearer(&issued.access, 0).is_some());
        grants.end("sid");
        assert!(grants.bearer(&issued.access, 0).is_none(), "a sign-out ends it");
    }
}
