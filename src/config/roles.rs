//! `[roles]`: what members of groups may do, and what a role cannot mean. Knows no apps.

use super::findings::{Notebook, nearest};
use super::keys::role_keys;
use super::rules::note_unknown_entry;
use super::values::Reader;
use super::written::{Entry, Node, Value};
use crate::identity::{Role, Roles};

impl Reader {
    /// Reads `roles`. One that cannot be read is left out, with a finding for it.
    pub(crate) fn roles(&mut self, has_tenants: bool) -> Roles {
        let Some(node) = self.node("roles") else { return Roles::default() };
        let Value::Table(entries) = &node.value else {
            self.book.note(&node.place, format!("`roles` is {}", node.value.kind()), ROLE_FIX);
            return Roles::default();
        };
        let before = self.book.count();
        let roles: Vec<Role> = entries.iter().filter_map(|entry| read_role(entry, &mut self.book)).collect();
        if self.book.count() == before {
            self.note_inheritance(entries, &roles);
        }
        if !has_tenants {
            self.note_tenant_roles(entries);
        }
        let resolved = Roles::new(&roles);
        if self.book.count() == before {
            for entry in entries {
                if resolved
                    .role(&entry.key)
                    .is_some_and(|role| role.groups().len() + role.tenant_roles().len() == 0)
                {
                    let problem = format!("nobody can have the role `{}`: no group gives it", entry.key);
                    self.book.note(
                        &entry.key_place,
                        problem,
                        "write its groups, or inherit it by a role that has some",
                    );
                }
            }
        }
        resolved
    }

    /// Notes roles that are given within tenants, where there are none.
    fn note_tenant_roles(&mut self, entries: &[Entry]) {
        let tables = entries.iter().filter_map(|entry| match &entry.node.value {
            Value::Table(entries) => Some(entries),
            Value::Text(_)
            | Value::Count(_)
            | Value::Flag(_)
            | Value::List(_)
            | Value::Fraction(_)
            | Value::Odd(_) => None,
        });
        for entry in tables.flatten().filter(|entry| entry.key == "tenant_roles") {
            let problem = "`tenant_roles` has no effect without tenants";
            self.book.note(&entry.key_place, problem, "write a table [tenants], or remove it");
        }
    }

    /// Notes roles that are inherited and not there, and circles.
    fn note_inheritance(&mut self, entries: &[Entry], roles: &[Role]) {
        let inherited = |entry: &Entry| list_of(entry, "inherits").to_vec();
        for node in entries.iter().flat_map(inherited) {
            let Value::Text(name) = &node.value else { continue };
            if !roles.iter().any(|role| role.name == *name) {
                let meant = nearest(name, roles.iter().map(|role| role.name.as_str()));
                let fix =
                    meant.map_or_else(|| ROLE_FIX.to_owned(), |meant| format!("did you mean `{meant}`?"));
                self.book.note(&node.place, format!("there is no role `{name}` to inherit"), fix);
            }
        }
        for (entry, role) in entries.iter().zip(roles) {
            if let Some(circle) = circle_from(role, roles) {
                let problem = format!("`{}` inherits itself: {circle}", role.name);
                self.book.note(&entry.key_place, problem, "take one of them out of `inherits`");
                // The others of the circle say the same.
                return;
            }
        }
    }
}

/// The way from a role back to itself, if it inherits itself.
fn circle_from(start: &Role, roles: &[Role]) -> Option<String> {
    let find = |name: &String| roles.iter().find(|role| role.name == *name);
    let mut ways: Vec<Vec<&Role>> = vec![vec![start]];
    let mut seen: Vec<&str> = Vec::new();
    while let Some(way) = ways.pop() {
        for next in way.last()?.inherits.iter().filter_map(find) {
            let way = [way.as_slice(), &[next]].concat();
            if next.name == start.name {
                let names: Vec<&str> = way.iter().map(|role| role.name.as_str()).collect();
                return Some(names.join(" inherits "));
            }
            if !seen.contains(&next.name.as_str()) {
                seen.push(&next.name);
                ways.push(way);
            }
        }
    }
    None
}

fn read_role(entry: &Entry, book: &mut Notebook) -> Option<Role> {
    let before = book.count();
    if !is_sound(&entry.key) || entry.key.contains(['{', '}']) {
        let problem = format!("`{}` cannot be the name of a role", entry.key.escape_debug());
        book.note(&entry.key_place, problem, "write a name without braces and without blanks at its ends");
    }
    let Value::Table(entries) = &entry.node.value else {
        book.note(
            &entry.node.place,
            format!("the role `{}` is {}", entry.key, entry.node.value.kind()),
            ROLE_FIX,
        );
        return None;
    };
    let mut role = Role { name: entry.key.clone(), ..Role::default() };
    for entry in entries {
        match entry.key.as_str() {
            "groups" => role.groups = read_names(entry, book),
            "tenant_roles" => role.tenant_roles = read_names(entry, book),
            "inherits" => role.inherits = read_names(entry, book),
            "permissions" => role.permissions = read_names(entry, book),
            _ => note_unknown_entry(entry, "a role", role_keys(), book),
        }
    }
    (book.count() == before).then_some(role)
}

/// Reads an array of names, none of them twice.
pub(crate) fn read_names(entry: &Entry, book: &mut Notebook) -> Vec<String> {
    let fix = format!("write {} = [\"…\"]", entry.key);
    let Value::List(list) = &entry.node.value else {
        book.note(&entry.node.place, format!("`{}` is {}", entry.key, entry.node.value.kind()), fix);
        return Vec::new();
    };
    if list.is_empty() {
        book.note(&entry.node.place, format!("`{}` is empty", entry.key), "remove it");
    }
    let mut names: Vec<String> = Vec::new();
    for node in list {
        match &node.value {
            Value::Text(name) if names.contains(name) => {
                book.note(&node.place, "this entry stands there twice", "remove one of the two");
            }
            Value::Text(name) if is_sound(name) => names.push(name.clone()),
            Value::Text(name) => {
                let problem = format!("`{}` is empty or has white space around it", name.escape_debug());
                book.note(&node.place, problem, "write the name alone");
            }
            value @ (Value::Count(_)
            | Value::Flag(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Fraction(_)
            | Value::Odd(_)) => {
                book.note(&node.place, format!("a name is text, and this is {}", value.kind()), &fix);
            }
        }
    }
    names
}

fn is_sound(name: &str) -> bool {
    !name.is_empty() && name.trim() == name && !name.contains(char::is_control)
}

/// The array that a role's table holds under this key.
fn list_of<'e>(role: &'e Entry, key: &str) -> &'e [Node] {
    let Value::Table(entries) = &role.node.value else { return &[] };
    match entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node.value) {
        Some(Value::List(list)) => list,
        Some(_) | None => &[],
    }
}

const ROLE_FIX: &str = "write a table such as [roles.editor], and below it groups = [\"editors\"]";
