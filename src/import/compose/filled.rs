//! Variables in the texts of Compose files. Knows no service.

use std::collections::HashMap;

/// Variables from outside of the file; of several the last counts.
pub(super) type Outside = HashMap<String, String>;

/// `$NAME` and `${NAME}` with what Compose knows behind a name, by what was given; `$$` is a `$`. What nobody knows stays as
/// `${NAME}`.
pub(super) fn filled(text: &str, outside: &Outside) -> String {
    deep(text, outside, 0)
}

/// What stands for a variable that nobody gave.
pub(super) fn unknown(name: &str) -> String {
    format!("${{{name}}}")
}

fn deep(text: &str, outside: &Outside, depth: usize) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        filled.push_str(before);
        if let Some(after) = behind.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else if let Some((inside, after)) = behind.strip_prefix('{').and_then(braces) {
            filled.push_str(&variable(inside, outside, depth));
            rest = after;
        } else {
            let (name, after) = behind.split_at(name_end(behind));
            match outside.get(name) {
                // Not a name: the letter itself.
                _ if name.is_empty() => filled.push('$'),
                Some(value) => filled.push_str(value),
                None => filled.push_str(&unknown(name)),
            }
            rest = after;
        }
    }
    filled + rest
}

/// What stands between braces, which may have braces within.
fn braces(text: &str) -> Option<(&str, &str)> {
    let mut open = 1_usize;
    for (at, letter) in text.char_indices().take(LONGEST) {
        match letter {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
    None
}

/// A colon in front of the sign makes an empty variable one that is not there.
fn variable(inside: &str, outside: &Outside, depth: usize) -> String {
    let (name, rest) = inside.split_at(name_end(inside));
    let (colon, rest) = rest.strip_prefix(':').map_or((false, rest), |rest| (true, rest));
    let known = outside.get(name).map(String::as_str);
    let value = known.filter(|value| !colon || !value.is_empty());
    let other = |text: &str| if depth < DEEPEST { deep(text, outside, depth + 1) } else { unknown(name) };
    let mut letters = rest.chars();
    match (letters.next(), value) {
        (None | Some('-' | '?'), Some(value)) if !colon || !rest.is_empty() => value.to_owned(),
        (Some('-'), None) | (Some('+'), Some(_)) => other(letters.as_str()),
        // Only what was given as empty is surely empty.
        (Some('+'), None) if known.is_some() => String::new(),
        _ => unknown(name),
    }
}

fn name_end(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

const DEEPEST: usize = 16;
/// What stands between longer braces is not looked at.
const LONGEST: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_as_compose_fills_them() {
        let outside = [("A", "a"), ("NONE", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let outside = Outside::from(outside);
        for (text, wanted) in [
            ("$A ${A} $$A $", "a a $A $"),
            ("$UNKNOWN ${UNKNOWN}", "${UNKNOWN} ${UNKNOWN}"),
            ("${NONE:-x} ${NONE-x} ${UNKNOWN:-x} ${UNKNOWN-x} ${A:-x} ${A-x}", "x  x x a a"),
            ("${NONE:?x} ${UNKNOWN?x} ${A:?x} ${NONE?x}", "${NONE} ${UNKNOWN} a "),
            ("${NONE:+x} ${NONE+x} ${A:+x} ${UNKNOWN:+x}", " x x ${UNKNOWN}"),
            ("${UNKNOWN:-${A}b}c ${UNKNOWN:-${OTHER}}", "abc ${OTHER}"),
            ("${A ${A!x} $1 ${}", "${A ${A} $1 ${}"),
        ] {
            assert_eq!(filled(text, &outside), wanted, "{text}");
        }
        for times in [100, 40_000] {
            let deep = "${U:-".repeat(times) + &"}".repeat(times);
            assert!(filled(&deep, &outside).contains("${U"));
        }
    }
}
