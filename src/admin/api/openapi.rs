//! The description of the API, for programs: OpenAPI 3.1, made from the routes.

use axum::Json;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{Route, wire};

/// The document, which is a route itself.
pub(super) async fn openapi() -> Json<Value> {
    Json(document(&super::routes()))
}

fn document(routes: &[Route]) -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = SchemaGenerator::new(settings);
    let mut paths = Map::new();
    for route in routes {
        let operation = operation(route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation;
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": { "title": "workhook", "version": env!("CARGO_PKG_VERSION"), "description": DESCRIPTION },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{ "token": [] }],
    })
}

/// What holds for every route.
const DESCRIPTION: &str = "The private door. Times are RFC 3339. A list gives `next` while there may be more; a page can be short, or \
     empty, all the same. What changes something wants `content-type: application/json`, and no `origin` but its own.";

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let good = match route.answer {
        Some(schema) => json!({ "application/json": { "schema": schema(generator) } }),
        None => json!({ "application/octet-stream": {} }),
    };
    let failure = generator.subschema_for::<wire::Failure>();
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters(route, generator),
        "responses": {
            "200": { "description": "Done.", "content": good },
            "default": { "description": "Why not.", "content": { "application/json": { "schema": failure } } },
        },
    });
    if let Some(schema) = route.body {
        let content = json!({ "application/json": { "schema": schema(generator) } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

/// The parts of the path that are in braces, and the fields of the query.
fn parameters(route: &Route, generator: &mut SchemaGenerator) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let Some(query) = route.query else { return parameters };
    let mut schema = query(generator).to_value();
    let required: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, schema) in schema["properties"].as_object_mut().into_iter().flatten() {
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let required = required.iter().any(|own| own == name);
        parameters.push(json!({
            "name": name, "in": "query", "required": required, "description": description, "schema": schema,
        }));
    }
    parameters
}
