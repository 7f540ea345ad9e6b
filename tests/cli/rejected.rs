//! `workhook rejected`: what could not be an event, and what became of it.

use serde_json::Value;

use crate::support::{Place, Service};

fn service() -> Service {
    let service = Place::with("[[handler]]\nname = \"quiet\"\nkind = \"log\"\nevents = [\"No.Such\"]").serve(&[]);
    // No header can be wrong by `send`, so it is sent by hand.
    let token = service.place.read("workhook-data/webhook-token");
    let headers = [("X-Leiga-Token", token.trim()), ("X-Leiga-Event", "Issue.Update"), ("X-Leiga-Retry-Num", "two")];
    let (status, _) = crate::support::http::post(service.public, "/webhook", &headers, "{}").unwrap();
    assert_eq!(status, 400);
    service
}

#[test]
fn a_rejected_request_is_listed_and_shown_with_what_was_wrong() {
    let service = service();
    let said = service.run(&["rejected", "list"]).good();
    assert!(said.starts_with("ID ") && said.contains("X-Leiga-Retry-Num is not a whole number"), "{said}");
    let said = service.run(&["rejected", "show", "1"]).good();
    for part in ["X-Leiga-Retry-Num is not a whole number", "x-leiga-retry-num: two", "2 bytes"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.to_lowercase().contains("x-leiga-token"), "{said}");
    assert_eq!(service.run(&["rejected", "show", "1", "--raw"]).good(), "{}");
    let list: Value = service.run(&["rejected", "list", "--json"]).json();
    assert_eq!(list["rejected"][0]["id"], 1);
    let told: Value = service.run(&["rejected", "show", "1", "--json"]).json();
    assert_eq!(told["webhook"], "default");
    assert_eq!(service.run(&["rejected", "list", "--before", "1"]).good(), "no rejected requests\n");
    assert!(service.run(&["rejected", "show", "7"]).failed(1).contains("there is no rejected request 7"));
}

#[test]
fn a_body_that_was_too_large_is_said_not_to_be_kept() {
    let service = Place::with("[ingest]\nmax_body = \"64KiB\"").serve(&[]);
    service.run(&["send", "Issue.Update", "--fault", "oversize"]);
    let said = service.run(&["rejected", "show", "1"]).good();
    assert!(said.contains("the body is larger than 65536 bytes") && said.contains("none is kept"), "{said}");
    assert!(!said.contains("--raw"), "{said}");
    let run = service.run(&["rejected", "list", "--webhook", "nope"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "no rejected requests\n"));
    assert_eq!(run.stderr, "workhook: no webhook \"nope\" is configured; there are: default\n");
    assert!(service.run(&["events", "list", "--webhook", "nope"]).stderr.contains("no webhook \"nope\""));
}

#[test]
fn ruling_11_it_becomes_an_event_with_a_correction() {
    let service = service();
    let said = service.run(&["rejected", "retry", "1"]).failed(1);
    assert!(said.contains("still rejected: X-Leiga-Retry-Num is not a whole number"), "{said}");
    let said = service.run(&["rejected", "retry", "1", "--set", "Token=x"]).failed(1);
    assert!(said.contains("cannot be set"), "{said}");
    for wrong in [&["--set", "Retry-Num"][..], &["--set", "ID=1", "--set", "ID=2"]] {
        service.run(&[&["rejected", "retry", "1"], wrong].concat()).failed(2);
    }
    let said = service.run(&["rejected", "retry", "1", "--set", "Retry-Num=0"]).good();
    let id = service.newest("Issue.Update");
    assert_eq!(said, format!("stored as event {id}\n"));
    assert!(service.run(&["rejected", "list"]).good().contains("an event"));
    assert!(service.run(&["rejected", "show", "1"]).good().contains(&format!("became event {id}")));
    let again: Value = service.run(&["rejected", "retry", "1", "--json"]).json();
    assert_eq!((&again["outcome"], &again["event"]), (&"duplicate".into(), &Value::from(id)));
}
