//! The JSON Schema of a document, for editors.

use schemars::SchemaGenerator;
use serde_json::{Map, Value as Json, json};

use super::Catalogue;
use super::words::{self, Shape, Table};

/// What a duration looks like.
const DURATION: &str = r"^\s*(\d+\s*[a-zA-Zµ]+\s*)+$";

/// The schema of a whole document with these kinds and channels (JSON Schema 2020-12).
pub fn schema(catalogue: &Catalogue<'_>) -> Json {
    let mut generator = SchemaGenerator::default();
    let mut root = object(&words::DOCUMENT, catalogue, &mut generator);
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".to_owned(), json!("crosscheck configuration"));
    let definitions = generator.take_definitions(true);
    root.insert("$defs".to_owned(), Json::Object(definitions));
    Json::Object(root)
}

fn object(
    table: &Table,
    catalogue: &Catalogue<'_>,
    generator: &mut SchemaGenerator,
) -> Map<String, Json> {
    let mut properties = Map::new();
    for field in table.fields {
        let mut schema = shape(&field.shape, catalogue, generator);
        if let Json::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), json!(field.about));
        }
        properties.insert(field.name.to_owned(), schema);
    }
    let mut map = Map::new();
    map.insert("type".to_owned(), json!("object"));
    map.insert("properties".to_owned(), Json::Object(properties));
    map.insert("additionalProperties".to_owned(), json!(false));
    if !table.required.is_empty() {
        map.insert("required".to_owned(), json!(table.required));
    }
    map
}

fn shape(shape: &Shape, catalogue: &Catalogue<'_>, generator: &mut SchemaGenerator) -> Json {
    match shape {
        Shape::Text => json!({ "type": ["string", "number"] }),
        Shape::Texts => one_or_more(&json!({ "type": ["string", "number"] })),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Duration => json!({ "type": "string", "pattern": DURATION }),
        Shape::Count(least) => json!({ "type": "integer", "minimum": least }),
        Shape::Number => json!({ "type": ["number", "string"] }),
        Shape::Words(words) => json!({ "enum": words }),
        Shape::WordList(words) => one_or_more(&json!({ "enum": words })),
        Shape::Object(table) => Json::Object(object(table, catalogue, generator)),
        Shape::Named(table) => {
            json!({ "type": "object", "additionalProperties": object(table, catalogue, generator) })
        }
        Shape::List(table) => {
            json!({ "type": "array", "items": object(table, catalogue, generator) })
        }
        Shape::OneOf(shapes) => {
            let each = |part: &Shape| self::shape(part, catalogue, generator);
            json!({ "anyOf": shapes.iter().map(each).collect::<Vec<_>>() })
        }
        Shape::Channels => channels(catalogue, generator),
        Shape::Checks(table) => checks(table, catalogue, generator),
    }
}

fn one_or_more(item: &Json) -> Json {
    json!({ "anyOf": [item, { "type": "array", "items": item }] })
}

fn channels(catalogue: &Catalogue<'_>, generator: &mut SchemaGenerator) -> Json {
    let of = |kind: &&dyn crate::channel_kind::ChannelKind| {
        (kind.name().to_owned(), kind.schema(generator).to_value())
    };
    let properties: Map<String, Json> = catalogue.channels.iter().map(of).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn checks(table: &Table, catalogue: &Catalogue<'_>, generator: &mut SchemaGenerator) -> Json {
    let mut check = object(table, catalogue, generator);
    let mut choices = Vec::new();
    for kind in catalogue.kinds {
        let mut settings = kind.schema(generator).to_value();
        if let Json::Object(settings) = &mut settings {
            settings.entry("description").or_insert_with(|| json!(kind.about()));
        }
        if let Some(Json::Object(properties)) = check.get_mut("properties") {
            properties.insert(kind.name().to_owned(), settings);
        }
        choices.push(json!({ "required": [kind.name()] }));
    }
    if !choices.is_empty() {
        check.insert("oneOf".to_owned(), Json::Array(choices));
    }
    json!({ "type": "array", "items": check })
}
