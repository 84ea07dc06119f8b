//! The settings of `journey`, as people write them. A step has the words of `http`, and a few of
//! its own.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::save::Wanted;
use crate::kind::http;
use crate::text::Span;

/// The settings of a journey.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// One after the other.
    pub(super) steps: Vec<Map<String, Value>>,
    /// What holds for every step that does not say otherwise.
    #[serde(default)]
    pub(super) each: Map<String, Value>,
    /// What the URLs of steps that begin with `/` continue.
    pub(super) base: Option<String>,
    /// A journey that takes longer is degraded.
    pub(super) slower_than: Option<Span>,
    /// Time that is kept for the steps that always run.
    pub(super) reserve: Option<Span>,
}

/// What a step has beside an `http` check's settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Own {
    /// What it does, for mails: `log in`. Default: the method and the path.
    pub(super) name: Option<String>,
    /// Values of the answer to keep, for later steps to use as `{{name}}`.
    #[serde(default)]
    pub(super) save: BTreeMap<String, Wanted>,
    /// Whether it runs also after a failure: to log out.
    #[serde(default)]
    pub(super) always: bool,
}

/// The keys of [`Own`].
pub(super) const OWN: [&str; 3] = ["name", "save", "always"];

impl JsonSchema for Settings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Journey".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut step = http::settings::Settings::json_schema(generator).to_value();
        let own = Own::json_schema(generator).to_value();
        let span = generator.subschema_for::<Span>().to_value();
        step["description"] = json!("a request, with the settings of `http`");
        step["properties"]["url"] = json!({
            "type": "string",
            "description": "where to: `http://` or `https://`, or below `base` from `/` on; \
                            `{{name}}` takes a saved value"
        });
        let mut each = step.clone();
        each["description"] = json!("settings of every step that does not say otherwise");
        if let (Value::Object(map), Some(properties)) =
            (&mut each, step["properties"].as_object().cloned())
        {
            map.remove("required");
            let shared = properties.into_iter().filter(|(key, _)| key != "url").collect();
            map.insert("properties".to_owned(), Value::Object(shared));
        }
        if let (Some(properties), Value::Object(own)) =
            (step["properties"].as_object_mut(), own["properties"].clone())
        {
            properties.extend(own);
        }
        json_schema!({
            "type": "object",
            "properties": {
                "steps": { "type": "array", "items": step, "minItems": 1 },
                "each": each,
                "base": {
                    "type": "string",
                    "description": "a URL that the steps' URLs continue if they begin with `/`"
                },
                "slower_than": described(&span, "a journey that takes longer is degraded"),
                "reserve": described(
                    &span,
                    "time of the run kept for steps that always run; at most half. Default: a fifth"
                )
            },
            "required": ["steps"],
            "additionalProperties": false
        })
    }
}

fn described(schema: &Value, text: &str) -> Value {
    json!({ "anyOf": [schema], "description": text })
}
