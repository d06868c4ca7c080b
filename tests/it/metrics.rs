//! `/metrics` and its page in the documentation, which say the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::http::get;
use crate::support::stage::Stage;

/// A metric by the name that queries use: its type, its label if it has one, and all values of that.
type Known = BTreeMap<String, (String, Option<String>, BTreeSet<String>)>;

/// What foregate shows.
fn shown(text: &str) -> Known {
    let mut known = Known::new();
    let mut families: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.insert(name, kind);
            let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            known.insert(name, (kind.to_owned(), None, BTreeSet::new()));
        } else if let Some((name, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let labels = rest.split('}').next().expect("labels");
            assert!(!labels.contains(','), "one label at most: {line}");
            let (label, value) = labels.split_once('=').expect("a label");
            if label != "le" {
                let entry = known.get_mut(name).unwrap_or_else(|| panic!("no type of {line}"));
                entry.1 = Some(label.to_owned());
                entry.2.insert(value.trim_matches('"').to_owned());
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
        let mut words = labels.split('`').skip(1).step_by(2).map(str::to_owned);
        let entry = (kind.to_owned(), words.next(), words.collect());
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
