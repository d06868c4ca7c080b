//! The configuration as written: a tree of values, each with its place, read from TOML. Knows the names of
//! settings and no meaning.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue, Error};
use toml::{Spanned, Value as Toml};

use super::findings::{Notebook, Origin, Place, nearest};
use super::keys::{self, Kind};

/// A value and where it stands.
// No `Debug` here: these hold secrets as they were written.
#[derive(Clone)]
pub(crate) struct Node {
    pub value: Value,
    pub place: Place,
}

/// What can be written for a setting.
#[derive(Clone)]
pub(crate) enum Value {
    Text(String),
    Count(u64),
    Fraction(f64),
    Flag(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// Something no setting takes, by its name.
    Odd(&'static str),
}

/// One line of a table.
#[derive(Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub key_place: Place,
    pub node: Node,
}

/// All that was written, by path; nothing in it is unknown.
#[derive(Default)]
pub(crate) struct Written {
    pub settings: BTreeMap<String, Node>,
    /// Where each table begins.
    pub tables: BTreeMap<String, Place>,
    /// What a setting that is missing everywhere is missing from.
    pub whole: Option<Place>,
}

impl Written {
    /// Reads a file's text, and notes all that is unknown in it. `None` if it is not TOML at all.
    pub(crate) fn read(name: &str, text: &str, book: &mut Notebook) -> Option<Self> {
        let whole = book.add(Origin::File(name.to_owned()), text);
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            note_syntax(&whole, text, &errors, book);
            errors.iter().for_each(|error| hide_unsafe_line(&whole, text, error, book));
            return None;
        }
        let mut written = Self { whole: Some(whole.clone()), ..Self::default() };
        written.walk("", &entries(table.get_ref(), &whole), book);
        Some(written)
    }

    fn walk(&mut self, table: &str, entries: &[Entry], book: &mut Notebook) {
        for entry in entries {
            if table == keys::PROVIDERS && !keys::is_provider_name(&entry.key) {
                note_name(entry, book);
                continue;
            }
            let path = if table.is_empty() { entry.key.clone() } else { format!("{table}.{}", entry.key) };
            let plain = !entry.key.is_empty() && !entry.key.contains('.');
            if let Some(key) = keys::find(&path).filter(|_| plain) {
                if key.secret {
                    book.hide(&entry.node.place);
                }
                self.settings.insert(path, entry.node.clone());
            } else if plain && keys::secret_of(&path).is_some() {
                self.settings.insert(path, entry.node.clone());
            } else if plain && keys::is_table(&path) {
                match &entry.node.value {
                    Value::Table(inner) => {
                        self.tables.insert(path.clone(), entry.key_place.clone());
                        self.walk(&path, inner, book);
                        if path == keys::PROVIDERS && inner.is_empty() {
                            book.note(&entry.key_place, "`providers` names no provider", NO_PROVIDER);
                        }
                    }
                    Value::Text(_)
                    | Value::Count(_)
                    | Value::Flag(_)
                    | Value::List(_)
                    | Value::Fraction(_)
                    | Value::Odd(_) => {
                        book.hide(&entry.node.place);
                        let named = [table, &path].contains(&keys::PROVIDERS);
                        let line = if named { "providers.NAME" } else { &path };
                        let fix = format!("write `[{line}]` on a line of its own, and its settings below it");
                        book.note(&entry.key_place, format!("`{path}` is a table, not a value"), fix);
                    }
                }
            } else {
                book.hide(&entry.node.place);
                note_unknown(table, &path, entry, book);
            }
        }
    }
}

impl Value {
    /// What it is, for a finding.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Count(_) => "a number",
            Self::Fraction(_) => "a number with a fraction",
            Self::Flag(_) => "true or false",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
            Self::Odd(name) => name,
        }
    }

    /// How many values it holds, if it is an array.
    pub(crate) fn length(&self) -> usize {
        if let Self::List(list) = self { list.len() } else { 0 }
    }

    /// The value as TOML writes it on one line.
    pub(crate) fn to_toml(&self) -> Toml {
        match self {
            Self::Text(text) => Toml::String(text.clone()),
            Self::Count(number) => Toml::Integer(i64::try_from(*number).unwrap_or(i64::MAX)),
            Self::Fraction(number) => Toml::Float(*number),
            Self::Flag(flag) => Toml::Boolean(*flag),
            Self::List(list) => Toml::Array(list.iter().map(|node| node.value.to_toml()).collect()),
            Self::Table(table) => Toml::Table(
                table.iter().map(|entry| (entry.key.clone(), entry.node.value.to_toml())).collect(),
            ),
            Self::Odd(name) => Toml::String((*name).to_owned()),
        }
    }
}

