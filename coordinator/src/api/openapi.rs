//! `GET /api/v1/openapi.json`: the table of operations as OpenAPI 3.1.

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::answer::{Answer, ApiError, ErrorBody, read};
use super::{Access, Api, OPERATIONS, Operation, schema};

/// The route.
pub(super) async fn serve(
    Shared(api): Shared<Api>,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |_| Answer::new(&document(), &headers)).await
}

/// The document.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    let failure = schema::<ErrorBody>(&mut generator);
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(operation, &failure, &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "crosscheck", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// One operation.
fn describe(operation: &Operation, failure: &Schema, generator: &mut SchemaGenerator) -> Value {
    let mut parameters = path_parameters(operation.path);
    if let Some(query) = operation.query {
        parameters.extend(query_parameters(&query(generator)));
    }
    let content = |schema: &Schema| json!({ "application/json": { "schema": schema } });
    let mut described = json!({
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {
            "200": { "description": "Done", "content": content(&(operation.answer)(generator)) },
            "default": { "description": "What is wrong, and what to do", "content": content(failure) },
        },
    });
    if let Some(body) = operation.body {
        described["requestBody"] =
            json!({ "required": true, "content": content(&body(generator)) });
    }
    if let Access::Least(role) | Access::Whole(role) = operation.access {
        described["security"] = json!([{ "token": [role.as_str()] }]);
    }
    described
}

/// The names in braces.
fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect()
}

/// The properties of a query's schema.
fn query_parameters(query: &Schema) -> Vec<Value> {
    let Some(properties) = query.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    properties
        .iter()
        .map(|(name, schema)| {
            let text = schema.get("description").cloned().unwrap_or_default();
            json!({ "name": name, "in": "query", "required": false, "description": text, "schema": schema })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        for operation in OPERATIONS {
            let described = &document["paths"][operation.path][operation.method];
            assert_eq!(described["summary"], operation.summary, "{}", operation.path);
        }
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().expect("a pointer");
            assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
        }
    }
}
