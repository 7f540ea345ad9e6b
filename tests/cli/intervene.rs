//! `workhook deliveries retry|cancel`, `handlers` and `replay`: what somebody decides at the command line.

use std::process::Command;

use serde_json::Value;
use workhook::admin::api::wire;

use crate::support::place::{end, start};
use crate::support::{Echo, Place, Service, until};

/// A service whose handler `crm` takes issues, by a far end that refuses everything at first, and whose handler
/// `sprints` logs.
fn service() -> (Service, Echo) {
    let crm = Echo::start(Some(422));
    let config = format!(
        "
        [[handler]]
        name = \"crm\"
        kind = \"http\"
        url = \"http://{}/\"
        events = [\"Issue.*\"]
        retry = {{ attempts = 1 }}
        [[handler]]
        name = \"sprints\"
        kind = \"log\"
        events = [\"Sprint.*\"]",
        crm.address
    );
    (Place::with(&config).serve(&[]), crm)
}

/// The same with two dead letters of `crm`.
fn with_dead_letters() -> (Service, Echo) {
    let (service, crm) = service();
    service.run(&["send", "Issue.Update", "Issue.Create"]).good();
    service.settled();
    (service, crm)
}

impl Service {
    /// The deliveries that some arguments mean, the newest first.
    #[track_caller]
    fn deliveries(&self, args: &[&str]) -> Vec<wire::Delivery> {
        let list: wire::Deliveries = self.run(&[&["deliveries", "list", "--json"], args].concat()).json();
        list.deliveries
    }

    #[track_caller]
    fn handler(&self, name: &str) -> wire::Handler {
        let list: wire::Handlers = self.run(&["handlers", "list", "--json"]).json();
        list.handlers.into_iter().find(|handler| handler.name == name).unwrap()
    }

    /// The columns of a handler in the table.
    #[track_caller]
    fn handler_row(&self, name: &str) -> Vec<String> {
        let said = self.run(&["handlers", "list"]).good();
        let row = said.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_default();
        row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    }
}

#[test]
fn all_dead_letters_that_are_meant_are_retried_when_somebody_is_sure() {
    let (service, crm) = with_dead_letters();
    crm.answer(200);
    let retry = |more: &[&str]| service.run(&[&["deliveries", "retry", "--handler", "crm"], more].concat());
    assert_eq!(retry(&["--dry-run"]).good(), "2 deliveries would be retried\n");
    let unsure = retry(&[]);
    assert_eq!(unsure.stdout, "");
    let said = unsure.failed(2);
    assert!(said.contains("2 deliveries will be retried.") && said.contains("--yes"), "{said}");
    assert_eq!(crm.received().len(), 2, "nothing was retried");
    assert_eq!(retry(&["--name", "Issue.Create", "--yes"]).good(), "1 delivery retried\n");
    service.settled();
    let [create, update] = &service.deliveries(&["--handler", "crm"])[..] else { panic!("two deliveries") };
    assert_eq!((create.state.as_str(), create.retried, update.state.as_str()), ("delivered", 1, "dead"));
    let story = service.run(&["events", "show", &create.event]).good();
    assert!(story.contains("crm  delivered, retried by hand 1 time"), "{story}");
    assert_eq!(retry(&["--reason", "answered 422", "--yes", "--json"]).json::<Value>()["done"], 1);
    service.settled();
    assert_eq!(retry(&["--yes"]).good(), "nothing to retry\n");
}

#[test]
fn a_delivery_that_is_named_by_its_id_is_retried_without_a_question() {
    let (service, crm) = with_dead_letters();
    crm.answer(200);
    let ids: Vec<_> = service.deliveries(&["--state", "dead"]).iter().map(|one| one.id.to_string()).collect();
    assert_eq!(
        service.run(&["deliveries", "retry", &ids[0], &ids[0], "--dry-run"]).good(),
        "1 delivery would be retried\n"
    );
    assert_eq!(service.run(&["deliveries", "retry", &ids[0], &ids[0]]).good(), "1 delivery retried\n");
    service.settled();
    let again = service.run(&["deliveries", "retry", &ids[0], &ids[1], "4711"]);
    assert_eq!(again.stdout, "1 delivery retried\n");
    let said = again.failed(1);
    let left = "2 of 3 were left alone: only what is dead or cancelled can be retried; there is no delivery 4711";
    assert!(said.contains(left), "{said}");
    let said = service.run(&["deliveries", "retry", "4711"]).failed(1);
    assert_eq!(said, "workhook: 1 of 1 were left alone: there is no delivery 4711\n");
    let said = service.run(&["deliveries", "cancel", "abc"]).failed(2);
    assert!(said.contains("the id of a delivery is a number"), "{said}");
    for args in [&["retry", "--yes"][..], &["cancel", "--yes"], &["list"]] {
        let run = service.run(&[&["deliveries"], args, &["--handler", "nope"]].concat());
        let said = "workhook: no handler \"nope\" is configured or has deliveries; there are: crm, sprints\n";
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), said), "{args:?}");
    }
    assert_eq!(service.run(&["deliveries", "list", "--handler", "sprints"]).good(), "no deliveries\n");
}

