//! One value or a list of them: `status: 200` and `status: [200, 204]`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// One or more values; none only when the key is left out (the default).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct List<T>(Vec<T>);

impl<T> List<T> {
    /// The values in order.
    pub fn new(values: Vec<T>) -> Self {
        Self(values)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(values: Vec<T>) -> Self {
        Self(values)
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// Hands a single value to `T` as it stands, so that the message about it is `T`'s own.
struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<List<T>, A::Error> {
        let values = Vec::deserialize(SeqAccessDeserializer::new(values))?;
        if values.is_empty() {
            return Err(A::Error::custom("the list is empty; leave the key out instead"));
        }
        Ok(List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<List<T>, A::Error> {
        Ok(List(vec![T::deserialize(MapAccessDeserializer::new(map))?]))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<List<T>, E> {
        one(text)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<List<T>, E> {
        one(value)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<List<T>, E> {
        one(number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<List<T>, E> {
        one(number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<List<T>, E> {
        one(number)
    }
}

fn one<'de, T, V, E>(value: V) -> Result<List<T>, E>
where
    T: Deserialize<'de>,
    V: IntoDeserializer<'de, E>,
    E: Error,
{
    T::deserialize(value.into_deserializer()).map(|value| List(vec![value]))
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("ListOf{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kind::read;
    use crate::text::Span;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(default)]
        spans: List<Span>,
        #[serde(default)]
        numbers: List<u16>,
    }

    #[test]
    fn one_value_is_a_list_of_one() {
        let settings: Settings =
            read(&json!({ "spans": "5s", "numbers": [200, 204] })).expect("well-formed");
        assert_eq!(settings.spans.len(), 1);
        assert_eq!(*settings.numbers, [200, 204]);
        let settings: Settings = read(&json!({})).expect("both may be left out");
        assert!(settings.spans.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        for (value, path, message) in [
            (json!({ "spans": 5 }), vec!["spans"], "`5` has no unit"),
            (json!({ "spans": ["1s", 5] }), vec!["spans", "1"], "`5` has no unit"),
            (json!({ "numbers": [] }), vec!["numbers"], "the list is empty"),
            (json!({ "numbers": "x" }), vec!["numbers"], "expected u16"),
            (json!({ "numbers": 70_000 }), vec!["numbers"], "expected u16"),
            (json!({ "numbers": null }), vec!["numbers"], "a value or a list of values"),
        ] {
            let errors = read::<Settings>(&value).expect_err("does not fit");
            assert_eq!(errors[0].path, path, "{value}");
            assert!(errors[0].message.contains(message), "{}", errors[0].message);
        }
    }
}
