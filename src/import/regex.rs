//! Regular expressions over paths, as sets of paths: those that surely match, and those that may. Knows no product. What
//! it does not understand may match everything and surely matches nothing.

use super::path::{Paths, Reach, Segment, is_sayable};

/// What an expression is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// The path alone.
    Path,
    /// The path, and behind a `?` the query.
    PathAndQuery,
}

/// The paths that an expression speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matched {
    /// Each of these matches, whatever the query.
    pub(super) surely: Vec<Paths>,
    /// No other path matches.
    pub(super) maybe: Vec<Paths>,
}

impl Matched {
    /// All that can be said of an expression that is not understood.
    pub(super) fn unknown() -> Self {
        Self { surely: Vec::new(), maybe: vec![Paths::all()] }
    }

    /// Whether both sets are the same.
    pub(super) fn is_exact(&self) -> bool {
        self.surely == self.maybe
    }
}

/// Reads an expression in the syntax that Go and Python share.
pub(super) fn paths_of(expression: &str, against: Against) -> Matched {
    let Some(lines) = parse(expression) else { return Matched::unknown() };
    let read: Vec<Line> = lines.iter().map(|line| read_line(line, against)).collect();
    let mut surely: Vec<Paths> = Vec::new();
    for (paths, cover) in read.iter().filter_map(|line| line.surely.as_ref()) {
        let other = |wanted: Cover| {
            read.iter()
                .filter_map(|line| line.surely.as_ref())
                .any(|(other, cover)| *cover == wanted && other == paths)
        };
        let whole = match cover {
            Cover::Any => true,
            Cover::Bare => other(Cover::Asked),
            Cover::Asked => other(Cover::Bare),
        };
        if whole && !surely.contains(paths) {
            surely.push(paths.clone());
        }
    }
    let mut maybe: Vec<Paths> = read.into_iter().map(|line| line.maybe).collect();
    for set in [&mut surely, &mut maybe] {
        join(set);
    }
    Matched { surely, maybe }
}

/// A path and all below it are one set; sets within others are left out.
fn join(sets: &mut Vec<Paths>) {
    sets.sort();
    sets.dedup();
    let exact: Vec<Paths> = sets.iter().filter(|set| set.reach == Reach::Exact).cloned().collect();
    for set in sets.iter_mut().filter(|set| set.edge().is_some_and(|edge| exact.contains(&edge))) {
        set.reach = Reach::Open;
    }
    let all = sets.clone();
    let within = |set: &Paths| {
        all.iter().any(|other| {
            other != set
                && other.holds(set)
                && !(set.reach == Reach::Open
                    && other.reach == Reach::Below
                    && other.segments == set.segments)
        })
    };
    sets.retain(|set| !within(set));
}

/// Which requests for a path match.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cover {
    Any,
    /// Those without a query.
    Bare,
    /// Those with one.
    Asked,
}

/// One way through an expression.
struct Line {
    surely: Option<(Paths, Cover)>,
    maybe: Paths,
}

/// A step on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Start,
    End,
    Letter(char),
    /// `.*`
    Rest,
    /// `[^/]+`
    Segment,
    /// `[^/?]+`
    Clean,
    /// Anything else.
    Other,
}

fn read_line(steps: &[Step], against: Against) -> Line {
    // A segment that may have a `?` in it can reach into the query.
    let settle = |step: &Step| match (step, against) {
        (Step::Segment, Against::PathAndQuery) => Step::Other,
        (Step::Clean, _) => Step::Segment,
        (step, _) => step.clone(),
    };
    let steps: Vec<Step> = steps.iter().map(settle).collect();
    let (anchored, steps) = match steps.split_first() {
        Some((Step::Start, rest)) => (true, rest),
        Some(_) | None => (false, steps.as_slice()),
    };
    let mut walk = Walk::default();
    let line = walk.read(steps, against);
    // An expression that is not anchored matches in the middle of any path, too.
    if anchored { line } else { Line { maybe: Paths::all(), ..line } }
}

/// A path as far as it has been read.
#[derive(Default)]
struct Walk {
    segments: Vec<Segment>,
    /// The segment that has not ended; `None` before the first slash.
    last: Option<String>,
}

