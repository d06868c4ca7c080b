//! Patterns for hosts, paths and e-mail addresses. Each knows one part of a request and nothing else.

use std::fmt;

use thiserror::Error;

use super::loose::{LoosePath, folded, is_same};
use crate::visit::parse_host;

/// Why a pattern of the configuration cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// Not a host name, address, or `*.` and a host name.
    #[error(
        "`{0}` is not a host: write a name such as `wiki.example.com`, or `*.example.com` for one label in front"
    )]
    Host(String),
    /// A path that does not start with `/`, or could never be asked for.
    #[error(
        "`{0}` is not a path pattern: start with `/`, end in `/**` for all below, use `*` or `{{name}}` for one whole segment"
    )]
    Path(String),
    /// A name for two segments.
    #[error("`{0}` stands there twice in one path: give each segment a name of its own")]
    Twice(String),
    /// An e-mail pattern other than an address or `*@domain`.
    #[error("`{0}` is not an e-mail pattern: write `bob@example.com` or `*@example.com`")]
    Email(String),
}

/// Which hosts an app answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// One host, in its one spelling.
    Exact(String),
    /// Any single label in front of this host.
    Wildcard(String),
}

impl HostPattern {
    /// Reads `wiki.example.com` or `*.example.com`.
    ///
    /// # Errors
    /// [`PatternError::Host`] for everything else, `*` in another place included.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let refused = || PatternError::Host(text.to_owned());
        let (name, wildcard) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        if name.contains(':') && !name.starts_with('[') {
            return Err(refused());
        }
        let host = parse_host(name.as_bytes()).map_err(|_| refused())?.into_owned();
        Ok(if wildcard { Self::Wildcard(host) } else { Self::Exact(host) })
    }
}

impl HostPattern {
    /// Whether it is this one host.
    pub fn is_exactly(&self, host: &str) -> bool {
        matches!(self, Self::Exact(own) if own == host)
    }
}

/// Which paths a rule speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    /// As it was written.
    text: Box<str>,
    segments: Vec<Segment>,
    /// Whether it ends in `/**` and covers everything below.
    open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Exactly(String),
    /// Any, and what terms call it if it has a name.
    Any(Option<Box<str>>),
}

