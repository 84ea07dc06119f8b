//! Sizes in bytes as people write them: `500B`, `1MB`, `64KiB`, `1MiB`.

use std::fmt;
use std::str::FromStr;

use super::{Refused, typed_text};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// Decimal units are powers of 1000, binary ones (IEC 80000-13) powers of 1024.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl Size {
    /// A size in bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = (&text[..digits], text[digits..].trim());
        if unit.is_empty() && !number.is_empty() {
            return Err(Refused::new(format!(
                "`{text}` has no unit; write `{text}B`, `64KiB` or `1MiB`"
            )));
        }
        let refused =
            || Refused::new(format!("`{text}` is no size; write `500B`, `64KiB`, `1MiB` or `1MB`"));
        let (_, factor) = UNITS
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .ok_or_else(refused)?;
        let number: u64 = number.parse().map_err(|_| refused())?;
        number.checked_mul(factor).map(Self).ok_or_else(refused)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole =
            UNITS.into_iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor));
        let (unit, factor) = whole.unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

typed_text!(Size, "a size such as `1MiB`", {
    "type": "string",
    "description": "a number of bytes: `500B`, `64KiB`, `1MiB`, `1MB`",
    "pattern": "^\\s*[0-9]+\\s*([kKmMgG][iI]?)?[bB]\\s*$",
    "examples": ["64KiB", "1MiB"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, written) in [
            ("1MiB", 1 << 20, "1MiB"),
            ("64KiB", 65_536, "64KiB"),
            ("500B", 500, "500B"),
            ("1MB", 1_000_000, "1MB"),
            ("2 gb", 2_000_000_000, "2GB"),
            ("1kB", 1_000, "1KB"),
            ("0B", 0, "0B"),
            ("1025B", 1025, "1025B"),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(size.to_string(), written);
            assert_eq!(written.parse(), Ok(size));
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "B", "1", "1.5MiB", "-1B", "1Mb it", "1TiBB", "99999999999999999999B"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert!(format!("{}GiB", u64::MAX).parse::<Size>().is_err(), "overflow");
    }
}
