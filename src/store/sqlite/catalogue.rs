//! The catalogue: what events are found by. It is made beside everything else, a little later than the events.
//!
//! It is kept in parts, each a full-text index of its own over so many positions, because SQLite's pays for what is
//! removed from it when it merges what is left, in one commit, however much that is. So nothing is removed one by one:
//! a part goes as a whole, when none of its events is left.
//!
//! What always holds: a part that has an entry of an event which was removed says that it is stale.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension, params};

use super::lists::{self, List};
use super::{deliveries, rows};
use crate::model::{StoredEvent, terms};

/// How many positions a part is about.
const POSITIONS: i64 = 1 << 16;
/// How many parts are searched for one page.
const SEARCHED: usize = 64;
/// How many positions are cleaned at a time, and how many pages of a part are then written anew.
const CLEANED: i64 = 1024;
const MERGE_PAGES: i64 = 32;

/// A part of the catalogue, by its number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part(i64);

impl Part {
    fn of(position: i64) -> Part {
        Part(position / POSITIONS)
    }

    fn first(self) -> i64 {
        self.0 * POSITIONS
    }

    fn last(self) -> i64 {
        self.first() + POSITIONS - 1
    }

    fn table(self) -> String {
        format!("terms_{}", self.0)
    }

    /// Makes it, where it is not there.
    fn make(self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO parts (number) VALUES (?1)")?;
        if insert.execute([self.0])? == 0 {
            return Ok(());
        }
        // Only that an event has a term is kept, not where. Spaces alone tell terms apart, whatever script they are of.
        // What was removed is skipped: merging because much of it was takes as long as all of it is large.
        let table = self.table();
        connection.execute_batch(&format!(
            "CREATE VIRTUAL TABLE {table} USING fts5 (
                 list, content = '', contentless_delete = 1, detail = none,
                 tokenize = \"unicode61 categories 'L* M* N* P* S* C*'\"
             );
             INSERT INTO {table} ({table}, rank) VALUES ('deletemerge', 0);"
        ))
    }

    /// The positions within a range that have what is asked for.
    fn find(
        self,
        connection: &Connection,
        asked: &str,
        range: &RangeInclusive<i64>,
        forward: bool,
        most: usize,
    ) -> rusqlite::Result<Vec<i64>> {
        let table = self.table();
        connection
            .prepare(&format!(
                "SELECT rowid FROM {table} WHERE {table} MATCH ?1 AND rowid BETWEEN ?2 AND ?3
                 ORDER BY rowid {} LIMIT ?4",
                rows::direction(forward)
            ))?
            .query_map(params![asked, range.start(), range.end(), rows::limit(most)], |row| row.get(0))?
            .collect()
    }

    /// Takes out the entries after a position whose events were removed, as many as one step cleans; the last position
    /// that was looked at.
    fn take_out(self, connection: &Connection, after: i64) -> rusqlite::Result<i64> {
        let (table, last) = (self.table(), (after + CLEANED).min(self.last()));
        let gone: Vec<i64> = connection
            .prepare(&format!(
                "SELECT rowid FROM {table} WHERE rowid > ?1 AND rowid <= ?2
                 AND NOT EXISTS (SELECT 1 FROM events WHERE position = {table}.rowid)"
            ))?
            .query_map([after, last], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut delete = connection.prepare(&format!("DELETE FROM {table} WHERE rowid = ?1"))?;
        for position in gone {
            delete.execute([position])?;
        }
        Ok(last)
    }

    /// Writes some of it anew without what was taken out, which until then is only marked as such; whether there is
    /// more.
    fn merge(self, connection: &Connection) -> rusqlite::Result<bool> {
        let (table, before) = (self.table(), connection.total_changes());
        // A negative number has all of it merged into one.
        connection
            .prepare(&format!("INSERT INTO {table} ({table}, rank) VALUES ('merge', ?1)"))?
            .execute([-MERGE_PAGES])?;
        // The statement itself counts as one.
        Ok(connection.total_changes() - before > 1)
    }
}

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
    let mut exists = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE position = ?1)")?;
    for entries in entries.chunk_by(|(one, _), (next, _)| Part::of(*one) == Part::of(*next)) {
        let part = Part::of(entries[0].0);
        part.make(connection)?;
        let mut insert =
            connection.prepare_cached(&format!("INSERT INTO {} (rowid, list) VALUES (?1, ?2)", part.table()))?;
        for (position, terms) in entries.iter().filter(|(position, _)| *position > after) {
            // It may have been removed since it was read.
            if exists.query_row([position], |row| row.get(0))? {
                insert.execute(params![position, terms])?;
            }
        }
    }
    deliveries::set_mark(connection, "catalogued", after.max(*last))?;
    Ok(entries.len())
}

