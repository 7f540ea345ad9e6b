//! Keys that come from another store: written as generations at once, as nobody looks anything up meanwhile.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::filter::{Filter, Hash};

/// Writes keys as one more generation, behind all others, with what each stands for and until when; of a key that
/// comes twice the last.
pub(in super::super) fn write_generation(
    connection: &Connection,
    daily: Option<bool>,
    keys: &[(Hash, i64, i64)],
) -> rusqlite::Result<()> {
    let Some(expires_at) = keys.iter().map(|(_, _, expires_at)| *expires_at).max() else { return Ok(()) };
    let sql = "SELECT ifnull(max(number), 0) + 1 FROM key_generations";
    let number: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    let sorted: BTreeMap<&Hash, (i64, i64)> =
        keys.iter().map(|(hash, position, expires_at)| (hash, (*position, *expires_at))).collect();
    let mut insert = connection
        .prepare_cached("INSERT INTO old_keys (generation, hash, position, expires_at) VALUES (?1, ?2, ?3, ?4)")?;
    for (hash, (position, expires_at)) in &sorted {
        insert.execute(params![number, hash, position, expires_at])?;
    }
    let filter = Filter::of(sorted.keys().copied());
    connection
        .prepare_cached(
            "INSERT INTO key_generations (number, daily, expires_at, through, filter) VALUES (?1, ?2, ?3, 0, ?4)",
        )?
        .execute(params![number, daily, expires_at, filter.to_bytes()])
        .map(drop)
}