impl Walk {
    fn read(&mut self, steps: &[Step], against: Against) -> Line {
        let mut rest = steps;
        while let Some((step, behind)) = rest.split_first() {
            match step {
                Step::Letter('?') if against == Against::PathAndQuery => return self.at_query(behind),
                Step::Letter('/') if self.end_segment() => {}
                Step::Letter(letter) if *letter != '/' && self.last.is_some() => {
                    self.last.get_or_insert_default().push(*letter);
                }
                Step::Segment if self.last.as_deref() == Some("") && ends_segment(behind) => {
                    self.segments.push(Segment::Any);
                    self.last = None;
                    match behind.split_first() {
                        None | Some((Step::Rest, [] | [Step::End])) => {
                            return exactly(self.whole(Reach::Open), Cover::Any);
                        }
                        Some((Step::End, _)) => return self.at_end(against),
                        Some(_) => {}
                    }
                }
                Step::End if behind.is_empty() => return self.at_end(against),
                Step::Rest if matches!(behind, [] | [Step::End]) => return self.at_prefix(),
                Step::Start
                | Step::End
                | Step::Letter(_)
                | Step::Rest
                | Step::Segment
                | Step::Clean
                | Step::Other => {
                    return Line { surely: None, maybe: self.around() };
                }
            }
            rest = behind;
        }
        self.at_prefix()
    }

    /// At a slash: whether a pattern can say the segment before it.
    fn end_segment(&mut self) -> bool {
        match self.last.replace(String::new()) {
            None => true,
            Some(text) if is_sayable(&text) => {
                self.segments.push(Segment::Just(text));
                true
            }
            Some(text) => {
                self.last = Some(text);
                false
            }
        }
    }

    fn whole(&self, reach: Reach) -> Paths {
        Paths { segments: self.segments.clone(), reach }
    }

    /// All paths that begin so far, and those that share the segment that has not ended.
    fn around(&self) -> Paths {
        if self.segments.is_empty() { Paths::all() } else { self.whole(Reach::Below) }
    }

    fn at_end(&self, against: Against) -> Line {
        let cover = if against == Against::Path { Cover::Any } else { Cover::Bare };
        self.exact()
            .map_or_else(|| Line { surely: None, maybe: self.around() }, |paths| exactly(paths, cover))
    }

    fn at_query(&self, behind: &[Step]) -> Line {
        let any_query = matches!(behind, [] | [Step::Rest] | [Step::Rest, Step::End]);
        match self.exact() {
            Some(paths) if any_query => exactly(paths, Cover::Asked),
            Some(paths) => Line { surely: None, maybe: paths },
            None => Line { surely: None, maybe: self.around() },
        }
    }

    fn exact(&self) -> Option<Paths> {
        let mut paths = self.whole(Reach::Exact);
        match self.last.as_deref() {
            None if paths.segments.is_empty() => return None,
            None => {}
            Some(text) if text.is_empty() || is_sayable(text) => {
                paths.segments.push(Segment::Just(text.to_owned()))
            }
            Some(_) => return None,
        }
        Some(paths)
    }

    /// All that begins so.
    fn at_prefix(&self) -> Line {
        match self.last.as_deref() {
            None => exactly(Paths::all(), Cover::Any),
            Some("") => exactly(self.around(), Cover::Any),
            Some(_) => {
                let inside = self.exact().map(|paths| Paths { reach: Reach::Open, ..paths });
                Line { surely: inside.map(|paths| (paths, Cover::Any)), maybe: self.around() }
            }
        }
    }
}

fn exactly(paths: Paths, cover: Cover) -> Line {
    Line { surely: Some((paths.clone(), cover)), maybe: paths }
}

fn ends_segment(behind: &[Step]) -> bool {
    matches!(behind, [] | [Step::Rest] | [Step::Rest, Step::End] | [Step::End] | [Step::Letter('/'), ..])
}

/// Takes an expression apart into all ways through it; `None` if that cannot be done.
fn parse(expression: &str) -> Option<Vec<Vec<Step>>> {
    let letters: Vec<char> = expression.chars().collect();
    let mut parser = Parser { letters: &letters, at: 0, depth: 0 };
    let ways = parser.either()?;
    (parser.at == letters.len()).then_some(ways)
}

struct Parser<'a> {
    letters: &'a [char],
    at: usize,
    /// How many parentheses are open.
    depth: usize,
}

