//! Roles and permissions: what groups make of people. Knows no rules.
//!
//! A role is a name for groups, so that nothing of it is kept with anybody: whoever is in one of its groups has it,
//! as the configuration in force says.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Identity, Membership};

/// A role as the configuration writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// What rules call it.
    pub name: String,
    /// Whose members have it; any one of these groups is enough.
    pub groups: Vec<String>,
    /// Who has it by what they are in the tenant that a visit is about; any one of these is enough.
    pub tenant_roles: Vec<String>,
    /// The roles whose permissions it has too, by name.
    pub inherits: Vec<String>,
    /// What those who have it may do.
    pub permissions: Vec<String>,
}

/// All roles, each resolved to the groups that give it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Sorted by name.
    roles: Box<[Given]>,
    /// Sorted by name.
    permissions: Box<[Given]>,
}

/// A role or a permission, and the groups and roles in a tenant any one of which gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What it is called.
    pub name: Box<str>,
    by: Arc<[Box<str>]>,
    by_tenant: Arc<[Box<str>]>,
}

impl Given {
    /// Whether somebody has it, in the tenant they are in if they are in one. Looks at names only: no allocation.
    pub fn to(&self, identity: &Identity) -> bool {
        self.by.iter().any(|group| identity.is_in(group))
            || (!self.by_tenant.is_empty() && identity.tenant().is_some_and(|tenant| self.is_for(tenant)))
    }

    fn is_for(&self, tenant: &Membership) -> bool {
        self.by_tenant.iter().any(|role| tenant.has(role))
    }

    /// The roles in a tenant that give it, sorted.
    pub fn tenant_roles(&self) -> impl ExactSizeIterator<Item = &str> {
        self.by_tenant.iter().map(|role| &**role)
    }

    /// The groups that give it, sorted.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &str> {
        self.by.iter().map(|group| &**group)
    }
}

impl Roles {
    /// Resolves roles. One that inherits another has that one too, however long the way; a circle makes all in it
    /// equal, and a role that is not there gives nothing.
    pub fn new(written: &[Role]) -> Self {
        let held: Vec<BTreeSet<usize>> =
            (0..written.len()).map(|index| with_inherited(written, index)).collect();
        let given = |name: &str, wanted: &dyn Fn(&Role) -> bool| {
            let gives = |held: &BTreeSet<usize>| held.iter().any(|&index| wanted(&written[index]));
            let givers = || written.iter().zip(&held).filter(|(_, held)| gives(held)).map(|(role, _)| role);
            let (by, by_tenant) =
                (givers().flat_map(|role| &role.groups), givers().flat_map(|role| &role.tenant_roles));
            Given { name: name.into(), by: sorted(by), by_tenant: sorted(by_tenant) }
        };
        let names: BTreeSet<&str> = written.iter().map(|role| role.name.as_str()).collect();
        let permissions: BTreeSet<&str> =
            written.iter().flat_map(|role| &role.permissions).map(String::as_str).collect();
        let role = |name: &&str| given(name, &|role| role.name == **name);
        let permission = |name: &&str| given(name, &|role| role.permissions.iter().any(|held| held == name));
        Self {
            roles: names.iter().map(role).collect(),
            permissions: permissions.iter().map(permission).collect(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }

    /// The role of this name.
    pub fn role(&self, name: &str) -> Option<&Given> {
        named(&self.roles, name)
    }

    /// The permission of this name, if some role has it.
    pub fn permission(&self, name: &str) -> Option<&Given> {
        named(&self.permissions, name)
    }

    /// All roles, sorted by name.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = &Given> {
        self.roles.iter()
    }

    /// All permissions, sorted by name.
    pub fn permissions(&self) -> impl ExactSizeIterator<Item = &Given> {
        self.permissions.iter()
    }

    /// The roles somebody has, inherited ones too, sorted.
    pub fn roles_of<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = &'a str> {
        self.roles.iter().filter(|role| role.to(identity)).map(|role| &*role.name)
    }

    /// What somebody may do by their roles, sorted.
    pub fn permissions_of<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = &'a str> {
        self.permissions.iter().filter(|one| one.to(identity)).map(|one| &*one.name)
    }
}

