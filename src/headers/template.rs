//! One header's value, put together from parts of an identity. Knows nothing of the other headers.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use serde_json::Value;
use thiserror::Error;

use super::fold;
use crate::identity::{Field, GLUE, Identity, Roles, exact};
use crate::wording::{breaks_lines, is_blank};

/// Why a header of the configuration cannot be sent.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HeaderError {
    /// Not a header name.
    #[error("`{0}` is not a header name")]
    Name(String),
    /// A name that means something to HTTP itself.
    #[error("`{0}` belongs to HTTP itself and cannot carry an identity")]
    Reserved(String),
    /// Two names that backends cannot tell apart.
    #[error("`{0}` stands there twice, in one spelling or another")]
    Twice(String),
    /// A placeholder that is not known, or not closed.
    #[error(
        "the template of `{0}` holds {1}: placeholders are {{username}}, {{name}}, {{email}}, {{groups}}, \
         {{roles}}, {{permissions}}, {{uid}}, {{tenant}}, {{tenant_role}} and {{claim:NAME}}"
    )]
    Placeholder(String, String),
}

/// What a value is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Template(Vec<Part>);

/// The groups that are told.
#[derive(Clone, Copy)]
pub(super) enum Told<'a> {
    All,
    /// These, sorted.
    Only(&'a [&'a str]),
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Field(Field),
    Groups(char),
    Roles(char),
    Permissions(char),
    Tenant,
    TenantRoles(char),
    Claim(String, char),
}

impl Template {
    /// Reads a template such as `{name} <{email}>`; `header` is named in errors.
    pub(super) fn parse(header: &str, text: &str) -> Result<Self, HeaderError> {
        let refused = |what: String| HeaderError::Placeholder(header.to_owned(), what);
        if text.contains(breaks_lines) {
            return Err(refused("a control character or a break of line".to_owned()));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (name, after) =
                behind.split_once('}').ok_or_else(|| refused(format!("`{{{behind}` without a `}}`")))?;
            parts.push(Part::parse(name).ok_or_else(|| refused(format!("`{{{name}}}`")))?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Just the tenant.
    pub(super) fn tenant() -> Self {
        Self(vec![Part::Tenant])
    }

    /// Just what somebody is in the tenant.
    pub(super) fn tenant_roles() -> Self {
        Self(vec![Part::TenantRoles(GLUE)])
    }

    /// Whether it tells the tenant.
    pub(super) fn speaks_of_tenants(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Tenant | Part::TenantRoles(_)))
    }

    /// The value for one identity: never more than one line, never split by what a name holds.
    pub(super) fn value(&self, identity: &Identity, roles: &Roles, told: Told<'_>) -> HeaderValue {
        let shared = match self.0.as_slice() {
            [Part::Field(field)] => {
                share(identity.shared_field(*field), [identity.field(*field)].into_iter(), None)
            }
            [Part::Groups(GLUE)] if matches!(told, Told::All) => {
                share(identity.shared_groups(), identity.groups(), Some(GLUE))
            }
            _ => None,
        };
        shared.unwrap_or_else(|| {
            let mut text = String::new();
            for part in &self.0 {
                part.write((identity, told), roles, &mut text);
            }
            HeaderValue::from_bytes(text.trim_matches(is_blank).as_bytes())
                .unwrap_or_else(|_| HeaderValue::from_static(""))
        })
    }

    pub(super) fn wanted_claims(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|part| match part {
            Part::Claim(name, _) => Some(name.clone()),
            Part::Text(_)
            | Part::Field(_)
            | Part::Groups(_)
            | Part::Roles(_)
            | Part::Permissions(_)
            | Part::Tenant
            | Part::TenantRoles(_) => None,
        })
    }

    /// How often it tells the groups.
    pub(super) fn groups(&self) -> usize {
        self.0.iter().filter(|part| matches!(part, Part::Groups(_))).count()
    }

    /// Whether it tells what somebody may do by their roles.
    pub(super) fn speaks_of_roles(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Roles(_) | Part::Permissions(_)))
    }
}

/// The identity's own memory as a value, if nothing in it needs encoding.
fn share<'a>(
    bytes: Bytes,
    mut parts: impl Iterator<Item = &'a str>,
    separator: Option<char>,
) -> Option<HeaderValue> {
    if parts.all(|part| is_clean(part, separator)) {
        HeaderValue::from_maybe_shared(bytes).ok()
    } else {
        None
    }
}

