//! The catalogue: what events are found by. It is made beside everything else, a little later than the events.
//!
//! A row an event, with a number for each of its terms, and an inverted index over these. Such an index knows where a
//! term is, but in no order: of a term that every event has, all would be fetched to be sorted. So the numbers of an
//! event are made of its terms and of the part of all positions that it is in, and a search goes through the parts one
//! after the other: it fetches no more than a part. A row for each term of each event, in an index in order, would need
//! no parts, but three times the room.
//!
//! What always holds: an event that is not in the catalogue is in `uncatalogued`, whoever commits when.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::lists::{List, direction};
use super::pool::Transaction;
use super::statement::Array;
use super::{Database, duties, keep, rows};
use crate::model::terms;
use crate::store::Duty;

/// How many positions a part is about.
const POSITIONS: i64 = 1 << 14;
/// How many parts are searched for one page.
const SEARCHED: usize = 64;

/// What a term of an event is kept as, in the part of its position.
fn number(part: i64, term: &str) -> i64 {
    let hash = Sha256::digest(format!("{part}\n{term}"));
    hash[..8].iter().fold(0, |number, byte| number << 8 | i64::from(*byte))
}

/// Makes the next events findable; how many were.
pub(super) async fn catalogue(db: &Database, limit: usize) -> Result<usize, Failure> {
    let transaction = db.pool.begin().await?;
    duties::check(db, &transaction, Duty::Upkeep).await?;
    let made = next(&transaction, limit).await?;
    transaction.commit().await?;
    Ok(made)
}

async fn next(transaction: &Transaction, limit: usize) -> Result<usize, Failure> {
    // Whoever removes one of these waits here, and then finds its entry.
    let taken = "DELETE FROM uncatalogued WHERE position IN (
                     SELECT position FROM uncatalogued ORDER BY position LIMIT $1 FOR UPDATE
                 ) RETURNING position";
    let taken = transaction.query(taken, &[&rows::limit(limit)]).await?;
    let taken: Array<i64> = taken.iter().map(|row| row.get(0)).collect::<Result<_, Failure>>()?;
    if taken.0.is_empty() {
        return Ok(0);
    }
    let sql = format!(
        "SELECT {}, pg_column_size(e.body)::bigint + pg_column_size(e.headers) FROM events e WHERE e.position = ANY ($1)",
        rows::EVENT_IN_LIST
    );
    let (mut positions, mut numbers, mut bytes) = (Array(Vec::new()), Array(Vec::new()), 0);
    for row in transaction.query(&sql, &[&taken]).await? {
        let event = rows::event(&row, 0)?;
        bytes += row.get::<i64>(rows::EVENT_COLUMNS)?;
        for term in terms(&event) {
            positions.0.push(event.position.0);
            numbers.0.push(number(event.position.0 / POSITIONS, &term));
        }
    }
    let insert = "INSERT INTO terms (position, list)
                  SELECT position, array_agg(number) FROM unnest($1, $2) AS entry (position, number) GROUP BY position";
    transaction.execute(insert, &[&positions, &numbers]).await?;
    keep::count_bytes(transaction, bytes).await?;
    Ok(taken.0.len())
}

/// The last position up to which every event is in the catalogue that can be seen now.
pub(super) async fn through(transaction: &Transaction) -> Result<i64, Failure> {
    let row = transaction.query_one("SELECT min(position) - 1 FROM uncatalogued", &[]).await?;
    Ok(row.get::<Option<i64>>(0)?.unwrap_or(i64::MAX - 1))
}

/// The positions within a range that have all of some terms.
pub(super) async fn find(
    transaction: &Transaction,
    asked: &BTreeSet<String>,
    range: &RangeInclusive<i64>,
    forward: bool,
    most: usize,
) -> Result<List, Failure> {
    if range.is_empty() {
        return Ok(List { positions: Vec::new(), more: None });
    }
    let (first, last) = (range.start() / POSITIONS, range.end() / POSITIONS);
    // Not by the index of positions: through it all of a part would be looked at, however rare the terms are.
    let sql = format!(
        "SELECT position FROM terms WHERE list @> $1 AND position + 0 BETWEEN $2 AND $3
         ORDER BY position + 0 {} LIMIT $4",
        direction(forward)
    );
    let mut positions: Vec<i64> = Vec::new();
    let mut part = if forward { first } else { last };
    for _ in 0..SEARCHED {
        let numbers: Array<i64> = asked.iter().map(|term| number(part, term)).collect();
        let left = rows::limit(most - positions.len());
        let of_part = [(part * POSITIONS).max(*range.start()), ((part + 1) * POSITIONS - 1).min(*range.end())];
        let found = transaction.query(&sql, &[&numbers, &of_part[0], &of_part[1], &left]).await?;
        for row in found {
            positions.push(row.get(0)?);
        }
        if positions.len() == most {
            return Ok(List::cut(positions, most));
        }
        part += if forward { 1 } else { -1 };
        if part < first || part > last {
            return Ok(List { positions, more: None });
        }
    }
    let more = if forward { part * POSITIONS - 1 } else { (part + 1) * POSITIONS };
    Ok(List { positions, more: Some(more) })
}