/// The names in order, each once.
fn sorted<'a>(names: impl Iterator<Item = &'a String>) -> Arc<[Box<str>]> {
    let names: BTreeSet<&String> = names.collect();
    names.into_iter().map(|name| name.as_str().into()).collect()
}

fn named<'a>(sorted: &'a [Given], name: &str) -> Option<&'a Given> {
    let place = sorted.binary_search_by(|one| (*one.name).cmp(name)).ok()?;
    sorted.get(place)
}

/// A role and all that it inherits, by their places; each is looked at once.
fn with_inherited(written: &[Role], start: usize) -> BTreeSet<usize> {
    let mut held = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(index) = open.pop() {
        for name in &written[index].inherits {
            let found = written.iter().position(|role| role.name == *name);
            if let Some(found) = found.filter(|&found| held.insert(found)) {
                open.push(found);
            }
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Profile;

    fn role(name: &str, groups: &str, inherits: &str, permissions: &str) -> Role {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Role {
            name: name.to_owned(),
            groups: words(groups),
            inherits: words(inherits),
            permissions: words(permissions),
            ..Role::default()
        }
    }

    #[test]
    fn a_role_gives_what_it_inherits_and_nothing_upwards() {
        let roles = Roles::new(&[
            role("viewer", "readers", "", "kb:read"),
            role("editor", "writers", "viewer", "kb:create kb:update"),
            role("admin", "chiefs", "editor", "kb:delete"),
            role("base", "", "", "ping"),
            role("bot", "robots", "base nothing", ""),
        ]);
        for (groups, has, may) in [
            ("readers", "viewer", "kb:read"),
            ("writers", "editor viewer", "kb:create kb:read kb:update"),
            ("chiefs", "admin editor viewer", "kb:create kb:delete kb:read kb:update"),
            ("robots", "base bot", "ping"),
            ("readers robots", "base bot viewer", "kb:read ping"),
            ("viewer admin", "", ""),
            ("Readers reader", "", ""),
            ("", "", ""),
        ] {
            let groups = groups.split_whitespace().map(str::to_owned).collect();
            let someone = Identity::pack(&Profile { groups, ..Profile::default() }, "i".into(), &[]);
            assert_eq!(roles.roles_of(&someone).collect::<Vec<_>>().join(" "), has);
            assert_eq!(roles.permissions_of(&someone).collect::<Vec<_>>().join(" "), may);
        }
        assert_eq!(
            roles.permission("kb:read").unwrap().groups().collect::<Vec<_>>(),
            ["chiefs", "readers", "writers"]
        );
        assert!(roles.role("editors").is_none() && roles.permission("kb").is_none());
    }

    #[test]
    fn a_role_in_a_tenant_gives_it_within_that_tenant_alone() {
        let chief = Role { tenant_roles: vec!["admin".into()], ..role("chief", "", "", "kb:delete") };
        let roles = Roles::new(&[chief, role("owner", "owners", "chief", "")]);
        let somebody = Identity::pack(&Profile::default(), "i".into(), &[]);
        for (held, has) in [(&["admin"][..], "chief"), (&["user", "Admin"], ""), (&[], "")] {
            let held = held.iter().map(|role| (*role).into()).collect();
            let inside = somebody.clone().within(Arc::new(Membership { tenant: "a".into(), roles: held }));
            assert_eq!(roles.roles_of(&inside).collect::<Vec<_>>().join(" "), has);
            assert_eq!(roles.permission("kb:delete").unwrap().to(&inside), !has.is_empty());
        }
        assert!(!roles.role("chief").unwrap().to(&somebody), "in no tenant");
    }

    #[test]
    fn a_circle_ends() {
        let roles =
            Roles::new(&[role("a", "x", "b", "p"), role("b", "y", "a", "q"), role("c", "z", "c", "")]);
        assert_eq!(roles.role("a").unwrap().groups().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(roles.permission("q").unwrap().groups().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(roles.role("c").unwrap().groups().collect::<Vec<_>>(), ["z"]);
    }
}