#[test]
fn what_waits_for_a_paused_handler_is_cancelled_with_a_reason() {
    let (service, crm) = service();
    assert_eq!(service.run(&["handlers", "pause", "crm"]).good(), "crm is paused; its deliveries wait\n");
    assert_eq!(service.run(&["handlers", "pause", "crm"]).good(), "crm is paused; its deliveries wait\n");
    service.run(&["send", "Issue.Update"]).good();
    let row = until("it waits", || Some(service.handler_row("crm")).filter(|row| row[2] == "1"));
    assert_eq!((row[1].as_str(), row[6].as_str()), ("http", "Issue.*"));
    assert!(row[7].starts_with("paused since "), "{row:?}");
    let said = service.run(&["deliveries", "list", "--handler", "crm"]).good();
    assert!(said.trim_end().ends_with("  waits for its handler, which is paused"), "{said}");
    let [waiting] = &service.deliveries(&["--state", "pending"])[..] else { panic!("one delivery") };
    let story = service.run(&["events", "show", &waiting.event]).good();
    assert!(story.contains("crm  pending, waits for its handler, which is paused"), "{story}");
    let cancel = ["deliveries", "cancel", "--handler", "crm", "--because", "not wanted", "--yes"];
    assert_eq!(service.run(&cancel).good(), "1 delivery cancelled\n");
    assert_eq!(service.run(&cancel).good(), "nothing to cancel\n");
    let [cancelled] = &service.deliveries(&["--state", "cancelled"])[..] else { panic!("one delivery") };
    assert_eq!(cancelled.reason.as_deref(), Some("not wanted"));
    assert_eq!(service.run(&["handlers", "resume", "crm"]).good(), "crm goes on\n");
    assert_eq!(service.handler("crm").paused_at, None);
    assert_eq!(service.handler_row("crm")[7], "good");
    assert!(crm.received().is_empty());
    let said = service.run(&["deliveries", "cancel", &cancelled.id.to_string()]).failed(1);
    assert!(said.contains("only what is pending can be cancelled"), "{said}");
}

#[test]
fn deliveries_are_listed_by_each_filter_in_both_directions() {
    let (service, _crm) = with_dead_letters();
    service.run(&["send", "Sprint.Start"]).good();
    service.settled();
    let event = service.newest("Issue.Create");
    for (args, expected) in [
        (&["--event", &event][..], &["Issue.Create"][..]),
        (&["--name", "Issue.*"], &["Issue.Create", "Issue.Update"]),
        (&["--reason", "ANSWERED 422", "--limit", "1"], &["Issue.Create"]),
        (&["--after", "0", "--limit", "2"], &["Issue.Update", "Issue.Create"]),
        (&["--since", "1h", "--state", "delivered"], &["Sprint.Start"]),
        (&["--until", "1h"], &[]),
    ] {
        let found = service.deliveries(args);
        let names: Vec<_> = found.iter().map(|delivery| delivery.event_name.as_str()).collect();
        assert_eq!(names, expected, "{args:?}");
    }
}

