//! `workhook events`, `deliveries` and `health`: what is kept, what became of it, how it is going.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use workhook::admin::api::wire;
use workhook::contract::Brand;
use workhook::sender::Fixture;

use crate::support::place::ended;
use crate::support::{Echo, Place, Run, Service, until};

/// A service with a handler for issues that fails once and is dead then, and one for sprints that logs. What workhook
/// itself has to say of the dead letter is the fourth event.
fn service() -> (Service, Echo) {
    let crm = Echo::start(Some(422));
    let config = format!(
        "
        [[handler]]
        name = \"crm\"
        kind = \"http\"
        url = \"http://{}/\"
        events = [\"Issue.*\"]
        [[handler]]
        name = \"sprints\"
        kind = \"log\"
        events = [\"Sprint.*\"]",
        crm.address
    );
    let service = Place::with(&config).serve(&[]);
    // Nothing is told of the first one before the others are there.
    service.run(&["handlers", "pause", "crm"]).good();
    service.run(&["send", "Issue.Update", "Sprint.Start", "Comment.Create"]).good();
    service.run(&["handlers", "resume", "crm"]).good();
    until("the dead letter is told", || {
        let list: wire::Events = service.run(&["events", "list", "--json", "--name", "Workhook.DeadLetter"]).json();
        (!list.events.is_empty()).then_some(())
    });
    service.settled();
    (service, crm)
}

/// The same fields as the API's own shape, no more and no less.
#[track_caller]
fn exactly<T: DeserializeOwned + Serialize + Debug>(run: Run) -> T {
    let value: Value = run.json();
    let shape: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"));
    assert_eq!(serde_json::to_value(&shape).unwrap(), value);
    shape
}

#[test]
fn events_are_listed_the_newest_first_and_by_name() {
    let (service, _crm) = service();
    let said = service.run(&["events", "list"]).good();
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("ID "), "{said}");
    for (line, parts) in lines[1..].iter().zip([
        ["Workhook.DeadLetter", "not routed", "Handler crm has a dead letter"],
        ["Comment.Create", "not routed", "#22 "],
        ["Sprint.Start", "1 delivered", "Sprint 14"],
        ["Issue.Update", "1 dead", "#21 "],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?}: {said}");
    }
    assert_eq!(lines.len(), 5, "{said}");
    let list: wire::Events = exactly(service.run(&["events", "list", "--json"]));
    let names: Vec<_> = list.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["Workhook.DeadLetter", "Comment.Create", "Sprint.Start", "Issue.Update"]);
    let list: wire::Events = exactly(service.run(&["events", "list", "--json", "--name", "Sprint.Start"]));
    assert_eq!(list.events.len(), 1);
}

#[test]
fn a_list_goes_on_where_it_ended() {
    let (service, _crm) = service();
    let said = service.run(&["events", "list", "--limit", "2"]).good();
    let (_, before) = said.trim_end().rsplit_once("more: --before ").unwrap();
    let said = service.run(&["events", "list", "--limit", "2", "--before", before]).good();
    assert!(said.contains("Issue.Update") && !said.contains("more: "), "{said}");
    assert_eq!(service.run(&["events", "list", "--before", "1"]).good(), "no events\n");
    let said = service.run(&["deliveries", "list", "--limit", "1"]).good();
    assert!(said.contains("Sprint.Start") && said.contains("more: --before "), "{said}");
}

