//! The path that a backend gets where that is another one than was asked for, and the rule that speaks of it. Knows no
//! identities.

use super::loose::LoosePath;
use super::{App, Fit, Route, Rule};
use crate::visit::Target;

impl Route {
    /// Whether paths are changed on the way at all.
    pub(super) fn rewrites(&self) -> bool {
        self.strip_prefix || self.base.is_some()
    }

    /// The path that the backend is asked for, in the spelling that is sent; nothing where what was asked for has no one meaning.
    pub(super) fn rewritten(&self, app: &App, target: &Target<'_>) -> Option<Box<str>> {
        if LoosePath::of(target.path.canonical()?).is_unclear() {
            return None;
        }
        let asked = std::str::from_utf8(target.path.raw()).ok()?;
        Some(self.rewrite(asked, app.prefix.as_deref()).into())
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

impl App {
    /// The rule whose pattern names the path of what a backend is asked for. It has to let the request in as well: else a path
    /// that it protects would be open under another name. Nothing inside where no rule names it, and nothing at all where
    /// the backend could read that as something else than was judged.
    pub(super) fn rule_naming(&self, target: &Target<'_>) -> Option<Option<&Rule>> {
        let path = target.path.canonical()?;
        for rule in self.rules.iter().filter(|rule| rule.covers(path, &target.method)) {
            match rule.query.fit(target.query) {
                Fit::Yes => return Some(Some(rule)),
                Fit::Unclear => return None,
                Fit::No => {}
            }
        }
        Some(None)
    }
}
