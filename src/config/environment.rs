//! Settings from environment variables, which override those of the file. Knows the names of settings and no
//! meaning.

use std::collections::BTreeMap;

use super::findings::{Notebook, Origin, Place, nearest};
use super::keys::{self, Kind, PREFIX};
use super::written::{Node, Value, Written, read_value};

/// The variables of a process that are named `FOREGATE_…`.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
    /// Names whose values are not text.
    unreadable: Vec<String>,
}

impl Environment {
    /// The variables of this process; the one place that reads the environment for everybody.
    pub fn of_process() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            match value.into_string() {
                Ok(value) => drop(environment.values.insert(name.to_owned(), value)),
                Err(_) => environment.unreadable.push(name.to_owned()),
            }
        }
        environment
    }

    /// The value of a variable that is no setting, if it is there and not empty.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether any variable is a setting, known or not.
    pub(crate) fn is_in_use(&self) -> bool {
        self.settings().next().is_some() || !self.unreadable.is_empty()
    }

    /// Puts every variable in the place of what the file says, and notes all that are unknown.
    pub(crate) fn override_in(&self, written: &mut Written, book: &mut Notebook) {
        for name in &self.unreadable {
            let place = book.add(Origin::Variable { name: name.clone(), shown: false }, "");
            book.note(&place, "the value is not UTF-8 text", "set it anew");
        }
        for (name, value) in self.settings() {
            let near = keys::paths_near(name).into_iter();
            let paths: Vec<(String, String)> = near.map(|path| (keys::variable(&path), path)).collect();
            let known = paths.iter().find(|(variable, _)| variable == name);
            let kind = known.and_then(|(_, path)| keys::find(path)).map_or(Kind::Text, |key| key.kind);
            let secret = known.and_then(|(_, path)| keys::find(path)).is_none_or(|key| key.secret);
            let shown = !secret && is_toml(kind, value);
            let place = book.add(Origin::Variable { name: name.to_owned(), shown }, value);
            match known {
                Some((_, path)) => {
                    if let Some(node) = read(kind, value, &place, book) {
                        written.settings.insert(path.clone(), node);
                    }
                }
                None => note_unknown(name, &paths, &place, book),
            }
        }
        if written.whole.is_none() {
            written.whole = Some(book.add(Origin::Environment, ""));
        }
    }

    fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        let settings = self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        settings.filter(|(name, value)| {
            name.starts_with(PREFIX) && !OUTSIDE.contains(name) && !is_of_kubernetes(name, value)
        })
    }
}

impl FromIterator<(String, String)> for Environment {
    /// Takes variables as they are; those with other names are passed over.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        let values = variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        Self { values, unreadable: Vec::new() }
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// Reads a value as a variable holds it: words as they are, lists with commas, or TOML where that says more.
pub(crate) fn read(kind: Kind, text: &str, place: &Place, book: &mut Notebook) -> Option<Node> {
    if is_toml(kind, text) {
        return read_value(text, place, book);
    }
    let word = |text: &str| Node { value: Value::Text(text.to_owned()), place: place.clone() };
    let value = match kind {
        Kind::Count => text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Count),
        Kind::Ratio => text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Fraction),
        Kind::Flag => text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Flag),
        Kind::Texts if text.trim().is_empty() => Value::List(Vec::new()),
        Kind::Texts => Value::List(text.split(',').map(|part| word(part.trim())).collect()),
        Kind::Allow | Kind::Addresses | Kind::TextOrTexts if text.contains(',') => {
            Value::List(text.split(',').map(|part| word(part.trim())).collect())
        }
        Kind::Text
        | Kind::Url
        | Kind::Address
        | Kind::Addresses
        | Kind::Certificates
        | Kind::Duration
        | Kind::Choice(_)
        | Kind::TextOrTexts
        | Kind::Allow
        | Kind::Headers
        | Kind::Authorization
        | Kind::Roles
        | Kind::Apps
        | Kind::Issuers
        | Kind::Tests => Value::Text(text.to_owned()),
    };
    Some(Node { value, place: place.clone() })
}

