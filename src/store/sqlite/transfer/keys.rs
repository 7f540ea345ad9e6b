//! What repetitions are known by: read from wherever it lies, and written as generations.

use rusqlite::{Connection, Row as Found, params};

use super::super::{keys, rows};
use super::value;
use crate::store::transfer::{KEYS, Row, Rows, Value, from_hex, to_hex};

/// Those in generations first, then the newest. A key may come more than once; the last time counts.
pub(super) fn read(connection: &Connection, after: Option<&str>) -> rusqlite::Result<Rows> {
    match after.map(Behind::parse) {
        None => old(connection, 0, &[]),
        Some(Behind::Old { generation, hash }) => old(connection, generation, &hash),
        Some(Behind::New { daily, number }) => new(connection, daily, number),
    }
}

/// Where to go on: `old GENERATION HASH`, or `new DAILY NUMBER`.
enum Behind {
    Old { generation: i64, hash: Vec<u8> },
    New { daily: i64, number: i64 },
}

impl Behind {
    fn parse(place: &str) -> Behind {
        let mut words = place.split(' ');
        let (kind, first, second) = (words.next(), words.next().and_then(|word| word.parse().ok()), words.next());
        let first = first.unwrap_or(0);
        if kind == Some("old") {
            return Behind::Old { generation: first, hash: second.and_then(from_hex).unwrap_or_default() };
        }
        Behind::New { daily: first, number: second.and_then(|word| word.parse().ok()).unwrap_or(-1) }
    }
}

fn old(connection: &Connection, generation: i64, hash: &[u8]) -> rusqlite::Result<Rows> {
    let sql =
        "SELECT hash, (SELECT daily FROM key_generations WHERE number = generation), position, expires_at, generation
        FROM old_keys WHERE (generation, hash) > (?1, ?2) ORDER BY generation, hash LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let found =
        statement.query_map(params![generation, hash, rows::limit(KEYS.page)], |row| Ok((key(row)?, row.get(4)?)))?;
    let found: Vec<(Row, i64)> = found.collect::<rusqlite::Result<_>>()?;
    let next = match found.last() {
        Some((row, generation)) if found.len() == KEYS.page => {
            let Value::Bytes(hash) = &row[0] else { return Err(rusqlite::Error::InvalidQuery) };
            format!("old {generation} {}", to_hex(hash))
        }
        _ => "new 0 -1".to_owned(),
    };
    Ok(Rows { rows: found.into_iter().map(|(row, _)| row).collect(), next: Some(next) })
}

/// Those that stand for longer first, then those that stand for a day.
fn new(connection: &Connection, daily: i64, number: i64) -> rusqlite::Result<Rows> {
    let (found, next) = keys::newest(connection, daily == 1, number, KEYS.page)?;
    let row = |(hash, position, expires_at): keys::NewKey| {
        vec![Value::Bytes(hash.to_vec()), Value::Number(daily), Value::Number(position), Value::Number(expires_at)]
    };
    let next = match next {
        Some(number) => Some(format!("new {daily} {number}")),
        None => (daily == 0).then(|| "new 1 -1".to_owned()),
    };
    Ok(Rows { rows: found.into_iter().map(row).collect(), next })
}

fn key(row: &Found<'_>) -> rusqlite::Result<Row> {
    (0..KEYS.columns.len()).map(|index| value(row, index)).collect()
}

/// Writes a page of keys as generations, one for each kind.
pub(super) fn write(connection: &Connection, rows: &[Row]) -> rusqlite::Result<()> {
    for daily in [Value::Number(1), Value::Number(0), Value::Null] {
        let of_kind = rows.iter().filter(|row| row[1] == daily).map(known);
        let of_kind = of_kind.collect::<rusqlite::Result<Vec<_>>>()?;
        let daily = if let Value::Number(daily) = daily { Some(daily == 1) } else { None };
        keys::write_generation(connection, daily, &of_kind)?;
    }
    Ok(())
}

fn known(row: &Row) -> rusqlite::Result<keys::NewKey> {
    let [Value::Bytes(hash), _, Value::Number(position), Value::Number(expires_at)] = &row[..] else {
        return Err(rusqlite::Error::InvalidQuery);
    };
    let hash = hash.as_slice().try_into().map_err(|_| rusqlite::Error::InvalidQuery)?;
    Ok((hash, *position, *expires_at))
}
