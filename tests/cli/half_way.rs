//! Commands of which the service does a part only: what is said, and how.

use serde_json::{Value, json};

use crate::support::{Place, Run, prepared};

/// Runs a command that asks a door with prepared answers.
fn run(answer: impl Fn(&str) -> (u16, Value) + Send + 'static, args: &[&str]) -> (Place, Run) {
    let place = Place::new().set("WORKHOOK_ADMIN_URL", &prepared(answer).to_string());
    let run = place.run(args);
    (place, run)
}

#[test]
fn what_the_service_says_moves_nothing_on_a_terminal() {
    let answer = |_: &str| (422, json!({ "error": "no\u{1b}[2J such\r thing\nnor\u{202e} another" }));
    let (_, run) = run(answer, &["handlers", "pause", "crm"]);
    assert_eq!(run.failed(1), "workhook: no[2J such thing\nnor another\n");
}