fn is_toml(kind: Kind, text: &str) -> bool {
    match kind {
        // An IPv6 address begins like an array, and holds no quotes.
        Kind::Addresses => text.trim_start().starts_with('[') && text.contains(['"', '\'']),
        Kind::Texts | Kind::TextOrTexts | Kind::Certificates => text.trim_start().starts_with('['),
        Kind::Allow
        | Kind::Headers
        | Kind::Authorization
        | Kind::Roles
        | Kind::Apps
        | Kind::Issuers
        | Kind::Tests => text.trim_start().starts_with(['[', '{']),
        Kind::Text
        | Kind::Url
        | Kind::Address
        | Kind::Duration
        | Kind::Count
        | Kind::Ratio
        | Kind::Flag
        | Kind::Choice(_) => false,
    }
}

fn note_unknown(name: &str, paths: &[(String, String)], place: &Place, book: &mut Notebook) {
    let squeezed = |name: &str| name.replace('_', "").to_ascii_uppercase();
    let same =
        paths.iter().map(|(variable, _)| variable.as_str()).find(|known| squeezed(known) == squeezed(name));
    let bare = |variable: &'_ str| variable[PREFIX.len()..].to_owned();
    let known: Vec<String> = paths.iter().map(|(variable, _)| bare(variable)).collect();
    let near = || nearest(&name[PREFIX.len()..], known.iter().map(String::as_str));
    let meant = same.map(bare).or_else(|| near().map(str::to_owned));
    let fix = match meant {
        Some(meant) => format!("did you mean {PREFIX}{meant}?"),
        None => "remove the variable; `foregate config show` lists all settings".to_owned(),
    };
    book.note(place, "this variable is not a setting", fix);
}

/// What Kubernetes tells every container of each Service: `FOREGATE_PORT` and `FOREGATE_SERVICE_HOST` for one
/// called foregate, `FOREGATE_DB_PORT` and so on for its neighbours `foregate-…`.
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let rest = &name[PREFIX.len()..];
    if rest.contains("__") {
        return false;
    }
    let ends_in_port = rest == "PORT" || rest.ends_with("_PORT");
    let of_service = |word: &str| {
        rest == word
            || rest.starts_with(&format!("{word}_"))
            || rest.contains(&format!("_{word}_"))
            || rest.ends_with(&format!("_{word}"))
    };
    let port_of_protocol = rest.match_indices("PORT_").any(|(at, word)| {
        (at == 0 || rest[..at].ends_with('_'))
            && rest[at + word.len()..].starts_with(|c: char| c.is_ascii_digit())
    });
    (ends_in_port && value.contains("://"))
        || port_of_protocol
        || rest.starts_with("SERVICE_")
        || of_service("SERVICE_HOST")
        || of_service("SERVICE_PORT")
}

/// Variables that are ours and no settings.
const OUTSIDE: [&str; 2] = ["FOREGATE_CONFIG", "FOREGATE_LOG"];

#[cfg(test)]
mod tests {
    use super::*;

    fn written(variables: &[(&str, &str)]) -> (Written, Vec<String>) {
        let environment: Environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (mut written, mut book) = (Written::default(), Notebook::default());
        environment.override_in(&mut written, &mut book);
        let findings = book.findings();
        (written, findings.iter().flat_map(|all| all.iter().map(ToString::to_string)).collect())
    }

