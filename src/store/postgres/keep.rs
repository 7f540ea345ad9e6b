//! Keeping within bounds: what is old goes, in small steps, and what is to be forgotten goes at once.
//!
//! What always holds: an event goes with everything that belongs to it, in one transaction, which keeps the tallies and
//! the marks right as well; and what repetitions are known by stays, until its own time is over. The room of rows that
//! went is the server's: it vacuums by itself, and what is in its log or in copies of that is for who runs it.

mod forget;
mod plans;
mod remove;
mod space;

pub(super) use forget::forget;
pub(super) use space::{count_bytes, space};

use std::collections::BTreeSet;

use super::failure::Failure;
use super::pool::Transaction;
use super::statement::Array;
use super::{Database, duties, rows};
use crate::model::{HandlerName, Position};
use crate::store::{Duty, PruneRequest, Pruned};

/// How many bytes of bodies go in one step, beside those of the last event.
const BYTES_MAX: i64 = 4 << 20;

pub(super) async fn prune(db: &Database, request: &PruneRequest) -> Result<Pruned, Failure> {
    let transaction = db.pool.begin().await?;
    duties::check(db, &transaction, Duty::Upkeep).await?;
    let (old, through) = old(&transaction, request).await?;
    let removed = remove::events(db, &transaction, &old, Some(&request.known_handlers)).await?;
    space::notice_less_files(&transaction).await?;
    removed.tallies.write(&transaction, db.shard).await?;
    transaction.commit().await?;
    Ok(Pruned { removed: removed.events, orphans: removed.pending, through })
}

/// The next events that are old enough and that nobody needs, and the last one that was looked at.
async fn old(transaction: &Transaction, request: &PruneRequest) -> Result<(Vec<i64>, Option<Position>), Failure> {
    // With a limit it is asked for each event; else for all that is pending at once.
    let sql = "SELECT e.position, length(e.body)::bigint, e.received_at,
                   (SELECT true FROM unplanned u WHERE u.position = e.position) IS NOT NULL
                   OR (SELECT true FROM deliveries d WHERE d.position = e.position AND d.state = 'pending'
                       AND d.state <> 'delivered' AND d.handler = ANY ($3) LIMIT 1) IS NOT NULL
               FROM events e WHERE e.position > $1 ORDER BY e.position LIMIT $2";
    let known = names(&request.known_handlers);
    let looked_at = transaction.query(sql, &[&request.after.0, &rows::limit(request.limit), &known]).await?;
    let (mut old, mut through, mut bytes) = (Vec::new(), None, 0);
    for (index, row) in looked_at.iter().enumerate() {
        let (position, size): (i64, i64) = (row.get(0)?, row.get(1)?);
        if row.get::<i64>(2)? >= request.received_before.as_millisecond() {
            // Events are stored nearly in the order of their receipt.
            return Ok((old, None));
        }
        let more = looked_at.len() == request.limit || index + 1 < looked_at.len();
        through = more.then_some(Position(position));
        if !row.get::<bool>(3)? {
            old.push(position);
            bytes += size;
        }
        if bytes >= BYTES_MAX {
            break;
        }
    }
    Ok((old, through))
}

fn names(handlers: &[HandlerName]) -> Array<&HandlerName> {
    handlers.iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// The server gives back what it can by itself.
pub(super) fn give_back() -> bool {
    false
}
