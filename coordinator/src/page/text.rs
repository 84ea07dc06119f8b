//! Times, durations and shares as people read them, and targets' output made harmless.

use std::time::Duration;

use crosscheck_checks::excerpt::is_harmful;
use crosscheck_model::Timestamp;
use crosscheck_model::observation::EXCERPT_LIMIT_BYTES;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The longest piece of a target's own words on the page, in characters: two lines on a phone
/// for a detail, and enough to know an error page by.
const QUOTE_LIMIT_CHARS: usize = 400;

/// A moment for a `<time>` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// RFC 3339, for machines.
    pub(crate) iso: String,
    /// For people.
    pub(crate) text: String,
}

impl Moment {
    /// To the minute, with the date: `22 Nov 2026, 10:02 UTC`.
    pub(crate) fn minute(at: Timestamp) -> Self {
        Self { iso: at.to_string(), text: format(at, "%-d %b %Y, %H:%M UTC") }
    }

    /// To the second, without the date: `10:02:11 UTC`.
    pub(crate) fn second(at: Timestamp) -> Self {
        Self { iso: at.to_string(), text: format(at, "%H:%M:%S UTC") }
    }

    /// To the second on the day of `now`, otherwise with the date.
    pub(crate) fn near(at: Timestamp, now: Timestamp) -> Self {
        if date(at) == date(now) {
            return Self::second(at);
        }
        Self { iso: at.to_string(), text: format(at, "%-d %b, %H:%M UTC") }
    }
}

/// The moment in UTC by a `strftime` format.
pub(crate) fn format(at: Timestamp, pattern: &str) -> String {
    civil(at).strftime(pattern).to_string()
}

/// The UTC day of a moment.
pub(crate) fn date(at: Timestamp) -> Date {
    civil(at).date()
}

/// UTC wall time; the epoch for what no calendar holds.
fn civil(at: Timestamp) -> jiff::civil::DateTime {
    let millis = i64::try_from(at.as_millis()).unwrap_or(0);
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.to_zoned(TimeZone::UTC).datetime()
}

/// `Tue 22 Nov 2026`.
pub(crate) fn day_name(date: Date) -> String {
    date.strftime("%a %-d %b %Y").to_string()
}

/// Two units at most, rounded down: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`.
pub(crate) fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: u64, unit: &str, small: u64, sub: &str| match small {
        0 => format!("{big} {unit}"),
        small => format!("{big} {unit} {small} {sub}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, 1..10) => two(minutes, "min", seconds % 60, "s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// A run time: `0.4 ms`, `43 ms`, `1.20 s`.
pub(crate) fn run_time(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        1_000..1_000_000 => format!("{} ms", (micros + 500) / 1000),
        _ => format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
    }
}

/// A count with its noun: `1 check`, `3 checks`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Somebody else's words as one harmless line: no control characters, nothing that turns the
/// direction of the text around, not without end. The template escapes it.
pub(crate) fn quote(text: &str) -> String {
    quote_at_most(QUOTE_LIMIT_CHARS, text)
}

/// The same, in full: of what is bounded already, and asked for.
pub(crate) fn quote_all(text: &str) -> String {
    quote_at_most(EXCERPT_LIMIT_BYTES, text)
}

fn quote_at_most(limit: usize, text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !is_harmful(*c))
        .collect();
    let mut quoted: String = line.chars().take(limit).collect();
    if line.chars().nth(limit).is_some() {
        quoted.push('…');
    }
    quoted.trim().to_owned()
}

/// A name as one segment of a path (RFC 3986 unreserved characters stand for themselves).
pub(crate) fn segment(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte));
            }
            byte => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (750, "12 min"),
            (3600, "1 h"),
            (12_000, "3 h 20 min"),
            (86_400, "1 d"),
            (187_200, "2 d 4 h"),
        ] {
            assert_eq!(length(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn run_times_keep_three_digits_or_less() {
        for (micros, text) in [
            (0, "0.0 ms"),
            (440, "0.4 ms"),
            (43_400, "43 ms"),
            (999_400, "999 ms"),
            (1_204_000, "1.20 s"),
            (61_000_000, "61.00 s"),
        ] {
            assert_eq!(run_time(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn moments_are_utc() {
        let at = Timestamp::from_millis(1_795_318_847_123);
        assert_eq!(Moment::minute(at).text, "22 Nov 2026, 03:40 UTC");
        assert_eq!(Moment::second(at).text, "03:40:47 UTC");
        assert_eq!(Moment::second(at).iso, "2026-11-22T03:40:47.123Z");
        let next_day = at.plus(Duration::from_secs(86_400));
        assert_eq!(Moment::near(at, next_day).text, "22 Nov, 03:40 UTC");
        assert_eq!(Moment::near(at, at).text, "03:40:47 UTC");
        assert_eq!(date(at).to_string(), "2026-11-22");
    }

    #[test]
    fn hostile_words_become_one_plain_line() {
        for (hostile, plain) in [
            ("a\u{1b}[31mred\u{7}", "a[31mred"),
            ("two\r\nlines", "two  lines"),
            ("\u{202e}drowssap", "drowssap"),
            ("zero\u{200b}width\u{feff}", "zerowidth"),
            ("  blanks\t", "blanks"),
            ("<b>kept</b>", "<b>kept</b>"),
        ] {
            assert_eq!(quote(hostile), plain);
        }
        assert_eq!(quote(&"x".repeat(10_000)).chars().count(), QUOTE_LIMIT_CHARS + 1);
    }

    #[test]
    fn names_become_one_path_segment() {
        assert_eq!(segment("acme/shop home?"), "acme%2Fshop%20home%3F");
        assert_eq!(segment("网"), "%E7%BD%91");
    }
}