/// Reads a single TOML value, such as a variable may hold for the settings that are more than a word.
pub(crate) fn read_value(text: &str, whole: &Place, book: &mut Notebook) -> Option<Node> {
    match DeValue::parse(text) {
        Ok(value) => Some(node(&value, whole)),
        Err(error) => {
            note_syntax(whole, text, std::slice::from_ref(&error), book);
            None
        }
    }
}

/// The entries of a table in the order of the text.
fn entries(table: &DeTable<'_>, whole: &Place) -> Vec<Entry> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
        .into_iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().clone().into_owned(),
            key_place: whole.part(key.span()),
            node: node(value, whole),
        })
        .collect()
}

fn node(value: &Spanned<DeValue<'_>>, whole: &Place) -> Node {
    let read = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|&number| i64::try_from(number).is_ok())
            .map_or(Value::Odd("a number out of range"), Value::Count),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Array(list) => Value::List(list.iter().map(|value| node(value, whole)).collect()),
        DeValue::Table(table) => Value::Table(entries(table, whole)),
        DeValue::Float(number) => {
            number.as_str().parse().map_or(Value::Odd("a number with a fraction"), Value::Fraction)
        }
        DeValue::Datetime(_) => Value::Odd("a date or time"),
    };
    Node { value: read, place: whole.part(value.span()) }
}

fn note_name(entry: &Entry, book: &mut Notebook) {
    book.hide(&entry.node.place);
    let problem = format!("`{}` is not a name for a provider", entry.key);
    let fix = "write up to 40 small letters and digits, with single dashes between them";
    book.note(&entry.key_place, problem, fix);
}

fn note_unknown(table: &str, path: &str, entry: &Entry, book: &mut Notebook) {
    let place = &entry.key_place;
    let problem = match table {
        "" => format!("`{path}` is not a setting"),
        table => format!("`{}` is not a setting of [{table}]", entry.key),
    };
    book.note(place, problem, suggestion(table, &entry.key));
}

/// What to write instead of a name that is not known in a table.
fn suggestion(table: &str, name: &str) -> String {
    let (known, told): (Vec<String>, _) = (keys::paths().collect(), keys::told_as(table));
    let leaf = |path: &'_ str| keys::split(path).1.to_owned();
    let here: Vec<String> = known
        .iter()
        .filter(|path| keys::split(path).0 == told)
        .map(|path| leaf(path))
        .chain(tables_below(&told))
        .collect();
    if table.is_empty() && (keys::find(name).is_some() || keys::secret_of(name).is_some()) {
        return "take the quotes away".to_owned();
    }
    if let Some(meant) = nearest(name, here.iter().map(String::as_str)) {
        return format!("did you mean `{meant}`?");
    }
    if let Some(path) = known.iter().find(|path| leaf(path) == name) {
        return match keys::split(path).0 {
            "" => format!("move `{name}` up, before the first line with a [table]"),
            other => format!("move `{name}` below a line [{other}]"),
        };
    }
    if name.contains('.') {
        return format!("an app belongs below a line [apps], as \"{name}\" = \"signed-in\"");
    }
    let (article, at) = if table.is_empty() { ("settings here", "") } else { ("settings of ", table) };
    format!("remove it; {article}{at} are {}", here.join(", "))
}

fn tables_below(table: &str) -> impl Iterator<Item = String> {
    let mut names: Vec<String> = keys::KEYS
        .iter()
        .filter_map(|key| {
            let rest = if table.is_empty() {
                key.table()
            } else {
                key.table().strip_prefix(table)?.strip_prefix('.')?
            };
            rest.split('.').next().filter(|name| !name.is_empty()).map(str::to_owned)
        })
        .collect();
    names.dedup();
    let several = (table.is_empty()).then(|| keys::PROVIDERS.to_owned());
    names.into_iter().chain(several)
}

