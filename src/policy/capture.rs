//! Names that a path fills in: `group:kb-owner:{kb_id}`. Knows no requests but their paths.
//!
//! What is filled in can never say more than one segment: it is in unreserved letters alone, so that of two captures
//! none can reach into the text between them, and it was not encoded, so that no server reads another name.

use super::matcher::{PathPattern, is_name};
use crate::headers::GroupPattern;
use crate::visit::Path;

/// A name with one or more segments of the rule's path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured(Box<[Piece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    /// The segment at `place`, counted from 0.
    Segment {
        name: Box<str>,
        place: usize,
    },
}

/// Why text with braces is no such name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CaptureError {
    /// Braces that hold no name.
    Braces,
    /// A name that the rule's path does not have.
    NotInPath(String),
}

impl Captured {
    /// Reads text whose `{names}` are segments of `path`; `None` if there are no braces in it.
    pub(super) fn parse(text: &str, path: Option<&PathPattern>) -> Result<Option<Self>, CaptureError> {
        if !text.contains(['{', '}']) {
            return Ok(None);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').ok_or(CaptureError::Braces)?;
            if !is_name(name) || before.contains('}') {
                return Err(CaptureError::Braces);
            }
            let place = path.and_then(|path| path.place_of(name));
            let place = place.ok_or_else(|| CaptureError::NotInPath(format!("{{{name}}}")))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            pieces.push(Piece::Segment { name: name.into(), place });
            rest = after;
        }
        if rest.contains('}') {
            return Err(CaptureError::Braces);
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        let adjacent = |pair: &[Piece]| pair.iter().all(|piece| matches!(piece, Piece::Segment { .. }));
        // `{a}{b}` is `x` and `yz` as well as `xy` and `z`.
        if pieces.windows(2).any(adjacent) {
            Err(CaptureError::Braces)
        } else {
            Ok(Some(Self(pieces.into())))
        }
    }

    /// The name for this path; `None` if a segment cannot be part of one.
    pub(super) fn at(&self, path: &Path<'_>) -> Option<String> {
        let mut name = String::new();
        for piece in &self.0 {
            name.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Segment { place, .. } => path.plain_segment(*place)?,
            });
        }
        Some(name)
    }

    /// All names that some path could make of it.
    pub(super) fn pattern(&self) -> GroupPattern {
        let mut pieces = vec![String::new()];
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => pieces.last_mut().into_iter().for_each(|last| last.push_str(text)),
                Piece::Segment { .. } => pieces.push(String::new()),
            }
        }
        GroupPattern::of(pieces)
    }

    /// The name as it was written.
    pub(super) fn as_written(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.to_string(),
            Piece::Segment { name, .. } => format!("{{{name}}}"),
        };
        self.0.iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_filled_in_as_it_was_sent_and_only_if_it_is_plain() {
        let pattern = PathPattern::parse("/{org}/kb/{id}/**").unwrap();
        for (text, path, name) in [
            ("owner:{id}", "/a/kb/7/x", Some("owner:7")),
            ("owner:{id}", "/a/kb/A7", Some("owner:A7")),
            ("{org}/{id}:rw", "/a/kb/7", Some("a/7:rw")),
            ("{id}", "/a/kb/7", Some("7")),
            ("owner:{id}", "/a/kb/%37", None),
            ("owner:{id}", "/a/kb/7:x", None),
            ("owner:{id}", "/a/kb/7%3Ax", None),
            ("owner:{id}", "/a/kb/7%20", None),
            ("owner:{id}", "/a/kb/é", None),
            ("{org}:{id}", "/a:b/kb/c", None),
        ] {
            let captured = Captured::parse(text, Some(&pattern)).unwrap().unwrap();
            assert_eq!(captured.at(&Path::parse(path.as_bytes()).unwrap()).as_deref(), name, "{text} {path}");
            assert_eq!(captured.as_written(), text);
        }
        assert_eq!(Captured::parse("owner", Some(&pattern)), Ok(None));
    }

    #[test]
    fn what_no_path_can_fill_in_is_refused() {
        let pattern = PathPattern::parse("/kb/{id}/{of}/*").unwrap();
        for (text, error) in [
            ("a{kb}", CaptureError::NotInPath("{kb}".into())),
            ("a{Id}", CaptureError::NotInPath("{Id}".into())),
            ("a{id", CaptureError::Braces),
            ("a}id{", CaptureError::Braces),
            ("a{id}}", CaptureError::Braces),
            ("{id}{of}", CaptureError::Braces),
            ("a{}", CaptureError::Braces),
            ("a{i d}", CaptureError::Braces),
            ("a{{id}}", CaptureError::Braces),
        ] {
            assert_eq!(Captured::parse(text, Some(&pattern)), Err(error), "{text}");
        }
        assert_eq!(Captured::parse("a{id}", None), Err(CaptureError::NotInPath("{id}".into())));
    }
}
