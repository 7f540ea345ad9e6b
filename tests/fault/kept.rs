//! What the store holds at the end, written into the history. It is read with statements of its own, so that nothing in
//! the service can make it look better.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use tokio_postgres::NoTls;
use workhook::clock::Clock;

use crate::history::{Delivery, History, Record, Try};

const EVENTS: &str =
    "SELECT position, occurrence_id, claimed_webhook_id FROM events WHERE brand <> 'workhook' ORDER BY 1";
const DELIVERIES: &str = "SELECT id, position, handler, state, reason, ready_at FROM deliveries
    WHERE position IN (SELECT position FROM events WHERE brand <> 'workhook') ORDER BY id";
const ATTEMPTS: &str = "SELECT delivery, number, ended FROM attempts ORDER BY delivery, number";

/// What is read.
#[derive(Default)]
struct Kept {
    events: Vec<Record>,
    /// With the number and the time from which each may be attempted.
    deliveries: Vec<(i64, Option<i64>, Delivery)>,
    tries: BTreeMap<i64, Vec<Try>>,
}

/// Reads events and deliveries of the store at an address. `clock_ahead_ms` is by how much the service's clock is ahead of
/// this one.
pub(crate) fn read(url: &str, clock_ahead_ms: i64, history: &History) {
    let Kept { events, deliveries, mut tries } = match url.strip_prefix("sqlite:") {
        Some(path) => of_file(Path::new(path)),
        None => of_server(url),
    };
    events.into_iter().for_each(|event| history.add(event));
    let now_ms = Clock::system().now().as_millisecond() + clock_ahead_ms;
    for (id, ready_at, delivery) in deliveries {
        let due_in_ms = ready_at.map(|ready_at| ready_at - now_ms);
        let tries = tries.remove(&id).unwrap_or_default();
        history.add(Record::Delivery(Delivery { due_in_ms, tries, ..delivery }));
    }
}

fn of_file(database: &Path) -> Kept {
    let store = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    let mut kept = Kept::default();
    let mut events = store.prepare(EVENTS).unwrap();
    let stored = events
        .query_map([], |row| Ok(Record::Stored { position: row.get(0)?, id: row.get(1)?, webhook_id: row.get(2)? }));
    kept.events = stored.unwrap().map(Result::unwrap).collect();
    let mut deliveries = store.prepare(DELIVERIES).unwrap();
    let rows = deliveries.query_map([], |row| {
        let (position, handler, state, reason) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        Ok((row.get(0)?, row.get(5)?, delivery(position, handler, state, reason)))
    });
    kept.deliveries = rows.unwrap().map(Result::unwrap).collect();
    let mut attempts = store.prepare(ATTEMPTS).unwrap();
    let tries = attempts.query_map([], |row| Ok((row.get(0)?, Try { number: row.get(1)?, ended: row.get(2)? })));
    for (delivery, one) in tries.unwrap().map(Result::unwrap) {
        kept.tries.entry(delivery).or_default().push(one);
    }
    kept
}

fn of_server(url: &str) -> Kept {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (store, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let mut kept = Kept::default();
        for row in store.query(EVENTS, &[]).await.unwrap() {
            kept.events.push(Record::Stored { position: row.get(0), id: row.get(1), webhook_id: row.get(2) });
        }
        for row in store.query(DELIVERIES, &[]).await.unwrap() {
            kept.deliveries.push((row.get(0), row.get(5), delivery(row.get(1), row.get(2), row.get(3), row.get(4))));
        }
        for row in store.query(ATTEMPTS, &[]).await.unwrap() {
            let number = u32::try_from(row.get::<_, i64>(1)).unwrap();
            kept.tries.entry(row.get(0)).or_default().push(Try { number, ended: row.get(2) });
        }
        kept
    })
}

fn delivery(position: i64, handler: String, state: String, reason: Option<String>) -> Delivery {
    Delivery { position, handler, state, reason, due_in_ms: None, tries: Vec::new() }
}
