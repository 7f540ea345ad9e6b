//! `workhook send`: stands in for the sender, against a real receiver.

use serde_json::Value;
use workhook::sender::{Fault, Fixture};

use crate::support::Place;

/// Nothing listens there.
const NOBODY: &str = "http://127.0.0.1:1/webhook";

#[test]
fn one_event_is_sent_for_each_brand_and_shown_with_the_answer() {
    let service = Place::new().serve(&[]);
    for brand in ["leiga", "workzappy"] {
        let said = service.run(&["send", "Issue.Update", "--brand", brand]).good();
        let words: Vec<_> = said.split_whitespace().take(5).collect();
        assert_eq!(words, ["Issue.Update", brand, "200", "errcode", "0"], "{said}");
    }
    assert_eq!(service.settled().events, 2);
}

#[test]
fn all_events_of_both_brands_are_sent_and_kept() {
    let service = Place::new().serve(&[]);
    for brand in ["leiga", "workzappy"] {
        let said = service.run(&["send", "--all", "--brand", brand]).good();
        for fixture in Fixture::all().iter().filter(|fixture| fixture.brand.slug() == brand) {
            let line = said.lines().find(|line| line.starts_with(&format!("{} ", fixture.event)));
            assert!(line.is_some_and(|line| line.contains("200 errcode 0")), "{}: {said}", fixture.event);
        }
    }
    assert_eq!(service.settled().events, 38);
}

#[test]
fn what_is_set_in_a_body_and_a_body_of_one_s_own_arrive() {
    let service = Place::new().serve(&[]);
    let set = ["--set", "data.issue.summary=Changed here", "--set", "data.issue.number=4711"];
    service.run(&[&["send", "Issue.Update"], &set[..]].concat()).good();
    let event: Value = service.run(&["events", "show", "--json", &service.newest("Issue.Update")]).json();
    assert_eq!(event["title"], "#4711 Changed here");
    let body = "{ \"date\": 1, \"data\": {\"issue\": {\"id\": 7}} }";
    service.place.write("body.json", body);
    service.run(&["send", "Issue.Create", "--file", "body.json", "--id", "my-own"]).good();
    let id = service.newest("Issue.Create");
    let event: Value = service.run(&["events", "show", "--json", &id]).json();
    assert_eq!(event["occurrence_id"], "my-own");
    assert_eq!(service.run(&["events", "show", "--raw", &id]).good(), body);
}

#[test]
fn a_wrong_token_is_exit_code_1_and_the_receiver_s_words_are_shown() {
    let service = Place::new().serve(&[]);
    let run = service.run(&["send", "Issue.Update", "--token", "not-the-token"]);
    let shown = run.stdout.clone();
    assert_eq!(run.failed(1), "");
    let errmsg = "401 errcode 401: X-Leiga-Token is not the token of a webhook at this path";
    assert!(shown.contains(errmsg) && !shown.contains("not-the-token"), "{shown}");
}

#[test]
fn every_fault_is_answered_as_the_contract_says() {
    let service = Place::new().serve(&[]);
    for fault in Fault::ALL {
        let said = service.run(&["send", "Issue.Update", "--fault", fault.name()]).good();
        assert!(said.starts_with(fault.name()) && said.contains("as expected: "), "{said}");
    }
    let report: Value = service.run(&["send", "Issue.Update", "--fault", "garbage", "--json"]).json();
    assert_eq!((&report["ok"], &report["fault"]), (&true.into(), &"garbage".into()));
    assert_eq!(report["attempts"][0]["status"], 400);
}

#[test]
fn nobody_listening_is_exit_code_1_and_said() {
    let place = Place::new();
    let run = place.run(&["send", "Issue.Update", "--url", NOBODY, "--retries", "1", "--retry-wait-ms", "1"]);
    let shown = run.stdout.clone();
    assert_eq!(run.failed(1), "");
    assert!(shown.contains("no connection") && shown.contains("after 1 retry"), "{shown}");
    let run = place.run(&["send", "Issue.Update", "--fault", "cut", "--url", NOBODY]);
    assert!(run.stdout.contains("no connection"), "{run:?}");
    run.failed(1);
    let run = place.run(&["send", "Issue.Update", "--count", "3", "--url", NOBODY]);
    assert!(run.stdout.contains("no connection"), "{run:?}");
    run.failed(1);
}

#[test]
fn many_are_summed_up() {
    let service = Place::new().serve(&[]);
    let many = ["send", "Issue.Update", "Sprint.Start", "--count", "200", "--rate", "500"];
    let said = service.run(&many).good();
    let number = |label: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(label)).unwrap_or_else(|| panic!("{label}: {said}"));
        line.split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!([number("sent "), number("ok "), number("failed ")], ["200", "200", "0"]);
    assert!(said.contains("a second") && said.contains("p99"), "{said}");
    let summary: Value = service.run(&[&many[..], &["--json"]].concat()).json();
    assert_eq!([&summary["sent"], &summary["ok"], &summary["failed"]], [200, 200, 0]);
    assert!(summary["latency_ms"]["p99"].is_number(), "{summary}");
    // 200 at 500 a second take 398 ms at the least, and they are not sent faster than that.
    assert!(summary["elapsed_ms"].as_f64().unwrap() >= 398.0, "{summary}");
    assert_eq!(service.settled().events, 400);
}

#[test]
fn an_unknown_event_is_exit_code_2_with_names_that_are_near() {
    let said = Place::new().run(&["send", "Isue.Updat"]).failed(2);
    assert!(said.contains("Isue.Updat") && said.contains("Issue.Update"), "{said}");
    let said = Place::new().run(&["send", "Foo.Bar"]).failed(2);
    assert!(said.contains("there is no fixture of \"Foo.Bar\"") && said.contains("--file"), "{said}");
}

#[test]
fn what_cannot_be_sent_is_exit_code_2_and_nothing_is_sent() {
    let place = Place::new();
    for (args, part) in [
        (&["--set", "data"][..], "path=value"),
        (&["--set", "data.issue.summary.x=1"], "data.issue.summary is a string"),
        (&["--rate", "0"], "rate"),
        (&["--rate", "0/s"], "rate"),
        (&["--rate", "5/m"], "write for example 5/s"),
        (&["--url", "nowhere"], "\"nowhere\""),
        (&["--file", "none.json"], "none.json"),
        (&["--fault", "none"], "duplicate, bad-token"),
        (&["--brand", "lega"], "leiga"),
        (&["--all"], "--all"),
        (&["--fault", "cut", "--count", "2"], "--count"),
    ] {
        let run = place.run(&[&["send", "Issue.Update"], args].concat());
        assert_eq!(run.stdout, "", "{args:?}");
        let said = run.failed(2);
        assert!(said.contains(part), "{args:?}: {said}");
    }
}

#[test]
fn what_was_sent_is_told_to_programs() {
    let service = Place::new().serve(&[]);
    let sent: Value = service.run(&["send", "Issue.Update", "--brand", "workzappy", "--id", "one", "--json"]).json();
    let [event, brand, id] = ["event", "brand", "id"].map(|key| sent[key].as_str().unwrap_or_default());
    assert_eq!([event, brand, id], ["Issue.Update", "workzappy", "one"]);
    assert_eq!((&sent["ok"], &sent["attempts"][0]["status"]), (&true.into(), &200.into()));
    let run = service.run(&["send", "Issue.Update", "--token", "not-the-token", "--json"]);
    let sent: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&sent["ok"], &sent["attempts"][0]["errcode"]), (&false.into(), &401.into()));
    assert_eq!(run.failed(1), "");
}
