//! Single settings as their modules want them: lengths of time, addresses, URLs. Knows no setting's meaning.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use url::{Host, Url};

use super::environment::read;
use super::findings::{Notebook, Origin, Place};
use super::keys::{self, Unset};
use super::written::{Node, Value, Written};
use crate::wording::parse_duration;

/// Reads settings by their paths, and notes what is missing or unusable. Nothing comes out of it unchecked.
pub(crate) struct Reader {
    pub(crate) book: Notebook,
    written: Written,
    /// What each setting that was asked for came to, in words of its own where it was derived.
    asked: BTreeMap<String, Option<String>>,
}

/// A value that has been read, and where it stands.
#[derive(Clone)]
pub(crate) struct Read<T> {
    pub value: T,
    pub place: Place,
}

/// Where http will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    /// Between processes of one machine.
    OnLoopback,
    /// On a network that the operator answers for.
    Anywhere,
}

impl Reader {
    pub(crate) fn new(written: Written, book: Notebook) -> Self {
        Self { book, written, asked: BTreeMap::new() }
    }

    /// What is written for a setting, or holds by default; a setting that must be written and is not is noted.
    pub(crate) fn node(&mut self, path: &str) -> Option<Node> {
        let Some(key) = keys::find(path) else {
            debug_assert!(false, "{path} is not in the table of settings");
            return None;
        };
        self.asked.entry(path.to_owned()).or_default();
        if let Some(node) = self.written.settings.get(path) {
            return Some(node.clone());
        }
        match key.unset {
            Unset::Value(text) => {
                let place = self.book.add(Origin::Default, text);
                read(key.kind, text, &place, &mut self.book)
            }
            Unset::Words(_) => None,
            Unset::Needed(example) => {
                self.note_missing(path, example);
                None
            }
        }
    }

    /// What stands in the file or the environment, a secret's file included.
    pub(crate) fn written(&self, path: &str) -> Option<&Node> {
        self.written.settings.get(path)
    }

    /// Whether a setting is written at all, by itself or as a file.
    pub(crate) fn is_written(&self, path: &str) -> bool {
        self.written(path).is_some() || self.written(&format!("{path}{}", keys::TWIN)).is_some()
    }

    /// Remembers that a setting was asked for, by the file its twin names.
    pub(crate) fn used(&mut self, path: &str) {
        self.asked.entry(path.to_owned()).or_default();
    }

    /// Remembers what a setting that nobody wrote came to, for showing.
    pub(crate) fn derived(&mut self, path: &str, words: String) {
        self.asked.insert(path.to_owned(), Some(words));
    }

    /// What a setting that nobody wrote came to.
    pub(crate) fn derivation(&self, path: &str) -> Option<&str> {
        self.asked.get(path)?.as_deref()
    }

    /// The tables of providers in the order of the text. Where there is none at all, it is the one without a name.
    pub(crate) fn provider_tables(&self) -> Vec<String> {
        let paths = || self.written.settings.keys().chain(self.written.tables.keys());
        let named = paths().filter_map(|path| keys::provider_name(path));
        let mut found: Vec<String> = named.map(|name| format!("{}.{name}", keys::PROVIDERS)).collect();
        let is_plain = |path: &String| path.split('.').next() == Some(keys::PROVIDER);
        let none = found.is_empty() && !self.written.tables.contains_key(keys::PROVIDERS);
        if none || paths().any(is_plain) {
            found.push(keys::PROVIDER.to_owned());
        }
        found.sort_unstable();
        found.dedup();
        found.sort_by_key(|table| self.place_of_table(table).map(|place| place.order()));
        found
    }

    /// Where a table begins, else where anything in it is written.
    pub(crate) fn place_of_table(&self, table: &str) -> Option<Place> {
        let below = |path: &str| path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
        let within =
            || self.written.settings.iter().find(|(path, _)| below(path)).map(|(_, node)| &node.place);
        self.written.tables.get(table).or_else(within).or(self.written.whole.as_ref()).cloned()
    }

    /// Whether anything of a table is written.
    pub(crate) fn has_table(&self, table: &str) -> bool {
        let below = |path: &String| path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
        self.written.tables.contains_key(table) || self.written.settings.keys().any(below)
    }

