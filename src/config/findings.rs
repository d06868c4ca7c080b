//! Findings: what keeps a configuration from being used, each with its place and the way out. Knows no settings.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::followed::Followed;

/// Everything that is wrong with a configuration, in the order of its text; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    all: Vec<Finding>,
    files: Vec<PathBuf>,
}

/// One thing that is wrong, and what to do about it. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `foregate.toml:LINE:COL`, or the name of an environment variable.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub fix: String,
    /// The source line with a caret below it, where there is one that may be shown.
    pub excerpt: Option<String>,
}

impl Findings {
    /// A single finding without a source line.
    pub(crate) fn one(place: &str, problem: String, fix: String) -> Self {
        let all = vec![Finding { place: place.to_owned(), problem, fix, excerpt: None }];
        Self { all, files: Vec::new() }
    }

    /// All of these, if there is one.
    pub(crate) fn of(all: Vec<Finding>) -> Option<Self> {
        (!all.is_empty()).then(|| Self { all, files: Vec::new() })
    }

    /// The findings, one by one.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Finding> {
        self.all.iter()
    }

    /// The files beside the configuration's own that were looked for: a change of one may mend it.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.all.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl Error for Findings {}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; fix: {}", self.place, self.problem, self.fix)?;
        self.excerpt.as_ref().map_or(Ok(()), |excerpt| write!(f, "\n{excerpt}"))
    }
}

/// Where a text of the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// What holds when nobody says otherwise.
    Default,
    /// The file of this name.
    File(String),
    /// The environment variable of this name; `shown` where its text is TOML and may be quoted.
    Variable { name: String, shown: bool },
    /// The environment as a whole, for what it lacks.
    Environment,
}

/// A part of one source text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    source: usize,
    /// Bytes of the text; `None` is the source as a whole.
    span: Option<Range<usize>>,
}

/// Collects texts and what is wrong with them, and writes it out once all is known that must stay hidden.
#[derive(Default)]
pub(crate) struct Notebook {
    sources: Vec<Source>,
    notes: Vec<Note>,
    files: Vec<Followed>,
}

struct Source {
    origin: Origin,
    text: String,
    /// Where each line starts.
    lines: Vec<usize>,
    hidden: Vec<Range<usize>>,
}

struct Note {
    place: Place,
    problem: String,
    fix: String,
}

impl Notebook {
    /// Takes in a text; the place returned is all of it.
    pub(crate) fn add(&mut self, origin: Origin, text: &str) -> Place {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.sources.push(Source { origin, text: text.to_owned(), lines, hidden: Vec::new() });
        Place { source: self.sources.len() - 1, span: None }
    }

    /// Writes down what is wrong at a place.
    pub(crate) fn note(&mut self, place: &Place, problem: impl Into<String>, fix: impl Into<String>) {
        self.notes.push(Note { place: place.clone(), problem: problem.into(), fix: fix.into() });
    }

    /// Writes down an error whose text says behind its last colon what to write instead.
    pub(crate) fn note_error(&mut self, place: &Place, error: &dyn Error) {
        let text = error.to_string();
        let (problem, fix) = text.rsplit_once(": ").unwrap_or((&text, "write another one"));
        self.note(place, problem, fix);
    }

    /// Keeps the text of a place out of every excerpt.
    pub(crate) fn hide(&mut self, place: &Place) {
        if let (Some(source), Some(span)) = (self.sources.get_mut(place.source), &place.span) {
            source.hidden.push(span.clone());
        }
    }

    /// Remembers a file that a setting names, as it is just before it is read for what it holds.
    pub(crate) fn follow(&mut self, setting: impl Into<String>, path: &str) {
        self.files.push(Followed::new(setting.into(), Path::new(path)));
    }

    /// The files that settings name.
    pub(crate) fn files(&self) -> &[Followed] {
        &self.files
    }

    /// How many things are wrong so far.
    pub(crate) fn count(&self) -> usize {
        self.notes.len()
    }

