//! What a request sends: text as it stands, a form or JSON. In a form and in JSON each secret is
//! encoded as a value of its own, so that no quote or ampersand in it changes the rest.

use std::path::PathBuf;

use crosscheck_model::Text;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::multipart::{Multipart, check_path};
use super::plan::Faults;
use super::settings::Settings;
use super::words::Words;
use crate::resolve::Failure;

/// A body with its places still open.
#[derive(Debug)]
pub(super) enum Payload {
    /// As written.
    Text(Text),
    /// Names and values (`application/x-www-form-urlencoded`, URL Standard 5).
    Form(Vec<(String, Text)>),
    /// A JSON value.
    Json(Json),
    /// A file as it stands.
    File(PathBuf),
    /// Parts of a form, some of them files.
    Multipart(Multipart),
}

/// A JSON value whose texts have places.
#[derive(Debug)]
pub(super) enum Json {
    Text(Text),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
    Other(Value),
}

impl Payload {
    /// What the settings want sent.
    pub(super) fn of(settings: &Settings, faults: &mut Faults) -> Option<Self> {
        let form = (!settings.form.is_empty()).then(|| {
            Self::Form(settings.form.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
        });
        let json = settings
            .send_json
            .as_ref()
            .map(|value| Self::Json(Json::of(value, &mut vec!["send_json".to_owned()], faults)));
        let text = settings.send.clone().map(Self::Text);
        let file = settings.send_file.clone().map(|path| {
            check_path(&path, &["send_file"], faults);
            Self::File(path)
        });
        let parts = (!settings.multipart.is_empty())
            .then(|| Self::Multipart(Multipart::new(&settings.multipart, faults)));
        let given = [
            ("send", text),
            ("send_file", file),
            ("form", form),
            ("multipart", parts),
            ("send_json", json),
        ];
        let mut given = given.into_iter().filter_map(|(key, payload)| Some((key, payload?)));
        let (first, payload) = given.next()?;
        if let Some((second, _)) = given.next() {
            let message = format!("`{first}` and `{second}` both say what to send");
            faults.add(&[second], message, Some("leave one of them out"));
        }
        Some(payload)
    }

    /// Whether it holds what must not be carried to another origin.
    pub(super) fn is_secret(&self, words: &Words<'_>) -> bool {
        match self {
            Self::Text(text) => words.is_secret(text),
            Self::Form(fields) => fields.iter().any(|(_, text)| words.is_secret(text)),
            Self::Json(json) => json.is_secret(words),
            // Files of the probe's host are its own.
            Self::File(_) => true,
            Self::Multipart(parts) => parts.is_secret(words),
        }
    }

    /// As it is sent, and its `Content-Type` where people say none: text may be anything.
    pub(super) fn fill(&self, words: &Words<'_>) -> Result<(Vec<u8>, Option<String>), Failure> {
        let (bytes, kind) = match self {
            Self::Text(text) => (words.resolve(text)?.into_bytes(), None),
            Self::File(path) => (words.host.read(path)?, Some("application/octet-stream")),
            Self::Multipart(parts) => {
                let (bytes, kind) = parts.fill(words)?;
                return Ok((bytes, Some(kind)));
            }
            Self::Form(fields) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, text) in fields {
                    let value = words.resolve(text)?;
                    if words.is_secret(text) {
                        let encoded: String =
                            form_urlencoded::byte_serialize(value.as_bytes()).collect();
                        words.secrets.remember(&encoded);
                    }
                    form.append_pair(name, &value);
                }
                (form.finish().into_bytes(), Some("application/x-www-form-urlencoded"))
            }
            Self::Json(json) => {
                (json.fill(words)?.to_string().into_bytes(), Some("application/json"))
            }
        };
        Ok((bytes, kind.map(str::to_owned)))
    }
}

impl Json {
    fn of(value: &Value, path: &mut Vec<String>, faults: &mut Faults) -> Self {
        match value {
            Value::String(text) => match Text::new(text.clone()) {
                Ok(text) => Self::Text(text),
                Err(error) => {
                    let path: Vec<_> = path.iter().map(String::as_str).collect();
                    faults.add(&path, error, None);
                    Self::Other(Value::Null)
                }
            },
            Value::Array(items) => {
                let items = items.iter().enumerate();
                Self::List(items.map(|(at, v)| within(v, at.to_string(), path, faults)).collect())
            }
            Value::Object(fields) => {
                let fields = fields.iter();
                let inner = fields.map(|(k, v)| (k.clone(), within(v, k.clone(), path, faults)));
                Self::Map(inner.collect())
            }
            other => Self::Other(other.clone()),
        }
    }

    fn is_secret(&self, words: &Words<'_>) -> bool {
        match self {
            Self::Text(text) => words.is_secret(text),
            Self::List(items) => items.iter().any(|item| item.is_secret(words)),
            Self::Map(fields) => fields.iter().any(|(_, value)| value.is_secret(words)),
            Self::Other(_) => false,
        }
    }

    fn fill(&self, words: &Words<'_>) -> Result<Value, Failure> {
        Ok(match self {
            Self::Text(text) => {
                let value = Value::String(words.resolve(text)?);
                if words.is_secret(text) {
                    words.secrets.remember(value.to_string().trim_matches('"'));
                }
                value
            }
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.fill(words)).collect::<Result<_, _>>()?)
            }
            Self::Map(fields) => {
                let fill = |(name, value): &(String, Self)| Ok((name.clone(), value.fill(words)?));
                Value::Object(fields.iter().map(fill).collect::<Result<Map<_, _>, Failure>>()?)
            }
            Self::Other(value) => value.clone(),
        })
    }
}

fn within(value: &Value, key: String, path: &mut Vec<String>, faults: &mut Faults) -> Json {
    path.push(key);
    let json = Json::of(value, path, faults);
    path.pop();
    json
}
