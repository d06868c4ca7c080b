//! The plan of the house, held to the code: a module names only modules on floors below its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Floor by floor, as in docs/architecture.md.
const FLOORS: [(u32, &[&str]); 9] = [
    (9, &["main", "commands", "demo", "entrances", "import", "snippet"]),
    (8, &["app", "doctor"]),
    (7, &["config"]),
    (6, &["http"]),
    (5, &["bearer", "canary", "emergency", "gate", "login"]),
    (4, &["journal", "jwt", "oidc", "otlp", "outside", "server", "session", "upstream"]),
    (3, &["outbound", "trust"]),
    (2, &["browser", "headers", "limits", "policy"]),
    (1, &["identity", "metrics", "secret", "trace", "visit", "wording"]),
];

/// Neighbours on one floor that may use each other, with the reason.
const DOORS_WITHIN: [(&str, &str, &str); 7] = [
    ("main", "commands", "the program is its commands"),
    ("commands", "demo", "the demo is one of them"),
    ("commands", "snippet", "so are the snippets"),
    ("commands", "import", "and the reading of other products' configurations"),
    ("gate", "bearer", "a token is the other way to say who somebody is"),
    ("gate", "emergency", "and so is a password, where nobody can sign in"),
    ("policy", "headers", "an app names the headers its backend gets"),
];

#[test]
fn nobody_uses_a_floor_above() {
    let floor: BTreeMap<&str, u32> =
        FLOORS.iter().flat_map(|(floor, names)| names.iter().map(|name| (*name, *floor))).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut edges = 0;
    let mut wrong = Vec::new();
    for file in files(&root) {
        let inside = file.strip_prefix(&root).expect("a path").to_str().expect("text");
        let module = inside.split(['/', '.']).next().expect("a name");
        if module == "lib" {
            continue;
        }
        let own = *floor.get(module).unwrap_or_else(|| panic!("{inside}: put `{module}` on a floor"));
        for used in modules_named(&std::fs::read_to_string(&file).expect("text")) {
            let Some(&other) = floor.get(used.as_str()) else { continue };
            edges += 1;
            let within = DOORS_WITHIN.iter().any(|(from, to, _)| *from == module && *to == used);
            if used != module && other >= own && !within {
                wrong.push(format!("{inside} (floor {own}) uses {used} (floor {other})"));
            }
        }
    }
    assert!(edges > 50, "the test reads the code: {edges} edges");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory").map_while(Result::ok) {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            found.push(entry.path());
        }
    }
    found
}

/// Every first name behind `crate::` or `foregate::`, also within braces, outside comments.
fn modules_named(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut names = Vec::new();
    for start in ["crate::", "foregate::"] {
        for (at, _) in code.match_indices(start) {
            let rest = &code[at + start.len()..];
            let group = rest.strip_prefix('{').and_then(|rest| rest.split('}').next());
            let parts = group.map_or_else(|| vec![rest], |group| group.split(',').collect());
            let name = |part: &str| {
                part.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
            };
            names.extend(parts.into_iter().map(name));
        }
    }
    names
}
