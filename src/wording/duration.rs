//! Lengths of time as people write them. Knows no clock.

use std::time::Duration;

/// Reads `30s`, `12h` or `1h30m`: whole numbers, the larger units first, none twice; ten years at most.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut seconds: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(end);
        let unit = behind.chars().next()?;
        let (_, length) = units.find(|(name, _)| *name == unit)?;
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(*length)?)?;
        rest = &behind[unit.len_utf8()..];
    }
    (!text.is_empty() && seconds <= LONGEST_SECONDS).then(|| Duration::from_secs(seconds))
}

/// The units of time with their seconds, the largest first.
const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
/// Ten years: longer times are slips, and sums with them stay far from overflow.
const LONGEST_SECONDS: u64 = 10 * 365 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_whole_numbers_with_units() {
        for (text, seconds) in [
            ("30s", Some(30)),
            ("0s", Some(0)),
            ("5m", Some(300)),
            ("12h", Some(43_200)),
            ("7d", Some(604_800)),
            ("2w", Some(1_209_600)),
            ("1h30m", Some(5_400)),
            ("1w1d1h1m1s", Some(694_861)),
            ("", None),
            ("30", None),
            ("s", None),
            ("30m1h", None),
            ("1h1h", None),
            ("1.5h", None),
            ("-1s", None),
            ("+1s", None),
            (" 1s", None),
            ("1 s", None),
            ("30S", None),
            ("5min", None),
            ("99999999999999999999s", None),
            ("999999999999999w", None),
            ("3651d", None),
            ("3650d", Some(315_360_000)),
        ] {
            assert_eq!(parse_duration(text).map(|value| value.as_secs()), seconds, "{text}");
        }
    }
}
