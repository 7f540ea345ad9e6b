//! `workhook check`, and what every command says to a wrong configuration.

use serde_json::Value;

use crate::support::{Place, Run};

const GOOD: &str = "
[[webhook]]
name = \"product\"
tokens = [\"a-token\"]
[[handler]]
name = \"crm\"
kind = \"http\"
url = \"http://127.0.0.1:1/\"
[[handler]]
name = \"audit\"
kind = \"log\"
";

const WRONG: &str = "\
[ingest]
listn = \"127.0.0.1:8080\"
max_body = \"8\"
[[webhook]]
name = \"product\"
tokens = [\"env:NOT_SET\"]
brand = \"Leiga\"
[[handler]]
name = \"crm\"
kind = \"htp\"
[[handler]]
name = \"erp\"
kind = \"http\"
events = [\"Issue\"]
timeout = 10
concurency = 3
[handlers]
";

/// Each mistake of it: where and what about, and a part of what would be right.
const MISTAKES: &[(&str, &str)] = &[
    ("2:1: ingest: ", "did you mean `listen`?"),
    ("3:12: ingest.max_body: ", "\"8MiB\""),
    ("6:11: webhook.product.tokens: ", "NOT_SET is not set"),
    ("7:9: webhook.product.brand: ", "did you mean `leiga`?"),
    ("10:8: handler.crm.kind: ", "did you mean `http`?"),
    ("11:1: handler.erp: ", "add for example url = "),
    ("14:11: handler.erp.events: ", "Issue.*"),
    ("15:11: handler.erp.timeout: ", "\"10s\""),
    ("16:1: handler.erp: ", "did you mean `concurrency`?"),
    ("17:2: ", "did you mean `[[handler]]`?"),
];

/// Fails where a mistake of [`WRONG`] is not said with its place and with what would be right.
#[track_caller]
fn all_are_said(run: Run, code: i32) {
    let said = run.failed(code);
    for (place, right) in MISTAKES {
        let line = said.lines().find(|line| line.contains(&format!("workhook.toml:{place}")));
        assert!(line.is_some_and(|line| line.contains(right)), "{place}{right}: {said}");
    }
    let places = said.lines().filter(|line| line.contains("workhook.toml:")).count();
    assert_eq!(places, MISTAKES.len(), "{said}");
}

#[test]
fn a_good_configuration_is_said_to_be_good_with_what_is_in_it() {
    let place = Place::with(GOOD);
    let said = place.run(&["check"]).good();
    for part in ["workhook.toml: good", "product", "crm, audit"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let json: Value = place.run(&["check", "--json"]).json();
    assert_eq!((&json["ok"], &json["file"]), (&true.into(), &"workhook.toml".into()));
    assert_eq!(json["handlers"], serde_json::json!(["crm", "audit"]));
}

#[test]
fn each_key_is_said_with_where_it_was_set_and_no_secret_is() {
    let place = Place::with(GOOD).set("WORKHOOK__LOG__LEVEL", "warn");
    let said = place.run(&["check", "--settings"]).good();
    for (key, origin, value) in [
        ("handler.crm.url", "workhook.toml:8:7", "http://127.0.0.1:1/…"),
        ("handler.crm.timeout", "default", "10s"),
        ("log.level", "WORKHOOK__LOG__LEVEL", "warn"),
        ("admin.token", "default", "not set"),
        ("webhook.product.tokens", "workhook.toml:4:10", "[…]"),
    ] {
        let line = said.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap_or_default();
        let told: Vec<_> = line.split("  ").map(str::trim).filter(|part| !part.is_empty()).collect();
        assert_eq!(told, [key, origin, value], "{said}");
    }
    let json: Value = place.run(&["check", "--settings", "--json"]).json();
    let settings = json["settings"].as_array().unwrap();
    assert!(settings.iter().any(|setting| setting["key"] == "log.level" && setting["value"] == "warn"), "{json}");
    assert!(!said.contains("a-token") && !json.to_string().contains("a-token"), "{said}");
    assert_eq!(place.run(&["check", "--json"]).json::<Value>().get("settings"), None);
}

#[test]
fn no_configuration_is_good_as_well_and_the_example_is() {
    let said = Place::new().run(&["check"]).good();
    assert!(said.contains("no configuration file"), "{said}");
    let example = Place::with(include_str!("../../workhook.example.toml"));
    let example = example.set("LEIGA_TOKEN", "leiga-token").set("CRM_AUTH", "Bearer crm");
    assert!(example.run(&["check"]).good().contains("crm, audit"));
}

#[test]
fn every_mistake_is_said_at_once_with_its_line_and_column_and_what_would_be_right() {
    let place = Place::with(WRONG);
    all_are_said(place.run(&["check"]), 2);
    let place = place.set("WORKHOOK__STORE__URL", "postgres://u:hunter2@h/").set("WORKHOOK__STORE__URI", "x");
    let said = place.run(&["check"]).failed(2);
    assert!(said.contains("WORKHOOK__STORE__URL: has to name a host and a database"), "{said}");
    assert!(said.contains("WORKHOOK__STORE__URI: ") && !said.contains("hunter2"), "{said}");
}

#[test]
fn every_command_that_reads_a_wrong_configuration_says_so() {
    let place = Place::with(WRONG);
    for args in [&["serve"][..], &["send", "Issue.Update"]] {
        all_are_said(place.run(args), 2);
    }
    // Those that only ask go on, and nobody answers.
    for args in [&["events", "list"], &["deliveries", "list"], &["handlers", "list"]] {
        all_are_said(place.run(args), 1);
    }
    assert!(!place.path("workhook-data").exists());
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    let place = Place::new();
    for args in [["check", "--config", "there.toml"], ["--config", "there.toml", "health"]] {
        let said = place.run(&args).failed(2);
        assert!(said.contains("there.toml: cannot be read: "), "{said}");
    }
    let place = place.set("WORKHOOK_CONFIG", "there.toml");
    let said = place.run(&["check"]).failed(2);
    assert!(said.contains("there.toml: cannot be read (named by WORKHOOK_CONFIG)"), "{said}");
    place.write("there.toml", GOOD);
    assert!(place.run(&["check"]).good().contains("there.toml: good"));
    let place = place.set("WORKHOOK_CONFIG", "");
    assert!(place.run(&["check"]).good().contains("no configuration file"));
}
