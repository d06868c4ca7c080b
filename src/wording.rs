//! Times and devices in words that people read, and lengths of time that they write; texts of strangers made fit to be
//! printed and sent. Knows neither clocks nor sessions.

mod device;
mod duration;
mod time;

pub use device::device;
pub use duration::parse_duration;
pub use time::{ago, day_and_time, timestamp, timestamp_millis};

/// A text that somebody else chose, fit to be printed: what would move the cursor, turn the direction of writing or
/// break the line is shown as a mark instead.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || is_invisible(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// Whether it may stand in no line that a server reads, as some take it for a control or for the line's end.
pub fn breaks_lines(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether some software trims it off the end of a text, or shows nothing where it stands: two names that differ by it alone
/// would be one.
pub fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
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
}
