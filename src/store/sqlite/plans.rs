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
use crate::model::{HandlerName, NewDelivery, Plan};
use crate::store::asked::ask_everything;
use crate::store::{Appended, SqliteSettings, Store};
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