    /// `foregate.toml:3`, `environment FOREGATE_ALLOW` or `default`, for a reader of values.
    pub(crate) fn whence(&self, place: &Place) -> String {
        let Some(source) = self.sources.get(place.source) else { return String::new() };
        match &source.origin {
            Origin::Default => "default".to_owned(),
            Origin::File(name) => format!("{name}:{}", source.position(place.start()).line),
            Origin::Variable { name, .. } => format!("environment {name}"),
            Origin::Environment => "environment".to_owned(),
        }
    }

    /// The findings in the order of the texts, or nothing if all is well.
    pub(crate) fn findings(mut self) -> Option<Findings> {
        self.notes.sort_by_key(|note| note.place.order());
        self.sources.iter_mut().for_each(Source::merge_hidden);
        let findings: Vec<_> = self.notes.iter().filter_map(|note| self.finding(note)).collect();
        let files = self.files.iter().map(|file| file.path().to_owned()).collect();
        Findings::of(findings).map(|findings| Findings { files, ..findings })
    }

    fn finding(&self, note: &Note) -> Option<Finding> {
        let source = self.sources.get(note.place.source)?;
        let start = source.position(note.place.start());
        let (place, shown) = match &source.origin {
            Origin::Default => ("default".to_owned(), true),
            Origin::File(name) => (format!("{name}:{}:{}", start.line, start.column), true),
            Origin::Variable { name, shown } => (name.clone(), *shown),
            Origin::Environment => ("environment".to_owned(), false),
        };
        let excerpt = note.place.span.as_ref().filter(|_| shown).and_then(|span| source.excerpt(span));
        Some(Finding { place, problem: note.problem.clone(), fix: note.fix.clone(), excerpt })
    }
}

impl Place {
    /// A part of the same source.
    pub(crate) fn part(&self, span: Range<usize>) -> Self {
        Self { source: self.source, span: Some(span) }
    }

    /// Sorts places by their sources and where they begin in them.
    pub(crate) fn order(&self) -> (usize, usize) {
        (self.source, self.start())
    }

    fn start(&self) -> usize {
        self.span.as_ref().map_or(0, |span| span.start)
    }
}

struct Position {
    line: usize,
    column: usize,
    /// Where the line starts, in bytes.
    line_start: usize,
}

impl Source {
    fn position(&self, offset: usize) -> Position {
        let line = self.lines.partition_point(|&start| start <= offset).max(1);
        let line_start = self.lines.get(line - 1).copied().unwrap_or_default();
        let before = self.text.get(line_start..offset).unwrap_or_default();
        let column = before.chars().filter(|&c| c != BYTE_ORDER_MARK).count() + 1;
        Position { line, column, line_start }
    }

    /// Puts what is hidden in order, without overlaps.
    fn merge_hidden(&mut self) {
        self.hidden.sort_by_key(|range| range.start);
        self.hidden.dedup_by(|next, kept| {
            let joined = next.start <= kept.end;
            if joined {
                kept.end = kept.end.max(next.end);
            }
            joined
        });
    }

    /// Whether the byte at `at` is hidden, once that is in order.
    fn hides(&self, at: usize) -> bool {
        let next = self.hidden.partition_point(|range| range.start <= at);
        next.checked_sub(1).and_then(|last| self.hidden.get(last)).is_some_and(|range| range.contains(&at))
    }

    /// The line where `span` starts, what is hidden as `***`, and a caret line below it.
    fn excerpt(&self, span: &Range<usize>) -> Option<String> {
        let position = self.position(span.start);
        let text = self.text.get(position.line_start..)?;
        let text = text.split('\n').next()?.trim_end();
        if text.chars().count() > LONGEST_LINE {
            return None;
        }
        let (mut line, mut carets) = (String::new(), String::new());
        let mut masked = false;
        for (index, c) in text.char_indices() {
            let at = position.line_start + index;
            let hidden = self.hides(at);
            let piece = match (hidden, masked) {
                (true, true) => "",
                (true, false) => "***",
                (false, _) if c == BYTE_ORDER_MARK => "",
                (false, _) if c.is_control() => " ",
                (false, _) => &text[index..index + c.len_utf8()],
            };
            masked = hidden;
            line.push_str(piece);
            let mark = if span.contains(&at) { "^" } else { " " };
            carets.push_str(&mark.repeat(piece.chars().count()));
        }
        if !carets.contains('^') {
            carets.push('^');
        }
        let number = position.line.to_string();
        let gutter = " ".repeat(number.len());
        Some(format!("{gutter} |\n{number} | {line}\n{gutter} | {}", carets.trim_end()))
    }
}

