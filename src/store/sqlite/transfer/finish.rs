//! What is kept beside the rows: made anew from them when a copy is whole.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::deliveries::{mark, set_mark};
use crate::store::transfer::{Filled, Given};

/// The tables that give numbers, each with the last that it gave.
const NUMBERED: [&str; 4] = ["events", "deliveries", "rejected", "replays"];

pub(super) fn given(connection: &Connection) -> rusqlite::Result<Given> {
    let mut last = connection.prepare("SELECT seq FROM sqlite_sequence WHERE name = ?1")?;
    let mut last = |table: &str| last.query_row([table], |row| row.get(0)).optional().map(|seq| seq.unwrap_or(0));
    Ok(Given {
        position: last("events")?,
        delivery: last("deliveries")?,
        rejected: last("rejected")?,
        replay: last("replays")?,
    })
}

pub(super) fn finish(connection: &Connection, given: Given, filled: &Filled) -> rusqlite::Result<()> {
    let last = [given.position, given.delivery, given.rejected, given.replay];
    for (table, last) in NUMBERED.iter().zip(last) {
        connection.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [table])?;
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", params![table, last])?;
    }
    connection.execute(
        "INSERT INTO tallies (handler, state, count)
         SELECT handler, state, count(*) FROM deliveries GROUP BY handler, state",
        [],
    )?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
    let before_the_first = number("SELECT min(position) - 1 FROM events")?.unwrap_or(given.position);
    // The catalogue is made anew; what is missing before its beginning is behind no mark.
    set_mark(connection, "catalogued", before_the_first)?;
    set_mark(connection, "planned", mark(connection, "planned")?.max(before_the_first))?;
    let events = number("SELECT count(*) FROM events")?.unwrap_or(0);
    set_mark(connection, "removed", given.position - events)?;
    let bytes = number("SELECT sum(length(body) + length(headers)) FROM rejected")?.unwrap_or(0);
    set_mark(connection, "rejected_bytes", bytes)?;
    connection.execute(
        "WITH RECURSIVE holes (first, last) AS (
             SELECT position + 1, lead(position, 1, ?1 + 1) OVER (ORDER BY position) - 1 FROM events
         ), missing (position, last) AS (
             SELECT first, last FROM holes WHERE first <= last
             UNION ALL SELECT position + 1, last FROM missing WHERE position < last
         )
         INSERT INTO gaps (position) SELECT position FROM missing",
        [given.position],
    )?;
    let keep = "INSERT OR REPLACE INTO copying (role, copy, tables, next) VALUES ('filled', ?1, 0, ?2)";
    connection.execute(keep, [&filled.copy, &filled.of])?;
    // What was copied of this store before, when it was empty, is no copy of what it has now.
    connection.execute("DELETE FROM copying WHERE role IN ('to', 'from')", []).map(drop)
}