#[test]
fn wrong_use_is_exit_code_2_and_says_what_would_be_right() {
    let (service, _crm) = service();
    for (args, hint) in [
        (&["deliveries", "retry"][..], "say which deliveries"),
        (&["deliveries", "cancel", "--yes"], "say which deliveries"),
        (&["deliveries", "retry", "7", "--handler", "crm"], "not both"),
        (&["deliveries", "retry", "seven"], "'seven'"),
        (&["deliveries", "retry", "--state", "pending"], "dead, cancelled"),
        (&["deliveries", "retry", "--since", "yesterday"], "2h"),
        (&["replay"], "--all"),
        (&["replay", "--rate", "fast", "--all"], "10/s"),
        (&["replay", "01932c07-0000-7000-8000-000000000001", "--all"], "one of the three"),
        (&["replay", "stop"], "<ID>"),
        (&["handlers", "pause"], "<NAME>"),
        (&["handlers", "test", "crm", "--event", "1", "--event-name", "Issue.Update"], "--event-name"),
    ] {
        let run = service.run(args);
        assert_eq!(run.stdout, "", "{args:?}");
        let said = run.failed(2);
        assert!(said.contains(hint), "{args:?}: {said}");
    }
    for (args, hint) in [
        (&["handlers", "pause", "erp"][..], "there is no handler \"erp\""),
        (&["handlers", "test", "erp"], "there is no handler \"erp\""),
        (&["handlers", "test", "crm"], "`workhook send` makes one"),
        (&["replay", "--handler", "erp", "--all"], "erp is not configured"),
        (&["replay", "01932c07-0000-7000-8000-000000000001"], "there is no event"),
        (&["replay", "stop", "3"], "there is no replay 3"),
    ] {
        let said = service.run(args).failed(1);
        assert!(said.contains(hint), "{args:?}: {said}");
    }
    assert_eq!(service.run(&["replay", "--all"]).good(), "nothing to replay: 0 events, 0 deliveries\n");
    assert_eq!(service.run(&["replay", "list"]).good(), "no replays\n");
}

#[test]
fn events_are_replayed_when_somebody_is_sure_and_its_end_is_told() {
    let (service, crm) = with_dead_letters();
    crm.answer(200);
    service.run(&["send", "Sprint.Start"]).good();
    service.settled();
    let replay = |more: &[&str]| service.run(&[&["replay", "--name", "Issue.*"], more].concat());
    assert_eq!(replay(&["--dry-run"]).good(), "2 events would be replayed: 2 deliveries\n");
    let said = replay(&[]).failed(2);
    assert!(said.contains("2 events will be replayed: 2 deliveries.") && said.contains("--yes"), "{said}");
    assert_eq!(replay(&["--yes", "--rate", "100/s"]).good(), "replay 1 is done: 2 events, 2 deliveries\n");
    service.settled();
    assert_eq!(replay(&["--undelivered", "--yes"]).good(), "nothing to replay: 2 events, 0 deliveries\n");
    let told: wire::Replay = replay(&["--handler", "sprints", "--yes", "--json"]).json();
    assert_eq!((told.id, told.state.as_str(), told.deliveries), (2, "done", 2));
    let again = &service.deliveries(&["--handler", "sprints"])[0];
    assert_eq!((again.replay, again.number), (Some(2), 1));
    let said = service.run(&["replay", "list"]).good();
    let rows: Vec<_> = said.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!((rows[0][0], rows[1][0], rows[1][3]), ("2", "1", "done"));
    assert!(
        said.contains("--name Issue.* --rate 100/s") && said.contains("--name Issue.* --handler sprints"),
        "{said}"
    );
}

