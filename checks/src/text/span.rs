//! Durations as people write them: `30s`, `5m`, `1h30m`, `250ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Refused, typed_text};

/// A duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

impl Span {
    /// A span of this duration.
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// As the standard library's duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        if text.parse::<f64>().is_ok() {
            return Err(Refused::new(format!(
                "`{text}` has no unit; write `30s`, `5m` or `250ms`"
            )));
        }
        // humantime's `M` is a month; who writes it in a check means minutes.
        if text.contains('M') {
            return Err(Refused::new(format!("`{text}` is ambiguous; write `m` for minutes")));
        }
        humantime::parse_duration(text).map(Self).map_err(|_| {
            Refused::new(format!("`{text}` is no duration; write `30s`, `5m`, `1h30m` or `250ms`"))
        })
    }
}

/// Units from large to small, in nanoseconds.
const UNITS: [(u128, &str); 7] = [
    (86_400_000_000_000, "d"),
    (3_600_000_000_000, "h"),
    (60_000_000_000, "m"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
    (1_000, "us"),
    (1, "ns"),
];

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, name) in UNITS {
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

typed_text!(Span, "a duration such as `30s`", {
    "type": "string",
    "description": "a duration: `30s`, `5m`, `1h30m`, `250ms`",
    "pattern": "^\\s*([0-9]+\\s*[a-z]+\\s*)+$",
    "examples": ["30s", "5m", "250ms"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis, written) in [
            ("30s", 30_000, "30s"),
            ("5m", 300_000, "5m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("250ms", 250, "250ms"),
            ("90s", 90_000, "1m30s"),
            ("2d", 172_800_000, "2d"),
            (" 1h 5s ", 3_605_000, "1h5s"),
            ("0s", 0, "0s"),
        ] {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.get(), Duration::from_millis(millis), "{text}");
            assert_eq!(span.to_string(), written);
            assert_eq!(written.parse(), Ok(span));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "30", "-5s", "s", "5M", "1 fortnight", "3600000000000000000000h"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
