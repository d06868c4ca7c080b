//! Text as the least particular server reads it: letter case does not count, nor how a letter is composed, nor what
//! cannot be seen. Knows no patterns.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use crate::wording::is_blank;

/// A path to servers that mind neither letter case nor composition (Unicode's NFKC) nor a slash at its end: Caddy, apps in many
/// languages, and the file systems of Windows and macOS.
#[derive(Debug)]
pub(super) struct LoosePath<'p>(Cow<'p, str>);

impl<'p> LoosePath<'p> {
    /// What a canonical path is to them: no letter of one in ASCII is a separator to some and none to others.
    pub(super) fn of(path: &'p str) -> Self {
        Self(match folded(path) {
            Cow::Owned(path) => Cow::Owned(path.replace('\\', "/")),
            path @ Cow::Borrowed(_) => path,
        })
    }

    /// Its segments, to be compared by [`is_same`].
    pub(super) fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// Whether it names no one place: letters that are no dots here are dots there, also before a parameter.
    pub(super) fn is_unclear(&self) -> bool {
        let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".." | ""));
        matches!(self.0, Cow::Owned(_)) && self.segments().any(is_dots)
    }

    /// Whether it is this place or below it.
    pub(super) fn is_below(&self, place: &LoosePath<'_>) -> bool {
        let mut segments = self.segments();
        place.segments().all(|wanted| segments.next().is_some_and(|segment| is_same(wanted, segment)))
    }
}

/// Text that is compared with other such text by [`is_same`]; nothing is done to most of it.
pub(super) fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let visible = text.nfkc().filter(|letter| !is_invisible(*letter));
    let one_case: String = visible.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    Cow::Owned(one_case.nfkc().collect())
}

/// Whether two folded texts are the same.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Letters that some file systems leave out of names, the selectors of variants among them.
fn is_invisible(letter: char) -> bool {
    !letter.is_whitespace() && is_blank(letter) || matches!(letter, '\u{fe00}'..='\u{fe0f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_letters_are_one_text() {
        for (one, other) in [
            ("admin", "ADMIN"),
            ("kadmin", "\u{212a}admin"),
            ("tasks", "ta\u{17f}ks"),
            ("öffnen", "ÖFFNEN"),
            ("öffnen", "o\u{308}ffnen"),
            ("straße", "STRASSE"),
            ("admin", "ａｄｍｉｎ"),
            ("admin", "ad\u{200d}min"),
            ("σς", "ΣΣ"),
        ] {
            assert!(is_same(&folded(one), &folded(other)), "{one} {other}");
        }
        for (one, other) in [("admin", "admins"), ("öffnen", "offnen"), ("a/b", "ab")] {
            assert!(!is_same(&folded(one), &folded(other)), "{one} {other}");
        }
    }

    #[test]
    fn a_path_is_below_a_place_by_whole_segments() {
        let place = LoosePath::of("/kb");
        for (path, below) in [
            ("/kb", true),
            ("/KB/x", true),
            ("/\u{212a}b/x", true),
            ("／kb/x", true),
            ("/kbs", false),
            ("/", false),
        ] {
            assert_eq!(LoosePath::of(path).is_below(&place), below, "{path}");
        }
        assert!(
            LoosePath::of("/x/\u{ff0e}\u{ff0e}/kb").is_unclear() && !LoosePath::of("/x/…/kb").is_unclear()
        );
        for path in ["/x/\u{ff0e}\u{ff0e}\u{ff3c}kb", "/x/\u{ff0e}\u{ff0e}\u{ff1b}/kb"] {
            assert!(LoosePath::of(path).is_unclear(), "{path}");
        }
    }
}
