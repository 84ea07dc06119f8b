//! Typed text in settings: durations (`30s`), sizes (`1MiB`), shares (`40%`), regular expressions,
//! addresses (`host:port`), and one value or a list of them. Each is parsed once, where it is read,
//! and says what to write instead of what it refuses.

mod address;
mod byte_pattern;
mod hex;
mod list;
mod pattern;
mod percent;
mod size;
mod span;

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserializer, Error, Visitor};

pub use address::{Address, Host, HostPort};
pub use byte_pattern::BytePattern;
pub use hex::Hex;
pub use list::List;
pub use pattern::Pattern;
pub use percent::Percent;
pub use size::Size;
pub use span::Span;

/// Why a text was refused, and what to write instead: a lowercase fragment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Refused {
    /// A refusal in these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Reads `T` from text; a bare number gets `T`'s own refusal (of the number as text), so that it
/// teaches the unit to write.
pub(crate) fn from_text<'de, T, D>(deserializer: D, wanted: &'static str) -> Result<T, D::Error>
where
    T: FromStr<Err = Refused>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(TextVisitor { wanted, made: PhantomData })
}

struct TextVisitor<T> {
    wanted: &'static str,
    made: PhantomData<T>,
}

impl<T: FromStr<Err = Refused>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

/// Implements serde's traits and the schema for a type that is read by `FromStr` and written by
/// `Display`.
macro_rules! typed_text {
    ($type:ident, $wanted:literal, $schema:tt) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::from_text(deserializer, $wanted)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}
pub(crate) use typed_text;

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn refusal<T: DeserializeOwned>(value: Value) -> String {
        serde_json::from_value::<T>(value).err().expect("is refused").to_string()
    }

    #[test]
    fn a_bare_number_is_refused_with_what_to_write() {
        for (refused, hint) in [
            (refusal::<Span>(json!(30)), "`30s`"),
            (refusal::<Span>(json!("30")), "`30s`"),
            (refusal::<Span>(json!(0.5)), "`30s`"),
            (refusal::<Size>(json!(500)), "`500B`"),
            (refusal::<Size>(json!("1024")), "`1024B`"),
            (refusal::<Percent>(json!(40)), "`40%`"),
            (refusal::<Address>(json!(3306)), "`db.example.com:3306`"),
        ] {
            assert!(refused.contains(hint), "{refused}");
        }
    }

    #[test]
    fn another_type_is_refused_with_what_is_wanted() {
        assert!(refusal::<Span>(json!(["30s"])).contains("a duration such as `30s`"));
        assert!(refusal::<Size>(json!(null)).contains("a size such as `1MiB`"));
        assert!(refusal::<Pattern>(json!({})).contains("a regular expression"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        #[derive(Debug, PartialEq, Deserialize, serde::Serialize)]
        struct All {
            span: Span,
            size: Size,
            percent: Percent,
            pattern: Pattern,
            address: Address,
            list: List<Span>,
        }
        let all: All = serde_json::from_value(json!({
            "span": "1h30m", "size": "64KiB", "percent": "2.5%", "pattern": "^a+$",
            "address": "[2001:db8::1]:443", "list": ["1s", "250ms"],
        }))
        .expect("all are well-formed");
        let written = serde_json::to_value(&all).expect("serialises");
        assert_eq!(serde_json::from_value::<All>(written).expect("reads back"), all);
    }
}
