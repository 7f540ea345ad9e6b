//! Commands of which the service does a part only: what is said, and how.

use serde_json::{Value, json};

use crate::support::{Place, Run, prepared};

/// Runs a command that asks a door with prepared answers.
fn run(answer: impl Fn(&str) -> (u16, Value) + Send + 'static, args: &[&str]) -> (Place, Run) {
    let place = Place::new().set("WORKHOOK_ADMIN_URL", &prepared(answer).to_string());
    let run = place.run(args);
    (place, run)
}

fn full() -> (u16, Value) {
    (503, json!({ "error": "the store is full" }))
}

#[test]
fn a_bulk_that_fails_half_way_says_how_many_were_done_and_how_to_go_on() {
    let answer = |request: &str| match request {
        all if all.contains("\"dry_run\":true") => (200, json!({ "done": 7 })),
        later if later.contains("\"after\":2") => full(),
        _ => (200, json!({ "done": 2, "next": 2, "through": 9 })),
    };
    for (args, done) in [
        (["deliveries", "retry", "--handler", "crm", "--yes"], "2 deliveries retried"),
        (["deliveries", "cancel", "--handler", "crm", "--yes"], "2 deliveries cancelled"),
    ] {
        let (_, run) = run(answer, &args);
        let expected =
            format!("workhook: it failed half-way, with {done} (the same command does the rest): the store is full\n");
        assert_eq!(run.failed(1), expected);
    }
}

#[test]
fn a_bulk_that_fails_at_its_beginning_says_why_alone() {
    let answer = |request: &str| match request.contains("\"dry_run\":true") {
        true => (200, json!({ "done": 7 })),
        false => full(),
    };
    let (_, run) = run(answer, &["deliveries", "retry", "--handler", "crm", "--yes"]);
    assert_eq!(run.failed(1), "workhook: the store is full\n");
}

#[test]
fn ids_are_asked_for_once_and_said_to_be_done_where_the_next_ones_fail() {
    let answer = |request: &str| match request.contains("[501]") {
        true => full(),
        false => (200, json!({ "done": 500 })),
    };
    let ids: Vec<String> = (1..=501).chain(1..=501).map(|id| id.to_string()).collect();
    let args: Vec<&str> = ["deliveries", "retry"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    let (_, run) = run(answer, &args);
    let said = run.failed(1);
    assert!(said.contains("with 500 deliveries retried (the same command does the rest)"), "{said}");
}

#[test]
fn forgetting_that_fails_half_way_says_how_much_is_forgotten() {
    let answer = |request: &str| match request {
        newest if newest.starts_with("GET") => (200, json!({ "events": [] })),
        all if all.contains("\"dry_run\":true") => (200, json!({ "events": 5, "rejected": 0 })),
        later if later.contains("\"after\":3") => full(),
        _ => (200, json!({ "events": 2, "rejected": 1, "next": 3 })),
    };
    let (_, run) = run(answer, &["events", "forget", "--person", "jane", "--yes"]);
    let said = run.failed(1);
    assert!(
        said.contains("with 2 events and 1 rejected request forgotten (the same command does the rest): the"),
        "{said}"
    );
}

#[test]
fn an_event_that_goes_while_it_is_exported_is_left_out_and_counted() {
    let event = |position: i64, id: &str| {
        json!({
            "id": id, "position": position, "received_at": "2026-01-01T00:00:00Z", "name": "Issue.Update",
            "brand": "leiga", "webhook": "product", "receipts": 1, "planned": true, "deliveries": [], "notes": [],
        })
    };
    let answer = move |request: &str| match request {
        list if list.starts_with("GET /api/v1/events?") => {
            (200, json!({ "events": [event(1, "gone"), event(2, "half"), event(3, "gone")] }))
        }
        body if body.starts_with("GET /api/v1/events/half/body") => (200, json!({ "data": {} })),
        _ => (404, json!({ "error": "there is no such event" })),
    };
    for more in [&[][..], &["--redact"]] {
        let (place, run) = run(answer, &[&["events", "export", "--to", "out"], more].concat());
        assert_eq!(run.good(), "0 events in out\nleft out, as they went meanwhile: 3 events\n");
        assert_eq!(std::fs::read_dir(place.path("out")).unwrap().count(), 0);
    }
}

#[test]
fn what_the_service_says_moves_nothing_on_a_terminal() {
    let answer = |_: &str| (422, json!({ "error": "no\u{1b}[2J such\r thing\nnor\u{202e} another" }));
    let (_, run) = run(answer, &["handlers", "pause", "crm"]);
    assert_eq!(run.failed(1), "workhook: no[2J such thing\nnor another\n");
}