type Ways = Vec<Vec<Step>>;

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn either(&mut self) -> Option<Ways> {
        let mut ways = self.sequence()?;
        while self.peek() == Some('|') {
            self.at += 1;
            ways.extend(self.sequence()?);
        }
        (ways.len() <= MOST_WAYS).then_some(ways)
    }

    fn sequence(&mut self) -> Option<Ways> {
        let mut ways: Ways = vec![Vec::new()];
        while let Some(letter) = self.peek().filter(|letter| !matches!(letter, '|' | ')')) {
            self.at += 1;
            let piece = self.piece(letter)?;
            let piece = self.repeated(piece)?;
            if ways.len() * piece.len() > MOST_WAYS {
                return None;
            }
            ways = ways
                .iter()
                .flat_map(|way| piece.iter().map(|more| [way.as_slice(), more].concat()))
                .collect();
        }
        Some(ways)
    }

    fn piece(&mut self, letter: char) -> Option<Ways> {
        let one = |step: Step| vec![vec![step]];
        Some(match letter {
            '^' => one(Step::Start),
            '$' => one(Step::End),
            '.' => match self.peek() {
                Some('*') => {
                    self.at += 1;
                    self.take_if('?');
                    one(Step::Rest)
                }
                _ => one(Step::Other),
            },
            '[' => self.class()?,
            '(' => {
                let ways = self.group()?;
                self.take_if(')').then_some(ways)?
            }
            '\\' => {
                let letter = self.peek()?;
                self.at += 1;
                // A letter behind a backslash is a class or a place; everything else is itself.
                if letter.is_ascii_alphanumeric() { one(Step::Other) } else { one(Step::Letter(letter)) }
            }
            '*' | '+' | '?' | '{' | ']' | '}' => return None,
            letter => one(Step::Letter(letter)),
        })
    }

    /// Behind the parenthesis. Of those with a `?` only groups that are not kept are known.
    fn group(&mut self) -> Option<Ways> {
        if self.take_if('?') {
            self.take_if(':').then_some(())?;
        }
        self.depth += 1;
        let ways = if self.depth <= DEEPEST { self.either() } else { None };
        self.depth -= 1;
        ways
    }

    fn class(&mut self) -> Option<Ways> {
        let end = self.letters[self.at..].iter().skip(1).position(|letter| *letter == ']')? + self.at + 1;
        let inside = &self.letters[self.at..end];
        self.at = end + 1;
        let segment = match inside {
            ['^', '/'] | ['^', '\\', '/'] => Some(Step::Segment),
            ['^', '/', '?'] | ['^', '?', '/'] => Some(Step::Clean),
            _ => None,
        };
        if let Some(segment) = segment {
            let step = if self.take_if('+') { segment } else { Step::Other };
            if step != Step::Other {
                self.take_if('?');
            }
            return Some(vec![vec![step]]);
        }
        let plain = |letter: &char| !letter.is_ascii_alphanumeric() && !"^-\\[".contains(*letter);
        if inside.len() <= 4 && inside.iter().all(plain) {
            return Some(inside.iter().map(|letter| vec![Step::Letter(*letter)]).collect());
        }
        Some(vec![vec![Step::Other]])
    }

    /// What stands behind a piece and says how often.
    fn repeated(&mut self, piece: Ways) -> Option<Ways> {
        match self.peek() {
            // A `?` behind it says in which order ways are tried, not which there are.
            Some('?') => {
                self.at += 1;
                self.take_if('?');
                Some([piece, vec![Vec::new()]].concat())
            }
            Some('*' | '+') => {
                self.at += 1;
                self.take_if('?');
                Some(vec![vec![Step::Other]])
            }
            Some('{') => {
                let end = self.letters[self.at..].iter().position(|letter| *letter == '}')?;
                self.at += end + 1;
                self.take_if('?');
                Some(vec![vec![Step::Other]])
            }
            Some(_) | None => Some(piece),
        }
    }

    fn take_if(&mut self, letter: char) -> bool {
        let there = self.peek() == Some(letter);
        self.at += usize::from(there);
        there
    }
}

