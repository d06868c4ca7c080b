//! Tenants: which ones somebody belongs to, and as what. Knows no rules, and not which of them a visit is about.

use http::header::HeaderName;
use serde_json::Value;

use super::{Identity, exact, names_in};

/// How memberships are told, and how a client names the one it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenants {
    /// The claim that tells them, if one does.
    pub claim: Option<String>,
    /// How groups tell them; the first pattern that a group fits counts.
    pub groups: Vec<TenantPattern>,
    /// The header in which a client names a tenant and a backend is told of it.
    pub header: HeaderName,
}

/// That somebody belongs to a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// What the tenant is called.
    pub tenant: Box<str>,
    /// What somebody is in it, sorted, each once.
    pub roles: Vec<Box<str>>,
}

impl Tenants {
    /// The memberships of somebody, each tenant once: those of the claim in its order, then those of groups in theirs.
    pub fn of(&self, identity: &Identity) -> Vec<Membership> {
        let mut found = Vec::new();
        if let Some(claim) = self.claim.as_ref().and_then(|name| identity.claim(name)) {
            read_claim(claim, &mut found);
        }
        if !self.groups.is_empty() {
            let fit = |group| self.groups.iter().find_map(|pattern| pattern.read(group));
            for (tenant, role) in identity.groups().filter_map(fit) {
                add(&mut found, tenant, role);
            }
        }
        found
    }
}

impl Membership {
    /// Whether somebody is this in the tenant, letter by letter.
    pub fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|held| **held == *role)
    }
}

/// Names of groups with a tenant in them, such as `tenant:{tenant}:{role}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantPattern {
    before: Box<str>,
    after: Box<str>,
    /// What stands between the two, and which of them is first.
    role: Option<(Box<str>, First)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Tenant,
    Role,
}

impl TenantPattern {
    /// Reads text with one `{tenant}` in it, and one `{role}` or none, with something between the two.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, at, end) = match (text.find(TENANT), text.find(ROLE)) {
            (Some(tenant), Some(role)) if tenant < role => (Some(First::Tenant), tenant, role + ROLE.len()),
            (Some(tenant), Some(role)) => (Some(First::Role), role, tenant + TENANT.len()),
            (Some(tenant), None) => (None, tenant, tenant + TENANT.len()),
            (None, _) => return None,
        };
        let (before, after) = (&text[..at], &text[end..]);
        let role = match first {
            None => None,
            Some(first) => {
                let (left, right) = match first {
                    First::Tenant => (TENANT, ROLE),
                    First::Role => (ROLE, TENANT),
                };
                let between = &text[at + left.len()..end - right.len()];
                Some((between, first)).filter(|(between, _)| !between.is_empty())?;
                Some((between.into(), first))
            }
        };
        let fixed = [before, after, role.as_ref().map_or("", |(between, _): &(Box<str>, First)| between)];
        let is_plain = fixed.iter().all(|text| !text.contains(['{', '}']));
        is_plain.then(|| Self { before: before.into(), after: after.into(), role })
    }

    /// The tenant and the role in the name of a group. What could be read in two ways is neither.
    fn read<'g>(&self, group: &'g str) -> Option<(&'g str, Option<&'g str>)> {
        let inner = group.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        let Some((between, first)) = &self.role else { return Some((inner, None)) };
        let (left, right) = inner.split_once(&**between)?;
        // From its second letter on, as what overlaps is ambiguous too.
        let next = left.len() + between.chars().next().map_or(0, char::len_utf8);
        if inner[next..].contains(&**between) || left.is_empty() || right.is_empty() {
            return None;
        }
        Some(match first {
            First::Tenant => (left, Some(right)),
            First::Role => (right, Some(left)),
        })
    }
}

/// Whether a tenant or a role in it can be called so: a header holds one of them, and several servers read a comma as
/// the end of one.
pub fn is_tenant_name(name: &str) -> bool {
    let plain = |c: char| !c.is_control() && c != ',';
    !name.is_empty() && name.len() <= LONGEST_BYTES && name.trim() == name && name.chars().all(plain)
}