/// Notes the first few syntax errors, one for a line: those behind them mostly follow from them.
fn note_syntax(whole: &Place, text: &str, errors: &[Error], book: &mut Notebook) {
    let mut sorted: Vec<_> =
        errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    sorted.sort_by_key(|(span, _)| span.start);
    let line_of = |offset: usize| text.get(..offset).map_or(0, |before| before.matches('\n').count());
    sorted.dedup_by_key(|(span, _)| line_of(span.start));
    for (span, message) in sorted.into_iter().take(MOST_SYNTAX_ERRORS) {
        let (problem, fix) = in_words(message);
        book.note(&whole.part(span), format!("this is not TOML: {problem}"), fix);
    }
}

/// What is wrong and what to do, where the parser's own words would not help; it takes `nobody` for a broken `nan`.
fn in_words(message: &str) -> (&str, String) {
    let problem = message.split(", expected ").next().unwrap_or(message);
    match problem {
        "string values must be quoted" | "invalid float" => {
            ("text without quotes", "put it in quotes".to_owned())
        }
        "invalid boolean" => (problem, "write true or false, or put it in quotes".to_owned()),
        "duplicate key" => (problem, "keep one of the two".to_owned()),
        _ => match message.split_once(", expected ") {
            Some((_, wanted)) => (problem, format!("TOML wants {wanted} here")),
            None => (problem, "correct the TOML".to_owned()),
        },
    }
}

/// Hides the line of a syntax error unless it is surely no part of a secret: a broken text has no values yet.
fn hide_unsafe_line(whole: &Place, text: &str, error: &Error, book: &mut Notebook) {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    let line = &text[start..end];
    if may_be_shown(line) {
        return;
    }
    let name_ends = line.find('=').filter(|&at| is_bare_name(line[..at].trim())).map_or(0, |at| at + 1);
    book.hide(&whole.part(start + name_ends..end));
}

fn may_be_shown(line: &str) -> bool {
    let line = line.trim();
    if line.contains('@') || keys::KEYS.iter().any(|key| key.secret && line.contains(key.leaf())) {
        return false;
    }
    if let Some(header) = line.strip_prefix('[') {
        let name = header.trim_start_matches('[').split(['.', ']']).next().unwrap_or_default();
        return name == "apps" || keys::is_table(name);
    }
    let Some((name, _)) = line.split_once('=') else { return false };
    let name = name.trim();
    // A key of apps that is also the name of a table: what stands on its line may be all of that table.
    if keys::is_table(name) {
        return false;
    }
    let host = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    host.is_some_and(|host| host.contains('.') && !host.contains('"'))
        || keys::KEYS.iter().any(|key| key.leaf() == name && !matches!(key.kind, Kind::Apps | Kind::Issuers))
        || keys::app_keys().chain(keys::rule_keys()).any(|known| known == name)
}

fn is_bare_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() < LONGEST_NAME
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

