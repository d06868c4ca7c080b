//! How recently and how well somebody has proved who they are. Knows no rules and no provider.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Identity, holds};

/// What a sign-in must have been like. Nothing written is nothing wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// How old it may be, in seconds.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// Authentication contexts, any one of which will do (OpenID Connect Core 2, `acr`).
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub acr: Vec<String>,
    /// Methods, any one of which will do (RFC 8176, `amr`).
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
}

/// A proof that a sign-in was begun for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What was wanted of the provider.
    pub wanted: Proof,
    /// When that sign-in was finished, in Unix seconds.
    pub at: u64,
}

impl Proof {
    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.max_age.is_none() && self.acr.is_empty() && self.amr.is_empty()
    }

    /// Whether somebody has given it, at `now` in Unix seconds. What the provider does not say it has not proved.
    pub fn is_given_by(&self, identity: &Identity, now: u64) -> bool {
        let auth_time = identity.auth_time();
        let is_recent = |max_age: u64| auth_time > 0 && now.saturating_sub(auth_time) <= max_age;
        let has = |claim: Option<&Value>, wanted: &[String]| {
            wanted.is_empty()
                || claim.is_some_and(|claim| !claim.is_object() && wanted.iter().any(|one| holds(claim, one)))
        };
        self.max_age.is_none_or(is_recent)
            && has(identity.claim(ACR).filter(|acr| acr.is_string()), &self.acr)
            && has(identity.claim(AMR), &self.amr)
    }

    /// Whether somebody has come back from a sign-in for this very proof without it: asking once more would only go in
    /// a circle.
    pub fn was_refused_to(&self, identity: &Identity) -> bool {
        identity.asked().is_some_and(|asked| asked.wanted == *self && !self.is_given_by(identity, asked.at))
    }

    /// The claims it looks at.
    pub fn claims(&self) -> impl Iterator<Item = &'static str> {
        let acr = (!self.acr.is_empty()).then_some(ACR);
        acr.into_iter().chain((!self.amr.is_empty()).then_some(AMR))
    }
}

/// The claims that tell how somebody signed in; a renewal proves nothing, so that they are as the sign-in left them.
pub const ACR: &str = "acr";
/// See [`ACR`].
pub const AMR: &str = "amr";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::Profile;

    fn identity(auth_time: u64, acr: Value, amr: Value, asked: Option<Asked>) -> Identity {
        let claims = [(ACR.to_owned(), acr), (AMR.to_owned(), amr)].into_iter().collect();
        let profile = Profile { auth_time, claims, asked, ..Profile::default() };
        Identity::pack(&profile, "i".into(), &[ACR.to_owned(), AMR.to_owned()])
    }

    fn proof(max_age: Option<u64>, acr: &str, amr: &str) -> Proof {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Proof { max_age, acr: words(acr), amr: words(amr) }
    }

    #[test]
    fn only_what_the_provider_says_is_proved() {
        for (wanted, auth_time, acr, amr, given) in [
            (proof(None, "", ""), 0, json!(null), json!(null), true),
            (proof(Some(600), "", ""), 1400, json!(null), json!(null), true),
            (proof(Some(600), "", ""), 1399, json!(null), json!(null), false),
            (proof(Some(600), "", ""), 0, json!(null), json!(null), false),
            (proof(Some(600), "", ""), 2050, json!(null), json!(null), true),
            (proof(None, "mfa", ""), 0, json!("mfa"), json!(null), true),
            (proof(None, "mfa hw", ""), 0, json!("hw"), json!(null), true),
            (proof(None, "mfa", ""), 0, json!("mfa2"), json!(null), false),
            (proof(None, "mfa", ""), 0, json!(["mfa"]), json!(null), false),
            (proof(None, "mfa", ""), 0, json!({ "mfa": 1 }), json!(null), false),
            (proof(None, "1", ""), 0, json!(1), json!(null), false),
            (proof(None, "mfa", ""), 0, json!(null), json!(["mfa"]), false),
            (proof(None, "", "otp hwk"), 0, json!(null), json!(["pwd", "otp"]), true),
            (proof(None, "", "otp"), 0, json!(null), json!("otp"), true),
            (proof(None, "", "otp"), 0, json!(null), json!(["pwd"]), false),
            (proof(None, "", "otp"), 0, json!(null), json!({ "otp": true }), false),
            (proof(Some(9), "mfa", "otp"), 1999, json!("mfa"), json!(["otp"]), true),
            (proof(Some(9), "mfa", "otp"), 1990, json!("mfa"), json!(["otp"]), false),
            (proof(Some(9), "mfa", "otp"), 1999, json!("mfa"), json!(["pwd"]), false),
        ] {
            let someone = identity(auth_time, acr, amr, None);
            assert_eq!(wanted.is_given_by(&someone, 2000), given, "{wanted:?}");
        }
    }

    #[test]
    fn a_provider_is_asked_once_for_each_proof() {
        let asked = |wanted: Proof| Some(Asked { wanted, at: 2000 });
        for (wanted, asked, auth_time, refused) in [
            (proof(Some(600), "", ""), None, 1000, false),
            (proof(Some(600), "", ""), asked(proof(Some(600), "", "")), 1000, true),
            (proof(Some(600), "", ""), asked(proof(Some(600), "", "")), 0, true),
            (proof(Some(600), "", ""), asked(proof(Some(600), "", "")), 1999, false),
            (proof(Some(600), "", ""), asked(proof(Some(60), "", "")), 1000, false),
            (proof(None, "mfa", ""), asked(proof(None, "mfa", "")), 1999, true),
            (proof(None, "mfa", ""), asked(proof(None, "hw", "")), 1999, false),
        ] {
            let someone = identity(auth_time, json!("pwd"), json!(null), asked.clone());
            assert_eq!(wanted.was_refused_to(&someone), refused, "{wanted:?} {asked:?}");
        }
    }
}