/// What providers write: one name, an array of names or of objects, or an object of names.
fn read_claim(claim: &Value, found: &mut Vec<Membership>) {
    match claim {
        Value::Array(entries) => entries.iter().for_each(|entry| read_entry(entry, found)),
        Value::Object(members) => {
            for tenant in names_in(members) {
                add_all(found, tenant, &members[tenant]);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => read_entry(claim, found),
    }
}

/// A name, or an object with an `id` and perhaps a `role` or `roles`.
fn read_entry(entry: &Value, found: &mut Vec<Membership>) {
    match entry {
        Value::String(tenant) => add(found, tenant, None),
        Value::Number(tenant) => add(found, &exact(tenant).unwrap_or_default(), None),
        Value::Object(members) => match members.get("id") {
            Some(Value::String(tenant)) => add_all(found, tenant, entry),
            Some(Value::Number(tenant)) => add_all(found, &exact(tenant).unwrap_or_default(), entry),
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {}
        },
        Value::Null | Value::Bool(_) | Value::Array(_) => {}
    }
}

/// A membership with the roles in a text, an array of texts, or the members `role` and `roles` of an object.
fn add_all(found: &mut Vec<Membership>, tenant: &str, said: &Value) {
    add(found, tenant, None);
    match said {
        Value::String(role) => add(found, tenant, Some(role)),
        Value::Array(roles) => {
            roles.iter().filter_map(Value::as_str).for_each(|role| add(found, tenant, Some(role)));
        }
        Value::Object(members) => {
            for said in ["role", "roles"].iter().filter_map(|name| members.get(*name)) {
                if !said.is_object() {
                    add_all(found, tenant, said);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Adds one role, or none, of one tenant. Names that no header can hold are nobody's.
fn add(found: &mut Vec<Membership>, tenant: &str, role: Option<&str>) {
    if !is_tenant_name(tenant) {
        return;
    }
    let place = found.iter().position(|one| *one.tenant == *tenant).unwrap_or_else(|| {
        found.push(Membership { tenant: tenant.into(), roles: Vec::new() });
        found.len() - 1
    });
    if let (Some(one), Some(role)) = (found.get_mut(place), role.filter(|role| is_tenant_name(role)))
        && let Err(at) = one.roles.binary_search_by(|held| (**held).cmp(role))
    {
        one.roles.insert(at, role.into());
    }
}

const TENANT: &str = "{tenant}";
const ROLE: &str = "{role}";
/// Bytes of the longest name: one travels in each request.
const LONGEST_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::Profile;

    fn told(claim: Option<&str>, patterns: &[&str], profile: &Profile) -> String {
        let groups = patterns.iter().map(|text| TenantPattern::parse(text).unwrap()).collect();
        let header = HeaderName::from_static("x-tenant-id");
        let tenants = Tenants { claim: claim.map(str::to_owned), groups, header };
        let identity = Identity::pack(profile, "i".into(), &["org.tenants".to_owned()]);
        let one = |one: &Membership| format!("{}={}", one.tenant, one.roles.join("+"));
        tenants.of(&identity).iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_claim_tells_tenants_in_the_shapes_that_providers_write() {
        for (claim, wanted) in [
            (json!(["b", "a", "b"]), "b= a="),
            (json!("a"), "a="),
            (json!(7), "7="),
            (json!([1e20, { "id": 1e20, "role": "admin" }]), ""),
            (json!([{ "id": "b", "role": "admin" }, { "id": 7, "roles": ["x", "w", "x"] }]), "b=admin 7=w+x"),
            (json!([{ "id": "b", "role": "x" }, { "id": "b", "role": "a" }, "b"]), "b=a+x"),
            (json!({ "a": "admin", "b": ["x", "y"], "c": {}, "d": true }), "a=admin b=x+y c= d="),
            (json!({ "a": false, "b": null, "c": "x" }), "c=x"),
            (json!({ "a": { "id": "uuid", "roles": ["x"] } }), "a=x"),
            (json!({ "a": { "roles": { "x": 1 } } }), "a="),
            (json!(["", " a", "a,b", "a\nb", "a\u{0}", "c"]), "c="),
            (json!([{ "id": "a", "role": "x,y" }, { "role": "x" }, { "id": ["b"] }]), "a="),
            (json!([null, true, ["a"]]), ""),
            (json!(true), ""),
            (json!("x".repeat(257)), ""),
        ] {
            let claims = [("org".to_owned(), json!({ "tenants": claim }))].into_iter().collect();
            let profile = Profile { claims, ..Profile::default() };
            assert_eq!(told(Some("org.tenants"), &[], &profile), wanted, "{claim}");
        }
    }

    #[test]
    fn groups_tell_tenants_where_they_can_be_read_in_one_way_only() {
        for (patterns, groups, wanted) in [
            (&["tenant:{tenant}:{role}"][..], "tenant:b:x tenant:a:y tenant:a:x", "a=x+y b=x"),
            (&["tenant:{tenant}:{role}"], "tenant:a tenant:a: tenant::x tenant:a:b:x xtenant:a:x", ""),
            (&["tenant:{tenant}:{role}"], "tenant:a::x", ""),
            (&["{role}@{tenant}"], "admin@a user@b", "a=admin b=user"),
            (&["/t/{tenant}/members"], "/t/a/members /t/b /t//members", "a="),
            (&["t:{tenant}:{role}", "t:{tenant}"], "t:a t:b:x", "a= b=x"),
            (&["t:{tenant}"], "t:a:b t:c,d", "a:b="),
            (&["t::{tenant}::{role}"], "t::a:::b", ""),
        ] {
            let groups = groups.split_whitespace().map(str::to_owned).collect();
            let profile = Profile { groups, ..Profile::default() };
            assert_eq!(told(None, patterns, &profile), wanted, "{patterns:?}");
        }
        let claims = [("org".to_owned(), json!({ "tenants": ["b", "c"] }))].into_iter().collect();
        let profile = Profile { groups: vec!["t:a:x".into(), "t:b:x".into()], claims, ..Profile::default() };
        assert_eq!(told(Some("org.tenants"), &["t:{tenant}:{role}"], &profile), "b=x c= a=x", "both");
    }

    #[test]
    fn a_pattern_has_one_tenant_and_at_most_one_role() {
        for text in
            ["", "tenant", "{role}", "{tenant}{role}", "{tenant}:{tenant}", "{tenant}:{x}", "a}{tenant}"]
        {
            assert!(TenantPattern::parse(text).is_none(), "{text}");
        }
    }
}
