//! Secrets, which are referred to and never held: a configuration carries `${env:NAME}` or
//! `${file:PATH}`, and the process that uses the secret reads it where it runs. So no log entry,
//! snapshot, export or page can contain one.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Where a secret's value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// `${env:NAME}`: an environment variable.
    Env(&'a str),
    /// `${file:PATH}`: a file's content without the final line break.
    File(&'a str),
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "${{env:{name}}}"),
            Self::File(path) => write!(f, "${{file:{path}}}"),
        }
    }
}

/// A part of a text: as written, or a reference to a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text as written.
    Plain(&'a str),
    /// A reference, to be replaced by the secret's value.
    Secret(Reference<'a>),
}

/// Text that may contain references to secrets. Prints and serialises as written, unresolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Text(String);

impl Text {
    /// Takes the text, refusing a malformed reference.
    ///
    /// # Errors
    /// A `${` without its `}`, or a source other than `env` and `file`.
    pub fn new(text: impl Into<String>) -> Result<Self, BadReference> {
        let text = text.into();
        split(&text)?;
        Ok(Self(text))
    }

    /// The text as written, references unresolved.
    pub fn as_written(&self) -> &str {
        &self.0
    }

    /// The parts in order.
    pub fn parts(&self) -> Vec<Part<'_>> {
        split(&self.0).unwrap_or_else(|_| vec![Part::Plain(&self.0)])
    }

    /// The references in order.
    pub fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.parts().into_iter().filter_map(|part| match part {
            Part::Secret(reference) => Some(reference),
            Part::Plain(_) => None,
        })
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Text {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "text; `${env:NAME}` and `${file:PATH}` are replaced where the check runs" })
    }
}

/// A secret: a text that consists of references, so that its value stands in no configuration.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Secret(Text);

impl Secret {
    /// The text with its references.
    pub fn text(&self) -> &Text {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        if text.references().next().is_none() {
            return Err(de::Error::custom(
                "a secret in clear text; write `${env:NAME}` or `${file:PATH}`",
            ));
        }
        Ok(Self(text))
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "\\$\\{(env|file):[^}]+\\}", "description": "a secret: `${env:NAME}` or `${file:PATH}`" })
    }
}

/// Why a text with references was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// `${` without `}`.
    #[error("`${{` without its `}}`")]
    Unclosed,
    /// A source that is neither `env` nor `file`, or an empty name.
    #[error("`${{{0}}}` is no secret reference; write `${{env:NAME}}` or `${{file:PATH}}`")]
    UnknownSource(String),
}

fn split(text: &str) -> Result<Vec<Part<'_>>, BadReference> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if start > 0 {
            parts.push(Part::Plain(&rest[..start]));
        }
        let inside = &rest[start + 2..];
        let end = inside.find('}').ok_or(BadReference::Unclosed)?;
        let reference = match inside[..end].split_once(':') {
            Some(("env", name)) if !name.is_empty() => Reference::Env(name),
            Some(("file", path)) if !path.is_empty() => Reference::File(path),
            _ => return Err(BadReference::UnknownSource(inside[..end].to_owned())),
        };
        parts.push(Part::Secret(reference));
        rest = &inside[end + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Plain(rest));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_splits_into_plain_and_references() {
        let text = Text::new("Bearer ${env:TOKEN}, ${file:/run/x}!").expect("well-formed");
        assert_eq!(
            text.parts(),
            [
                Part::Plain("Bearer "),
                Part::Secret(Reference::Env("TOKEN")),
                Part::Plain(", "),
                Part::Secret(Reference::File("/run/x")),
                Part::Plain("!"),
            ]
        );
    }

    #[test]
    fn bad_references_are_refused() {
        assert_eq!(Text::new("a ${env:X").map(|_| ()), Err(BadReference::Unclosed));
        for bad in ["${X}", "${vault:x}", "${env:}", "${}"] {
            assert!(matches!(Text::new(bad), Err(BadReference::UnknownSource(_))), "{bad}");
        }
    }

    #[test]
    fn a_secret_in_clear_text_is_refused_and_debug_hides_it() {
        assert!(serde_json::from_str::<Secret>("\"hunter2\"").is_err());
        let secret: Secret = serde_json::from_str("\"${env:PW}\"").expect("a reference");
        assert_eq!(format!("{secret:?}"), "<secret>");
    }
}
