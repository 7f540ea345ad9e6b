//! `workhook events forget`: says how many, asks, and leaves nothing of somebody.

use serde_json::Value;

use crate::support::{Place, Service};

fn service() -> Service {
    let service = Place::with("[[handler]]\nname = \"quiet\"\nkind = \"log\"\nevents = [\"No.Such\"]").serve(&[]);
    service.run(&["send", "Issue.Update", "Issue.Delete", "Sprint.Start"]).good();
    service.run(&["send", "Issue.Update", "--set", "trigger.user.name=\"Jane Doe\""]).good();
    service.settled();
    service
}

#[test]
fn a_person_is_counted_asked_about_and_forgotten() {
    let service = service();
    let forget = |args: &[&str]| service.run(&[&["events", "forget", "--person", "jane doe"], args].concat());
    assert_eq!(forget(&["--dry-run"]).good(), "1 event and 0 rejected requests would be forgotten\n");
    let said = forget(&[]).failed(2);
    assert!(said.contains("1 event and 0 rejected requests will be forgotten") && said.contains("--yes"), "{said}");
    assert_eq!(service.settled().events, 4);
    assert_eq!(forget(&["--yes"]).good(), "1 event and 0 rejected requests forgotten\n");
    assert_eq!(service.settled().events, 3);
    let done: Value = forget(&["--yes", "--json"]).json();
    assert_eq!((&done["events"], &done["rejected"]), (&0.into(), &0.into()));
}

#[test]
fn what_is_left_in_the_files_is_told_and_goes_when_it_is_run_again() {
    let service = service();
    let forget = |args: &[&str]| service.run(&[&["events", "forget", "--person", "jane doe"], args].concat());
    let other = rusqlite::Connection::open(service.place.path("workhook-data/workhook.db")).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    let run = forget(&["--yes"]);
    assert_eq!(run.stdout, "1 event and 0 rejected requests forgotten\n");
    let said = run.failed(1);
    assert!(said.contains("somebody reads the database") && said.contains("run it again"), "{said}");
    let dry: Value = forget(&["--dry-run", "--json"]).json();
    assert_eq!((&dry["events"], &dry["left"]), (&0.into(), &"log".into()));
    drop(other);
    assert_eq!(forget(&[]).good(), "0 events and 0 rejected requests to forget\n");
    let dry: Value = forget(&["--dry-run", "--json"]).json();
    assert_eq!(dry.get("left"), None);
}

#[test]
fn an_entity_is_forgotten_and_wrong_use_is_told() {
    let service = service();
    assert_eq!(
        service.run(&["events", "forget", "--entity", "issue/100", "--yes"]).good(),
        "3 events and 0 rejected requests forgotten\n"
    );
    for wrong in [&[][..], &["--person", "a", "--entity", "b"], &["--person", "a", "--yes", "--dry-run"]] {
        service.run(&[&["events", "forget"], wrong].concat()).failed(2);
    }
    assert!(service.run(&["events", "forget", "--person", " ", "--yes"]).failed(1).contains("say a person"));
}
