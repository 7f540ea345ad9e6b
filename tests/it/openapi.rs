//! The description of the API, against the API itself.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};
use workhook::contract::Brand;

use crate::support::{Post, TestApp};

/// What does not fit a schema, each with its place. A field that no schema has does not fit either.
fn misfits(schema: &Value, value: &Value, document: &Value, place: &str) -> Vec<String> {
    let Some(schema) = schema.as_object() else { return Vec::new() };
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let schema = document.pointer(&name[1..]).unwrap_or_else(|| panic!("{name} leads to nothing"));
        return misfits(schema, value, document, place);
    }
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let fits = any.iter().any(|schema| misfits(schema, value, document, place).is_empty());
        return if fits { Vec::new() } else { vec![format!("{place}: none of {any:?}")] };
    }
    let mut wrong: Vec<String> = of_wrong_type(schema, value, place).into_iter().collect();
    match value {
        Value::Object(object) => wrong.extend(of_object(schema, object, document, place)),
        Value::Array(values) => {
            let item = |(at, value)| misfits(&schema["items"], value, document, &format!("{place}[{at}]"));
            wrong.extend(values.iter().enumerate().filter(|_| schema.contains_key("items")).flat_map(item));
        }
        _ => {}
    }
    wrong
}

fn of_wrong_type(schema: &Map<String, Value>, value: &Value, place: &str) -> Option<String> {
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = match schema.get("type") {
        None => true,
        Some(Value::Array(types)) => types.iter().any(|of_type| of_type == own),
        Some(of_type) => of_type == own || (of_type == "number" && own == "integer"),
    };
    (!fits).then(|| format!("{place}: {value} is not of {}", schema["type"]))
}

