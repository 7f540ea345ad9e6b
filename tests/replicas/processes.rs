//! Real processes on one PostgreSQL.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::database::{Database, server_address};
use crate::process::{Replica, TOKEN, place, run, send};
use crate::support::{Echo, get, until};
use crate::way::Way;

const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// By when another process has taken over.
const TAKEN_OVER: Duration = Duration::from_secs(10);

/// A handler `crm` at an address, as lines of configuration.
fn crm(echo: &Echo) -> String {
    format!("[[handler]]\nname = \"crm\"\nkind = \"http\"\nurl = \"http://{}/\"\n", echo.address)
}

/// Waits until the far end was asked so often.
#[track_caller]
fn asked(echo: &Echo, times: usize) {
    until("the far end is asked", || (echo.received().len() >= times).then_some(()));
}

#[test]
fn one_process_takes_requests_and_another_handles_them() {
    let (database, echo) = (Database::new(), Echo::start(Some(200)));
    let ingest = Replica::start(place(&database.url(), &crm(&echo)), "ingest");
    assert_eq!(send(ingest.public.unwrap(), "a", 1), 200, "whether anybody handles it or not");
    assert_eq!(ingest.health().unwrap().unplanned, 1);
    assert!(ingest.health().unwrap().duties.is_empty(), "it asks for none");
    let dispatch = Replica::start(place(&database.url(), &crm(&echo)), "dispatch");
    asked(&echo, 1);
    assert_eq!(dispatch.public, None);
    assert_eq!(dispatch.holder("planning").as_deref(), Some("here"));
    assert_eq!(send(ingest.public.unwrap(), "b", 1), 200);
    asked(&echo, 2);
    let replicas = ingest.health().unwrap().replicas;
    assert_eq!((replicas.len(), replicas.iter().filter(|replica| replica.this).count()), (2, 1), "{replicas:?}");
    let (_, metrics) = get(dispatch.private, "/metrics", &[]).unwrap();
    let (_, table) = OPERATIONS.split_once("\n### On PostgreSQL\n").unwrap();
    let documented = table.lines().filter_map(|line| line.strip_prefix("| `workhook_")?.split('`').next());
    let missing: Vec<_> = documented.filter(|name| !metrics.contains(&format!("# TYPE workhook_{name} "))).collect();
    assert!(missing.is_empty(), "{missing:?} in {metrics}");
    assert!(metrics.contains("workhook_replicas 2") && !metrics.contains("workhook_database_bytes"), "{metrics}");
    assert!(metrics.contains("workhook_duty_held{duty=\"planning\"} 1"), "{metrics}");
    let told = run(&ingest.place, &["health"]).good();
    assert!(told.contains("replicas    2; ") && told.contains("(this one)"), "{told}");
    for said in [dispatch.stop(), ingest.stop()] {
        assert!(!said.contains(TOKEN) && !said.contains(&database.password()), "a secret is told: {said}");
    }
}

#[test]
fn when_the_process_that_plans_is_killed_another_plans_within_ten_seconds() {
    let (database, echo) = (Database::new(), Echo::start(Some(200)));
    let one = Replica::start(place(&database.url(), &crm(&echo)), "all");
    let other = Replica::start(place(&database.url(), &crm(&echo)), "all");
    until("the one plans, and the other knows", || {
        let told = (one.holder("planning")?, other.holder("planning")?);
        (told == ("here".to_owned(), "elsewhere".to_owned())).then_some(())
    });
    assert_eq!(send(other.public.unwrap(), "a", 1), 200);
    asked(&echo, 1);
    one.kill();
    let killed = Instant::now();
    // Of another issue: the lane of the first one may wait for what the one had claimed.
    assert_eq!(send(other.public.unwrap(), "b", 2), 200);
    asked(&echo, 2);
    assert!(killed.elapsed() < TAKEN_OVER, "{:?}", killed.elapsed());
    assert_eq!(other.readyz().0, 200);
    assert_eq!(other.holder("planning").as_deref(), Some("here"));
}

#[test]
fn a_process_that_stops_in_order_hands_over_at_once() {
    let (database, echo) = (Database::new(), Echo::start(Some(200)));
    let one = Replica::start(place(&database.url(), &crm(&echo)), "all");
    until("it plans", || (one.holder("planning")? == "here").then_some(()));
    let other = Replica::start(place(&database.url(), &crm(&echo)), "all");
    one.stop();
    let stopped = Instant::now();
    until("the other plans", || (other.holder("planning")? == "here").then_some(()));
    assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
    assert_eq!(send(other.public.unwrap(), "a", 1), 200);
    asked(&echo, 1);
}

