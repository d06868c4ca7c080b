//! What a rule wants of a visit, as a value. Knows no rules.

use std::fmt;

use ipnet::IpNet;

use super::capture::Captured;
use super::matcher::EmailPattern;
use crate::headers::GroupPattern;
use crate::identity::{Field, Given, Identity, holds};
use crate::visit::Visit;

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
    User(Name),
    /// A member of this group.
    Group(Name),
    /// Somebody with this role.
    Role(Given),
    /// Somebody with a role that has this permission.
    Permission(Given),
    /// A person with such an address.
    Email(EmailPattern),
    /// A person of whom the provider says this: the name of a claim, and a value.
    Claim(Box<str>, Name),
    /// A person in this tenant, as far as the visit is concerned.
    Tenant(Name),
    /// Whoever comes from there, known or not.
    Network(IpNet),
    /// One of these is enough.
    Any(Vec<Self>),
    /// All of these together.
    All(Vec<Self>),
}

/// A name that a term is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// This one.
    Fixed(Box<str>),
    /// One that the path of the visit fills in.
    Captured(Captured),
}

impl Name {
    /// Whether the name is one of somebody's. A path that cannot fill it in makes it nobody's.
    fn is_one(&self, visit: &Visit<'_>, has: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Fixed(name) => has(name),
            Self::Captured(captured) => captured.at(&visit.target.path).is_some_and(|name| has(&name)),
        }
    }

    /// Whether the path of the visit can fill it in.
    fn exists(&self, visit: &Visit<'_>) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Captured(captured) => captured.at(&visit.target.path).is_some(),
        }
    }

    fn in_words(&self, visit: &Visit<'_>) -> String {
        match self {
            Self::Fixed(name) => name.to_string(),
            Self::Captured(captured) => {
                captured.at(&visit.target.path).unwrap_or_else(|| captured.as_written())
            }
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(name) => f.write_str(name),
            Self::Captured(captured) => f.write_str(&captured.as_written()),
        }
    }
}

impl fmt::Display for Requirement {
    /// As it is written in a configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |several: &[Self]| several.iter().map(Self::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Public => f.write_str("public"),
            Self::SignedIn => f.write_str("signed-in"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Role(given) => write!(f, "role:{}", given.name),
            Self::Permission(given) => write!(f, "permission:{}", given.name),
            Self::Email(pattern) => write!(f, "email:{pattern}"),
            Self::Claim(claim, value) => write!(f, "claim:{claim}={value}"),
            Self::Tenant(name) => write!(f, "tenant:{name}"),
            Self::Network(network) => write!(f, "network:{network}"),
            Self::Any(any) => write!(f, "any of ({})", list(any)),
            Self::All(all) => write!(f, "all of ({})", list(all)),
        }
    }
}

impl Requirement {
    /// Whether this person, or nobody in particular, is what is wanted of this visit.
    pub fn met_by(&self, identity: Option<&Identity>, visit: &Visit<'_>) -> bool {
        let known = |test: &dyn Fn(&Identity) -> bool| identity.is_some_and(test);
        match self {
            Self::Nobody => false,
            Self::Public => true,
            Self::SignedIn => identity.is_some(),
            Self::User(name) => known(&|identity| name.is_one(visit, |name| identity.is_called(name))),
            Self::Group(name) => known(&|identity| name.is_one(visit, |name| identity.is_in(name))),
            Self::Role(given) | Self::Permission(given) => known(&|identity| given.to(identity)),
            Self::Email(pattern) => known(&|identity| pattern.matches(identity.field(Field::Email))),
            Self::Claim(claim, value) => known(&|identity| {
                let found = identity.claim(claim);
                found.is_some_and(|found| value.is_one(visit, |value| holds(found, value)))
            }),
            Self::Tenant(name) => known(&|identity| {
                identity.tenant().is_some_and(|inside| name.is_one(visit, |name| *inside.tenant == *name))
            }),
            Self::Network(network) => is_from(network, visit),
            Self::Any(any) => any.iter().any(|one| one.met_by(identity, visit)),
            Self::All(all) => !all.is_empty() && all.iter().all(|one| one.met_by(identity, visit)),
        }
    }

    /// Whether anybody at all can be what is wanted.
    pub fn can_be_met(&self) -> bool {
        match self {
            Self::Nobody => false,
            Self::Any(any) => any.iter().any(Self::can_be_met),
            Self::All(all) => !all.is_empty() && all.iter().all(Self::can_be_met),
            Self::Public
            | Self::SignedIn
            | Self::User(_)
            | Self::Group(_)
            | Self::Role(_)
            | Self::Permission(_)
            | Self::Email(_)
            | Self::Claim(..)
            | Self::Tenant(_)
            | Self::Network(_) => true,
        }
    }

