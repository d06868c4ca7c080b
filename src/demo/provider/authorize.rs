//! The authorization request: what it must say, and what it asks of a sign-in (OpenID Connect Core 3.1.2). Knows
//! no people and no memory.

use super::form::{Form, Repeated};
use super::people::Scope;
use super::refused::Refused;
use super::{Settings, SignedIn};
use http::StatusCode;

/// A request that was checked, from the one client there is, which wants its answer at its one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// The client's own, given back as it came.
    pub(super) state: Option<String>,
    /// For the ID token.
    pub(super) nonce: Option<String>,
    /// The hash of the verifier.
    pub(super) challenge: String,
    /// What the client wants to know.
    pub(super) scope: Scope,
    prompt: Prompt,
    max_age: Option<u64>,
}

/// Whether a person is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prompt {
    /// If nobody is signed in.
    Needed,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

/// What a request comes to in a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Straight on, with the sign-in that is there.
    On,
    /// To the sign-in page.
    SignIn,
    /// Nowhere, as nobody may be asked.
    Nowhere,
}

impl Ask {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Refused::Here`] as long as it is not clear that the client's own address was named, then
    /// [`Refused::There`].
    pub(super) fn read(form: &Form, settings: &Settings) -> Result<Self, Refused> {
        if form.one("client_id") != Ok(Some(&settings.client_id)) {
            return Err(here("The app that sent you here is not known to this provider (client_id)."));
        }
        // Simple string comparison (RFC 6749 3.1.2.3), so before any parsing.
        if form.one("redirect_uri") != Ok(Some(settings.redirect_uri.as_str())) {
            return Err(here(
                "The app wants to have you sent to an address that is not its own (redirect_uri).",
            ));
        }
        let state = form.one("state").map_err(|_| here("The app's request is not clear (state)."))?;
        Self::read_rest(form).map_err(|(code, why)| Refused::There {
            code,
            why,
            state: state.map(str::to_owned),
        })
    }

    fn read_rest(form: &Form) -> Result<Self, (&'static str, &'static str)> {
        match form.one("response_type")? {
            Some("code") => {}
            Some(_) => return Err(("unsupported_response_type", "only code is known here")),
            None => return Err(("invalid_request", "response_type is missing")),
        }
        if form.one("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err(("invalid_request", "response_mode can only be query"));
        }
        if form.one("request")?.is_some() {
            return Err(("request_not_supported", "request objects are not known here"));
        }
        if form.one("request_uri")?.is_some() {
            return Err(("request_uri_not_supported", "request objects are not known here"));
        }
        let scope = Scope::parse(form.one("scope")?.unwrap_or_default());
        if !scope.has("openid") {
            return Err(("invalid_scope", "scope lacks openid"));
        }
        let challenge =
            form.one("code_challenge")?.ok_or(("invalid_request", "code_challenge is missing"))?;
        // RFC 7636 4.3: without a method it would be `plain`.
        if form.one("code_challenge_method")? != Some("S256") {
            return Err(("invalid_request", "code_challenge_method must be S256"));
        }
        if challenge.len() != CHALLENGE_LETTERS || !challenge.bytes().all(is_base64url) {
            return Err(("invalid_request", "code_challenge is not a SHA-256 in base64url"));
        }
        let max_age = form.one("max_age")?.map(str::parse).transpose();
        Ok(Self {
            state: form.one("state")?.map(str::to_owned),
            nonce: form.one("nonce")?.map(str::to_owned),
            challenge: challenge.to_owned(),
            scope,
            prompt: Prompt::read(form.one("prompt")?.unwrap_or_default())?,
            max_age: max_age.map_err(|_| ("invalid_request", "max_age is not a number of seconds"))?,
        })
    }

    /// Where to go in a browser in which somebody is signed in, or nobody.
    pub(super) fn way(&self, session: Option<&SignedIn>, now: u64) -> Way {
        let recent = |session: &SignedIn| {
            self.max_age.is_none_or(|most| now.saturating_sub(session.auth_time) <= most)
        };
        match (self.prompt, session.is_some_and(recent)) {
            (Prompt::Needed | Prompt::Never, true) => Way::On,
            (Prompt::Needed, false) | (Prompt::Always, _) => Way::SignIn,
            (Prompt::Never, false) => Way::Nowhere,
        }
    }
}

impl Prompt {
    /// `consent` is always given here.
    fn read(text: &str) -> Result<Self, (&'static str, &'static str)> {
        let mut words = text.split_whitespace();
        if text.split_whitespace().any(|word| word == "none") {
            words.next();
            return match words.next() {
                None => Ok(Self::Never),
                Some(_) => Err(("invalid_request", "prompt=none stands alone")),
            };
        }
        let asks = words.any(|word| word == "login" || word == "select_account");
        Ok(if asks { Self::Always } else { Self::Needed })
    }
}

impl From<Repeated> for (&'static str, &'static str) {
    fn from(_: Repeated) -> Self {
        ("invalid_request", "a parameter is repeated")
    }
}

fn here(why: &'static str) -> Refused {
    Refused::Here(StatusCode::BAD_REQUEST, why)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Letters of 32 bytes in base64url.
const CHALLENGE_LETTERS: usize = 43;

#[cfg(test)]
mod tests {
    use super::super::people::Person;
    use super::*;

    fn way(prompt: &str, max_age: Option<u64>, signed_in: Option<u64>) -> Way {
        let ask = Ask {
            state: None,
            nonce: None,
            challenge: String::new(),
            scope: Scope::parse("openid"),
            prompt: Prompt::read(prompt).unwrap(),
            max_age,
        };
        let person = Person::find("bob").unwrap();
        let session = signed_in.map(|auth_time| SignedIn { person, sid: String::new(), auth_time });
        ask.way(session.as_ref(), 100)
    }

    #[test]
    fn a_person_is_asked_when_needed_or_wanted() {
        for (prompt, max_age, signed_in, expected) in [
            ("", None, None, Way::SignIn),
            ("", None, Some(0), Way::On),
            ("consent", None, Some(0), Way::On),
            ("login", None, Some(100), Way::SignIn),
            ("select_account", None, Some(100), Way::SignIn),
            ("consent login", None, Some(100), Way::SignIn),
            ("none", None, Some(0), Way::On),
            ("none", None, None, Way::Nowhere),
            ("none", Some(10), Some(89), Way::Nowhere),
            ("", Some(10), Some(90), Way::On),
            ("", Some(10), Some(89), Way::SignIn),
            ("", Some(0), Some(100), Way::On),
        ] {
            assert_eq!(way(prompt, max_age, signed_in), expected, "{prompt} {max_age:?} {signed_in:?}");
        }
        assert!(Prompt::read("none login").is_err() && Prompt::read("login none").is_err());
    }
}
