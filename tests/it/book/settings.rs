//! `docs/settings.md`, made from what `foregate config schema` prints.
//!
//! `WRITE_SNAPSHOTS=1 cargo test --test it book` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::{page, prose, root, slug};
use crate::chart::same_as_kept;
use crate::support::foregate::run;

const HEAD: &str = "# Every setting

Made from `foregate config schema` by `WRITE_SNAPSHOTS=1 cargo test --test it book`; do not edit it by hand.

Each setting is also a variable: `FOREGATE_` and its path in capitals, with `__` for each dot. `server.limits.head_timeout` is
`FOREGATE_SERVER__LIMITS__HEAD_TIMEOUT`. [Configuration](configuration.md) says more about each, and `foregate config show` which value is in
force and where it came from.
";

/// What lies behind names that people choose: the title here, and the definition in the schema.
const NAMED: [(&str, &str, &str); 5] = [
    ("An app: `[apps.\"HOST\"]`", "app", "/anyOf/2"),
    ("A rule of an app: `rules = [{ … }]`", "rule", ""),
    ("A role: `[roles.NAME]`", "role", ""),
    ("An issuer of tokens: `[bearer.issuers.NAME]`", "issuer", ""),
    ("A test: `[[tests]]`", "test", ""),
];

#[test]
fn every_setting_of_the_schema_is_in_the_book() {
    let (code, out, err) = run(&["config", "schema"], Path::new("/"));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let schema: Value = serde_json::from_str(&out).expect("JSON");
    let mut text = HEAD.to_owned();
    tables(&mut text, "", &schema);
    for (title, name, inside) in NAMED {
        let definition = schema.pointer(&format!("/$defs/{name}{inside}")).expect("a definition");
        section(&mut text, title, definition);
    }
    // Whatever came since has a section, too.
    let definitions = schema["$defs"].as_object().expect("definitions");
    for (name, definition) in definitions.iter().filter(|(name, _)| !is_named(name)) {
        section(&mut text, &title_of(name), definition);
    }
    same_as_kept(&root().join("docs/settings.md"), &text);
}

/// A table of the file, and those below it.
fn tables(text: &mut String, path: &str, table: &Value) {
    let title = if path.is_empty() { "Top level".to_owned() } else { format!("`[{path}]`") };
    section(text, &title, table);
    for (name, below) in properties(table) {
        if below["properties"].is_object() {
            let dot = if path.is_empty() { "" } else { "." };
            tables(text, &format!("{path}{dot}{name}"), below);
        }
    }
}

fn section(text: &mut String, title: &str, table: &Value) {
    let rows: Vec<_> = properties(table).filter(|(_, one)| !one["properties"].is_object()).collect();
    if rows.is_empty() {
        return;
    }
    writeln!(text, "\n## {title}\n").expect("text");
    if let Some(more) = chapter(title) {
        writeln!(text, "More: [{}](configuration.md#{}).\n", more.replace('`', ""), slug(&more))
            .expect("text");
    }
    text.push_str("| setting | what may be written | default | meaning |\n| --- | --- | --- | --- |\n");
    let needed: Vec<&str> =
        table["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, one) in rows {
        let (meaning, default) = told(one, needed.contains(&name.as_str()));
        let cells = [format!("`{name}`"), kind(one), default, meaning].map(|cell| cell.replace('|', "\\|"));
        writeln!(text, "| {} |", cells.join(" | ")).expect("text");
    }
}

fn properties(table: &Value) -> impl Iterator<Item = (&String, &Value)> {
    table["properties"].as_object().into_iter().flat_map(Map::iter)
}

/// The heading in the chapter on configuration that speaks of a table, without its marks.
fn chapter(title: &str) -> Option<String> {
    let table = title.split('`').nth(1)?;
    let configuration = page("configuration.md");
    let found =
        prose(&configuration).find(|line| line.starts_with('#') && line.contains(&format!("`{table}`")));
    found.map(|line| line.trim_start_matches('#').trim().to_owned())
}

/// What a setting does, and what holds without it.
fn told(one: &Value, needed: bool) -> (String, String) {
    let all = one["description"].as_str().expect("a description");
    if let Some((meaning, default)) = all.split_once(" Default: ") {
        return (meaning.to_owned(), default.trim_end_matches('.').to_owned());
    }
    if let Some((meaning, _)) = all.split_once(" Must be set,") {
        return (meaning.to_owned(), "must be set".to_owned());
    }
    let default = &one["default"];
    let default = match (default.is_null(), needed) {
        (false, _) if default == "[]" => "`[]`".to_owned(),
        (false, _) => format!("`{default}`"),
        (true, true) => "must be set".to_owned(),
        (true, false) => String::new(),
    };
    (all.to_owned(), default)
}

/// What may be written, in words.
fn kind(one: &Value) -> String {
    if let Some(name) = one["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        return of_name(name);
    }
    if let Some(words) = one["enum"].as_array() {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    if let Some(kinds) = one["anyOf"].as_array() {
        return kinds.iter().map(kind).collect::<Vec<_>>().join(", or ");
    }
    match one["type"].as_str() {
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("number") => "a number".to_owned(),
        Some("integer") => {
            let bound = |name: &str, word: &str| {
                one[name].as_i64().map_or_else(String::new, |bound| format!(", at {word} {bound}"))
            };
            format!("a whole number{}{}", bound("minimum", "least"), bound("maximum", "most"))
        }
        Some("array") => format!("an array, each {}", kind(&one["items"])),
        Some("object") if one["additionalProperties"].is_object() => {
            format!("a table of names, each {}", kind(&one["additionalProperties"]))
        }
        Some("object") => {
            let names: Vec<String> = properties(one).map(|(name, _)| format!("`{name}`")).collect();
            format!("a table with {}", names.join(", "))
        }
        Some("string") if one["format"] == "uri" => "a URL".to_owned(),
        Some("string") if is_duration(one) => "a time such as `1h30m`".to_owned(),
        Some("string") => "a text".to_owned(),
        other => panic!("say what {other:?} is: {one}"),
    }
}

fn of_name(name: &str) -> String {
    match name {
        "allow" | "term" => "[who](configuration.md#who-allow)".to_owned(),
        "headers" => "[a preset or a table](configuration.md#identity-headers)".to_owned(),
        "provider" => "as `[provider]`".to_owned(),
        other => format!("[as below](#{})", slug(&title_of(other))),
    }
}

fn is_named(definition: &str) -> bool {
    NAMED.iter().any(|(_, name, _)| *name == definition)
}

/// The title of the section about a definition.
fn title_of(definition: &str) -> String {
    let named = NAMED.iter().find(|(_, name, _)| *name == definition);
    named.map_or_else(|| format!("A table: {definition}"), |(title, ..)| (*title).to_owned())
}

fn is_duration(one: &Value) -> bool {
    one["pattern"].as_str().is_some_and(|pattern| pattern.starts_with("^([0-9]+w)?"))
}
