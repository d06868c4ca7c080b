//! What configurations of other products are made of: texts, lists and maps, read from YAML, JSON and TOML. Knows no
//! product.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::ImportError;

/// A part of a configuration. Numbers and flags are the text that stands for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing, as `~` or nothing at all behind a key.
    Null,
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    /// A YAML tag of the product's own, such as `!Find`, and what it stands at.
    Tagged(String, Box<Self>),
}

impl Value {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::List(_) | Self::Map(_) | Self::Tagged(..) => None,
        }
    }

    /// The entries, if it is a map.
    pub(super) fn map(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Map(entries) => Some(entries),
            Self::Null | Self::Text(_) | Self::List(_) | Self::Tagged(..) => None,
        }
    }

    /// What stands at a key of a map.
    pub(super) fn at(&self, key: &str) -> Option<&Self> {
        self.map()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// A list as it is, nothing as an empty one, and everything else as a list of one.
    pub(super) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            Self::Null => &[],
            Self::Text(_) | Self::Map(_) | Self::Tagged(..) => std::slice::from_ref(self),
        }
    }

    /// The texts of a list or the one text; `None` if something else is among them.
    pub(super) fn texts(&self) -> Option<Vec<&str>> {
        self.items().iter().map(Self::text).collect()
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            Self::Tagged(..) => false,
        }
    }
}

/// Reads every document of a YAML file; JSON is YAML.
///
/// # Errors
/// [`ImportError::Unreadable`] for what is no YAML, has keys that are no text or stand there twice, or is too large.
pub(super) fn read_yaml(name: &str, text: &str) -> Result<Vec<Value>, ImportError> {
    let unreadable = |problem: String| ImportError::Unreadable { name: name.to_owned(), problem };
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| unreadable(error.to_string()))?;
        let line = span.start.line();
        reader.take(event).map_err(|problem| unreadable(format!("line {line}: {problem}")))?;
    }
    Ok(reader.documents)
}

/// Reads a TOML file.
///
/// # Errors
/// [`ImportError::Unreadable`] for what is no TOML.
pub(super) fn read_toml(name: &str, text: &str) -> Result<Vec<(String, Value)>, ImportError> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        // Not the excerpt, which may hold a secret.
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        ImportError::Unreadable {
            name: name.to_owned(),
            problem: format!("line {line}: {}", error.message()),
        }
    })?;
    Ok(table.into_iter().map(|(key, value)| (key, from_toml(value))).collect())
}

fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::Text(text),
        toml::Value::Array(items) => Value::List(items.into_iter().map(from_toml).collect()),
        toml::Value::Table(table) => {
            Value::Map(table.into_iter().map(|(key, value)| (key, from_toml(value))).collect())
        }
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => Value::Text(value.to_string()),
    }
}

/// Builds documents from events. What an alias stands for counts each time against the limit.
#[derive(Default)]
struct Reader {
    documents: Vec<Value>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Value, usize)>,
    values: usize,
}

/// A list or map that has not ended.
struct Open {
    anchor: usize,
    tag: Option<String>,
    begun: usize,
    what: Inside,
}

enum Inside {
    List(Vec<Value>),
    Map(Entries),
}

/// A map that has not ended: a key that waits for its value, and what merge keys (`<<`) add where nothing else stands.
#[derive(Default)]
struct Entries {
    own: Unique,
    merged: Vec<(String, Value)>,
    key: Option<String>,
}

/// Entries of which no two have one key, in their order.
#[derive(Default)]
struct Unique {
    entries: Vec<(String, Value)>,
    keys: HashSet<String>,
}

impl Unique {
    /// Whether the key was not there yet.
    fn add(&mut self, name: String, value: Value) -> bool {
        let new = self.keys.insert(name.clone());
        if new {
            self.entries.push((name, value));
        }
        new
    }
}

