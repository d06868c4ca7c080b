//! Who somebody is. Knows neither sessions nor tokens, nor how the knowledge was won.

mod claims;
mod groups;
mod proof;
mod roles;
mod tenants;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use claims::{claim_at, exact, holds, names_in};
pub use groups::GroupLists;
use groups::Groups;
pub use proof::{ACR, AMR, Asked, Proof};
pub use roles::{Given, Role, Roles};
pub use tenants::{Membership, TenantPattern, Tenants, is_tenant_name};

/// What a provider says of a person, as a sign-in yields it and a store keeps it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The issuer that vouches for all of this.
    pub issuer: String,
    /// The issuer's name for the person; unique with the issuer, and the only lasting key.
    pub subject: String,
    /// The name the person signs in with.
    pub username: String,
    /// Whether the provider told no such name, so that the subject stands there. Rules that name people never mean
    /// that: whoever may choose a subject, or the id of a client, would choose whose name it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nameless: bool,
    /// The name to show.
    #[serde(default)]
    pub name: String,
    /// The e-mail address, empty if none is known.
    #[serde(default)]
    pub email: String,
    /// Group names, in any order.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Every other claim, for header templates and rules.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// When the person last proved who they are, in Unix seconds; 0 if the provider did not say.
    #[serde(default)]
    pub auth_time: u64,
    /// What the sign-in was to prove, if it was begun for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

impl Profile {
    /// The same person, with what they proved when they signed in: a renewal is no proof, whatever it says.
    #[must_use]
    pub fn with_proof_of(mut self, before: &Self) -> Self {
        for name in [ACR, AMR] {
            self.claims.remove(name);
            self.claims.extend(before.claims.get(name).map(|claim| (name.to_owned(), claim.clone())));
        }
        Self { auth_time: before.auth_time, asked: before.asked.clone(), ..self }
    }
}

/// A person as rules and headers see them: packed into few pieces of memory, as a million of them are kept.
#[derive(Clone)]
pub struct Identity {
    issuer: Arc<str>,
    /// Subject, username, name and e-mail, each followed by one [`GLUE`] byte but the last.
    text: Bytes,
    /// Where each of them ends in `text`.
    ends: [u32; SINGLES],
    groups: Arc<Groups>,
    claims: Option<Box<Map<String, Value>>>,
    auth_time: u64,
    asked: Option<Box<Asked>>,
    tenant: Option<Arc<Membership>>,
    nameless: bool,
}

/// A single-valued part of an [`Identity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The issuer's lasting name for the person.
    Subject,
    /// The name the person signs in with.
    Username,
    /// The name to show.
    Name,
    /// The e-mail address.
    Email,
}

impl Identity {
    /// Packs a profile, keeping only the claims that `wanted` names. Groups are sorted and each kept once.
    pub fn pack(profile: &Profile, issuer: Arc<str>, wanted: &[String]) -> Self {
        let singles =
            [&profile.subject, &profile.username, &profile.name, &profile.email].map(String::as_str);
        let (text, all_ends) = join(singles.into_iter());
        let mut ends = [0; SINGLES];
        ends.copy_from_slice(&all_ends);
        let claims: Map<String, Value> = wanted
            .iter()
            .filter_map(|name| Some((name.clone(), claim_at(&profile.claims, name)?.clone())))
            .collect();
        Self {
            issuer,
            text,
            ends,
            groups: Arc::new(Groups::pack(&profile.groups)),
            claims: (!claims.is_empty()).then(|| Box::new(claims)),
            auth_time: profile.auth_time,
            asked: profile.asked.clone().map(Box::new),
            tenant: None,
            nameless: profile.nameless,
        }
    }

    /// The same identity, sharing its groups with all others that have the same.
    #[must_use]
    pub fn sharing(mut self, lists: &GroupLists) -> Self {
        self.groups = lists.shared(self.groups);
        self
    }

    /// The same identity in one of its tenants.
    #[must_use]
    pub fn within(self, tenant: Arc<Membership>) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// The tenant that this is about, if it is about one.
    pub fn tenant(&self) -> Option<&Membership> {
        self.tenant.as_deref()
    }

    /// The issuer that vouches for this identity.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether they sign in by this name, letter by letter: one that the provider told, and no subject in its place.
    pub fn is_called(&self, name: &str) -> bool {
        !self.nameless && self.field(Field::Username) == name
    }

    /// One single-valued part.
    pub fn field(&self, field: Field) -> &str {
        std::str::from_utf8(piece(&self.text, &self.ends, field as usize)).unwrap_or_default()
    }

