//! Times and devices in words that people read, and lengths of time that they write; texts of strangers made fit to be
//! printed, logged and sent. Knows neither clocks nor sessions.

mod device;
mod duration;
mod time;

pub use device::device;
pub use duration::parse_duration;
pub use time::{ago, day_and_time, timestamp, timestamp_millis};

use std::borrow::Cow;
use std::fmt::Write as _;

/// A text that somebody else chose, fit to be printed: what would move the cursor, turn the direction of writing or
/// break the line is shown as a mark instead.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || is_invisible(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// A line of the log, or of JSON, in which `\\u009b` and its like stand for what would move the cursor, turn the direction of
/// writing or break the line on the screen of whoever reads it. JSON reads the same text from it. ASCII stays, but for DEL, as
/// JSON escapes it itself and the line needs its end.
pub fn escaped(line: &str) -> Cow<'_, str> {
    let acts = |c: char| c == '\x7f' || !c.is_ascii() && (c.is_control() || is_invisible(c));
    if !line.contains(acts) {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if acts(c) {
            // Writing to a text cannot fail, and none of these is beyond the first plane.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

/// Whether it may stand in no line that a server reads, as some take it for a control or for the line's end.
pub fn breaks_lines(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether some software trims it off the end of a text, or shows nothing where it stands: two names that differ by it alone
/// would be one.
pub fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}')
        || matches!(c, '\u{e0000}'..='\u{e0fff}')
}

/// Marks of direction and breaks of line that are no control characters (UAX 9, UAX 14).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_printed_moves_the_cursor() {
        for (text, shown) in [
            ("alice", "alice"),
            ("Zoë ✓ 名前", "Zoë ✓ 名前"),
            ("a\u{1b}[2Jb", "a\u{fffd}[2Jb"),
            ("a\nb\rc\td", "a\u{fffd}b\u{fffd}c\u{fffd}d"),
            ("\u{9b}31m", "\u{fffd}31m"),
            ("admin\u{202e}txt", "admin\u{fffd}txt"),
            ("a\u{2028}b\u{2066}", "a\u{fffd}b\u{fffd}"),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
    }

    #[test]
    fn a_line_of_json_says_the_same_and_does_nothing() {
        let acts = |c: &char| (c.is_control() && *c >= '\u{7f}') || is_invisible(*c);
        let all: Vec<char> = ('\0'..=char::MAX).filter(acts).collect();
        assert_eq!(all.len(), 33 + 14);
        for c in all {
            let name = format!("a\\{c}\"{c}\n");
            let line = format!("{}\n", serde_json::json!({ "user": name }));
            let plain = escaped(&line);
            assert!(plain.is_ascii() && plain.ends_with("}\n"), "{plain}");
            let read: serde_json::Value = serde_json::from_str(&plain).unwrap();
            assert_eq!(read["user"], *name);
        }
        for line in ["", "alice\n", "Zoë ✓ 名前 👪 \u{a0}\u{200b}", "\u{1b}[2mINFO\u{1b}[0m"] {
            assert!(matches!(escaped(line), Cow::Borrowed(_)), "{line:?}");
        }
    }
}