#[test]
fn the_story_of_an_event_names_the_handlers_the_attempts_and_the_clause_that_said_no() {
    let (service, _crm) = service();
    let id = service.newest("Issue.Update");
    let said = service.run(&["events", "show", &id]).good();
    for part in [
        "Issue.Update",
        &id,
        "received 1 time",
        "crm  dead: ",
        "attempt 1  refused 422",
        "answered 422",
        "\n      answer: POST / HTTP/1.1\n",
        "sprints  not asked: events: none of Sprint.* matches",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let event: wire::EventDetail = exactly(service.run(&["events", "show", "--json", &id]));
    assert_eq!((event.handlers[0].handler.as_str(), event.handlers[0].history.len()), ("crm", 1));
    assert_eq!(event.not_routed[0].handler, "sprints");
    assert!(!event.headers.iter().any(|(name, _)| name.ends_with("token")), "{:?}", event.headers);
    let said = service.run(&["events", "show", &service.newest("Comment.Create")]).good();
    assert!(said.contains("crm  not asked: events: none of Issue.* matches"), "{said}");
}

#[test]
fn the_body_of_an_event_is_printed_as_it_came() {
    let (service, _crm) = service();
    for &brand in Brand::ALL {
        for event in ["Issue.Update", "LIA.Action"] {
            service.run(&["send", event, "--brand", brand.slug()]).good();
            let raw = service.run(&["events", "show", "--raw", &service.newest(event)]).good();
            let fixture = Fixture::find(brand, event).unwrap();
            assert!(raw.as_bytes() == fixture.body, "{event} of {brand}: {raw}");
        }
    }
}

#[test]
fn an_event_that_is_not_there_is_exit_code_1_and_said() {
    let (service, _crm) = service();
    let said = service.run(&["events", "show", "7"]).failed(1);
    assert!(said.contains("\"7\" is not the id of an event"), "{said}");
    let said = service.run(&["events", "show", "0190b7c2-0000-7000-8000-000000000000", "--raw"]).failed(1);
    assert!(said.contains("there is no event 0190b7c2-"), "{said}");
}

#[test]
fn deliveries_are_listed_by_handler_and_by_state() {
    let (service, _crm) = service();
    let said = service.run(&["deliveries", "list"]).good();
    assert!(said.lines().any(|line| line.contains("crm") && line.contains("dead") && line.contains("422")), "{said}");
    assert!(said.lines().any(|line| line.contains("sprints") && line.contains("delivered")), "{said}");
    let list: wire::Deliveries = exactly(service.run(&["deliveries", "list", "--json"]));
    assert_eq!(list.deliveries.len(), 2);
    for (filter, handler) in [(["--handler", "crm"], "crm"), (["--state", "delivered"], "sprints")] {
        let list: wire::Deliveries = exactly(service.run(&[&["deliveries", "list", "--json"], &filter[..]].concat()));
        let handlers: Vec<_> = list.deliveries.iter().map(|delivery| delivery.handler.as_str()).collect();
        assert_eq!(handlers, [handler]);
    }
    assert_eq!(service.run(&["deliveries", "list", "--state", "cancelled"]).good(), "no deliveries\n");
}

#[test]
fn health_is_0_when_ready_with_the_counts_and_1_when_nobody_answers() {
    let (service, _crm) = service();
    let said = service.run(&["health"]).good();
    for part in ["ready\n", "4 kept", "1 delivered", "1 dead", "LAST USE"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let health: wire::Health = exactly(service.run(&["health", "--json"]));
    assert!(health.ready && health.events == 4, "{health:?}");
    let nobody = Place::new().set("WORKHOOK__ADMIN__LISTEN", "127.0.0.1:1");
    for args in [&["health"][..], &["health", "--json"], &["events", "list"], &["deliveries", "list"]] {
        let run = nobody.run(args);
        assert_eq!(run.stdout, "", "{args:?}");
        let said = run.failed(1);
        assert!(said.contains("127.0.0.1:1") && said.contains("workhook serve"), "{args:?}: {said}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_reason_to_panic() {
    let (service, _crm) = service();
    service.run(&["send", "Issue.Update", "--count", "150"]).good();
    let first = "\"$0\" events list --limit 150 | head -1";
    let run = ended(service.place.command("sh", &["-c", first, env!("CARGO_BIN_EXE_workhook")]));
    assert!(run.good().starts_with("ID "));
    let id = service.newest("Issue.Update");
    for args in [
        &["events", "list"][..],
        &["events", "list", "--json"],
        &["events", "show", &id],
        &["events", "show", "--raw", &id],
        &["deliveries", "list"],
        &["health"],
        &["send", "Issue.Update"],
    ] {
        assert_eq!(service.place.run_unread(args), "", "{args:?}");
    }
}

#[test]
fn what_somebody_named_an_issue_is_no_command_to_the_terminal() {
    let (service, _crm) = service();
    let evil = "data.issue.summary=\"a\\u001b]52;c;evil\\u0007b\\u202ec\"";
    service.run(&["send", "Issue.Update", "--set", evil]).good();
    for said in [
        service.run(&["events", "list"]).good(),
        service.run(&["events", "show", &service.newest("Issue.Update")]).good(),
    ] {
        assert!(said.contains("a]52;c;evilbc") && !said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{said:?}");
    }
}

#[test]
fn a_container_s_health_check_says_nothing_but_by_its_exit_code() {
    let (service, _crm) = service();
    assert_eq!(service.run(&["health", "--quiet"]).good(), "");
    assert_eq!(service.run(&["health", "--quiet", "--admin-url", "127.0.0.1:9"]).code, Some(1));
}