    /// Whether some person could be what is wanted of this very visit.
    pub(super) fn can_be_met_at(&self, visit: &Visit<'_>) -> bool {
        match self {
            Self::Nobody => false,
            Self::Public | Self::SignedIn | Self::Role(_) | Self::Permission(_) | Self::Email(_) => true,
            Self::User(name) | Self::Group(name) | Self::Claim(_, name) | Self::Tenant(name) => {
                name.exists(visit)
            }
            Self::Network(network) => is_from(network, visit),
            Self::Any(any) => any.iter().any(|one| one.can_be_met_at(visit)),
            Self::All(all) => !all.is_empty() && all.iter().all(|one| one.can_be_met_at(visit)),
        }
    }

    /// Whether it speaks of this tenant.
    pub(super) fn names_tenant(&self, tenant: &str, visit: &Visit<'_>) -> bool {
        match self {
            Self::Tenant(name) => name.is_one(visit, |name| name == tenant),
            Self::Any(several) | Self::All(several) => {
                several.iter().any(|one| one.names_tenant(tenant, visit))
            }
            Self::Nobody
            | Self::Public
            | Self::SignedIn
            | Self::User(_)
            | Self::Group(_)
            | Self::Role(_)
            | Self::Permission(_)
            | Self::Email(_)
            | Self::Claim(..)
            | Self::Network(_) => false,
        }
    }

    /// Whether somebody nobody knows may ever be what is wanted.
    pub fn admits_strangers(&self) -> bool {
        match self {
            Self::Public | Self::Network(_) => true,
            Self::Nobody
            | Self::SignedIn
            | Self::User(_)
            | Self::Group(_)
            | Self::Role(_)
            | Self::Permission(_)
            | Self::Email(_)
            | Self::Claim(..)
            | Self::Tenant(_) => false,
            Self::Any(any) => any.iter().any(Self::admits_strangers),
            Self::All(all) => !all.is_empty() && all.iter().all(Self::admits_strangers),
        }
    }

    /// What is missing, in words for a page; any one of them is enough.
    pub fn missing(&self, identity: Option<&Identity>, visit: &Visit<'_>) -> Vec<String> {
        match self {
            Self::Nobody => Vec::new(),
            Self::Public => vec!["nothing".to_owned()],
            Self::SignedIn => vec!["any account".to_owned()],
            // Who else may come in is nobody's business.
            Self::User(_) | Self::Email(EmailPattern::Address(_)) => vec!["a certain account".to_owned()],
            Self::Group(name) => vec![format!("membership in the group {}", name.in_words(visit))],
            Self::Role(given) => vec![format!("the role {}", given.name)],
            Self::Permission(given) => vec![format!("the permission {}", given.name)],
            Self::Email(EmailPattern::Domain(domain)) => vec![format!("an e-mail address at {domain}")],
            Self::Claim(name, _) => vec![format!("a certain value of {name}")],
            Self::Tenant(name) => vec![format!("the tenant {}", name.in_words(visit))],
            Self::Network(_) => vec!["a visit from a certain network".to_owned()],
            Self::Any(any) => any.iter().flat_map(|one| one.missing(identity, visit)).collect(),
            Self::All(all) => {
                let unmet = all.iter().filter(|one| !one.met_by(identity, visit));
                let words: Vec<String> = unmet.map(|one| one.missing(identity, visit).join(" or ")).collect();
                vec![words.join(", together with ")]
            }
        }
    }

    /// The groups it looks at, also by roles.
    pub fn groups(&self) -> Vec<GroupPattern> {
        match self {
            Self::Group(Name::Fixed(name)) => vec![GroupPattern::of([name.to_string()])],
            Self::Group(Name::Captured(captured)) => vec![captured.pattern()],
            Self::Role(given) | Self::Permission(given) => {
                given.groups().map(|group| GroupPattern::of([group.to_owned()])).collect()
            }
            Self::Any(several) | Self::All(several) => several.iter().flat_map(Self::groups).collect(),
            Self::Nobody
            | Self::Public
            | Self::SignedIn
            | Self::User(_)
            | Self::Email(_)
            | Self::Claim(..)
            | Self::Tenant(_)
            | Self::Network(_) => Vec::new(),
        }
    }

    /// The claims it looks at.
    pub fn claims(&self) -> Vec<&str> {
        match self {
            Self::Claim(name, _) => vec![name],
            Self::Any(several) | Self::All(several) => several.iter().flat_map(Self::claims).collect(),
            Self::Nobody
            | Self::Public
            | Self::SignedIn
            | Self::User(_)
            | Self::Group(_)
            | Self::Role(_)
            | Self::Permission(_)
            | Self::Email(_)
            | Self::Tenant(_)
            | Self::Network(_) => Vec::new(),
        }
    }
}

/// Whether a visit is surely from a network: an address nobody knows is from none.
fn is_from(network: &IpNet, visit: &Visit<'_>) -> bool {
    visit.address().is_some_and(|address| network.contains(&address))
}

#[cfg(test)]
mod tests;