const NO_PROVIDER: &str = "remove it, or write a table such as [providers.work] for each provider";
/// More than these of one file would only follow from the first.
const MOST_SYNTAX_ERRORS: usize = 3;
/// Longer than any name of a setting, shorter than a key.
const LONGEST_NAME: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut book = Notebook::default();
        Written::read("f", text, &mut book);
        let findings = book.findings();
        findings
            .iter()
            .flat_map(|all| all.iter().map(|one| format!("{}: {}; {}", one.place, one.problem, one.fix)))
            .collect()
    }

    #[test]
    fn what_is_unknown_is_named_with_the_way_out() {
        for (text, wanted) in [
            ("pubic_url = 'x'", "f:1:1: `pubic_url` is not a setting; did you mean `public_url`?"),
            (
                "[provider]\nisuer = 'x'",
                "f:2:1: `isuer` is not a setting of [provider]; did you mean `issuer`?",
            ),
            ("issuer = 'x'", "f:1:1: `issuer` is not a setting; move `issuer` below a line [provider]"),
            (
                "[server]\nallow = 'x'",
                "f:2:1: `allow` is not a setting of [server]; move `allow` up, before the first line with a [table]",
            ),
            ("[sever]\nlisten = 'x'", "f:1:2: `sever` is not a setting; did you mean `server`?"),
            (
                "server = 5",
                "f:1:1: `server` is a table, not a value; write `[server]` on a line of its own, and its settings below it",
            ),
            (
                "[server]\nlimit.connections = 5",
                "f:2:1: `limit` is not a setting of [server]; did you mean `limits`?",
            ),
            (
                "[session]\nstore_files = 'x'",
                "f:2:1: `store_files` is not a setting of [session]; did you mean `store_file`?",
            ),
            (
                "\"wiki.example.com\" = 'x'",
                "f:1:1: `wiki.example.com` is not a setting; an app belongs below a line [apps], as \"wiki.example.com\" = \"signed-in\"",
            ),
            (
                "[server.limits]\nbananas = 5",
                "f:2:1: `bananas` is not a setting of [server.limits]; remove it; settings of server.limits are head_timeout, idle_timeout, send_timeout, tunnel_idle_timeout, connections, sign_ins_per_minute, sign_ins_per_minute_total, callbacks_per_minute, callbacks_per_minute_total, codes_per_minute, codes_per_minute_total, tokens_per_minute, tokens_per_minute_total, emergency_per_minute, emergency_per_minute_total",
            ),
            (
                "[emergency]\nuser = 'x'",
                "f:2:1: `user` is not a setting of [emergency]; did you mean `users`?",
            ),
            ("\"server.listen\" = 'x'", "f:1:1: `server.listen` is not a setting; take the quotes away"),
            (
                "\"\" = 5",
                "f:1:1: `` is not a setting; remove it; settings here are public_url, allow, compat, headers, assertion, roles, apps, tests, server, session, provider, bearer, tokens, emergency, canary, tenants, audit, access_log, traces, providers",
            ),
            (
                "[audit]\nfile = '/x'",
                "f:2:1: `file` is not a setting of [audit]; remove it; settings of audit are output",
            ),
        ] {
            assert_eq!(problems(text), [wanted], "{text}");
        }
    }

    #[test]
    fn broken_toml_is_told_where_and_how() {
        for (text, wanted) in [
            ("allow = nobody", "f:1:9: this is not TOML: text without quotes; put it in quotes"),
            ("drain = 30s", "f:1:9: this is not TOML: text without quotes; put it in quotes"),
            ("a = tru", "f:1:5: this is not TOML: invalid boolean; write true or false, or put it in quotes"),
            ("allow = 'a'\nallow = 'b'", "f:2:1: this is not TOML: duplicate key; keep one of the two"),
        ] {
            assert_eq!(problems(text), [wanted], "{text}");
        }
        assert_eq!(problems("a = [1\nb = [1\nc = [1\nd = [1\ne = [1\n").len(), MOST_SYNTAX_ERRORS);
    }

    #[test]
    fn a_broken_line_never_shows_a_secret() {
        for text in [
            "client_secret = hunter2",
            "client_secret = \"hunter2",
            "client_secret = \"hunter2\" x",
            "client_secrt = hunter2",
            "provider = { client_secrt = \"hunter2\", }, x",
            "providers = { a = { client_secrt = \"hunter2\" } } x",
            "[providers.a]\nclient_secret = hunter2",
            "keys = [\n  \"hunter2=\"\n  \"hunter2=\"\n]",
            "keys = [\n  hunter2=\n]",
            "keys = [\n[\"hunter2\" x\n",
            "client_secret = '''\nhunter2\n''' hunter2",
            "store = 'postgres://u:hunter2@h/d",
            "public_url = 'https://u:hunter2@h",
        ] {
            let mut book = Notebook::default();
            assert!(Written::read("f", text, &mut book).is_none(), "{text}");
            let shown = book.findings().unwrap().to_string();
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let mut book = Notebook::default();
        Written::read("f", "[apps]\n\"wiki.example.com\" = [\"user:bob\"", &mut book);
        assert!(book.findings().unwrap().to_string().contains("user:bob"));
    }
}
