//! The terms of `allow` as they are written. Knows what each kind wants and no requests.

use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;

use super::capture::{CaptureError, Captured};
use super::matcher::{EmailPattern, PathPattern, PatternError};
use super::requirement::{Name, Requirement};
use crate::identity::Roles;

/// What terms may speak of where they stand.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The roles there are.
    pub roles: &'a Roles,
    /// The path whose segments may be filled in.
    pub path: Option<&'a PathPattern>,
    /// Whether there are tenants.
    pub tenants: bool,
}

/// Why a term of `allow` cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TermError {
    /// A kind of term that is not known.
    #[error(
        "`{0}` is not an allow term: use public, signed-in, user:NAME, group:NAME, role:NAME, permission:NAME, \
         email:PATTERN, claim:NAME=VALUE, tenant:NAME or network:CIDR"
    )]
    Unknown(String),
    /// Nothing behind the colon.
    #[error("`{0}` names nobody: write the name behind the colon")]
    Empty(String),
    /// A pattern that cannot be used.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A role that is not there.
    #[error("there is no role `{0}`: write a table [roles.NAME] for it")]
    NoRole(String),
    /// A permission that no role has.
    #[error("no role has the permission `{0}`: add it to the permissions of a role")]
    NoPermission(String),
    /// A claim without a value.
    #[error("`{0}` does not say which value: write claim:NAME=VALUE")]
    Claim(String),
    /// A tenant where there are none.
    #[error("`{0}` speaks of a tenant, and there are none: write a table [tenants]")]
    NoTenants(String),
    /// A name that is a pattern, or a list.
    #[error(
        "`{0}` is one name, letter by letter, and nobody has it: write signed-in for everybody, or one term for each name"
    )]
    NoName(String),
    /// A network that everybody is in.
    #[error("`{0}` holds every address there is: write public, or signed-in")]
    EveryNetwork(String),
    /// Not a network.
    #[error("`{0}` is no network: write such as network:10.0.0.0/8 or network:192.0.2.7")]
    Network(String),
    /// Braces where they are no capture.
    #[error(
        "`{0}` holds braces that are no part of the path: write one {{name}} of the rule's path at a time"
    )]
    Braces(String),
    /// A capture that the rule's path does not have.
    #[error("`{0}` speaks of {1}, which the path of its rule does not have: name a segment of the path so")]
    NotInPath(String, String),
    /// A capture in a kind of term that has none.
    #[error(
        "`{0}` cannot hold a part of the path: only names of users, groups and tenants and values of claims can"
    )]
    NoCapture(String),
}