impl PathPattern {
    /// Reads a pattern: exact, unless it ends in `/**` (the path itself and all below) or holds `*` or `{name}`
    /// (one whole segment that is not empty).
    ///
    /// # Errors
    /// [`PatternError::Path`] where a pattern could not mean what it says: no leading `/`, `**` before the end,
    /// `*` within a segment, percent-encoding, empty or dot segments, `?`, `#`, `;`, `\` or control bytes.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let refused = || PatternError::Path(text.to_owned());
        let path = text.strip_prefix('/').ok_or_else(refused)?;
        let (path, open) = match path.strip_suffix("**") {
            Some("") => return Ok(Self { text: text.into(), segments: Vec::new(), open: true }),
            Some(start) => (start.strip_suffix('/').ok_or_else(refused)?, true),
            None => (path, false),
        };
        let last = path.split('/').count() - 1;
        let segments = path
            .split('/')
            .enumerate()
            .map(|(index, segment)| {
                let slash_at_end = segment.is_empty() && index == last && !open;
                if slash_at_end { Some(Segment::Exactly(String::new())) } else { Segment::parse(segment) }
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(refused)?;
        let mut names = segments.iter().filter_map(Segment::name).enumerate();
        let twice = |(index, name): &(usize, &str)| {
            segments.iter().filter_map(Segment::name).take(*index).any(|other| other == *name)
        };
        if let Some((_, name)) = names.find(twice) {
            return Err(PatternError::Twice(format!("{{{name}}}")));
        }
        Ok(Self { text: text.into(), segments, open })
    }

    /// One of the paths that are meant.
    pub(super) fn example(&self) -> String {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Exactly(text) => text.as_str(),
            Segment::Any(_) => ANY,
        });
        let open = self.open.then_some(ANY);
        segments.chain(open).fold(String::new(), |path, segment| path + "/" + segment)
    }

    /// Which segment, counted from 0, is called so.
    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.segments.iter().position(|segment| segment.name() == Some(name))
    }

    /// Whether `path`, canonical and starting with `/`, is one of those meant.
    pub fn matches(&self, path: &str) -> bool {
        let mut asked = path.strip_prefix('/').unwrap_or(path).split('/');
        let below = self.segments.iter().all(|segment| {
            asked.next().is_some_and(|name| match segment {
                Segment::Exactly(text) => text == name,
                Segment::Any(_) => !name.is_empty(),
            })
        });
        below && (self.open || asked.next().is_none())
    }

    /// Whether it is one for servers that mind neither letter case nor a slash at the end.
    pub(super) fn matches_loosely(&self, path: &LoosePath<'_>) -> bool {
        self.reach(path.segments(), |text, name| is_same(&folded(text), name)).is_there
    }

    /// Whether it speaks in one way of two places and all that is below each of them, to every server.
    pub(super) fn is_one_for(&self, one: (&str, &LoosePath<'_>), other: (&str, &LoosePath<'_>)) -> bool {
        let exactly = |path: &str| self.reach(segments(path), str::eq);
        let loosely =
            |path: &LoosePath<'_>| self.reach(path.segments(), |text, name| is_same(&folded(text), name));
        let alike = |one: Reach, other: Reach| one == other && (one.is_there || !one.is_below);
        let ends_alike = self.open || one.0.ends_with('/') == other.0.ends_with('/');
        let mut names = self.segments.iter().zip(segments(one.0).zip(segments(other.0)));
        let named_alike = names.all(|(segment, (one, other))| segment.name().is_none() || one == other);
        alike(exactly(one.0), exactly(other.0))
            && alike(loosely(one.1), loosely(other.1))
            && (!loosely(one.1).is_there || (ends_alike && named_alike))
    }

    /// How far it speaks of a place, by the segments of its path; a slash at the end of either is nothing.
    fn reach<'p>(
        &self,
        mut path: impl Iterator<Item = &'p str>,
        is_same: impl Fn(&str, &str) -> bool,
    ) -> Reach {
        let own = self
            .segments
            .iter()
            .filter(|segment| !matches!(segment, Segment::Exactly(text) if text.is_empty()));
        for segment in own {
            match (segment, path.next()) {
                (_, None) => return Reach { is_there: false, is_below: true },
                (Segment::Exactly(text), Some(name)) if !is_same(text, name) => return Reach::NOWHERE,
                (Segment::Exactly(_) | Segment::Any(_), Some(_)) => {}
            }
        }
        let is_there = self.open || path.next().is_none();
        Reach { is_there, is_below: self.open }
    }
}

/// The segments of a canonical path, but for the nothing behind a slash at its end.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// How far a pattern speaks of a place.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Reach {
    /// Of the place itself.
    is_there: bool,
    /// Of something below: of all there if it is so of the place itself, else of a part.
    is_below: bool,
}

impl Reach {
    const NOWHERE: Self = Self { is_there: false, is_below: false };
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Segment {
    fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        if text == "*" || name.is_some_and(is_name) {
            return Some(Self::Any(name.map(Box::from)));
        }
        let bad = |c: char| c.is_control() || "*{}%?#;\\".contains(c);
        (!text.is_empty() && text != "." && text != ".." && !text.contains(bad))
            .then(|| Self::Exactly(text.to_owned()))
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Any(name) => name.as_deref(),
            Self::Exactly(_) => None,
        }
    }
}

/// Whether a segment can be called so.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Which e-mail addresses a rule speaks of. Letter case does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailPattern {
    /// One address.
    Address(String),
    /// Every address of one domain, not of its subdomains.
    Domain(String),
}