    /// The groups, sorted.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &str> {
        self.groups.names()
    }

    /// Whether `group` is one of the groups, letter by letter.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.contains(group)
    }

    /// A claim that the configuration asked to keep, by the name it was asked for with; dots led into nested ones.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.as_ref()?.get(name)
    }

    /// When the person last proved who they are, in Unix seconds; 0 if unknown.
    pub fn auth_time(&self) -> u64 {
        self.auth_time
    }

    /// What the sign-in was to prove, if it was begun for that.
    pub fn asked(&self) -> Option<&Asked> {
        self.asked.as_deref()
    }

    /// The bytes of a field, sharing this identity's memory.
    pub fn shared_field(&self, field: Field) -> Bytes {
        self.text.slice(bounds(&self.ends, field as usize))
    }

    /// All groups with [`GLUE`] between them, sharing the memory of all who have the same; empty without groups.
    pub fn shared_groups(&self) -> Bytes {
        self.groups.shared_text()
    }
}

/// Pieces with [`GLUE`] between them, and where each of them ends.
fn join<'p>(pieces: impl Iterator<Item = &'p str>) -> (Bytes, Vec<u32>) {
    let mut text = String::new();
    let mut ends = Vec::new();
    for piece in pieces {
        if !ends.is_empty() {
            text.push(GLUE);
        }
        text.push_str(piece);
        ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
    }
    (Bytes::from(text.into_boxed_str().into_boxed_bytes()), ends)
}

fn piece<'t>(text: &'t [u8], ends: &[u32], index: usize) -> &'t [u8] {
    &text[bounds(ends, index)]
}

fn bounds(ends: &[u32], index: usize) -> Range<usize> {
    let start = index.checked_sub(1).map_or(0, |before| ends[before] as usize + 1);
    start..ends[index] as usize
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("issuer", &self.issuer)
            .field("subject", &self.field(Field::Subject))
            .field("username", &self.field(Field::Username))
            .finish_non_exhaustive()
    }
}

/// What stands between two packed pieces: also what most headers put between groups, so that they can share.
pub const GLUE: char = ',';
/// How many single-valued pieces stand before the groups.
const SINGLES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(groups: &[&str]) -> Identity {
        let profile = Profile {
            subject: "s-1".into(),
            username: "alice".into(),
            email: "alice@example.com".into(),
            groups: groups.iter().map(ToString::to_string).collect(),
            claims: Map::from_iter([("team".into(), "red".into()), ("other".into(), 1.into())]),
            ..Profile::default()
        };
        Identity::pack(&profile, "https://id.test/".into(), &["team".into()])
    }

    #[test]
    fn every_part_comes_out_as_it_went_in() {
        let alice = identity(&["b", "a,c", "", "b"]);
        assert_eq!(alice.field(Field::Subject), "s-1");
        assert_eq!(alice.field(Field::Username), "alice");
        assert_eq!(alice.field(Field::Name), "");
        assert_eq!(alice.field(Field::Email), "alice@example.com");
        assert_eq!(alice.groups().collect::<Vec<_>>(), ["", "a,c", "b"]);
        assert_eq!(alice.shared_field(Field::Username), "alice");
        assert_eq!(alice.shared_groups(), ",a,c,b");
        assert_eq!(alice.claim("team"), Some(&"red".into()));
        assert_eq!(alice.claim("other"), None, "only wanted claims are kept");
    }

    #[test]
    fn a_subject_that_stands_in_for_a_name_is_nobodys_name() {
        for (nameless, called) in [(false, true), (true, false)] {
            let profile = Profile { username: "alice".into(), nameless, ..Profile::default() };
            let kept: Profile = serde_json::from_str(&serde_json::to_string(&profile).unwrap()).unwrap();
            let alice = Identity::pack(&kept, "i".into(), &[]);
            assert_eq!((alice.is_called("alice"), alice.is_called("Alice")), (called, false));
            assert_eq!(alice.field(Field::Username), "alice", "backends are told it all the same");
        }
    }

    #[test]
    fn membership_is_the_whole_name() {
        let alice = identity(&["admins", "family", "a,c"]);
        for (group, is_in) in [
            ("admins", true),
            ("a,c", true),
            ("family", true),
            ("admin", false),
            ("a", false),
            ("c", false),
            ("Admins", false),
        ] {
            assert_eq!(alice.is_in(group), is_in, "{group}");
        }
        assert!(!identity(&[]).is_in(""));
        assert_eq!(identity(&[]).shared_groups(), "");
    }
}
