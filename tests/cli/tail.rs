//! `workhook events tail`: events as they come, whatever happens to the service meanwhile.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::place::{Process, start};
use crate::support::{Heard, Place, Service, json_lines, until};

fn service() -> Service {
    Place::with("[[handler]]\nname = \"quiet\"\nkind = \"log\"\nevents = [\"No.Such\"]").serve(&[])
}

/// A tail that has said what is sent to it, and so is known to wait for more.
fn tail(service: &Service, args: &[&str]) -> (Process, Heard, Heard) {
    let args = [&["events", "tail", "--after", "0"], args].concat();
    start(&mut service.place.command(env!("CARGO_BIN_EXE_workhook"), &args))
}

fn names(text: &str) -> Vec<String> {
    json_lines(text).iter().map(|event| event["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_new_event_is_shown_within_100_ms() {
    let service = service();
    let (_process, stdout, _) = tail(&service, &["--json"]);
    let took = |count: usize| {
        service.run(&["send", "Issue.Update"]).good();
        let sent = Instant::now();
        stdout.until("the event", |text| (json_lines(text).len() == count).then_some(()));
        sent.elapsed()
    };
    let mut took: Vec<Duration> = (1..=11).map(took).collect();
    took.sort();
    // The one in the middle: what is measured is the way, not how busy the machine is.
    assert!(took[5] < Duration::from_millis(100), "{took:?}");
}

#[test]
fn only_what_the_filter_means_is_shown_and_each_event_is_one_line_of_json() {
    let service = service();
    let (_process, stdout, _) = tail(&service, &["--json", "--name", "Issue.*", "--limit", "2"]);
    service.run(&["send", "Issue.Update", "Comment.Create", "Issue.Delete", "Issue.Create"]).good();
    let text = stdout.all(crate::support::PATIENCE).expect("it ends after two");
    assert_eq!((names(&text), text.lines().count()), (vec!["Issue.Update".to_owned(), "Issue.Delete".to_owned()], 2));
    let said = service.run(&["events", "tail", "--after", "3", "--limit", "1"]).good();
    assert!(said.contains("Issue.Create") && said.contains("#8 "), "{said}");
}

#[test]
fn it_goes_on_after_a_restart_and_leaves_nothing_out() {
    let service = service();
    let (_process, stdout, stderr) = tail(&service, &["--json"]);
    service.run(&["send", "Issue.Update"]).good();
    stdout.until("the first", |text| (names(text).len() == 1).then_some(()));
    let (public, private) = (service.public, service.private);
    let place = service.killed();
    stderr.until("that nobody answers", |text| text.contains("waiting until it is there again").then_some(()));
    let service = place.serve(&[]);
    assert_eq!((service.public, service.private), (public, private));
    service.run(&["send", "Comment.Create"]).good();
    stdout.until("the second", |text| (names(text) == ["Issue.Update", "Comment.Create"]).then_some(()));
    stderr.until("that it goes on", |text| text.contains("it answers again").then_some(()));
}

#[test]
fn ctrl_c_is_its_end_and_no_failure() {
    let service = service();
    let (mut process, stdout, _) = tail(&service, &["--json"]);
    service.run(&["send", "Issue.Update"]).good();
    stdout.until("it runs", |text| (!text.is_empty()).then_some(()));
    let kill = format!("kill -INT {}", process.0.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let ended = std::cell::RefCell::new(&mut process.0);
    let status = until("it ends", || ended.borrow_mut().try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn where_nobody_answers_from_the_beginning_it_fails() {
    let nobody = Place::new().set("WORKHOOK__ADMIN__LISTEN", "127.0.0.1:1");
    let said = nobody.run(&["events", "tail"]).failed(1);
    assert!(said.contains("workhook serve"), "{said}");
    assert_eq!(nobody.run(&["events", "tail", "--after", "0"]).failed(1), said);
    let service = service();
    let said = service.run(&["events", "tail", "--since", "yesterday"]).failed(2);
    assert!(said.contains("2h"), "{said}");
    let value: Value = service.run(&["events", "list", "--json", "--since", "1h"]).json();
    assert_eq!(value["events"], Value::Array(Vec::new()));
}
