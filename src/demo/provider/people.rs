//! Who can sign in at the demo's provider, and what it says of them. Knows no tokens.

use serde_json::{Map, Value, json};

/// Somebody who exists for trying out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// The name to choose and to be called by in rules.
    pub(crate) username: &'static str,
    /// The name to show.
    pub(crate) name: &'static str,
    /// What rules speak of.
    pub(crate) groups: &'static [&'static str],
}

/// Everybody there is.
pub(crate) const PEOPLE: &[Person] = &[
    Person { username: "alice", name: "Alice Archer", groups: &["family", "admins"] },
    Person { username: "bob", name: "Bob Baker", groups: &["family"] },
    Person { username: "carol", name: "Carol Çelik", groups: &[] },
];

impl Person {
    /// The one with this username, letter by letter.
    pub(super) fn find(username: &str) -> Option<&'static Self> {
        PEOPLE.iter().find(|person| person.username == username)
    }

    /// The lasting name, which is on purpose not the username.
    pub(super) fn subject(&self) -> String {
        format!("demo-user-{}", self.username)
    }

    /// The groups as one text to show.
    pub(super) fn group_list(&self) -> String {
        if self.groups.is_empty() { "no groups".to_owned() } else { self.groups.join(", ") }
    }

    /// What may be said under `scope` (OpenID Connect Core 5.4). The groups come with `profile`, as from authentik.
    pub(super) fn claims(&self, scope: &Scope) -> Map<String, Value> {
        let mut claims = Map::from_iter([("sub".to_owned(), self.subject().into())]);
        if scope.has("profile") {
            claims.insert("name".to_owned(), self.name.into());
            claims.insert("preferred_username".to_owned(), self.username.into());
            claims.insert("groups".to_owned(), json!(self.groups));
        }
        if scope.has("email") {
            claims.insert("email".to_owned(), format!("{}@example.com", self.username).into());
            claims.insert("email_verified".to_owned(), true.into());
        }
        claims
    }
}

/// What a client may know and do: words that are known here, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope(Vec<&'static str>);

impl Scope {
    /// The known words of a request; the others are not granted (RFC 6749 3.3).
    pub(super) fn parse(text: &str) -> Self {
        Self(SCOPES.iter().copied().filter(|known| text.split(' ').any(|word| word == *known)).collect())
    }

    /// Whether a word is among them.
    pub(super) fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    /// As it is written in answers.
    pub(super) fn text(&self) -> String {
        self.0.join(" ")
    }
}

/// Every scope there is.
pub(super) const SCOPES: &[&str] = &["openid", "profile", "email", "offline_access"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_whole_words_that_are_known() {
        for (text, granted) in [
            ("openid profile email", "openid profile email"),
            ("email openid email phone", "openid email"),
            ("openidx profile", "profile"),
            ("OPENID", ""),
            ("", ""),
        ] {
            assert_eq!(Scope::parse(text).text(), granted, "{text}");
        }
    }

    #[test]
    fn claims_are_those_of_the_scope() {
        let carol = Person::find("carol").unwrap();
        assert_eq!(Value::Object(carol.claims(&Scope::parse("openid"))), json!({"sub": "demo-user-carol"}));
        assert_eq!(
            Value::Object(carol.claims(&Scope::parse("openid profile email"))),
            json!({
                "sub": "demo-user-carol", "name": "Carol Çelik", "preferred_username": "carol", "groups": [],
                "email": "carol@example.com", "email_verified": true,
            })
        );
        assert_eq!(Person::find("alice").unwrap().group_list(), "family, admins");
        assert!(Person::find("Alice").is_none() && Person::find("").is_none());
    }
}