/// Says that an event was removed, of which there may be an entry.
pub(super) fn removed(connection: &Connection, position: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE parts SET stale = 1 WHERE number = ?1 AND stale = 0")?
        .execute([Part::of(position).0])
        .map(drop)
}

/// Drops the first part, where none of its events is left.
pub(super) fn drop_first(connection: &Connection) -> rusqlite::Result<()> {
    let first: Option<i64> =
        connection.prepare_cached("SELECT min(number) FROM parts")?.query_row([], |row| row.get(0))?;
    let Some(part) = first.map(Part) else { return Ok(()) };
    let empty: bool = connection
        .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM events WHERE position <= ?1)")?
        .query_row([part.last()], |row| row.get(0))?;
    if empty {
        connection.prepare_cached("DELETE FROM parts WHERE number = ?1")?.execute([part.0])?;
        connection.execute_batch(&format!("DROP TABLE {}", part.table()))?;
    }
    Ok(())
}

/// Has every part cleaned that is stale now.
pub(super) fn clean_stale(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE parts SET stale = 0, clean_after = number * ?1 - 1 WHERE stale = 1")?
        .execute([POSITIONS])
        .map(drop)
}

/// Does the next piece of cleaning, where it is due: nothing of an event that was removed stays in the part; whether
/// there is more.
pub(super) fn clean(connection: &Connection) -> rusqlite::Result<bool> {
    let due = connection
        .prepare_cached("SELECT number, clean_after FROM parts WHERE clean_after IS NOT NULL ORDER BY number LIMIT 1")?
        .query_row([], |row| Ok((Part(row.get(0)?), row.get(1)?)))
        .optional()?;
    let Some((part, after)) = due else { return Ok(false) };
    let after = if after < part.last() {
        Some(part.take_out(connection, after)?)
    } else {
        part.merge(connection)?.then_some(after)
    };
    connection
        .prepare_cached("UPDATE parts SET clean_after = ?2 WHERE number = ?1")?
        .execute(params![part.0, after])?;
    Ok(true)
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
) -> rusqlite::Result<List> {
    // Terms are letters and digits, so quotes hold them.
    let asked = asked.iter().map(|term| format!("\"{term}\"")).collect::<Vec<_>>().join(" AND ");
    let parts: Vec<Part> = connection
        .prepare_cached(&format!(
            "SELECT number FROM parts WHERE number BETWEEN ?1 AND ?2 ORDER BY number {} LIMIT ?3",
            rows::direction(forward)
        ))?
        .query_map(params![Part::of(*range.start()).0, Part::of(*range.end()).0, rows::limit(SEARCHED + 1)], |row| {
            row.get(0).map(Part)
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut positions = Vec::new();
    for part in parts.iter().take(SEARCHED) {
        positions.extend(part.find(connection, &asked, range, forward, most - positions.len())?);
        if positions.len() == most {
            return Ok(List::cut(positions, most));
        }
    }
    let more = parts.get(SEARCHED).map(|next| if forward { next.first() - 1 } else { next.last() + 1 });
    Ok(List { positions, more })
}
