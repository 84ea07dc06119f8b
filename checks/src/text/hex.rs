//! Bytes as hexadecimal digits: `0d0a`, `0d 0a`.

use std::fmt;
use std::str::FromStr;

use super::{Refused, typed_text};

/// Bytes; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hex(Vec<u8>);

impl Hex {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Hex {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let no_bytes = || {
            Refused::new(format!(
                "`{text}` is no bytes; write two hexadecimal digits for each, such as `0d 0a`"
            ))
        };
        let digits: Option<Vec<u8>> = text
            .chars()
            .filter(|c| !c.is_ascii_whitespace())
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.filter(|digits| !digits.is_empty()).ok_or_else(no_bytes)?;
        let (pairs, odd) = digits.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(no_bytes());
        }
        Ok(Self(pairs.iter().map(|[high, low]| high << 4 | low).collect()))
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}{byte:02x}")?;
        }
        Ok(())
    }
}

typed_text!(Hex, "bytes such as `0d 0a`", {
    "type": "string",
    "description": "bytes as hexadecimal digits: `0d 0a`",
    "pattern": "^\\s*([0-9a-fA-F]\\s*[0-9a-fA-F]\\s*)+$",
    "examples": ["0d 0a"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_and_written() {
        for (text, bytes, written) in [
            ("0d0a", &[13, 10][..], "0d 0a"),
            ("FF 00 7f", &[255, 0, 127], "ff 00 7f"),
            (" 0 1 ", &[1], "01"),
        ] {
            let hex: Hex = text.parse().expect(text);
            assert_eq!((hex.bytes(), hex.to_string().as_str()), (bytes, written));
        }
        for text in ["", " ", "0", "0d0", "xy", "0x0d", "\u{ff10}0"] {
            assert!(text.parse::<Hex>().is_err(), "{text}");
        }
    }
}
