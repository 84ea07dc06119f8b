//! What a scalar without quotes means: the core schema of YAML 1.2.2, section 10.3.2.

use serde_json::{Map, Number, Value as Json};

use super::tree::{Node, Scalar, Value};

impl Scalar {
    /// Whether it means null.
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The boolean that it means.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }

    /// The whole number that it means.
    pub(crate) fn integer(&self) -> Option<i64> {
        if !self.plain {
            return None;
        }
        let text = self.text.as_str();
        if let Some(digits) = text.strip_prefix("0x") {
            return based(digits, 16);
        }
        if let Some(digits) = text.strip_prefix("0o") {
            return based(digits, 8);
        }
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        whole.then(|| text.parse().ok()).flatten()
    }

    /// The number that it means.
    fn float(&self) -> Option<f64> {
        let digits = self.text.strip_prefix(['+', '-']).unwrap_or(&self.text);
        let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && digits.contains(|c: char| c.is_ascii_digit())
            && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
        (self.plain && numeric).then(|| self.text.parse().ok()).flatten()
    }

    /// As JSON. What JSON has no number for (`.inf`, `.nan`) stays text.
    fn to_json(&self) -> Json {
        if self.is_null() {
            return Json::Null;
        }
        if let Some(boolean) = self.boolean() {
            return Json::Bool(boolean);
        }
        if let Some(integer) = self.integer() {
            return Json::Number(integer.into());
        }
        match self.float().and_then(Number::from_f64) {
            Some(number) => Json::Number(number),
            None => Json::String(self.text.clone()),
        }
    }
}

/// Digits of base 8 or 16, without a sign.
fn based(digits: &str, radix: u32) -> Option<i64> {
    digits.chars().all(|c| c.is_digit(radix)).then(|| i64::from_str_radix(digits, radix).ok())?
}

/// The node as JSON.
pub(crate) fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::Map(entries) => {
            let pairs = entries.iter().map(|e| (e.key.name.clone(), to_json(&e.value)));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Scalar(scalar) => scalar.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, wanted) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("yes", json!("yes")),
            ("12", json!(12)),
            ("-7", json!(-7)),
            ("0o14", json!(12)),
            ("0xFF", json!(255)),
            ("0x-1", json!("0x-1")),
            ("014", json!(14)),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            (".5", json!(0.5)),
            (".", json!(".")),
            ("1.2.3", json!("1.2.3")),
            (".nan", json!(".nan")),
            ("1_000", json!("1_000")),
            ("30s", json!("30s")),
            ("12:30", json!("12:30")),
            ("99999999999999999999", json!(1e20)),
        ] {
            let scalar = Scalar { text: text.to_owned(), plain: true };
            assert_eq!(scalar.to_json(), wanted, "{text}");
        }
    }

    #[test]
    fn quoted_scalars_are_text() {
        let scalar = Scalar { text: "12".to_owned(), plain: false };
        assert_eq!(scalar.to_json(), json!("12"));
    }
}
