//! The names of sessions as people read and type them. Knows no store.

use std::fmt::Write as _;
use std::str::FromStr;

use thiserror::Error;

use super::store::SessionId;

/// A name as lists show it: 32 hexadecimal digits.
pub fn name_of(id: &SessionId) -> String {
    id.iter().fold(String::with_capacity(2 * id.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads a whole name, in either letter case; `None` for everything else.
pub fn parse_name(text: &str) -> Option<SessionId> {
    if text.len() != DIGITS || !is_hex(text) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

/// The beginning of a name, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdPrefix {
    first: u128,
    last: u128,
}

/// Why a text names no session.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a session is named by its {DIGITS} hexadecimal digits, or the first {FEWEST} or more of them")]
pub struct NoName;

impl FromStr for IdPrefix {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        if !(FEWEST..=DIGITS).contains(&text.len()) || !is_hex(text) {
            return Err(NoName);
        }
        let begin = u128::from_str_radix(text, 16).map_err(|_| NoName)?;
        let open = 4 * (DIGITS - text.len());
        let first = begin << open;
        Ok(Self { first, last: first | ((1 << open) - 1) })
    }
}

impl IdPrefix {
    /// The name before the first that fits, if there is one: where to begin looking.
    pub fn before(&self) -> Option<SessionId> {
        self.first.checked_sub(1).map(u128::to_be_bytes)
    }

    /// The name, if this is all of it.
    pub fn whole(&self) -> Option<SessionId> {
        (self.first == self.last).then(|| self.first.to_be_bytes())
    }

    /// Whether a name begins so.
    pub fn fits(&self, id: &SessionId) -> bool {
        (self.first..=self.last).contains(&u128::from_be_bytes(*id))
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Digits of a whole name.
const DIGITS: usize = 32;
/// Digits of the shortest beginning that is taken.
const FEWEST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SessionId = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0, 0, 0, 0, 0, 0, 0, 0xff];

    #[test]
    fn a_name_is_32_digits_and_nothing_else() {
        let name = name_of(&ID);
        assert_eq!(name, "0123456789abcdef00000000000000ff");
        assert_eq!(parse_name(&name), Some(ID));
        assert_eq!(parse_name(&name.to_uppercase()), Some(ID));
        let long = format!("{name}0");
        let signed = format!("+{}", &name[1..]);
        for text in ["", "0123", &name[1..], &long, &signed, "0123456789abcdef00000000000000fg"] {
            assert_eq!(parse_name(text), None, "{text}");
        }
    }

    #[test]
    fn a_beginning_fits_what_begins_so() {
        for (text, fits) in [
            ("01234567", Some(true)),
            ("012345678", Some(true)),
            ("0123456789ABCDEF", Some(true)),
            ("0123456789abcdef00000000000000ff", Some(true)),
            ("0123456789abcdef00000000000000fe", Some(false)),
            ("01234568", Some(false)),
            ("00000000", Some(false)),
            ("ffffffff", Some(false)),
            ("0123456", None),
            ("", None),
            ("0123456g", None),
            ("+1234567", None),
            ("0123456789abcdef00000000000000ff0", None),
            ("01234567é", None),
        ] {
            let found = text.parse::<IdPrefix>().ok().map(|prefix| prefix.fits(&ID));
            assert_eq!(found, fits, "{text}");
        }
    }

    #[test]
    fn looking_begins_right_before_the_first_that_fits() {
        let before = |text: &str| text.parse::<IdPrefix>().unwrap().before();
        assert_eq!(before("00000000"), None);
        assert_eq!(
            before("00000001").map(|id| name_of(&id)).as_deref(),
            Some("00000000ffffffffffffffffffffffff")
        );
        let all: IdPrefix = "ffffffff".parse().unwrap();
        assert!(all.fits(&[0xff; 16]));
    }
}