#[test]
fn a_signal_changes_the_configuration_of_the_process_that_gets_it() {
    let (database, echo) = (Database::new(), Echo::start(Some(200)));
    let one = Replica::start(place(&database.url(), &crm(&echo)), "all");
    let other = Replica::start(place(&database.url(), &crm(&echo)), "all");
    let webhook = format!("[[webhook]]\nname = \"product\"\ntokens = [\"{TOKEN}\"]\n");
    let more = crm(&echo).replace("\"crm\"", "\"audit\"");
    let changed = format!("{webhook}{}{more}", crm(&echo));
    for replica in [&one, &other] {
        replica.place.write("workhook.toml", &changed);
    }
    one.tell("HUP");
    until("the one has read it", || one.handlers().contains(&"audit".to_owned()).then_some(()));
    assert!(!other.handlers().contains(&"audit".to_owned()), "nobody told it");
    other.tell("HUP");
    until("the other has read it", || other.handlers().contains(&"audit".to_owned()).then_some(()));
    assert_eq!(send(other.public.unwrap(), "a", 1), 200);
    asked(&echo, 2);
}

#[test]
fn while_the_database_is_away_every_request_is_answered_in_time_and_all_goes_on_when_it_is_back() {
    let (database, echo, way) = (Database::new(), Echo::start(Some(200)), Way::to(&server_address()));
    let replica = Replica::start(place(&database.url_by(way.address), &crm(&echo)), "all");
    let door = replica.public.unwrap();
    assert_eq!(send(door, "a", 1), 200);
    asked(&echo, 1);
    way.cut();
    for attempt in 0..4 {
        let began = Instant::now();
        assert_eq!(send(door, &format!("away-{attempt}"), 2), 503);
        assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
    }
    until("it says why it is not ready", || {
        let (status, body) = replica.readyz();
        (status == 503 && body.contains("\"store\"")).then_some(())
    });
    way.mend();
    until("it is ready", || (replica.readyz().0 == 200).then_some(()));
    assert_eq!(send(door, "away-0", 2), 200);
    asked(&echo, 2);
}

#[test]
fn a_dead_letter_whose_commit_was_not_heard_of_is_no_lost_one_and_its_notice_is_made_once() {
    let (database, echo, way) = (Database::new(), Echo::start(Some(404)), Way::to(&server_address()));
    let replica = Replica::start(place(&database.url_by(way.address), &crm(&echo)), "all");
    // What settling says, and nothing else does.
    way.unheard("UPDATE deliveries d SET state = n.state");
    assert_eq!(send(replica.public.unwrap(), "a", 1), 200);
    asked(&echo, 1);
    until("its commit is not heard of", || way.was_unheard().then_some(()));
    let notices = || {
        let (_, body) = get(replica.private, "/api/v1/events?name=Workhook.DeadLetter", &[]).unwrap();
        serde_json::from_str::<Value>(&body).unwrap()["events"].as_array().unwrap().clone()
    };
    let notice = until("its notice is made", || notices().pop());
    assert_eq!(notices().len(), 1, "{notice}");
    let (_, metrics) = get(replica.private, "/metrics", &[]).unwrap();
    let attempts: Vec<_> = metrics.lines().filter(|line| line.starts_with("workhook_attempts_total{")).collect();
    let made = |outcome: &str| attempts.iter().any(|line| line.contains(outcome) && !line.ends_with(" 0"));
    assert!(made("refused") && !made("lost"), "{attempts:?}");
    let said = replica.stop();
    assert!(!said.contains("a result was refused"), "{said}");
    let of_it = |request: &&String| request.contains(r#"{"issue":{"id":1}}"#);
    assert_eq!(echo.received().iter().filter(of_it).count(), 1);
}

#[test]
fn a_database_that_is_away_at_the_start_is_tried_and_a_wrong_password_is_not() {
    let database = Database::new();
    let way = Way::to(&server_address());
    way.cut();
    let late = place(&database.url_by(way.address), "");
    let (process, _, stderr) =
        crate::support::place::start(&mut late.command(env!("CARGO_BIN_EXE_workhook"), &["serve"]));
    let tried = |text: &str| text.matches("it is tried again").nth(1).map(drop);
    stderr.until("that it is tried again", tried);
    way.mend();
    stderr.until("that it receives", |text| text.contains("\"receiving\"").then_some(()));
    drop(process);
    let (before, after) = database.url().split_once(":").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let (_, host) = after.rsplit_once('@').unwrap();
    let wrong = place(&format!("{before}://postgres:wrong-secret@{host}"), "");
    let said = run(&wrong, &["serve"]).failed(1);
    assert!(said.contains("cannot start") && said.contains("does not let postgres in"), "{said}");
    assert!(!said.contains("wrong-secret"), "{said}");
}
