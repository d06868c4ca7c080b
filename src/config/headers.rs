//! What a backend is told: `headers`. Knows no apps.

use std::sync::Arc;

use super::findings::Notebook;
use super::written::{Node, Value};
use crate::headers::HeaderSet;
use crate::identity::{Roles, Tenants};

/// What templates may speak of.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub roles: &'a Arc<Roles>,
    pub tenants: Option<&'a Arc<Tenants>>,
    /// Also where there is a finding about them.
    pub has_tenants: bool,
}

/// Reads a preset's name, or a table of names and templates. Where there are tenants each set tells them, as clients send
/// a header of that name.
pub(crate) fn read_headers(node: &Node, known: Known<'_>, book: &mut Notebook) -> Option<HeaderSet> {
    let set = read_set(node, known, book)?;
    Some(match known.tenants {
        Some(tenants) => set.with_tenant(&tenants.header),
        None => set,
    })
}

fn read_set(node: &Node, known: Known<'_>, book: &mut Notebook) -> Option<HeaderSet> {
    let Known { roles, has_tenants, .. } = known;
    let entries = match &node.value {
        Value::Text(name) => {
            let set = HeaderSet::preset_with(name, roles);
            if set.is_none() {
                let problem = format!("`{}` is not a set of headers", name.escape_debug());
                book.note(&node.place, problem, HEADERS_FIX);
            }
            return set;
        }
        Value::Table(entries) if !entries.is_empty() => entries,
        Value::Table(_) => {
            book.note(&node.place, "`headers` is empty", HEADERS_FIX);
            return None;
        }
        value @ (Value::Count(_) | Value::Flag(_) | Value::List(_) | Value::Fraction(_) | Value::Odd(_)) => {
            book.note(&node.place, format!("`headers` is {}", value.kind()), HEADERS_FIX);
            return None;
        }
    };
    let before = book.count();
    let mut lines = Vec::new();
    for entry in entries {
        let Value::Text(template) = &entry.node.value else {
            let problem = format!("the template of `{}` is {}", entry.key, entry.node.value.kind());
            book.note(&entry.node.place, problem, "write text such as \"{username}\"");
            continue;
        };
        let line = (entry.key.clone(), template.clone());
        match HeaderSet::templates(std::slice::from_ref(&line)) {
            Ok(set) if set.speaks_of_roles() && roles.is_empty() => {
                let problem = format!("the template of `{}` speaks of roles, and there are none", entry.key);
                book.note(&entry.node.place, problem, "write a table such as [roles.editor], or remove it");
            }
            Ok(set) if set.speaks_of_tenants() && !has_tenants => {
                let problem =
                    format!("the template of `{}` speaks of tenants, and there are none", entry.key);
                book.note(&entry.node.place, problem, "write a table [tenants], or remove it");
            }
            Ok(_) => lines.push(line),
            Err(error) => book.note_error(&entry.key_place, &error),
        }
    }
    if book.count() > before {
        return None;
    }
    let set = HeaderSet::templates(&lines).map_err(|error| book.note_error(&node.place, &error)).ok();
    set.map(|set| set.knowing(roles))
}

const HEADERS_FIX: &str =
    "write \"remote\", \"authentik\", \"oauth2-proxy\", or such as { \"X-User\" = \"{username}\" }";