/// How deep parentheses may stand within each other.
const DEEPEST: usize = 50;
/// More ways through an expression are not looked at.
const MOST_WAYS: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(sets: &[Paths]) -> String {
        let show = |set: &Paths| {
            let text = set.to_string();
            if set.reach == Reach::Below { text.replace("/**", "/++") } else { text }
        };
        sets.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn paths_of_expressions() {
        for (expression, surely, maybe) in [
            ("^/health$", "/health", "/health"),
            ("^/health", "/health/**", "/**"),
            ("^/api/", "/api/++", "/api/++"),
            ("^/api/.*$", "/api/++", "/api/++"),
            ("^/api/.*", "/api/++", "/api/++"),
            ("^/api(/.*)?$", "/api/**", "/api/**"),
            ("^/api(/|$)", "/api/**", "/api/**"),
            ("^/(a|b)/x$", "/a/x /b/x", "/a/x /b/x"),
            ("^/a/[^/]+/b$", "/a/*/b", "/a/*/b"),
            ("^/a/[^/]+$", "/a/*", "/a/*"),
            ("^/a/v1", "/a/v1/**", "/a/++"),
            ("^/[^/]+?$", "/*", "/*"),
            ("^/a[^/]+?", "", "/**"),
            ("^/a[^/]*?$", "", "/**"),
            ("^/a/?$", "/a /a/", "/a /a/"),
            ("^/a/??$", "/a /a/", "/a /a/"),
            ("^/a/.*?$", "/a/++", "/a/++"),
            (r"^/robots\.txt$", "/robots.txt", "/robots.txt"),
            ("/health", "/health/**", "/**"),
            (".*", "/**", "/**"),
            ("^/.*$", "/**", "/**"),
            (r"\.css$", "", "/**"),
            (r"^/static/.*\.css$", "", "/static/++"),
            (r"^/v\d+/x", "", "/**"),
            (r"^/user/\d+$", "", "/user/++"),
            ("(?i)^/admin", "", "/**"),
            ("^/a[", "", "/**"),
            ("^/a{2}$", "", "/**"),
            ("^/x%2f$", "", "/**"),
            ("^/a|b$", "/a/**", "/**"),
        ] {
            let read = paths_of(expression, Against::Path);
            assert_eq!(
                (shown(&read.surely), shown(&read.maybe)),
                (surely.into(), maybe.into()),
                "{expression}"
            );
        }
    }

    #[test]
    fn a_query_counts_where_it_is_looked_at() {
        for (expression, surely, maybe) in [
            ("^/api$", "", "/api"),
            ("^/api([/?].*)?$", "/api/**", "/api/**"),
            (r"^/api(\?.*)?$", "/api", "/api"),
            (r"^/api\?key=1$", "", "/api"),
            ("^/api/.*$", "/api/++", "/api/++"),
            ("^/a/[^/]+/b.*$", "", "/a/++"),
            ("^/a/[^/?]+/b/.*$", "/a/*/b/++", "/a/*/b/++"),
        ] {
            let read = paths_of(expression, Against::PathAndQuery);
            assert_eq!(
                (shown(&read.surely), shown(&read.maybe)),
                (surely.into(), maybe.into()),
                "{expression}"
            );
        }
    }

    /// A letter or a class, and how often it may stand there.
    #[derive(Clone, Debug)]
    struct Piece {
        text: &'static str,
        times: &'static str,
        is_lazy: bool,
    }

    impl Piece {
        fn is(&self, letter: u8) -> bool {
            match self.text {
                "[^/]" => letter != b'/',
                "." => true,
                text => text.as_bytes() == [letter],
            }
        }
    }

    impl std::fmt::Display for Piece {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let lazy = if self.is_lazy && !self.times.is_empty() { "?" } else { "" };
            write!(f, "{}{}{lazy}", self.text, self.times)
        }
    }

    /// Whether the pieces match from the beginning of a path, and to its end if they have to.
    fn fits(pieces: &[Piece], path: &[u8], to_end: bool) -> bool {
        let Some((piece, rest)) = pieces.split_first() else { return !to_end || path.is_empty() };
        let least = usize::from(matches!(piece.times, "" | "+"));
        let most = if matches!(piece.times, "" | "?") { 1 } else { path.len() };
        let there = path.iter().take_while(|letter| piece.is(**letter)).count();
        (least..=most.min(there)).any(|times| fits(rest, &path[times..], to_end))
    }

    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        let texts = prop::sample::select(vec!["a", "b", "/", "/", "[^/]", "."]);
        let times = prop::sample::select(vec!["", "", "", "?", "*", "+"]);
        let piece = (texts, times, any::<bool>());
        prop::collection::vec(piece.prop_map(|(text, times, is_lazy)| Piece { text, times, is_lazy }), 0..6)
    }

    proptest! {
        #[test]
        fn what_surely_matches_matches_and_nothing_else_than_what_may(pieces in pieces(), to_end in any::<bool>()) {
            let text: String = pieces.iter().map(ToString::to_string).collect();
            let matched = paths_of(&format!("^/{text}{}", if to_end { "$" } else { "" }), Against::Path);
            for path in ["/", "/a", "/b", "/a/", "/ab", "/a/b", "/a/b/", "/a/ba", "/a/b/a", "/b/a", "/aa/bb/ab"] {
                let set = Paths::literal(path, Reach::Exact).unwrap();
                let meant = fits(&pieces, &path.as_bytes()[1..], to_end);
                let within = |sets: &[Paths]| sets.iter().any(|other| other.holds(&set));
                prop_assert!(meant || !within(&matched.surely), "{text} {to_end} opens {path}: {matched:?}");
                prop_assert!(!meant || within(&matched.maybe), "{text} {to_end} forgets {path}: {matched:?}");
            }
        }
    }
}
