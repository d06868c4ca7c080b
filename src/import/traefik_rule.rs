//! Rules of Traefik, as `Host(…) && PathPrefix(…)`: which hosts, paths and methods. Knows no product. What it does not
//! understand may speak of everything.

use std::collections::BTreeSet;

use super::path::Paths;
use super::regex::{Against, Matched, paths_of};
use super::words::host_key;

/// One way in which a request can fit: all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// All without.
    pub(super) hosts: Option<Vec<String>>,
    pub(super) paths: Matched,
    pub(super) methods: Option<BTreeSet<String>>,
    /// Whether there is more to it that is not understood.
    pub(super) unsure: bool,
}

impl Way {
    fn all() -> Self {
        let paths = Matched { surely: vec![Paths::all()], maybe: vec![Paths::all()] };
        Self { hosts: None, paths, methods: None, unsure: false }
    }

    /// Both. Of two sets of paths that are not one and the same nothing is sure.
    fn and(&self, other: &Self) -> Self {
        let both = |one: &Option<Vec<String>>, two: &Option<Vec<String>>| match (one, two) {
            (None, hosts) | (hosts, None) => hosts.clone(),
            (Some(one), Some(two)) => Some(one.iter().filter(|host| two.contains(host)).cloned().collect()),
        };
        let everywhere = Self::all().paths;
        let paths = if other.paths == everywhere || other.paths == self.paths {
            self.paths.clone()
        } else if self.paths == everywhere {
            other.paths.clone()
        } else {
            Matched { surely: Vec::new(), maybe: self.paths.maybe.clone() }
        };
        let methods = match (&self.methods, &other.methods) {
            (None, methods) | (methods, None) => methods.clone(),
            (Some(one), Some(two)) => Some(one & two),
        };
        Self { hosts: both(&self.hosts, &other.hosts), paths, methods, unsure: self.unsure || other.unsure }
    }
}

/// All ways of a rule.
pub(super) fn ways(rule: &str) -> Vec<Way> {
    let mut parser = Parser { rest: rule.trim() };
    let ways = parser.either(0);
    match ways {
        Some(ways) if parser.rest.is_empty() && ways.len() <= MOST_WAYS => ways,
        Some(_) | None => vec![Way { unsure: true, ..Way::all() }],
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn take(&mut self, token: &str) -> bool {
        let behind = self.rest.strip_prefix(token);
        self.rest = behind.map_or(self.rest, str::trim_start);
        behind.is_some()
    }

    fn either(&mut self, depth: usize) -> Option<Vec<Way>> {
        let mut ways = self.both(depth)?;
        while self.take("||") {
            ways.extend(self.both(depth)?);
        }
        Some(ways)
    }

    fn both(&mut self, depth: usize) -> Option<Vec<Way>> {
        let mut ways = self.one(depth)?;
        while self.take("&&") {
            let more = self.one(depth)?;
            if ways.len() * more.len() > MOST_WAYS {
                return None;
            }
            ways = ways.iter().flat_map(|way| more.iter().map(|other| way.and(other))).collect();
        }
        Some(ways)
    }

    fn one(&mut self, depth: usize) -> Option<Vec<Way>> {
        if depth > DEEPEST {
            return None;
        }
        if self.take("!") {
            self.one(depth + 1)?;
            return Some(vec![Way { unsure: true, ..Way::all() }]);
        }
        if self.take("(") {
            let ways = self.either(depth + 1)?;
            return self.take(")").then_some(ways);
        }
        let name = self.rest.find('(').map(|at| self.rest[..at].trim())?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        self.rest = &self.rest[self.rest.find('(')? + 1..];
        let given = self.given()?;
        Some(matcher(name, &given))
    }

    /// What stands in the parentheses, in backticks or quotes.
    fn given(&mut self) -> Option<Vec<String>> {
        let mut given = Vec::new();
        self.rest = self.rest.trim_start();
        while !self.take(")") {
            let quote = self.rest.chars().next().filter(|c| matches!(c, '`' | '"' | '\''))?;
            let inner = &self.rest[1..];
            let end = inner.find(quote)?;
            given.push(inner[..end].to_owned());
            self.rest = inner[end + 1..].trim_start();
            let _ = self.take(",");
        }
        Some(given)
    }
}

fn matcher(name: &str, given: &[String]) -> Vec<Way> {
    let unsure = || vec![Way { unsure: true, ..Way::all() }];
    let at = |against: &dyn Fn(&String) -> Matched| {
        given.iter().map(|one| Way { paths: against(one), ..Way::all() }).collect::<Vec<_>>()
    };
    match name {
        "Host" => match given.iter().map(|host| host_key(host)).collect::<Option<Vec<_>>>() {
            Some(hosts) if hosts.iter().all(|host| !host.starts_with('*')) => {
                vec![Way { hosts: Some(hosts), ..Way::all() }]
            }
            Some(_) | None => unsure(),
        },
        // A prefix is text, not whole segments.
        "PathPrefix" => at(&|prefix| {
            if has_variable(prefix) {
                Matched::unknown()
            } else {
                paths_of(&format!("^{}", escaped(prefix)), Against::Path)
            }
        }),
        "Path" => at(&|path| {
            if has_variable(path) {
                Matched::unknown()
            } else {
                paths_of(&format!("^{}$", escaped(path)), Against::Path)
            }
        }),
        "PathRegexp" => at(&|regex| paths_of(regex, Against::Path)),
        "Method" | "Methods" => {
            vec![Way {
                methods: Some(given.iter().map(|one| one.to_ascii_uppercase()).collect()),
                ..Way::all()
            }]
        }
        _ => unsure(),
    }
}

fn has_variable(text: &str) -> bool {
    text.contains('{')
}

fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| (!c.is_alphanumeric() && c != '/').then_some('\\').into_iter().chain([c]))
        .collect()
}

const MOST_WAYS: usize = 64;
const DEEPEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_taken_apart() {
        let read = ways("Host(`a.example.com`, `b.example.com`) && PathPrefix(`/api/`)");
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].hosts, Some(vec!["a.example.com".into(), "b.example.com".into()]));
        assert_eq!(read[0].paths.surely.len(), 1);
        assert!(read[0].paths.is_exact() && !read[0].unsure);
        let read = ways("(Host(`a.example.com`) || Host(\"b.example.com\")) && Path(`/x`) && Method(`GET`)");
        assert_eq!(read.len(), 2);
        assert!(read.iter().all(|way| way.methods.is_some() && way.paths.is_exact()));
        assert!(!ways("PathPrefix(`/api`)")[0].paths.is_exact(), "/apix is meant, too");
    }

    #[test]
    fn what_is_not_understood_is_not_sure() {
        for rule in [
            "Headers(`X`, `y`)",
            "HostRegexp(`{a:.*}.x.org`)",
            "!Path(`/a`)",
            "Host(`a.x.org`",
            "nonsense",
            "",
            &"(".repeat(99),
        ] {
            assert!(ways(rule).iter().any(|way| way.unsure), "{rule}");
        }
        assert!(ways("Path(`/{id:[0-9]+}`)")[0].paths.surely.is_empty());
    }
}