fn of_object(schema: &Map<String, Value>, object: &Map<String, Value>, document: &Value, place: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    for (key, value) in object {
        let place = format!("{place}.{key}");
        match properties.get(key).or(schema.get("additionalProperties")) {
            Some(schema) => wrong.extend(misfits(schema, value, document, &place)),
            None if schema.contains_key("type") => wrong.push(format!("{place} is not described")),
            None => {}
        }
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    wrong.extend(required.filter(|key| !object.contains_key(*key)).map(|key| format!("{place}.{key} is missing")));
    wrong
}

/// An app that has something of everything, and what the parameters of paths stand for in it.
async fn app() -> (TestApp, impl Fn(&str) -> String) {
    let app = TestApp::with(
        "[[handler]]\nname = \"gone\"\nkind = \"http\"\nurl = \"http://127.0.0.1:9/\"\nevents = [\"Issue.*\"]\n
         [handler.retry]\nattempts = 1\n[[handler]]\nname = \"quiet\"\nkind = \"log\"\nevents = [\"No.Such\"]",
    )
    .start()
    .await;
    let post = Post::new(Brand::Leiga, "Issue.Update");
    app.send(post.clone()).await;
    app.send(post.body("{\"another\":\"body\"}")).await;
    app.send(Post::new(Brand::WorkZappy, "Comment.Create")).await;
    assert_eq!(Post::new(Brand::Leiga, "Issue.Update").body("[").send(app.public).await.status, 400);
    assert_eq!(Post::new(Brand::Leiga, "Issue.Update").set("Token", "wrong").send(app.public).await.status, 401);
    app.settled().await;
    let event = app.events().await.remove(0).id;
    let url = format!("http://{}/api/v1/replays", app.private);
    let replay = reqwest::Client::new().post(url).json(&serde_json::json!({ "event": event, "handler": "quiet" }));
    assert!(replay.send().await.unwrap().status().is_success());
    let fill = move |path: &str| {
        let id = if path.contains("/events/") { &*event } else { "1" };
        path.replace("{id}", id).replace("{number}", "1").replace("{name}", "quiet")
    };
    (app, fill)
}

async fn document(app: &TestApp) -> Value {
    app.api("openapi.json").await
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().clone();
        let path = path.clone();
        methods.into_iter().map(move |(method, operation)| (path.clone(), method, operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test]
async fn every_route_that_tells_something_answers_as_it_is_described() {
    let (app, fill) = app().await;
    let document = document(&app).await;
    let mut described = 0;
    for (path, _, operation) in operations(&document).iter().filter(|(_, method, _)| method == "get") {
        let response = reqwest::get(format!("http://{}{}", app.private, fill(path))).await.unwrap();
        let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        let (status, bytes) = (response.status(), response.bytes().await.unwrap());
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&bytes));
        let content = operation["responses"]["200"]["content"].as_object().unwrap();
        assert!(content.contains_key(&media_type), "{path} is {media_type}, not {content:?}");
        if let Some(schema) = content.get("application/json").map(|content| &content["schema"]) {
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            let wrong = misfits(schema, &value, &document, "");
            assert!(wrong.is_empty(), "{path}: {wrong:#?}");
            described += 1;
        }
    }
    assert!(described >= 8, "only {described} answers were held against a schema");
    app.stop().await;
}

#[tokio::test]
async fn every_route_that_is_described_is_there_and_what_is_wrong_with_a_request_is_told_as_described() {
    let (app, fill) = app().await;
    let document = document(&app).await;
    let failure = serde_json::json!({ "$ref": "#/components/schemas/Failure" });
    for (path, method, operation) in operations(&document) {
        let url = format!("http://{}{}?no_such=1", app.private, fill(&path));
        let client = reqwest::Client::new();
        let request = if method == "get" { client.get(url) } else { client.post(url).body("{}") };
        let response = request.send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        let takes_query =
            operation["parameters"].as_array().unwrap().iter().any(|parameter| parameter["in"] == "query");
        match method.as_str() {
            "get" if takes_query => assert_eq!(status, 400, "{path}: {text}"),
            "get" => assert_eq!(status, 200, "{path}: {text}"),
            // Without a content type nothing is changed.
            _ => assert_eq!(status, 403, "{method} {path}: {text}"),
        }
        if status != 200 {
            let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"));
            assert_eq!(misfits(&failure, &value, &document, ""), [""; 0], "{path}: {text}");
        }
    }
    let response = reqwest::get(format!("http://{}/api/v1/no-such", app.private)).await.unwrap();
    assert_eq!(response.status(), 404);
    app.stop().await;
}

#[tokio::test]
async fn whatever_the_command_line_asks_for_is_described() {
    let (app, _) = app().await;
    let document = document(&app).await;
    let described: BTreeSet<String> = operations(&document).into_iter().map(|(path, ..)| path).collect();
    // What is put in at its place may be an id, or one of several words of the path.
    let fits = |asked: &str, described: &str| {
        let same = |(one, other): (&str, &str)| one == other || one.starts_with('{');
        asked.split('/').count() == described.split('/').count() && asked.split('/').zip(described.split('/')).all(same)
    };
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli")];
    let mut asked = BTreeSet::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let text = std::fs::read_to_string(path).unwrap();
            let paths = text.split("\"/api/v1/").skip(1).map(|rest| rest.split('"').next().unwrap());
            asked.extend(paths.map(|path| format!("/api/v1/{path}")));
        }
    }
    assert!(asked.len() >= 8, "{asked:?}");
    let missing: Vec<_> =
        asked.iter().filter(|path| !described.iter().any(|described| fits(path, described))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    app.stop().await;
}

#[test]
fn what_does_not_fit_a_schema_is_told_with_its_place() {
    let document = serde_json::json!({ "a": { "type": "object", "properties": { "n": { "type": ["integer", "null"] },
        "list": { "type": "array", "items": { "type": "string" } } }, "required": ["n"] } });
    let check = |value: Value, expected: &[&str]| {
        assert_eq!(misfits(&serde_json::json!({ "$ref": "#/a" }), &value, &document, ""), expected);
    };
    check(serde_json::json!({ "n": 1, "list": ["a"] }), &[]);
    check(serde_json::json!({ "n": null }), &[]);
    check(serde_json::json!({}), &[".n is missing"]);
    check(serde_json::json!({ "n": "1" }), &[".n: \"1\" is not of [\"integer\",\"null\"]"]);
    check(serde_json::json!({ "n": 1, "list": [1] }), &[".list[0]: 1 is not of \"string\""]);
    check(serde_json::json!({ "n": 1, "m": 1 }), &[".m is not described"]);
}
