//! Shares of a hundred: `40%`, `0.5%`.

use std::fmt;
use std::str::FromStr;

use super::{Refused, typed_text};

/// A share between 0% and 100%.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl Percent {
    /// In hundredths: 40.0 for `40%`.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Percent {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        let Some(number) = text.strip_suffix('%') else {
            return Err(Refused::new(match text.parse::<f64>() {
                Ok(_) => format!("`{text}` has no percent sign; write `{text}%`"),
                Err(_) => format!("`{text}` is no share; write `40%`"),
            }));
        };
        let digits = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        match number.parse::<f64>() {
            Ok(number) if digits && number <= 100.0 => Ok(Self(number)),
            _ => Err(Refused::new(format!("`{text}` is no share; write `0%` to `100%`"))),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

typed_text!(Percent, "a share such as `40%`", {
    "type": "string",
    "description": "a share: `40%`",
    "pattern": "^\\s*[0-9]+(\\.[0-9]+)?%\\s*$",
    "examples": ["40%"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_written() {
        for (text, value) in [("40%", 40.0), ("0%", 0.0), ("100%", 100.0), ("0.5%", 0.5)] {
            let share: Percent = text.parse().expect(text);
            assert_eq!(share.get(), value);
            assert_eq!(share.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["", "%", "40", "-1%", "101%", "1e1%", "NaN%", "inf%", "40 %%"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }
}