#[test]
fn an_event_that_is_named_by_its_id_is_replayed_without_a_question() {
    let (service, crm) = with_dead_letters();
    crm.answer(200);
    let id = service.newest("Issue.Update");
    assert_eq!(service.run(&["replay", &id]).good(), "replay 1 is done: 1 event, 1 delivery\n");
    service.settled();
    let story = service.run(&["events", "show", &id]).good();
    assert!(story.contains("crm  delivered, by replay 1"), "{story}");
}

#[test]
fn a_replay_goes_on_without_the_command_and_is_stopped_and_goes_on_again() {
    let (service, _crm) = service();
    service.run(&["send", "Sprint.Start", "--count", "40"]).good();
    service.settled();
    let said = service.run(&["replay", "--all", "--rate", "2/s", "--yes", "--detach"]).good();
    assert!(said.starts_with("replay 1 goes on: ") && said.contains("`workhook replay stop 1`"), "{said}");
    let said = service.run(&["replay", "stop", "1"]).good();
    assert!(said.starts_with("replay 1 is stopped: ") && said.contains("`workhook replay resume 1`"), "{said}");
    let followed = service.run(&["replay", "follow", "1"]).good();
    assert_eq!(followed, said, "it does not wait for what does not go on");
    assert!(service.run(&["replay", "resume", "1"]).good().starts_with("replay 1 goes on: "));
    let told: wire::Replay = service.run(&["replay", "stop", "1", "--json"]).json();
    assert!(told.state == "stopped" && told.events < 40, "{told:?}");
}

#[test]
fn a_command_that_is_interrupted_leaves_its_replay_running_and_says_so() {
    let (service, _crm) = service();
    service.run(&["send", "Sprint.Start", "--count", "40"]).good();
    service.settled();
    let args = ["replay", "--all", "--rate", "1/s", "--yes"];
    let (process, stdout, stderr) = start(&mut service.place.command(env!("CARGO_BIN_EXE_workhook"), &args));
    until("it has begun", || {
        let list: wire::Replays = service.run(&["replay", "list", "--json"]).json();
        list.replays.first().filter(|replay| replay.events > 0).map(|_| ())
    });
    let kill = format!("kill -INT {}", process.0.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let said = end(process, &stdout, &stderr).good();
    assert!(said.starts_with("replay 1 goes on: ") && said.contains("`workhook replay stop 1`"), "{said}");
    let list: wire::Replays = service.run(&["replay", "list", "--json"]).json();
    assert_eq!(list.replays[0].state, "running");
}

#[test]
fn a_handler_is_tried_and_what_came_of_it_is_said() {
    let (service, crm) = with_dead_letters();
    crm.answer(200);
    let said = service.run(&["handlers", "test", "crm"]).good();
    let newest = service.newest("Issue.Create");
    assert!(said.starts_with(&format!("event {newest} to crm, delivery 3: delivered\n")), "{said}");
    assert!(said.contains("attempt 1  delivered 200"), "{said}");
    crm.answer(422);
    let id = service.newest("Issue.Update");
    let run = service.run(&["handlers", "test", "crm", "--event", &id]);
    assert!(run.stdout.contains(&format!("event {id} to crm")) && run.stdout.contains("refused 422"), "{run:?}");
    assert_eq!(run.failed(1), "");
    crm.answer(200);
    let tested: wire::Tested = service.run(&["handlers", "test", "crm", "--event-name", "Issue.*", "--json"]).json();
    assert_eq!((tested.event, tested.ended), (newest, true));
    service.run(&["handlers", "pause", "crm"]).good();
    let said = service.run(&["handlers", "test", "crm"]).failed(1);
    assert!(said.contains("`handlers resume crm` lets it go on"), "{said}");
}
