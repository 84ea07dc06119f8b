//! What is sent and what is expected, as people write it: one language for streams, datagrams and
//! messages.

use std::fmt;

use crosscheck_model::Text;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::env::{SecretError, Secrets};
use crate::text::{BytePattern, Hex, Refused};

/// What to send.
#[derive(Debug)]
pub(super) enum SendWords {
    /// Text, which may refer to secrets.
    Text(Text),
    /// Bytes.
    Bytes(Hex),
}

/// What is expected.
#[derive(Debug)]
pub(super) enum Wanted {
    /// This text, anywhere; and the expression that finds it.
    Text(String, BytePattern),
    /// What matches this, anywhere.
    Pattern(BytePattern),
    /// These very bytes, next.
    Bytes(Hex),
}

impl SendWords {
    /// The bytes to send, with the secrets read.
    ///
    /// # Errors
    /// A secret that is not there.
    pub(super) fn bytes(&self, secrets: &Secrets) -> Result<Vec<u8>, SecretError> {
        match self {
            Self::Text(text) => secrets.resolve(text).map(String::into_bytes),
            Self::Bytes(hex) => Ok(hex.bytes().to_vec()),
        }
    }
}

impl Wanted {
    /// This text, anywhere.
    ///
    /// # Errors
    /// It is longer than any that can be searched for.
    pub(super) fn text(text: String) -> Result<Self, Refused> {
        let pattern = regex::escape(&text).parse()?;
        Ok(Self::Text(text, pattern))
    }

    /// The least that must come.
    pub(super) fn least_bytes(&self) -> usize {
        match self {
            Self::Text(text, _) => text.len(),
            Self::Pattern(_) => 0,
            Self::Bytes(hex) => hex.bytes().len(),
        }
    }

    /// Whether a whole message is so; bytes are those that it begins with.
    pub(super) fn fits(&self, message: &[u8]) -> bool {
        match self {
            Self::Text(_, pattern) | Self::Pattern(pattern) => pattern.captures(message).is_some(),
            Self::Bytes(hex) => message.starts_with(hex.bytes()),
        }
    }

    /// What is the matter with something that is not so, after its name.
    pub(super) fn missing(&self) -> String {
        match self {
            Self::Text(text, _) => format!("does not contain `{text}`"),
            Self::Pattern(pattern) => format!("does not match `{pattern}`"),
            Self::Bytes(hex) => format!("does not begin with the bytes {hex}"),
        }
    }
}

/// `{ hex: "0d 0a" }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HexWords {
    hex: Hex,
}

impl<'de> Deserialize<'de> for SendWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = SendWords;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or bytes: `{ hex: \"0d 0a\" }`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<SendWords, E> {
                Text::new(text).map(SendWords::Text).map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SendWords, A::Error> {
                let words = HexWords::deserialize(MapAccessDeserializer::new(map))?;
                Ok(SendWords::Bytes(words.hex))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for SendWords {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Send".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (text, hex) = (generator.subschema_for::<Text>(), generator.subschema_for::<Hex>());
        json_schema!({
            "description": "text, or bytes",
            "anyOf": [
                text,
                { "type": "object", "properties": { "hex": hex }, "required": ["hex"], "additionalProperties": false },
            ],
        })
    }
}

/// One of the ways to say what is expected.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectMap {
    text: Option<String>,
    matches: Option<BytePattern>,
    hex: Option<Hex>,
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const FORMS: &str = "a regular expression, or one of `{ text: .. }`, `{ matches: .. }`, \
                             `{ hex: .. }`";
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Wanted;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(FORMS)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Wanted, E> {
                text.parse().map(Wanted::Pattern).map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Wanted, A::Error> {
                match ExpectMap::deserialize(MapAccessDeserializer::new(map))? {
                    ExpectMap { text: Some(text), matches: None, hex: None }
                        if !text.is_empty() =>
                    {
                        Wanted::text(text).map_err(A::Error::custom)
                    }
                    ExpectMap { text: None, matches: Some(pattern), hex: None } => {
                        Ok(Wanted::Pattern(pattern))
                    }
                    ExpectMap { text: None, matches: None, hex: Some(hex) } => {
                        Ok(Wanted::Bytes(hex))
                    }
                    _ => Err(A::Error::custom(format!("what is expected is {FORMS}"))),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Wanted {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Expect".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let pattern = generator.subschema_for::<BytePattern>();
        let hex = generator.subschema_for::<Hex>();
        json_schema!({
            "description": "a regular expression; or a text (`text`) or expression (`matches`) that comes somewhere; or the very bytes that come next (`hex`)",
            "anyOf": [
                pattern.clone(),
                {
                    "type": "object",
                    "properties": {
                        "text": { "type": "string", "description": "a text that comes somewhere" },
                        "matches": pattern,
                        "hex": hex
                    },
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": false
                },
            ],
        })
    }
}
