//! The catalogue: what events are found by. It is made beside everything else, a little later than the events.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use rusqlite::{Connection, params};

use super::{deliveries, lists, rows};
use crate::model::{StoredEvent, terms};

/// The next events that are not in the catalogue, by position, with what they are found by.
pub(super) fn next(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<(i64, String)>> {
    let after = deliveries::mark(connection, "catalogued")?;
    let entry = |event: StoredEvent| (event.position.0, terms(&event).into_iter().collect::<Vec<_>>().join(" "));
    connection
        .prepare_cached(&format!(
            "SELECT {} FROM events WHERE position > ?1 ORDER BY position LIMIT ?2",
            rows::EVENT_IN_LIST
        ))?
        .query_map(params![after, rows::limit(limit)], rows::event)?
        .map(|event| event.map(entry))
        .collect()
}

/// Keeps entries, unless another call did, and moves behind the last position that there is where there are none.
pub(super) fn keep(connection: &Connection, entries: &[(i64, String)]) -> rusqlite::Result<usize> {
    let after = deliveries::mark(connection, "catalogued")?;
    let Some((last, _)) = entries.last() else { return Ok(0) };
    let mut insert = connection.prepare_cached("INSERT INTO terms (rowid, list) VALUES (?1, ?2)")?;
    let mut exists = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE position = ?1)")?;
    for (position, terms) in entries.iter().filter(|(position, _)| *position > after) {
        // It may have been removed since it was read.
        if exists.query_row([position], |row| row.get(0))? {
            insert.execute(params![position, terms])?;
        }
    }
    deliveries::set_mark(connection, "catalogued", after.max(*last))?;
    Ok(entries.len())
}

/// Takes an event out of the catalogue.
pub(super) fn remove(connection: &Connection, position: i64) -> rusqlite::Result<()> {
    if position <= deliveries::mark(connection, "catalogued")? {
        connection.prepare_cached("DELETE FROM terms WHERE rowid = ?1")?.execute([position])?;
    }
    Ok(())
}

/// How many events are not in the catalogue.
pub(super) fn behind(connection: &Connection) -> rusqlite::Result<i64> {
    lists::behind(connection, deliveries::mark(connection, "catalogued")?)
}

/// The positions within a range that have all of some terms.
pub(super) fn find(
    connection: &Connection,
    asked: &BTreeSet<String>,
    range: &RangeInclusive<i64>,
    forward: bool,
    most: usize,
) -> rusqlite::Result<Vec<i64>> {
    // Terms are letters and digits, so quotes hold them.
    let all: Vec<String> = asked.iter().map(|term| format!("\"{term}\"")).collect();
    let sql = format!(
        "SELECT rowid FROM terms WHERE terms MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid {} LIMIT ?4",
        rows::direction(forward)
    );
    connection
        .prepare_cached(&sql)?
        .query_map(params![all.join(" AND "), range.start(), range.end(), rows::limit(most)], |row| row.get(0))?
        .collect()
}
