//! Somebody who is only thought of, to try rules with: `user=alice,groups=a;b`. Knows no rules.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::headers::Person;
use crate::identity::{ACR, AMR, Identity, Profile};
use crate::wording::parse_duration;

/// A person as a command line or a test describes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Persona {
    profile: Profile,
    provider: Option<String>,
    /// The tenant they name, as a client does in a header.
    tenant: Option<String>,
    /// How long ago they proved who they are, in seconds.
    auth_age: u64,
}

impl Persona {
    /// Reads `user=alice,groups=a;b`, also with `name`, `email`, `uid`, `provider`, `tenant`, `acr`, `amr`, `auth_age`
    /// and `claim:NAME`, whose value may be an object in JSON; `None` is `nobody`. A backslash takes the meaning from `,` and `;`.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub fn parse(text: &str) -> Result<Option<Self>, (String, &'static str)> {
        if text == "nobody" {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for part in split(text, ',') {
            parts.push(part.split_once('=').ok_or_else(|| (format!("`{part}` has no value"), FIX))?);
        }
        Self::of(parts).map(Some)
    }

    /// Reads the same parts, each a name and a value.
    ///
    /// # Errors
    /// As [`Persona::parse`].
    pub fn of<'t>(
        parts: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<Self, (String, &'static str)> {
        let mut persona = Self::default();
        let mut named = Vec::new();
        for (name, value) in parts {
            if value.is_empty() || named.contains(&name.to_owned()) {
                return Err((format!("`{name}` is empty, or stands there twice"), FIX));
            }
            named.push(name.to_owned());
            persona.take(name, value)?;
        }
        if persona.profile.username.is_empty() {
            return Err(("nobody is named".to_owned(), FIX));
        }
        Ok(persona)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), (String, &'static str)> {
        let list = || split(value, ';').iter().map(|one| plain(one)).collect::<Vec<String>>();
        let profile = &mut self.profile;
        match name {
            "user" => profile.username = plain(value),
            "name" => profile.name = plain(value),
            "email" => profile.email = plain(value),
            "uid" => profile.subject = plain(value),
            "groups" => profile.groups = list(),
            "provider" => self.provider = Some(plain(value)),
            "tenant" => self.tenant = Some(plain(value)),
            ACR => drop(profile.claims.insert(ACR.to_owned(), plain(value).into())),
            AMR => drop(profile.claims.insert(AMR.to_owned(), list().into())),
            "auth_age" => {
                let age =
                    parse_duration(value).ok_or_else(|| (format!("`{value}` is no length of time"), FIX))?;
                self.auth_age = age.as_secs();
            }
            _ => {
                let Some(claim) = name.strip_prefix("claim:").filter(|claim| !claim.is_empty()) else {
                    return Err((format!("`{name}` is nothing that people have"), FIX));
                };
                let mut values = list();
                let whole = plain(value);
                let object = whole.starts_with('{').then(|| serde_json::from_str(&whole).ok()).flatten();
                let value = if let Some(object) = object {
                    object
                } else if values.len() == 1 {
                    Json::from(values.remove(0))
                } else {
                    Json::from(values)
                };
                profile.claims.insert(claim.to_owned(), value);
            }
        }
        Ok(())
    }

    /// The tenant they name.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The person, at the provider they name, or else at the first whose people count.
    pub fn person(&self, vouching: &Vouching, issuers: Option<&[Box<str>]>, now: u64) -> Arc<Person> {
        let named = vouching.issuers.iter().find(|(name, _)| self.provider.as_deref() == Some(name));
        let first = vouching.issuers.first().map(|(_, issuer)| issuer.as_str());
        let counts = issuers.and_then(|issuers| issuers.first()).map(|issuer| &**issuer).or(first);
        let issuer = match (&self.provider, named) {
            (_, Some((_, issuer))) => issuer,
            // A provider that is not there vouches for nobody that counts.
            (Some(unknown), None) => unknown,
            (None, None) => counts.unwrap_or_default(),
        };
        let profile = Profile { auth_time: now.saturating_sub(self.auth_age), ..self.profile.clone() };
        Arc::new(Person::new(Identity::pack(&profile, issuer.into(), &vouching.claims)))
    }
}

/// Who vouches for people, and what is kept of what they say.
#[derive(Clone, Debug, Default)]
pub struct Vouching {
    /// The issuers by the names that the configuration gives them, those where people sign in first.
    pub issuers: Vec<(String, String)>,
    /// The claims that rules and headers read.
    pub claims: Vec<String>,
}

/// The parts between separators that no backslash stands before.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        if c == separator && !escaped {
            parts.push(&text[start..at]);
            start = at + separator.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

/// The text without the backslashes that stand before something.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        plain.push(if c == '\\' { letters.next().unwrap_or(c) } else { c });
    }
    plain
}

const FIX: &str = "write nobody, or such as user=alice,groups=a;b, with name, email, uid, provider, tenant, acr, amr, auth_age \
                   and claim:NAME where they matter";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_what_is_written_of_them() {
        let alice = Persona::parse(
            "user=alice,groups=a;b c;x\\,y\\;z,claim:team=red,claim:n=1;2,amr=pwd,auth_age=5m",
        );
        let alice = alice.unwrap().unwrap();
        assert_eq!(alice.profile.username, "alice");
        assert_eq!(alice.profile.groups, ["a", "b c", "x,y;z"]);
        assert_eq!(alice.profile.claims["team"], "red");
        assert_eq!(alice.profile.claims["n"], serde_json::json!(["1", "2"]));
        assert_eq!(alice.profile.claims["amr"], serde_json::json!(["pwd"]));
        assert_eq!(alice.auth_age, 300);
        assert_eq!(Persona::parse("nobody"), Ok(None));
        for text in [
            "",
            "alice",
            "user=",
            "groups=a",
            "user=a,user=b",
            "user=a,group=b",
            "user=a,auth_age=1",
            "user=a,claim:=x",
        ] {
            assert!(Persona::parse(text).is_err(), "{text}");
        }
    }
}
