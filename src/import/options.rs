//! Settings of products that take them from flags, variables and a flat file alike. Knows no product: each brings its list
//! of options.

use std::collections::HashMap;

use super::ImportError;
use super::plan::Plan;
use super::tree::Value;
use super::words::is_on;

/// One option of a product.
pub(super) struct Known {
    /// As its flag is called, without dashes in front.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) meaning: Meaning,
}

/// What stands behind an option.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// On or off; a flag alone is on.
    Flag,
    /// Text; of several the last counts.
    One,
    /// Any number of texts, also with commas between them.
    Many,
    /// Any number of texts in which commas are commas.
    Whole,
}

impl Kind {
    /// Whether these values are the same as none. Text may be `off`, which is then a name, and a list of an empty text is a
    /// list.
    fn is_off(self, values: &[String]) -> bool {
        match self {
            Self::Flag => values.iter().all(|value| is_on(value) == Some(false)),
            Self::One => values.iter().all(String::is_empty),
            Self::Many | Self::Whole => values.is_empty(),
        }
    }
}

/// What becomes of an option that no code looks at.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// Code looks at it.
    Read,
    /// Nothing is needed for it, and why.
    Needless(&'static str),
    /// It goes, and nobody gets in by that.
    Lost(&'static str),
    /// It keeps somebody out, and foregate has no words for it.
    Restricts(&'static str),
}

/// An option as it was set.
#[derive(Clone, Debug)]
struct Set {
    /// How many were set before it.
    at: usize,
    name: String,
    /// As it was written.
    key: String,
    values: Vec<String>,
}

/// All options that were set, the stronger sources later.
pub(super) struct Options {
    known: &'static [Known],
    set: HashMap<String, Set>,
    /// Keys of variables that are there and empty.
    empty: Vec<String>,
    /// How many were set, also those that were set anew.
    count: usize,
}

impl Options {
    pub(super) fn new(known: &'static [Known]) -> Self {
        Self { known, set: HashMap::new(), empty: Vec::new(), count: 0 }
    }

    /// Takes an option from a file or a variable. Names may have `_` for `-` and an `s` at their end.
    pub(super) fn put(&mut self, key: &str, value: &Value) {
        let name = self.canonical(key);
        let values = value
            .items()
            .iter()
            .map(|item| item.text().map_or_else(|| UNREADABLE.to_owned(), str::to_owned))
            .collect();
        self.set(name, key.to_owned(), values);
    }

    /// Takes a variable that is empty, where that is as none: what another source says goes on counting.
    pub(super) fn put_empty(&mut self, key: &str) {
        self.empty.push(key.to_owned());
    }

    /// Takes flags as a Go program does.
    pub(super) fn put_flags(&mut self, flags: &[String]) -> Result<(), ImportError> {
        let mut rest = flags.iter();
        while let Some(flag) = rest.next() {
            let bare = flag.trim_start_matches('-');
            if bare.len() == flag.len() || bare.is_empty() {
                return Err(ImportError::Wish(format!("`{flag}` is no flag")));
            }
            let (name, value) =
                bare.split_once('=').map_or((bare, None), |(name, value)| (name, Some(value.to_owned())));
            let is_flag = self.find(&self.canonical(name)).is_some_and(|known| known.kind == Kind::Flag);
            let value = match value {
                Some(value) => value,
                None if is_flag => "true".to_owned(),
                None => rest.next().cloned().unwrap_or_default(),
            };
            // Of a flag that is given twice both count, as the file's do not beside it.
            let key = format!("--{name}");
            let name = self.canonical(name);
            match self.set.get_mut(&name).filter(|set| set.key == key) {
                Some(set) => set.values.push(value),
                None => self.set(name, key, vec![value]),
            }
        }
        Ok(())
    }

    fn set(&mut self, name: String, key: String, values: Vec<String>) {
        self.count += 1;
        self.set.insert(name.clone(), Set { at: self.count, name, key, values });
    }

    /// In the order in which they were set.
    fn in_order(&self) -> Vec<&Set> {
        let mut all: Vec<&Set> = self.set.values().collect();
        all.sort_by_key(|set| set.at);
        all
    }

    fn canonical(&self, key: &str) -> String {
        let name = key.to_ascii_lowercase().replace('_', "-");
        let one = name.strip_suffix('s').filter(|one| self.find(&name).is_none() && self.find(one).is_some());
        one.unwrap_or(&name).to_owned()
    }

    fn find(&self, name: &str) -> Option<&'static Known> {
        self.known.iter().find(|known| known.name == name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.empty.is_empty()
    }

    /// Closes all for a configuration file that is named by an option and was not given.
    pub(super) fn without_its_file(&self, name: &str, plan: &mut Plan) {
        if let Some(set) = self.set.get(name) {
            plan.close(&set.key, "its file is not among those that are read here: import that file");
        }
    }

    /// As the option was written, if it was set.
    pub(super) fn key(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(|set| set.key.as_str())
    }

    /// The values of an option, none of them empty.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let Some(set) = self.set.get(name) else { return Vec::new() };
        let kind = self.find(name).map(|known| known.kind);
        let parts = set.values.iter().flat_map(|value| match kind {
            Some(Kind::Many) => value.split(',').map(str::trim).collect(),
            // A blank in an expression is one.
            Some(Kind::Whole) => vec![value.as_str()],
            Some(Kind::Flag | Kind::One) | None => vec![value.trim()],
        });
        parts.filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    /// The values of an option that lists something, without the empty ones; nothing if it was not set. One that has empty ones
    /// alone lists nobody, which is not the same.
    pub(super) fn given(&self, name: &str) -> Option<Vec<String>> {
        self.set.get(name).filter(|set| !set.values.is_empty()).map(|_| self.all(name))
    }

    /// The text of an option.
    pub(super) fn one(&self, name: &str) -> Option<String> {
        self.all(name).pop()
    }

    /// Whether an option is on; what cannot be read as on or off is neither.
    pub(super) fn on(&self, name: &str) -> Option<bool> {
        self.one(name).and_then(|value| is_on(&value))
    }

    /// Takes an option away that says no more than its default, with its key.
    pub(super) fn forget(&mut self, name: &str, default: &str) -> Option<String> {
        let says_no_more = self.set.get(name)?.values.iter().all(|value| value == default);
        if says_no_more { self.set.remove(name).map(|set| set.key) } else { None }
    }

    /// The names that begin so, with what is behind that, and their values.
    pub(super) fn below(&self, start: &str) -> Vec<(String, String, Vec<String>)> {
        let of = |set: &Set| {
            set.name.strip_prefix(start).map(|rest| (rest.to_owned(), set.key.clone(), set.values.clone()))
        };
        self.in_order().into_iter().filter_map(of).collect()
    }

    /// Tells what became of all options that no code looks at. What is not known may restrict.
    pub(super) fn tell(&self, plan: &mut Plan, read: impl Fn(&str) -> bool) {
        self.empty.iter().for_each(|key| plan.needless(key, "an empty variable is as none"));
        for set in self.in_order() {
            let unread = set.values.iter().any(|value| value == UNREADABLE || value.contains("${"));
            let known = self.find(&set.name);
            let off = known.is_some_and(|known| known.kind.is_off(&set.values));
            match known.map(|known| known.meaning) {
                Some(Meaning::Needless(why)) => plan.needless(&set.key, why),
                Some(Meaning::Lost(_) | Meaning::Restricts(_)) if off => plan.needless(&set.key, "it is off"),
                Some(Meaning::Lost(why)) => plan.lost(&set.key, why),
                Some(Meaning::Restricts(why)) => plan.close(&set.key, why),
                Some(Meaning::Read) if unread && set.name.ends_with("client-secret") => {
                    plan.lost(&set.key, "its value is not here: put it into provider.client_secret_file");
                }
                Some(Meaning::Read) if unread => plan.close(&set.key, "its value cannot be read here"),
                Some(Meaning::Read) => {}
                None if read(&set.name) && unread => plan.close(&set.key, "its value cannot be read here"),
                None if read(&set.name) => {}
                None => plan.close(&set.key, "it is not known, and may keep somebody out"),
            }
        }
    }
}

/// Lines `NAME=VALUE`, as files for variables have them; with a name that begins so, which is taken off.
pub(super) fn variables(text: &str, prefix: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("export "));
    lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .filter_map(|(name, value)| {
            Some((name.trim().strip_prefix(prefix)?.to_owned(), unquoted(value.trim()).to_owned()))
        })
        .collect()
}

/// Without quotes around it.
pub(super) fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// Stands for a value that is no text.
const UNREADABLE: &str = "\u{0}";