impl Terms<'_> {
    /// Reads one term, such as `signed-in` or `group:Home Server Admins`.
    ///
    /// # Errors
    /// [`TermError`] for everything that is not a term, or speaks of what is not there.
    pub fn parse(&self, text: &str) -> Result<Requirement, TermError> {
        match text {
            "public" => return Ok(Requirement::Public),
            "signed-in" => return Ok(Requirement::SignedIn),
            "nobody" => return Ok(Requirement::Nobody),
            _ => {}
        }
        let (kind, name) = text.split_once(':').ok_or_else(|| TermError::Unknown(text.to_owned()))?;
        if !KINDS.contains(&kind) {
            return Err(TermError::Unknown(text.to_owned()));
        }
        if name.trim().is_empty() {
            return Err(TermError::Empty(text.to_owned()));
        }
        if ["user", "group", "tenant"].contains(&kind) && is_no_name(name) {
            return Err(TermError::NoName(text.to_owned()));
        }
        if !["user", "group", "claim", "tenant"].contains(&kind) && name.contains(['{', '}']) {
            return Err(TermError::NoCapture(text.to_owned()));
        }
        match kind {
            "user" => Ok(Requirement::User(self.name(text, name)?)),
            "group" => Ok(Requirement::Group(self.name(text, name)?)),
            "email" => Ok(Requirement::Email(EmailPattern::parse(name)?)),
            "role" => self
                .roles
                .role(name)
                .cloned()
                .map(Requirement::Role)
                .ok_or_else(|| TermError::NoRole(name.to_owned())),
            "permission" => {
                let permission = self.roles.permission(name).cloned().map(Requirement::Permission);
                permission.ok_or_else(|| TermError::NoPermission(name.to_owned()))
            }
            "claim" => self.claim(text, name),
            "tenant" if !self.tenants => Err(TermError::NoTenants(text.to_owned())),
            "tenant" => Ok(Requirement::Tenant(self.name(text, name)?)),
            _ => match network(name) {
                Some(network) if network.prefix_len() == 0 => Err(TermError::EveryNetwork(text.to_owned())),
                Some(network) => Ok(Requirement::Network(network)),
                None => Err(TermError::Network(name.to_owned())),
            },
        }
    }

    fn claim(&self, text: &str, rest: &str) -> Result<Requirement, TermError> {
        let sound = |name: &str| !name.is_empty() && !name.contains(['{', '}']);
        let (name, value) = rest
            .split_once('=')
            .filter(|(name, _)| sound(name))
            .ok_or_else(|| TermError::Claim(text.to_owned()))?;
        Ok(Requirement::Claim(name.into(), self.name(text, value)?))
    }

    fn name(&self, text: &str, name: &str) -> Result<Name, TermError> {
        match Captured::parse(name, self.path) {
            Ok(None) => Ok(Name::Fixed(name.into())),
            Ok(Some(captured)) => Ok(Name::Captured(captured)),
            Err(CaptureError::Braces) => Err(TermError::Braces(text.to_owned())),
            Err(CaptureError::NotInPath(name)) => Err(TermError::NotInPath(text.to_owned(), name)),
        }
    }
}

/// Whether a name is a pattern for all names, or further terms are in it.
fn is_no_name(name: &str) -> bool {
    let mut parts = name.split(',').skip(1).map(str::trim_start);
    name == "*" || parts.any(|part| part.split_once(':').is_some_and(|(kind, _)| KINDS.contains(&kind)))
}

/// A network, or one address, in the spelling in which visitors' addresses are compared.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    let is_settled = network.trunc() == network && network.addr().to_canonical() == network.addr();
    is_settled.then_some(network)
}

const KINDS: [&str; 8] = ["user", "group", "email", "role", "permission", "claim", "tenant", "network"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Role;

    #[test]
    fn what_is_no_term_is_refused() {
        let viewer = Role { name: "viewer".into(), permissions: vec!["kb:read".into()], ..Role::default() };
        let roles = Roles::new(&[viewer]);
        let path = PathPattern::parse("/kb/{id}").unwrap();
        let terms = Terms { roles: &roles, path: Some(&path), tenants: true };
        for term in [
            "role:viewer",
            "permission:kb:read",
            "claim:a.b=",
            "claim:a=b=c",
            "network:::1",
            "user:{id}",
            "tenant:{id}",
        ] {
            assert!(terms.parse(term).is_ok(), "{term}");
        }
        for term in [
            "",
            "everyone",
            "Public",
            "group:",
            "user: ",
            "user:*",
            "group:a, group:b",
            "network:0.0.0.0/0",
            "network:::/0",
            "group",
            "email:*",
            "mail:x@y",
            "role:",
            "role:view",
            "role:Viewer",
            "permission:kb",
            "permission:kb:*",
            "claim:",
            "claim:a",
            "claim:=b",
            "claim:{id}=a",
            "network:",
            "network:10.0.0.1/8",
            "network:10.0.0.0/33",
            "network:::ffff:10.0.0.0/104",
            "network:10.*",
            "network:localhost",
            "group:{x}",
            "group:{id",
            "role:{id}",
            "permission:{id}",
            "email:{id}@example.com",
            "network:{id}",
        ] {
            assert!(terms.parse(term).is_err(), "{term}");
        }
        let elsewhere = Terms { path: None, ..terms };
        assert!(matches!(elsewhere.parse("user:{id}"), Err(TermError::NotInPath(..))));
        let without = Terms { tenants: false, ..terms };
        assert!(matches!(without.parse("tenant:a"), Err(TermError::NoTenants(_))));
    }
}
