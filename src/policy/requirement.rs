//! What a rule wants of a person, as a value. Knows no requests.

use thiserror::Error;

use super::matcher::{EmailPattern, PatternError};
use crate::identity::{Field, Identity};

/// What somebody must be to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nobody is.
    Nobody,
    /// Everybody is, known or not.
    Public,
    /// Anybody who is signed in.
    SignedIn,
    /// The person who signs in by this name.
    User(Box<str>),
    /// A member of this group.
    Group(Box<str>),
    /// A person with such an address.
    Email(EmailPattern),
    /// One of these is enough.
    Any(Vec<Self>),
    /// All of these together.
    All(Vec<Self>),
}

/// Why a term of `allow` cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TermError {
    /// A kind of term that is not known.
    #[error("`{0}` is not an allow term: use public, signed-in, user:NAME, group:NAME or email:PATTERN")]
    Unknown(String),
    /// A kind that later versions will know.
    #[error(
        "`{0}` is not known to this version: use public, signed-in, user:NAME, group:NAME or email:PATTERN"
    )]
    NotYet(String),
    /// Nothing behind the colon.
    #[error("`{0}` names nobody: write the name behind the colon")]
    Empty(String),
    /// A pattern that cannot be used.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl Requirement {
    /// Reads one term, such as `signed-in` or `group:Home Server Admins`.
    ///
    /// # Errors
    /// [`TermError`] for everything that is not a term.
    pub fn parse_term(text: &str) -> Result<Self, TermError> {
        match text {
            "public" => return Ok(Self::Public),
            "signed-in" => return Ok(Self::SignedIn),
            "nobody" => return Ok(Self::Nobody),
            _ => {}
        }
        let (kind, name) = text.split_once(':').ok_or_else(|| TermError::Unknown(text.to_owned()))?;
        let known = ["user", "group", "email"].contains(&kind);
        if known && name.trim().is_empty() {
            return Err(TermError::Empty(text.to_owned()));
        }
        match kind {
            "user" => Ok(Self::User(name.into())),
            "group" => Ok(Self::Group(name.into())),
            "email" => Ok(Self::Email(EmailPattern::parse(name)?)),
            "role" | "permission" | "claim" | "network" => Err(TermError::NotYet(text.to_owned())),
            _ => Err(TermError::Unknown(text.to_owned())),
        }
    }

    /// Whether this person, or nobody in particular, is what is wanted.
    pub fn met_by(&self, identity: Option<&Identity>) -> bool {
        match (self, identity) {
            (Self::Public, _) | (Self::SignedIn, Some(_)) => true,
            (Self::Nobody, _) | (Self::SignedIn | Self::User(_) | Self::Group(_) | Self::Email(_), None) => {
                false
            }
            (Self::Any(any), _) => any.iter().any(|one| one.met_by(identity)),
            (Self::All(all), _) => !all.is_empty() && all.iter().all(|one| one.met_by(identity)),
            (Self::User(name), Some(identity)) => identity.field(Field::Username) == &**name,
            (Self::Group(name), Some(identity)) => identity.is_in(name),
            (Self::Email(pattern), Some(identity)) => pattern.matches(identity.field(Field::Email)),
        }
    }

    /// Whether anybody at all could meet it.
    pub fn can_be_met(&self) -> bool {
        match self {
            Self::Nobody => false,
            Self::Public | Self::SignedIn | Self::User(_) | Self::Group(_) | Self::Email(_) => true,
            Self::Any(any) => any.iter().any(Self::can_be_met),
            Self::All(all) => !all.is_empty() && all.iter().all(Self::can_be_met),
        }
    }

    /// What is wanted, in words for a page; any one of them is enough.
    pub fn in_words(&self) -> Vec<String> {
        match self {
            Self::Nobody => Vec::new(),
            Self::Public => vec!["nothing".to_owned()],
            Self::SignedIn => vec!["any account".to_owned()],
            // Who else may come in is nobody's business.
            Self::User(_) | Self::Email(EmailPattern::Address(_)) => vec!["a certain account".to_owned()],
            Self::Group(name) => vec![format!("membership in the group {name}")],
            Self::Email(EmailPattern::Domain(domain)) => vec![format!("an e-mail address at {domain}")],
            Self::Any(any) => any.iter().flat_map(Self::in_words).collect(),
            Self::All(all) => {
                vec![
                    all.iter()
                        .map(|one| one.in_words().join(" or "))
                        .collect::<Vec<_>>()
                        .join(", together with "),
                ]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Profile;

    fn bob() -> Identity {
        let profile = Profile {
            username: "bob".into(),
            email: "bob@example.com".into(),
            groups: vec!["family".into(), "a|b".into()],
            ..Profile::default()
        };
        Identity::pack(&profile, "i".into(), &[])
    }

    #[test]
    fn a_term_admits_whom_it_names_and_no_one_else() {
        for (term, anyone, bob_too) in [
            ("public", true, true),
            ("nobody", false, false),
            ("signed-in", false, true),
            ("user:bob", false, true),
            ("user:Bob", false, false),
            ("user:bo", false, false),
            ("group:family", false, true),
            ("group:a|b", false, true),
            ("group:a", false, false),
            ("group:Family", false, false),
            ("email:*@example.com", false, true),
            ("email:bob@example.com", false, true),
            ("email:*@example.org", false, false),
        ] {
            let wanted = Requirement::parse_term(term).unwrap();
            assert_eq!(wanted.met_by(None), anyone, "{term}");
            assert_eq!(wanted.met_by(Some(&bob())), bob_too, "{term}");
        }
    }

    #[test]
    fn empty_combinations_admit_nobody() {
        for wanted in [Requirement::Any(vec![]), Requirement::All(vec![])] {
            assert!(!wanted.met_by(Some(&bob())) && !wanted.can_be_met());
        }
        let both = Requirement::All(vec![Requirement::SignedIn, Requirement::Group("admins".into())]);
        assert!(!both.met_by(Some(&bob())) && both.can_be_met());
        assert_eq!(both.in_words(), ["any account, together with membership in the group admins"]);
    }

    #[test]
    fn what_is_no_term_is_refused() {
        for term in ["", "everyone", "Public", "group:", "user: ", "role:x", "group", "email:*", "mail:x@y"] {
            assert!(Requirement::parse_term(term).is_err(), "{term}");
        }
    }
}