impl Entries {
    fn put(&mut self, value: Value) -> Result<(), String> {
        match (self.key.take(), value) {
            (None, Value::Text(text)) => self.key = Some(text),
            (None, _) => return Err("a key is no text".to_owned()),
            (Some(name), value) if name == "<<" => self.merge(&value)?,
            (Some(name), value) => {
                if !self.own.add(name.clone(), value) {
                    return Err(format!("the key `{name}` stands there twice"));
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, value: &Value) -> Result<(), String> {
        for map in value.items() {
            self.merged.extend_from_slice(map.map().ok_or("a merge of what is no map")?);
        }
        Ok(())
    }

    fn end(mut self) -> Value {
        for (name, value) in self.merged {
            // The first of several counts.
            self.own.add(name, value);
        }
        Value::Map(self.own.entries)
    }
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
            Event::Scalar(text, style, anchor, tag) => {
                let is_null =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if is_null { Value::Null } else { Value::Text(text.into_owned()) };
                self.count(1)?;
                self.finish(tagged(own(tag), value), anchor, 1)?;
            }
            Event::Alias(anchor) => {
                let (value, size) = self.anchors.get(&anchor).cloned().ok_or("an alias of nothing")?;
                self.count(size)?;
                self.finish(value, 0, size)?;
            }
            Event::SequenceStart(anchor, tag) => self.begin(Inside::List(Vec::new()), anchor, own(tag))?,
            Event::MappingStart(anchor, tag) => {
                self.begin(Inside::Map(Entries::default()), anchor, own(tag))?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { anchor, tag, begun, what } = self.open.pop().ok_or("an end of nothing")?;
                let value = match what {
                    Inside::List(items) => Value::List(items),
                    Inside::Map(entries) => entries.end(),
                };
                let size = self.values - begun + 1;
                self.finish(tagged(tag, value), anchor, size)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, values: usize) -> Result<(), String> {
        self.values = self.values.saturating_add(values);
        if self.values > MOST_VALUES { Err("there is too much in it".to_owned()) } else { Ok(()) }
    }

    fn begin(&mut self, what: Inside, anchor: usize, tag: Option<String>) -> Result<(), String> {
        self.count(1)?;
        if self.open.len() >= DEEPEST {
            return Err("it is nested too deeply".to_owned());
        }
        self.open.push(Open { anchor, tag, begun: self.values, what });
        Ok(())
    }

    /// Puts a value where it belongs.
    fn finish(&mut self, value: Value, anchor: usize, size: usize) -> Result<(), String> {
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.what) {
            None => self.documents.push(value),
            Some(Inside::List(items)) => items.push(value),
            Some(Inside::Map(entries)) => entries.put(value)?,
        }
        Ok(())
    }
}

/// Tags of YAML itself say nothing here, as everything is text.
fn tagged(tag: Option<String>, value: Value) -> Value {
    match tag {
        Some(tag) => Value::Tagged(tag, Box::new(value)),
        None => value,
    }
}

/// The name of a tag of the product's own.
fn own(tag: Option<Cow<'_, Tag>>) -> Option<String> {
    tag.filter(|tag| !tag.is_yaml_core_schema()).map(|tag| tag.suffix.clone())
}

const MOST_VALUES: usize = 200_000;
const DEEPEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Value {
        read_yaml("x", text).unwrap().remove(0)
    }

    #[test]
    fn yaml_is_texts_lists_and_maps() {
        let read = one("a: &x [1, yes, ~, 'null']\nb: *x\nc: !Find [m, [k, v]]\nd: !!str 5\n");
        assert_eq!(read.at("a"), read.at("b"));
        let items =
            [Value::Text("1".into()), Value::Text("yes".into()), Value::Null, Value::Text("null".into())];
        assert_eq!(read.at("a").unwrap().items(), items);
        assert!(matches!(read.at("c"), Some(Value::Tagged(tag, _)) if tag == "Find"));
        assert_eq!(read.at("d").unwrap().text(), Some("5"));
        assert_eq!(one("{\"a\": [true, \"x\"]}").at("a").unwrap().texts(), Some(vec!["true", "x"]));
        assert_eq!(read_yaml("x", "a: 1\n---\nb: 2\n").unwrap().len(), 2);
    }

    #[test]
    fn merge_keys_add_what_is_not_there() {
        let read = one("base: &b {x: 1, y: 2}\nuse:\n  y: 3\n  <<: *b\n");
        let used = read.at("use").unwrap();
        assert_eq!((used.at("x").unwrap().text(), used.at("y").unwrap().text()), (Some("1"), Some("3")));
    }

    #[test]
    fn what_could_be_read_in_two_ways_or_never_ends_is_refused() {
        let bomb = (1..12).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
            let last = n - 1;
            text + &format!("a{n}: &a{n} [{}]\n", [format!("*a{last}").as_str(); 9].join(","))
        });
        let deep = "[".repeat(200);
        for text in ["a: 1\na: 2\n", "? [1]\n: 2\n", "a: *b\n", "a: [", "<<: 1\n", &bomb, &deep] {
            assert!(read_yaml("x", text).is_err(), "{}", &text[..text.len().min(40)]);
        }
        assert!(read_toml("x", "a = 1\na = 2\n").is_err());
    }
}
