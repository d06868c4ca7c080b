//! `/metrics` and its page in the documentation, which say the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::http::get;
use crate::support::stage::Stage;

/// A metric by the name that queries use: its type, and its labels with all their values.
type Known = BTreeMap<String, (String, BTreeMap<String, BTreeSet<String>>)>;

/// What foregate shows.
fn shown(text: &str) -> Known {
    let mut known = Known::new();
    let mut families: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.insert(name, kind);
            let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            known.insert(name, (kind.to_owned(), BTreeMap::new()));
        } else if let Some((name, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let labels = rest.split('}').next().expect("labels");
            for (label, value) in labels.split(',').filter_map(|one| one.split_once('=')) {
                if label != "le" {
                    let entry = known.get_mut(name).unwrap_or_else(|| panic!("no type of {line}"));
                    let values = entry.1.entry(label.to_owned()).or_default();
                    values.insert(value.trim_matches('"').to_owned());
                }
            }
        }
    }
    known
}

/// What the page says.
fn documented(page: &str) -> Known {
    let mut known = Known::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, meaning, _] = cells[..] else { panic!("five columns: {line}") };
        assert!(meaning.ends_with('.'), "{line}");
        let mut all = BTreeMap::new();
        for label in labels.split(';') {
            let mut words = label.split('`').skip(1).step_by(2).map(str::to_owned);
            if let Some(name) = words.next() {
                all.insert(name, words.collect());
            }
        }
        let entry = (kind.to_owned(), all);
        assert!(known.insert(name.trim_matches('`').to_owned(), entry).is_none(), "twice: {line}");
    }
    known
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    let stage = Stage::new();
    let text = get(stage.foregate.admin, "/metrics", &[]).body;
    let (shown, documented) = (shown(&text), documented(include_str!("../../docs/metrics.md")));
    assert!(shown.len() > 20, "{text}");
    assert_eq!(shown, documented);
    assert!(shown.keys().all(|name| name.starts_with("foregate_")));
}
