//! `foregate config show`: every setting in force, its value and where it came from. Shows no secret.

use super::followed::Mark;
use super::keys::{Kind, TWIN, Unset, of_tables};
use super::values::Reader;
use super::written::{Node, Value};

/// One setting in force.
#[derive(Clone, Debug)]
pub(super) struct Line {
    name: String,
    value: String,
    origin: String,
    /// What the value is, where it is not shown.
    hidden: Option<Mark>,
}

impl Line {
    /// The path of the setting, or the app or role.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is written.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether another line says the same of the same setting.
    pub(super) fn says_as(&self, other: &Self) -> bool {
        (&self.name, &self.value, self.hidden) == (&other.name, &other.value, other.hidden)
    }
}

/// All settings in the order of their table, each app and each role on a line of its own.
pub(super) fn lines(reader: &Reader) -> Vec<Line> {
    let mut lines = Vec::new();
    for (path, key) in of_tables(&reader.provider_tables()) {
        let twin = reader.written(&format!("{path}{TWIN}")).filter(|_| key.secret);
        match reader.written(&path).or(twin) {
            Some(node) if key.secret => {
                let mut origin = reader.book.whence(&node.place);
                if let (Some(Node { value: Value::Text(file), .. }), None) = (twin, reader.written(&path)) {
                    origin = format!("{origin}, from the file {}", file.escape_debug());
                }
                let hidden = Some(Mark::of(node.value.to_toml().to_string().as_bytes()));
                lines.push(Line { name: path, value: "***".to_owned(), origin, hidden });
            }
            Some(Node { value: Value::Table(named), .. })
                if matches!(key.kind, Kind::Apps | Kind::Issuers | Kind::Roles) =>
            {
                lines.extend(named.iter().map(|entry| Line {
                    name: format!("{path}.{}", quoted(&entry.key)),
                    value: entry.node.value.to_toml().to_string(),
                    origin: reader.book.whence(&entry.key_place),
                    hidden: None,
                }));
            }
            Some(node) => lines.push(Line {
                name: path,
                value: node.value.to_toml().to_string(),
                origin: reader.book.whence(&node.place),
                hidden: None,
            }),
            None => lines.push(Line {
                value: reader.derivation(&path).map_or_else(|| unset(key.kind, key.unset), str::to_owned),
                name: path,
                origin: "default".to_owned(),
                hidden: None,
            }),
        }
    }
    lines
}

/// Three columns, the first two as wide as their contents, within reason.
pub(super) fn table(lines: &[Line]) -> String {
    let width = |text: fn(&Line) -> &String| {
        lines
            .iter()
            .map(|line| text(line).chars().count())
            .filter(|&width| width <= WIDEST)
            .max()
            .unwrap_or_default()
    };
    let (name_width, value_width) = (width(|line| &line.name), width(|line| &line.value));
    let mut text = String::new();
    for line in lines {
        let row = format!("{:name_width$}  {:value_width$}  {}", line.name, line.value, line.origin);
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

fn unset(kind: Kind, unset: Unset) -> String {
    match unset {
        Unset::Value(text) => match kind {
            Kind::Count
            | Kind::Ratio
            | Kind::Flag
            | Kind::Roles
            | Kind::Apps
            | Kind::Issuers
            | Kind::Tests
            | Kind::Certificates => text.to_owned(),
            Kind::Text
            | Kind::Url
            | Kind::Address
            | Kind::Addresses
            | Kind::Duration
            | Kind::Choice(_)
            | Kind::Texts
            | Kind::TextOrTexts
            | Kind::Allow
            | Kind::Headers
            | Kind::Authorization => quoted(text),
        },
        Unset::Words(words) => format!("({words})"),
        Unset::Needed(_) => "(not set)".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    Value::Text(text.to_owned()).to_toml().to_string()
}

/// A longer name or value stands out of its column.
const WIDEST: usize = 60;