impl EmailPattern {
    /// Reads `bob@example.com` or `*@example.com`.
    ///
    /// # Errors
    /// [`PatternError::Email`] for everything else.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let refused = || PatternError::Email(text.to_owned());
        let (name, domain) = split_address(text).ok_or_else(refused)?;
        if domain.contains('*') || (name.contains('*') && name != "*") {
            return Err(refused());
        }
        let whole = text.to_ascii_lowercase();
        Ok(if name == "*" { Self::Domain(domain.to_ascii_lowercase()) } else { Self::Address(whole) })
    }

    /// Whether `address` is one of those meant; text with more than one `@` is no address.
    pub fn matches(&self, address: &str) -> bool {
        match (self, split_address(address)) {
            (_, None) => false,
            (Self::Address(whole), Some(_)) => whole.eq_ignore_ascii_case(address),
            (Self::Domain(wanted), Some((_, domain))) => wanted.eq_ignore_ascii_case(domain),
        }
    }
}

impl fmt::Display for EmailPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(whole) => f.write_str(whole),
            Self::Domain(domain) => write!(f, "*@{domain}"),
        }
    }
}

/// The two halves of an address that has exactly one `@`, neither of them empty.
fn split_address(text: &str) -> Option<(&str, &str)> {
    let (name, domain) = text.split_once('@')?;
    let sound =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control());
    (sound(name) && sound(domain) && !domain.contains('@')).then_some((name, domain))
}

/// A segment that stands for others.
const ANY: &str = "any";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_literal_but_for_one_leading_label() {
        assert_eq!(HostPattern::parse("Wiki.Example.com"), Ok(HostPattern::Exact("wiki.example.com".into())));
        assert_eq!(HostPattern::parse("*.example.com"), Ok(HostPattern::Wildcard("example.com".into())));
        for text in ["", "*", "a.*.com", "*a.com", "http://a", "a.com/x", "a.com:80", "a b"] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_means_whole_segments() {
        for (pattern, path, meant) in [
            ("/health", "/health", true),
            ("/health", "/health/", false),
            ("/health", "/healthy", false),
            ("/", "/", true),
            ("/", "/a", false),
            ("/**", "/", true),
            ("/**", "/a/b", true),
            ("/admin/**", "/admin", true),
            ("/admin/**", "/admin/", true),
            ("/admin/**", "/admin/a/b", true),
            ("/admin/**", "/administrator", false),
            ("/admin/**", "/Admin/a", false),
            ("/kb/{id}/**", "/kb/7/x", true),
            ("/kb/{id}/**", "/kb/7", true),
            ("/kb/{id}/**", "/kb/", false),
            ("/kb/*/edit", "/kb/7/edit", true),
            ("/kb/*/edit", "/kb/7/8/edit", false),
            ("/a/", "/a/", true),
            ("/a/", "/a", false),
        ] {
            let parsed = PathPattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(path), meant, "{pattern} {path}");
            assert!(parsed.matches(&parsed.example()), "{pattern} {}", parsed.example());
        }
    }

    #[test]
    fn a_pattern_that_would_mislead_is_refused() {
        for text in [
            "",
            "health",
            "/a/**/b",
            "/a**",
            "/a*",
            "/*.php",
            "/a//b",
            "/a/../b",
            "/a%2fb",
            "/a?b",
            "/a#b",
            "/{}/x",
            "/{a-b}",
            "/a;b",
            "//",
            "/{a}/{a}",
            "/{a}/b/{a}/**",
        ] {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_belongs_to_one_domain() {
        let company = EmailPattern::parse("*@Company.test").unwrap();
        assert!(company.matches("x@company.test") && company.matches("X@COMPANY.TEST"));
        for address in [
            "x@company.test.evil.test",
            "x@evil-company.test",
            "company.test@evil.test",
            "x@company.test@evil.test",
            "x@evil.test@company.test",
            "x@sub.company.test",
            "@company.test",
            "company.test",
            "",
            "x @company.test",
        ] {
            assert!(!company.matches(address), "{address}");
        }
        let bob = EmailPattern::parse("bob@example.com").unwrap();
        assert!(bob.matches("Bob@example.com") && !bob.matches("bob@example.com.evil.test"));
        for text in ["*", "*@", "*@*", "b*b@example.com", "a@b@c", "*@*.example.com"] {
            assert!(EmailPattern::parse(text).is_err(), "{text}");
        }
    }
}