/// The known word that `word` was most likely meant to be, if any is close.
pub(crate) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let limit = (word.chars().count() / 3).clamp(1, 4);
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(steps, _)| steps <= limit)
        .min_by_key(|&(steps, _)| steps)
        .map(|(_, candidate)| candidate)
}

/// How many letters to add, drop or change to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().take(LONGEST_LINE).enumerate() {
        let mut corner = index;
        row[0] = index + 1;
        for (place, &other) in to.iter().enumerate() {
            let change = corner + usize::from(letter != other);
            corner = row[place + 1];
            row[place + 1] = change.min(corner + 1).min(row[place] + 1);
        }
    }
    row[to.len()]
}

/// A line longer than this is not shown.
const LONGEST_LINE: usize = 200;
/// What some editors put first in a file; TOML skips it.
const BYTE_ORDER_MARK: char = '\u{feff}';

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, span: Range<usize>, hidden: &[Range<usize>]) -> String {
        let mut book = Notebook::default();
        let whole = book.add(Origin::File("f.toml".into()), text);
        for range in hidden {
            book.hide(&whole.part(range.clone()));
        }
        book.note(&whole.part(span), "it is wrong", "make it right");
        book.findings().unwrap().to_string()
    }

    #[test]
    fn a_finding_shows_its_line_and_points_at_the_spot() {
        assert_eq!(
            written("a = 1\nbe = \"x\"\n", 6..8, &[]),
            "f.toml:2:1: it is wrong; fix: make it right\n  |\n2 | be = \"x\"\n  | ^^"
        );
        assert_eq!(
            written("\u{feff}ü =\t1", 8..9, &[]),
            "f.toml:1:5: it is wrong; fix: make it right\n  |\n1 | ü = 1\n  |     ^"
        );
        assert_eq!(written("a", 1..1, &[]).lines().last(), Some("  |  ^"), "at the end");
        assert_eq!(written("", 0..0, &[]).lines().last(), Some("  | ^"), "nothing at all");
    }

    #[test]
    fn what_is_hidden_is_never_shown() {
        let text = "s = { a = \"secret\", b = 1 }";
        let hidden = 10..18;
        let shown = written(text, 20..21, std::slice::from_ref(&hidden));
        assert!(shown.ends_with("1 | s = { a = ***, b = 1 }\n  |                ^"), "{shown}");
        assert!(!written(text, 10..18, &[hidden]).contains("secret"));
        let lines = written("k = [\n\"secret\" 1\n]", 15..16, std::slice::from_ref(&(4..18)));
        assert!(!lines.contains("secret"), "{lines}");
    }

    #[test]
    fn findings_come_in_the_order_of_the_text() {
        let mut book = Notebook::default();
        let file = book.add(Origin::File("f".into()), "a\nb\n");
        let variable = book.add(Origin::Variable { name: "FOREGATE_X".into(), shown: false }, "secret");
        book.note(&variable, "3", "-");
        book.note(&file.part(2..3), "2", "-");
        book.note(&file, "1", "-");
        let findings = book.findings().unwrap();
        assert_eq!(findings.iter().map(|one| one.problem.as_str()).collect::<Vec<_>>(), ["1", "2", "3"]);
        assert!(findings.to_string().ends_with("\nFOREGATE_X: 3; fix: -"));
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let known = ["issuer", "client_id", "scopes", "allow"];
        for (word, meant) in [
            ("isuer", Some("issuer")),
            ("clientid", Some("client_id")),
            ("alow", Some("allow")),
            ("scope", Some("scopes")),
            ("password", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), meant, "{word}");
        }
    }
}