    #[test]
    fn a_variable_is_read_as_its_setting_wants_it() {
        let (written, findings) = written(&[
            ("FOREGATE_PUBLIC_URL", "https://a"),
            ("FOREGATE_SERVER__LIMITS__CONNECTIONS", "7"),
            ("FOREGATE_SERVER__TRUSTED_PROXIES", "10.0.0.1, 10.1.0.0/16"),
            ("FOREGATE_PROVIDER__SCOPES", "['openid']"),
            ("FOREGATE_PROVIDER__REQUIRE_VERIFIED_EMAIL", "true"),
            ("FOREGATE_PROVIDER__CLIENT_SECRET_FILE", "/x"),
            ("FOREGATE_ALLOW", "group:a,user:b"),
            ("FOREGATE_APPS", "{ \"a.b\" = 'public' }"),
            ("OTHER", "x"),
        ]);
        assert_eq!(findings, Vec::<String>::new());
        let shown: Vec<_> = written
            .settings
            .iter()
            .map(|(path, node)| format!("{path} = {}", node.value.to_toml()))
            .collect();
        assert_eq!(
            shown,
            [
                "allow = [\"group:a\", \"user:b\"]",
                "apps = { \"a.b\" = \"public\" }",
                "provider.client_secret_file = \"/x\"",
                "provider.require_verified_email = true",
                "provider.scopes = [\"openid\"]",
                "public_url = \"https://a\"",
                "server.limits.connections = 7",
                "server.trusted_proxies = [\"10.0.0.1\", \"10.1.0.0/16\"]",
            ]
        );
    }

    #[test]
    fn an_unknown_variable_is_a_finding_and_its_value_stays_out_of_it() {
        for (name, text) in [
            ("FOREGATE_PUBLICURL", "this variable is not a setting; fix: did you mean FOREGATE_PUBLIC_URL?"),
            (
                "FOREGATE_SERVER_LISTEN",
                "this variable is not a setting; fix: did you mean FOREGATE_SERVER__LISTEN?",
            ),
            (
                "FOREGATE_PROVIDER__ISUER",
                "this variable is not a setting; fix: did you mean FOREGATE_PROVIDER__ISSUER?",
            ),
            (
                "FOREGATE_COOKIE_SECRET",
                "this variable is not a setting; fix: remove the variable; `foregate config show` lists all settings",
            ),
            (
                "FOREGATE_PORT",
                "this variable is not a setting; fix: remove the variable; `foregate config show` lists all settings",
            ),
        ] {
            assert_eq!(written(&[(name, "hunter2")]).1, [format!("{name}: {text}")]);
        }
    }

    #[test]
    fn what_others_set_is_passed_over() {
        let (written, findings) = written(&[
            ("FOREGATE_CONFIG", "x"),
            ("FOREGATE_LOG", "x"),
            ("FOREGATE_PORT", "tcp://10.0.0.1:4180"),
            ("FOREGATE_PORT_4180_TCP", "tcp://10.0.0.1:4180"),
            ("FOREGATE_PORT_4180_TCP_ADDR", "10.0.0.1"),
            ("FOREGATE_SERVICE_HOST", "10.0.0.1"),
            ("FOREGATE_SERVICE_PORT", "4180"),
            ("FOREGATE_SERVICE_PORT_HTTP", "4180"),
            ("FOREGATE_ADMIN_SERVICE_HOST", "10.0.0.1"),
            ("FOREGATE_ADMIN_SERVICE_PORT_HTTP", "10.0.0.1"),
            ("FOREGATE_ADMIN_PORT", "tcp://10.0.0.1:4181"),
            ("FOREGATE_ADMIN_PORT_4181_TCP_PROTO", "tcp"),
        ]);
        assert_eq!((written.settings.len(), findings.len()), (0, 0), "{findings:?}");
    }

    #[test]
    fn broken_toml_in_a_variable_is_shown() {
        let (_, findings) = written(&[("FOREGATE_APPS", "{ \"a.b\" = public }")]);
        assert_eq!(
            findings,
            [
                "FOREGATE_APPS: this is not TOML: text without quotes; fix: put it in quotes\n  |\n1 | { \"a.b\" = public }\n  |           ^^^^^^"
            ]
        );
    }
}
