//! Moments as people and programs read them, from Unix seconds. Knows no clock and no zone but UTC.

/// How long ago `then` was at `now`, in one number and one unit. What lies ahead, as clocks differ, is just now.
pub fn ago(then: u64, now: u64) -> String {
    let seconds = now.saturating_sub(then);
    let (count, unit) = match seconds {
        0..MINUTE => return "just now".to_owned(),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..DAY => (seconds / HOUR, "hour"),
        DAY..MONTHS => (seconds / DAY, "day"),
        MONTHS..YEARS => (seconds / (30 * DAY), "month"),
        YEARS.. => (seconds / (365 * DAY), "year"),
    };
    if count == 1 { format!("1 {unit} ago") } else { format!("{count} {unit}s ago") }
}

/// A moment for programs (RFC 3339), such as `2026-02-28T09:05:03Z`.
pub fn timestamp(seconds: u64) -> String {
    let Utc { year, month, day, hour, minute, second } = Utc::of(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The same from Unix milliseconds, such as `2026-02-28T09:05:03.017Z`.
pub fn timestamp_millis(millis: u64) -> String {
    let Utc { year, month, day, hour, minute, second } = Utc::of(millis / 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % 1000)
}

/// A moment for people, in UTC and to the minute, such as `2026-02-28 09:05`.
pub fn day_and_time(seconds: u64) -> String {
    let Utc { year, month, day, hour, minute, .. } = Utc::of(seconds);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

struct Utc {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Utc {
    /// Counts days from March of the year 0, so that a leap day is the last of its year and every 400 years are alike.
    fn of(seconds: u64) -> Self {
        let seconds = seconds.min(LAST);
        let days = seconds / DAY + DAYS_BEFORE_1970;
        let (era, of_era) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: of_year - (153 * from_march + 2) / 5 + 1,
            hour: seconds / HOUR % 24,
            minute: seconds / MINUTE % 60,
            second: seconds % MINUTE,
        }
    }
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// From here on days are counted in months.
const MONTHS: u64 = 60 * DAY;
/// From here on in years.
const YEARS: u64 = 730 * DAY;
/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_BEFORE_1970: u64 = 719_468;
/// Days of 400 years.
const DAYS_OF_ERA: u64 = 146_097;
/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_past_is_one_number_and_one_unit() {
        let now = 2_000_000_000;
        for (seconds, told) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (119, "1 minute ago"),
            (120, "2 minutes ago"),
            (3_599, "59 minutes ago"),
            (3_600, "1 hour ago"),
            (86_399, "23 hours ago"),
            (86_400, "1 day ago"),
            (28 * 86_400, "28 days ago"),
            (60 * 86_400, "2 months ago"),
            (729 * 86_400, "24 months ago"),
            (730 * 86_400, "2 years ago"),
        ] {
            assert_eq!(ago(now - seconds, now), told, "{seconds}");
        }
        assert_eq!(ago(now + 5, now), "just now", "clocks differ");
        assert_eq!(ago(u64::MAX, 0), "just now");
    }

    #[test]
    fn seconds_are_days_of_the_calendar() {
        for (seconds, told) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (2_000_000_000, "2033-05-18T03:33:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(seconds), told, "{seconds}");
        }
        assert_eq!(day_and_time(2_000_000_000), "2033-05-18 03:33");
        assert_eq!(timestamp_millis(2_000_000_000_017), "2033-05-18T03:33:20.017Z");
    }
}
