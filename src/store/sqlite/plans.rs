//! How SQLite goes about each look-up: by an index or a row's number, never through a whole large table, and never by
//! sorting.
//!
//! The statements are those that the connections for reading ran, whatever they are: a new look-up has to be asked for
//! in [`ask_everything`], and a new filter tried there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::{SqliteStore, open};
use crate::contract::sample::accepted;
use crate::model::{
    DeliveryFilter, DeliveryId, DeliveryState, EventFilter, EventId, EventOutcome, HandlerName, NewDelivery, Plan,
    Position, RejectedId, ReplayId,
};
use crate::store::{
    Appended, DeliveryQuery, EventQuery, ForgetAbout, ForgetStep, RejectedQuery, SqliteSettings, Start, Store,
};
use crate::wake::Wakes;

/// Tables that stay small, by a bound or by their nature, and what of the plan names them.
const SMALL: &[&str] = &[
    "tallies",
    "handlers",
    "names",
    "marks",
    "rejected",
    "refusals",
    "token_uses",
    "replays",
    "gaps",
    "parts",
    "main.terms_0_config",
];
/// What is read in whole though its table is large, and why that is little.
const LITTLE: &[(&str, &str)] = &[
    ("SCAN deliveries USING COVERING INDEX deliveries_ready", "the lanes that have something pending, counted"),
    ("SCAN CONSTANT ROW", "nothing"),
];

/// What is wrong with a step of a plan.
fn is_wrong(step: &str) -> bool {
    let small = |table: &&str| step.starts_with(&format!("SCAN {table}"));
    // A full-text index is searched where it is told what for, which begins with M.
    let searched = step.starts_with("SCAN terms_0 VIRTUAL TABLE INDEX") && step.contains(":M");
    let little = LITTLE.iter().any(|(start, _)| step.starts_with(start));
    let whole = step.starts_with("SCAN") && !SMALL.iter().any(small) && !searched;
    (whole || step.starts_with("USE TEMP B-TREE")) && !little
}

/// Each statement with the steps of its plan that are wrong.
fn wrong_steps(connection: &Connection, sql: &str) -> Vec<String> {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let parameters = explain.parameter_count();
    let none = vec![rusqlite::types::Null; parameters];
    let steps = explain.query_map(rusqlite::params_from_iter(none), |row| row.get::<_, String>(3)).unwrap();
    // What stays small, and the deliveries of one event.
    let sorts_little = SMALL.iter().any(|table| sql.contains(&format!("FROM {table}"))) || sql.contains("position = ");
    let wrong = steps.map(Result::unwrap).filter(|step| is_wrong(step));
    wrong.filter(|step| !(sorts_little && step.starts_with("USE TEMP"))).map(|step| format!("{step}: {sql}")).collect()
}

async fn ask_everything(store: &SqliteStore) {
    let event_filters = event_filters();
    let starts = [Start::Newest, Start::Before(Position(3)), Start::After(Position(1))];
    for filter in event_filters {
        for start in starts {
            store.events(EventQuery { limit: 2, start, filter: filter.clone() }).await.unwrap();
        }
    }
    for filter in delivery_filters() {
        for start in [Start::Newest, Start::Before(DeliveryId(3)), Start::After(DeliveryId(1))] {
            store.deliveries(DeliveryQuery { limit: 2, start, filter: filter.clone() }).await.unwrap();
        }
    }
    for webhook in [None, Some("product".to_owned())] {
        for start in [Start::Newest, Start::Before(RejectedId(3)), Start::After(RejectedId(1))] {
            store.rejected(RejectedQuery { limit: 2, start, webhook: webhook.clone() }).await.unwrap();
        }
    }
    let id = store.unplanned(1).await.unwrap().first().map_or(EventId::from_bytes([0; 16]), |event| event.id);
    store.event(id).await.unwrap();
    store.other_body(id, 1).await.unwrap();
    store.delivery(DeliveryId(1)).await.unwrap();
    store.rejected_request(RejectedId(1)).await.unwrap();
    store.refusals(20).await.unwrap();
    store.token_uses().await.unwrap();
    store.handlers().await.unwrap();
    store.replays(2).await.unwrap();
    store.replay(ReplayId(1)).await.unwrap();
    store.running_replays().await.unwrap();
    store.counts().await.unwrap();
    store.space().await.unwrap();
    store.catalogue(1).await.unwrap();
    let about = ForgetAbout::Person("nobody".to_owned());
    store.forget(ForgetStep { about, after: Position(0), limit: 2, dry_run: true }).await.unwrap();
}