    /// Notes what is wrong with the configuration as a whole.
    pub(crate) fn note_for_whole(&mut self, problem: &str, fix: &str) {
        if let Some(place) = self.written.whole.clone() {
            self.book.note(&place, problem, fix);
        }
    }

    /// Everything that was asked for, with what it was derived to be.
    pub(crate) fn into_parts(self) -> (Notebook, Written, BTreeMap<String, Option<String>>) {
        (self.book, self.written, self.asked)
    }

    pub(crate) fn text(&mut self, path: &str) -> Option<Read<String>> {
        let node = self.node(path)?;
        self.text_of(path, &node)
    }

    /// A text that is not empty and holds no control characters.
    pub(crate) fn text_of(&mut self, name: &str, node: &Node) -> Option<Read<String>> {
        let place = node.place.clone();
        let Value::Text(text) = &node.value else {
            self.wrong_kind(name, node, "text in quotes");
            return None;
        };
        if text.trim().is_empty() {
            self.book.note(&place, format!("`{name}` is empty"), "write a value, or remove it");
            return None;
        }
        if text.contains(char::is_control) || text.trim() != text {
            let problem = format!("`{name}` begins or ends with white space, or holds control characters");
            self.book.note(&place, problem, "remove them");
            return None;
        }
        Some(Read { value: text.clone(), place })
    }

    pub(crate) fn texts(&mut self, path: &str) -> Option<Vec<Read<String>>> {
        let node = self.node(path)?;
        self.texts_of(path, &node)
    }

    pub(crate) fn texts_of(&mut self, name: &str, node: &Node) -> Option<Vec<Read<String>>> {
        let Value::List(list) = &node.value else {
            self.wrong_kind(name, node, "an array of texts, such as [\"…\"]");
            return None;
        };
        let texts: Vec<_> = list.iter().map(|node| self.text_of(name, node)).collect();
        texts.into_iter().collect()
    }

