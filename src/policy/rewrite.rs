//! The path that a backend gets where that is another one than was asked for, and the rule that speaks of it. Knows no
//! identities.

use super::{App, Fit, Route, Rule};
use crate::visit::{Path, Target};

/// What a backend is asked for in place of what was.
#[derive(Debug)]
pub(super) struct Rewritten<'p> {
    /// The path, in the spelling that is sent.
    pub(super) path: Box<str>,
    /// The rule of the app whose pattern names that path. It has to let the request in as well: else a path that it
    /// protects would be open under another name.
    pub(super) rule: Option<&'p Rule>,
}

impl Route {
    /// Whether paths are changed on the way at all.
    pub(super) fn rewrites(&self) -> bool {
        self.strip_prefix || self.base.is_some()
    }

    /// Takes the prefix off a path as sent, whose canonical form has it, and puts the base before the rest. Segments of
    /// both forms are the same, however they are spelled.
    fn rewrite(&self, path: &str, prefix: Option<&str>) -> String {
        let stripped = prefix.filter(|_| self.strip_prefix).map_or(0, |prefix| prefix.matches('/').count());
        let rest = path.match_indices('/').nth(stripped).map_or("", |(at, _)| &path[at..]);
        let base = self.base.as_deref().unwrap_or_default();
        if base.is_empty() && rest.is_empty() { "/".to_owned() } else { format!("{base}{rest}") }
    }
}

/// The first rule of the app that speaks of a path, if it names paths at all; nothing where that depends on who reads
/// the query.
fn rule_naming<'p>(app: &'p App, path: &str, target: &Target<'_>) -> Option<Option<&'p Rule>> {
    for rule in app.rules.iter().filter(|rule| rule.covers(path, &target.method)) {
        match rule.query.fit(target.query) {
            Fit::Yes => return Some(Some(rule).filter(|rule| rule.path.is_some())),
            Fit::Unclear => return None,
            Fit::No => {}
        }
    }
    Some(None)
}

impl<'p> Rewritten<'p> {
    /// What the backend is asked for; `None` where it could read that as something else than was judged.
    pub(super) fn of(app: &'p App, route: &Route, target: &Target<'_>) -> Option<Self> {
        target.path.canonical()?;
        let asked = std::str::from_utf8(target.path.raw()).ok()?;
        let path = route.rewrite(asked, app.prefix.as_deref());
        let parsed = Path::parse(path.as_bytes()).ok()?;
        let canonical = parsed.canonical()?;
        let rule = rule_naming(app, canonical, target)?;
        drop(parsed);
        Some(Self { path: path.into(), rule })
    }
}
