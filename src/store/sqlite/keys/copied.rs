//! Keys that go to another store, and that come from one: these are written as generations at once, as nobody looks
//! anything up meanwhile.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::filter::{Filter, Hash};
use super::{KEY_BYTES, from_bytes, table};

/// A key that is not in a generation yet: its hash, the position that it stands for, and until when.
pub(in super::super) type NewKey = ([u8; 16], i64, i64);

/// The newest keys of a kind behind this number: row by row, until they are so many. The number to go on behind, where
/// there may be more.
pub(in super::super) fn newest(
    connection: &Connection,
    is_daily: bool,
    after: i64,
    most: usize,
) -> rusqlite::Result<(Vec<NewKey>, Option<i64>)> {
    let sql = format!("SELECT number, keys FROM {} WHERE number > ?1 ORDER BY number", table(is_daily));
    let mut statement = connection.prepare_cached(&sql)?;
    let (mut rows, mut keys) = (statement.query([after])?, Vec::new());
    while let Some(row) = rows.next()? {
        let found = row.get_ref(1)?.as_blob()?.chunks_exact(KEY_BYTES).filter_map(from_bytes);
        keys.extend(found.map(|(hash, known)| (hash.to_be_bytes(), known.position.0, known.expires_at)));
        if keys.len() >= most {
            return Ok((keys, Some(row.get(0)?)));
        }
    }
    Ok((keys, None))
}

/// Every hash by which something is known, each once, as a part of a query. One that is being moved is in a generation
/// and among the newest.
pub(in super::super) const HASHES: &str = "(
    WITH RECURSIVE newest (keys, at) AS (
        SELECT keys, 1 FROM daily_keys UNION ALL SELECT keys, 1 FROM lasting_keys
        UNION ALL SELECT keys, at + 32 FROM newest WHERE at + 32 <= length(keys)
    )
    SELECT hash FROM old_keys UNION SELECT substr(keys, at, 16) FROM newest)";

/// Writes keys as one more generation, behind all others, with what each stands for and until when; of a key that
/// comes twice the last.
pub(in super::super) fn write_generation(
    connection: &Connection,
    daily: Option<bool>,
    keys: &[NewKey],
) -> rusqlite::Result<()> {
    let Some(expires_at) = keys.iter().map(|(_, _, expires_at)| *expires_at).max() else { return Ok(()) };
    let sql = "SELECT ifnull(max(number), 0) + 1 FROM key_generations";
    let number: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    let of = |(hash, position, expires_at): &NewKey| (Hash::from_be_bytes(*hash), (*position, *expires_at));
    let sorted: BTreeMap<Hash, (i64, i64)> = keys.iter().map(of).collect();
    let mut insert = connection
        .prepare_cached("INSERT INTO old_keys (generation, hash, position, expires_at) VALUES (?1, ?2, ?3, ?4)")?;
    for (hash, (position, expires_at)) in &sorted {
        insert.execute(params![number, hash.to_be_bytes(), position, expires_at])?;
    }
    let filter = Filter::of(sorted.keys());
    connection
        .prepare_cached(
            "INSERT INTO key_generations (number, daily, expires_at, through, filter) VALUES (?1, ?2, ?3, 0, ?4)",
        )?
        .execute(params![number, daily, expires_at, filter.to_bytes()])
        .map(drop)
}