    /// A number from 0 to 1.
    pub(crate) fn ratio(&mut self, path: &str) -> Option<f64> {
        let node = self.node(path)?;
        let number = match &node.value {
            Value::Count(0) => Some(0.0),
            Value::Count(1) => Some(1.0),
            Value::Fraction(number) => Some(*number).filter(|number| (0.0..=1.0).contains(number)),
            Value::Count(_)
            | Value::Text(_)
            | Value::Flag(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Odd(_) => None,
        };
        if number.is_none() {
            let problem = format!("`{path}` is not a number from 0 to 1");
            self.book.note(&node.place, problem, "write such as 0.1");
        }
        number
    }

    pub(crate) fn count(&mut self, path: &str) -> Option<usize> {
        let node = self.node(path)?;
        let number = match &node.value {
            Value::Count(number) => usize::try_from(*number).ok().filter(|&number| number > 0),
            Value::Text(_)
            | Value::Flag(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Fraction(_)
            | Value::Odd(_) => None,
        };
        if number.is_none() {
            self.wrong_kind(path, &node, "a whole number, at least 1");
        }
        number
    }

    pub(crate) fn flag(&mut self, path: &str) -> Option<bool> {
        let node = self.node(path)?;
        let Value::Flag(flag) = &node.value else {
            self.wrong_kind(path, &node, "true or false");
            return None;
        };
        Some(*flag)
    }

    /// A length of time that is longer than `least`, which is given where none at all would make no sense.
    pub(crate) fn duration(&mut self, path: &str, least: Duration) -> Option<Read<Duration>> {
        let Read { value: text, place } = self.text(path)?;
        match parse_duration(&text) {
            Some(value) if value >= least => Some(Read { value, place }),
            Some(_) => {
                self.book.note(&place, format!("`{path}` is too short"), format!("write {least:?} or more"));
                None
            }
            None => {
                let problem = format!("`{path}` is not a length of time up to ten years");
                self.book.note(
                    &place,
                    problem,
                    "write a number with s, m, h, d or w, such as 30s, 12h or 1h30m",
                );
                None
            }
        }
    }

    pub(crate) fn address(&mut self, path: &str) -> Option<Read<SocketAddr>> {
        let text = self.text(path)?;
        self.address_of(path, text)
    }

    /// An IP address and a port.
    pub(crate) fn address_of(&mut self, name: &str, text: Read<String>) -> Option<Read<SocketAddr>> {
        let Read { value: text, place } = text;
        if let Ok(value) = text.parse() {
            return Some(Read { value, place });
        }
        let fix = match text.rsplit_once(':') {
            Some(("", port)) => format!("write 0.0.0.0:{port} for every address, or 127.0.0.1:{port}"),
            Some(("localhost", port)) => format!("write 127.0.0.1:{port}"),
            Some(_) | None => {
                "write an IP address and a port, such as 127.0.0.1:4180 or [::]:4180".to_owned()
            }
        };
        self.book.note(&place, format!("`{name}` is not an address to listen on"), fix);
        None
    }

    /// A URL that is https, or http where that may be, without user info, query and fragment.
    pub(crate) fn url(&mut self, path: &str, http: Http) -> Option<Read<Url>> {
        let node = self.node(path)?;
        self.url_of(path, &node, http)
    }

    pub(crate) fn url_of(&mut self, path: &str, node: &Node, http: Http) -> Option<Read<Url>> {
        let Read { value: text, place } = self.text_of(path, node)?;
        let (problem, fix) = match Url::parse(&text) {
            Ok(url) => match url_problem(&url, &text, http) {
                None => return Some(Read { value: url, place }),
                Some(found) => found,
            },
            Err(_) => ("is not a URL", "write one such as https://auth.example.com"),
        };
        if text.contains('@') {
            self.book.hide(&place);
        }
        self.book.note(&place, format!("`{path}` {problem}"), fix);
        None
    }

    fn wrong_kind(&mut self, name: &str, node: &Node, wanted: &str) {
        let found = match &node.value {
            Value::Count(0) => "0",
            value @ (Value::Text(_)
            | Value::Count(_)
            | Value::Flag(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Fraction(_)
            | Value::Odd(_)) => value.kind(),
        };
        self.book.note(&node.place, format!("`{name}` is {found}"), format!("write {wanted}"));
    }

    fn note_missing(&mut self, path: &str, example: &str) {
        let (table, leaf) = keys::split(path);
        let at = if table.is_empty() { "at the top".to_owned() } else { format!("below [{table}]") };
        let fix = format!("write {leaf} = \"{example}\" {at}, or set {}", keys::variable(path));
        self.note_absent(path, &fix);
    }

    /// Notes that a setting is missing, at the head of the table it belongs in.
    pub(crate) fn note_absent(&mut self, path: &str, fix: &str) {
        let place = self.written.tables.get(keys::split(path).0).or(self.written.whole.as_ref());
        if let Some(place) = place.cloned() {
            self.book.note(&place, format!("`{path}` is not set"), fix);
        }
    }
}

fn url_problem(url: &Url, text: &str, http: Http) -> Option<(&'static str, &'static str)> {
    if text.contains(char::is_whitespace) || text.contains('\\') {
        return Some(("holds white space or `\\`", "remove it"));
    }
    // The parser also takes `https:example.com` and `https:///example.com`, which are slips.
    if !text.contains("://") || text.contains(":///") {
        return Some(("is not a URL", "write one such as https://auth.example.com"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some(("holds a user name or password", "remove everything up to the @"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Some(("has a query or a fragment", "remove everything from the ? or # on"));
    }
    if url.host_str().is_none_or(|host| host.is_empty() || host.ends_with('.')) {
        return Some((
            "has no host, or one that ends in a dot",
            "write one such as https://auth.example.com",
        ));
    }
    if url.port() == Some(0) || url.host_str().is_some_and(|host| host.contains('*')) {
        return Some((
            "names no one place: a port is not 0, and a host has no `*`",
            "write one such as https://auth.example.com",
        ));
    }
    match url.scheme() {
        "https" => None,
        "http" if http == Http::Anywhere || is_loopback(url) => None,
        "http" => Some(("is http, which is for localhost only", "write https://")),
        _ => Some(("is neither https nor http", "write https://")),
    }
}

/// Whether a URL leads to this machine by its name alone: localhost, `*.localhost`, 127.0.0.0/8 and `[::1]`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, here) in [
            ("http://localhost:1", true),
            ("http://a.b.localhost", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:1", true),
            ("http://localhost.example.com", false),
            ("http://notlocalhost", false),
            ("http://127.0.0.1.example.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), here, "{url}");
        }
    }
}