fn event_filters() -> Vec<EventFilter> {
    let none = EventFilter::default;
    let time = Some(Timestamp::UNIX_EPOCH);
    let mut filters = vec![
        none(),
        EventFilter { name: Some("Issue.*".parse().unwrap()), ..none() },
        EventFilter { webhook: Some("product".to_owned()), ..none() },
        EventFilter { entity: Some("issue/100".to_owned()), ..none() },
        EventFilter { person: Some("Jane".to_owned()), ..none() },
        EventFilter { text: Some("login fails".to_owned()), ..none() },
        EventFilter { since: time, until: time, ..none() },
    ];
    for outcome in EventOutcome::ALL {
        filters.push(EventFilter { outcome: Some(outcome), ..none() });
        let text = Some("login".to_owned());
        filters.push(EventFilter { outcome: Some(outcome), text, since: time, ..none() });
    }
    filters
}

fn delivery_filters() -> Vec<DeliveryFilter> {
    let none = DeliveryFilter::default;
    let (handler, time) = (HandlerName::parse("crm"), Some(Timestamp::UNIX_EPOCH));
    let mut filters = vec![
        none(),
        DeliveryFilter { handler: handler.clone(), ..none() },
        DeliveryFilter { event: Some(EventId::from_bytes([0; 16])), ..none() },
        DeliveryFilter { name: Some("Issue.*".parse().unwrap()), ..none() },
        DeliveryFilter { since: time, until: time, ..none() },
        DeliveryFilter { reason: Some("gone".to_owned()), ..none() },
    ];
    for state in DeliveryState::ALL {
        filters.push(DeliveryFilter { state: Some(state), ..none() });
        filters.push(DeliveryFilter { state: Some(state), handler: handler.clone(), since: time, ..none() });
    }
    filters
}

#[tokio::test]
async fn every_look_up_goes_by_an_index_and_sorts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteSettings { path: folder.path().join("workhook.db"), min_free: 0, ..SqliteSettings::default() };
    let store = SqliteStore::open(&config, &Wakes::default()).unwrap();
    let run: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    for readers in [&store.readers, &store.planning] {
        readers.each(|connection| {
            let run = Arc::clone(&run);
            let keep = move |event: TraceEvent<'_>| {
                // Statements that SQLite itself runs within another are comments to it.
                if let TraceEvent::Stmt(statement, sql) = event
                    && !sql.starts_with("--")
                {
                    run.lock().unwrap().insert(statement.sql().to_string());
                }
            };
            connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(keep)).unwrap();
        });
    }
    for n in 0..6 {
        let appended = store.append(accepted(Bytes::from(format!("{{\"n\":{n},\"date\":1}}")))).await.unwrap();
        let Appended::Stored { position, .. } = appended else { panic!("{appended:?}") };
        let to = |name: &str| NewDelivery { handler: HandlerName::parse(name).unwrap(), lane: None, dead: None };
        if n < 4 {
            let deliveries = vec![to("crm"), to("log")];
            let plan = Plan { position, deliveries, not_routed: Vec::new() };
            store.plan(vec![plan], Timestamp::UNIX_EPOCH).await.unwrap();
        }
    }
    ask_everything(&store).await;
    store.catalogue(100).await.unwrap();
    ask_everything(&store).await;
    store.close().await;

    let run = run.lock().unwrap().clone();
    assert!(run.len() > 25, "{run:#?}");
    let connection = open::open_another(&config.path, false).unwrap();
    let looks = run.iter().filter(|sql| sql.trim_start().starts_with("SELECT"));
    let wrong: Vec<String> = looks.flat_map(|sql| wrong_steps(&connection, sql)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_look_up_through_a_whole_table_or_with_a_sort_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteSettings { path: folder.path().join("workhook.db"), min_free: 0, ..SqliteSettings::default() };
    let (_lock, connection) = open::open(&config).unwrap();
    let check = |sql: &str, expected: usize| assert_eq!(wrong_steps(&connection, sql).len(), expected, "{sql}");
    check("SELECT id FROM events WHERE name = ?1", 1);
    check("SELECT id FROM events WHERE position > ?1 ORDER BY received_at", 1);
    check("SELECT count(*) FROM deliveries", 1);
    connection.execute_batch("CREATE VIRTUAL TABLE terms_0 USING fts5 (list)").unwrap();
    check("SELECT rowid FROM terms_0", 1);
    check("SELECT id FROM events WHERE position > ?1 ORDER BY position", 0);
    check("SELECT count FROM tallies", 0);
}
