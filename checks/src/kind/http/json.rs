//! What a value in a JSON body must be.

use std::cmp::Ordering;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::env::Secrets;
use crate::excerpt;

/// What every value that a path finds must be; a path that finds none is not as wanted.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expected {
    /// It is there, whatever it is.
    Exists,
    /// It is this: a value of the same type, numbers by their size.
    Is(Value),
    /// It compares so with this number or text.
    Compares(Operator, String),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The longer signs first, as the shorter begin them.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Operator {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Expected {
    fn of_text(text: &str) -> Result<Self, String> {
        if text.trim() == "exists" {
            return Ok(Self::Exists);
        }
        let trimmed = text.trim_start();
        let found = OPERATORS
            .into_iter()
            .find_map(|(sign, operator)| Some((sign, operator, trimmed.strip_prefix(sign)?)));
        let Some((sign, operator, operand)) = found else {
            return Ok(Self::Is(Value::String(text.to_owned())));
        };
        match operand.trim() {
            "" => Err(format!("`{text}` compares with nothing; write `{sign} 0`")),
            operand => Ok(Self::Compares(operator, operand.to_owned())),
        }
    }

    /// Whether the value is as wanted.
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Exists => true,
            Self::Is(wanted) => same(wanted, value),
            Self::Compares(operator, operand) => match (value, operand.parse::<f64>()) {
                (Value::Number(number), Ok(operand)) => number
                    .as_f64()
                    .and_then(|number| number.partial_cmp(&operand))
                    .is_some_and(|order| operator.holds(order)),
                (Value::String(text), _) => operator.holds(text.as_str().cmp(operand)),
                // Other types have no order, but may be spelled: `== true`, `!= null`.
                (other, _) => {
                    let is_spelled_so =
                        serde_json::from_str(operand).is_ok_and(|v| same(&v, other));
                    match operator {
                        Operator::Equal => is_spelled_so,
                        Operator::NotEqual => !is_spelled_so,
                        _ => false,
                    }
                }
            },
        }
    }
}

/// Equality by value: `200` is `200.0`.
fn same(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => wanted == value,
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("anything"),
            Self::Is(value) => write!(f, "{value}"),
            Self::Compares(operator, operand) => {
                let sign = OPERATORS.iter().find(|(_, of)| of == operator).map_or("", |(s, _)| s);
                write!(f, "{sign} {operand}")
            }
        }
    }
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Self::of_text(&text).map_err(serde::de::Error::custom),
            value => Ok(Self::Is(value)),
        }
    }
}

impl JsonSchema for Expected {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JsonExpected".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "what the value must be: itself, a comparison such as `>= 0`, `!= x`, or `exists`",
            "examples": [true, 0, "ok", ">= 0", "exists"]
        })
    }
}

/// A JSONPath (RFC 9535).
///
/// # Errors
/// What is wrong with it and where.
pub(in crate::kind) fn path(written: &str) -> Result<JsonPath, String> {
    JsonPath::parse(written).map_err(|error| {
        let at = error.position() + 1;
        format!("`{written}` is no JSONPath: {} at character {at}", error.message())
    })
}

/// A path and what it must find.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    written: String,
    path: JsonPath,
    expected: Expected,
}

impl Rule {
    /// Compiles the path.
    pub(super) fn new(written: &str, expected: Expected) -> Result<Self, String> {
        Ok(Self { written: written.to_owned(), path: path(written)?, expected })
    }

    /// What is not as wanted.
    pub(super) fn complaint(&self, body: &Value, secrets: &Secrets) -> Option<String> {
        let found = self.path.query(body);
        if found.is_empty() {
            return Some(format!("`{}` finds nothing, wanted {}", self.written, self.expected));
        }
        let wrong = found.iter().find(|value| !self.expected.holds(value))?;
        let shown = excerpt::value(&wrong.to_string(), secrets);
        Some(format!("`{}` is {shown}, wanted {}", self.written, self.expected))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(expected: Value, value: Value) -> bool {
        serde_json::from_value::<Expected>(expected).expect("well-formed").holds(&value)
    }

    #[test]
    fn values_are_compared_by_type_and_size() {
        let table = [
            (json!(200), json!(200.0), true),
            (json!(200), json!("200"), false),
            (json!("ok"), json!("ok"), true),
            (json!(true), json!(true), true),
            (json!(null), json!(null), true),
            (json!(null), json!(0), false),
            (json!([1, 2]), json!([1, 2]), true),
            (json!(">= 0"), json!(0), true),
            (json!(">=0"), json!(-0.5), false),
            (json!("> 1e3"), json!(1001), true),
            (json!("< 5"), json!("a"), false),
            (json!("== ok"), json!("ok"), true),
            (json!("== 5"), json!(5), true),
            (json!("== 5"), json!("5"), true),
            (json!("== true"), json!(true), true),
            (json!("!= null"), json!(null), false),
            (json!("!= null"), json!(1), true),
            (json!(">= 0"), json!(null), false),
            (json!("exists"), json!(null), true),
        ];
        for (expected, value, wanted) in table {
            assert_eq!(holds(expected.clone(), value.clone()), wanted, "{value} {expected}");
        }
    }

    #[test]
    fn a_comparison_with_nothing_is_refused() {
        let error = serde_json::from_value::<Expected>(json!(">= ")).expect_err("no operand");
        assert!(error.to_string().contains("`>= 0`"), "{error}");
    }

    #[test]
    fn a_complaint_names_path_value_and_wish() {
        let rule = |path: &str, expected: Value| {
            let expected = serde_json::from_value(expected).expect("well-formed");
            Rule::new(path, expected).expect("a path")
        };
        let secrets = Secrets::default();
        let body = json!({ "items": [{ "n": 1 }, { "n": -2 }], "state": "bad" });
        assert_eq!(rule("$.items[*].n", json!("> -3")).complaint(&body, &secrets), None);
        let table = [
            (rule("$.items[*].n", json!("> 0")), "`$.items[*].n` is -2, wanted > 0"),
            (rule("$.state", json!("ok")), "`$.state` is \"bad\", wanted \"ok\""),
            (rule("$.none", json!("exists")), "`$.none` finds nothing, wanted anything"),
        ];
        for (rule, complaint) in table {
            assert_eq!(rule.complaint(&body, &secrets).as_deref(), Some(complaint));
        }
        assert!(Rule::new("items", Expected::Exists).is_err());
    }
}
