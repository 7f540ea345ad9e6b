//! What the store holds at the end, written into the history. It is read with statements of its own, so that nothing in
//! the service can make it look better.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use workhook::clock::Clock;

use crate::history::{Delivery, History, Record, Try};

/// Reads events and deliveries. `clock_ahead_ms` is by how much the service's clock is ahead of this one.
pub(crate) fn read(database: &Path, clock_ahead_ms: i64, history: &History) {
    let store = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    let mut events = store
        .prepare("SELECT position, occurrence_id, claimed_webhook_id FROM events WHERE brand <> 'workhook' ORDER BY 1")
        .unwrap();
    let stored = events
        .query_map([], |row| Ok(Record::Stored { position: row.get(0)?, id: row.get(1)?, webhook_id: row.get(2)? }));
    for record in stored.unwrap() {
        history.add(record.unwrap());
    }
    let now_ms = Clock::system().now().as_millisecond() + clock_ahead_ms;
    let mut deliveries = store
        .prepare(
            "SELECT id, position, handler, state, reason, ready_at FROM deliveries
             WHERE position IN (SELECT position FROM events WHERE brand <> 'workhook') ORDER BY id",
        )
        .unwrap();
    let rows = deliveries.query_map([], |row| {
        let due_in_ms = row.get::<_, Option<i64>>(5)?.map(|ready_at| ready_at - now_ms);
        let tries = Vec::new();
        let (position, handler, state, reason) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        Ok((row.get(0)?, Delivery { position, handler, state, reason, due_in_ms, tries }))
    });
    for row in rows.unwrap() {
        let (id, delivery): (i64, Delivery) = row.unwrap();
        history.add(Record::Delivery(Delivery { tries: tries(&store, id), ..delivery }));
    }
}

fn tries(store: &Connection, delivery: i64) -> Vec<Try> {
    let attempts = "SELECT number, ended FROM attempts WHERE delivery = ?1 ORDER BY number";
    let mut attempts = store.prepare_cached(attempts).unwrap();
    let tries = attempts.query_map([delivery], |row| Ok(Try { number: row.get(0)?, ended: row.get(1)? }));
    tries.unwrap().map(Result::unwrap).collect()
}