impl Part {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "username" => Self::Field(Field::Username),
            "name" => Self::Field(Field::Name),
            "email" => Self::Field(Field::Email),
            "uid" => Self::Field(Field::Subject),
            "groups" => Self::Groups(GLUE),
            "groups:|" => Self::Groups('|'),
            "roles" => Self::Roles(GLUE),
            "roles:|" => Self::Roles('|'),
            "permissions" => Self::Permissions(GLUE),
            "permissions:|" => Self::Permissions('|'),
            "tenant" => Self::Tenant,
            "tenant_role" => Self::TenantRoles(GLUE),
            "tenant_role:|" => Self::TenantRoles('|'),
            _ => {
                let claim = name.strip_prefix("claim:")?;
                let (claim, separator) = claim.strip_suffix(":|").map_or((claim, GLUE), |claim| (claim, '|'));
                (!claim.is_empty()).then(|| Self::Claim(claim.to_owned(), separator))?
            }
        })
    }

    fn write(&self, (identity, told): (&Identity, Told<'_>), roles: &Roles, text: &mut String) {
        match self {
            Self::Text(fixed) => text.push_str(fixed),
            Self::Field(field) => encode(identity.field(*field), None, text),
            Self::Groups(separator) => match told {
                Told::All => join(identity.groups(), *separator, text),
                Told::Only(groups) => join(groups.iter().copied(), *separator, text),
            },
            Self::Roles(separator) => join(roles.roles_of(identity), *separator, text),
            Self::Permissions(separator) => join(roles.permissions_of(identity), *separator, text),
            Self::Tenant => {
                encode(identity.tenant().map_or("", |inside| &inside.tenant), None, text);
            }
            Self::TenantRoles(separator) => {
                let roles = identity.tenant().into_iter().flat_map(|inside| &inside.roles);
                join(roles.map(|role| &**role), *separator, text);
            }
            Self::Claim(name, separator) => match identity.claim(name) {
                Some(Value::Array(values)) => {
                    let values: Vec<String> = values.iter().map(plain_text).collect();
                    join(values.iter().map(String::as_str), *separator, text);
                }
                Some(value) => encode(&plain_text(value), None, text),
                None => {}
            },
        }
    }
}

/// A string as it is, a number if it is a fraction or has kept all its digits, everything else as JSON.
fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            let is_fraction = number.as_f64().is_some_and(|value| value.fract() != 0.0);
            exact(number).or_else(|| is_fraction.then(|| number.to_string())).unwrap_or_default()
        }
        Value::Null => String::new(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn join<'a>(values: impl Iterator<Item = &'a str>, separator: char, text: &mut String) {
    for (index, value) in values.enumerate() {
        if index > 0 {
            text.push(separator);
        }
        encode(value, Some(separator), text);
    }
}

/// Whether a value can stand in a header as it is.
fn is_clean(value: &str, separator: Option<char>) -> bool {
    let acts = |c: char| c == '%' || Some(c) == separator || breaks_lines(c);
    !value.starts_with(is_blank) && !value.ends_with(is_blank) && !value.contains(acts)
}

/// Appends `value`, percent-encoding what breaks lines, the separator, blanks at its ends, and every `%` that would
/// read as such an encoding, so that no two values look the same, and trimming changes none, whatever it takes for blank.
fn encode(value: &str, separator: Option<char>, text: &mut String) {
    if is_clean(value, separator) {
        text.push_str(value);
        return;
    }
    for (index, c) in value.char_indices() {
        let behind = index + c.len_utf8();
        let escapes = c == '%'
            && value
                .as_bytes()
                .get(behind..behind + 2)
                .is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        let edge = (index == 0 || behind == value.len()) && is_blank(c);
        if breaks_lines(c) || Some(c) == separator || escapes || edge {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| text.push_str(&format!("%{byte:02X}")));
        } else {
            text.push(c);
        }
    }
}

/// Bytes that a value takes at most, encoded.
pub(super) fn longest_bytes(value: &str) -> usize {
    let plain = is_clean(value, Some(GLUE)) && is_clean(value, Some('|'));
    if plain { value.len() } else { 3 * value.len() }
}

/// Reads a header name that may carry an identity.
///
/// # Errors
/// [`HeaderError`] for what is no name, or belongs to HTTP itself.
pub fn header_name(name: &str) -> Result<HeaderName, HeaderError> {
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name(name.to_owned()))?;
    let folded = fold(name);
    if RESERVED.iter().any(|reserved| fold(reserved) == folded) || folded.starts_with("xforwarded") {
        return Err(HeaderError::Reserved(name.to_owned()));
    }
    Ok(header)
}

/// Names that would change the message itself or what foregate says of the visitor.
const RESERVED: [&str; 23] = [
    "accept",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "foregate-assertion",
    "forwarded",
    "host",
    "keep-alive",
    "location",
    "proxy-authenticate",
    "proxy-authorization",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];
