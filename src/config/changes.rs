//! What is new in a configuration that was read again, by the names of settings: each is known by its line, so that a
//! setting added later is one of them. Knows what only a start can change, and shows no value.

use super::findings::{Finding, Findings};
use super::followed::Followed;
use super::show::Line;
use super::{Loaded, keys};

impl Loaded {
    /// The settings, apps and roles that are not as they were `before`, in the order in which they are shown. Empty where
    /// both say the same.
    ///
    /// # Errors
    /// [`Findings`] with all that only a start can change.
    pub fn changes_since(&self, before: &Self) -> Result<Vec<String>, Findings> {
        let mut changed: Vec<(&str, &str)> = Vec::new();
        let mut note = |name, origin| {
            if !changed.iter().any(|(known, _)| *known == name) {
                changed.push((name, origin));
            }
        };
        differing(&self.lines, &before.lines, Line::name).for_each(|line| note(line.name(), line.origin()));
        differing(&self.files, &before.files, Followed::setting).for_each(|file| note(file.setting(), ""));
        let fixed = changed.iter().filter(|(name, _)| keys::is_for_start(name));
        match Findings::of(fixed.map(|(name, origin)| needs_start(name, origin)).collect()) {
            Some(findings) => Err(findings),
            None => Ok(changed.into_iter().map(|(name, _)| name.to_owned()).collect()),
        }
    }
}

/// Whatever is new or other, and then what is gone.
fn differing<'l, T: Same>(
    now: &'l [T],
    before: &'l [T],
    name: for<'a> fn(&'a T) -> &'a str,
) -> impl Iterator<Item = &'l T> {
    let other = move |one: &&T| !before.iter().any(|old| one.is_same(old));
    let gone = move |one: &&T| !now.iter().any(|new| name(new) == name(one));
    now.iter().filter(other).chain(before.iter().filter(gone))
}

/// What says the same, wherever it is written.
trait Same {
    fn is_same(&self, other: &Self) -> bool;
}

impl Same for Line {
    fn is_same(&self, other: &Self) -> bool {
        self.says_as(other)
    }
}

impl Same for Followed {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }
}

fn needs_start(name: &str, origin: &str) -> Finding {
    let place = if origin.is_empty() { name } else { origin };
    Finding {
        place: place.to_owned(),
        problem: format!("`{name}` has changed, and only a start can take it up"),
        fix: "restart to change it, or write it as it was".to_owned(),
        excerpt: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

    fn loaded(top: &str, tables: &str) -> Loaded {
        let top =
            if top.contains("allow") { top.to_owned() } else { format!("allow = \"signed-in\"\n{top}") };
        let text = format!(
            "public_url = \"https://auth.example.com\"\n{top}\n[provider]\nissuer = \"https://id.example.com/\"\n\
             client_id = \"foregate\"\n{tables}\n"
        );
        Config::from_text(Some(("foregate.toml", &text)), &Environment::default()).unwrap()
    }

    #[test]
    fn what_differs_is_told_by_name_and_nothing_else_is() {
        let secret = |value: &str| format!("client_secret = \"{value}\"");
        for (before, after, changed) in [
            (("", secret("a")), ("\n\n# moved", secret("a")), vec![]),
            (("", secret("a")), ("", secret("b")), vec!["provider.client_secret"]),
            (("assertion = false", secret("a")), ("", secret("a")), vec![]),
            (
                ("allow = \"nobody\"\n[apps]\n\"a.example.com\" = \"public\"", secret("a")),
                ("allow = \"nobody\"\n[apps]\n\"b.example.com\" = \"public\"", secret("a")),
                vec!["apps.\"b.example.com\"", "apps.\"a.example.com\""],
            ),
            (
                ("", secret("a")),
                ("", format!("{}\n[server]\nadmin_token = \"t\"", secret("a"))),
                vec!["server.admin_token"],
            ),
        ] {
            let (before, after) = (loaded(before.0, &before.1), loaded(after.0, &after.1));
            assert_eq!(after.changes_since(&before).unwrap(), changed);
        }
    }

    #[test]
    fn a_file_counts_by_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let read = |content: &str| {
            std::fs::write(&file, content).unwrap();
            loaded("", &format!("client_secret_file = \"{}\"", file.display()))
        };
        let first = read("one");
        assert_eq!(read("one").changes_since(&first).unwrap(), Vec::<String>::new());
        assert_eq!(read("two").changes_since(&first).unwrap(), ["provider.client_secret"]);
        assert_eq!(first.files().collect::<Vec<_>>(), [file.as_path()]);
    }

    #[test]
    fn what_needs_a_start_is_told_all_at_once() {
        let before = loaded("", "client_auth = \"none\"");
        let after = loaded(
            "assertion = true",
            "client_auth = \"none\"\n[server]\nlisten = \"127.0.0.1:1\"\n[server.limits]\nconnections = 1\n\
             tunnel_idle_timeout = \"1m\"\n[session]\nidle = \"1h\"\npoll = \"1m\"",
        );
        let findings = after.changes_since(&before).unwrap_err().to_string();
        for name in ["server.listen", "server.limits.connections", "session.poll"] {
            let told =
                format!("`{name}` has changed, and only a start can take it up; fix: restart to change it");
            assert!(findings.contains(&told), "{name}: {findings}");
        }
        assert_eq!(findings.lines().count(), 3, "{findings}");
        assert!(findings.starts_with("foregate.toml:"), "{findings}");
    }
}
