//! Keeping within bounds: what is old goes, in small steps, and what is to be forgotten goes at once.
//!
//! What always holds: an event goes with everything that belongs to it, in one transaction, which keeps the tallies
//! and the marks right as well; and what repetitions are known by stays, until its own time is over.

mod clean;
mod forget;
mod remove;
mod space;

pub(super) use clean::{clean, left, log_was_emptied};
pub(super) use forget::{find, remove_found};
pub(super) use space::{give_back, space};

use rusqlite::{Connection, params};

use super::{catalogue, deliveries, rows};
use crate::model::{HandlerName, Position};
use crate::store::{PruneRequest, Pruned};

/// How many bytes of bodies go in one step, beside those of the last event.
const BYTES_MAX: i64 = 4 << 20;

pub(super) fn prune(connection: &Connection, request: &PruneRequest) -> rusqlite::Result<Pruned> {
    let planned = deliveries::mark(connection, "planned")?;
    let looked_at = oldest(connection, request, planned)?;
    let whole = looked_at.len() == request.limit;
    let mut pruned = Pruned { removed: 0, orphans: 0, through: None };
    let (mut gone, mut bytes) = (Vec::new(), 0);
    for (index, (position, size, received_at)) in looked_at.iter().enumerate() {
        if *received_at >= request.received_before.as_millisecond() {
            // Events are stored nearly in the order of their receipt.
            pruned.through = None;
            break;
        }
        let more = whole || index + 1 < looked_at.len();
        pruned.through = more.then_some(Position(*position));
        if !is_needed(connection, *position, &request.known_handlers)? {
            let removed = remove::event(connection, *position)?;
            pruned.removed += u64::from(removed.event);
            pruned.orphans += removed.pending;
            gone.push(*position);
            bytes += size;
        }
        if bytes >= BYTES_MAX {
            break;
        }
    }
    remove::trim_plans(connection, &gone)?;
    catalogue::drop_first(connection)?;
    Ok(pruned)
}

/// The next events, each with its position, the size of its body and when it was received.
fn oldest(connection: &Connection, request: &PruneRequest, planned: i64) -> rusqlite::Result<Vec<(i64, i64, i64)>> {
    connection
        .prepare_cached(
            "SELECT position, length(body), received_at FROM events WHERE position > ?1 AND position <= ?2
             ORDER BY position LIMIT ?3",
        )?
        .query_map(params![request.after.0, planned, rows::limit(request.limit)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect()
}

/// Whether a handler that is known still has to handle it.
fn is_needed(connection: &Connection, position: i64, known: &[HandlerName]) -> rusqlite::Result<bool> {
    let mut pending =
        connection.prepare_cached("SELECT handler FROM deliveries WHERE position = ?1 AND state = 'pending'")?;
    let mut handlers = pending.query([position])?;
    while let Some(row) = handlers.next()? {
        let handler = rows::handler_name(row, 0)?;
        if known.contains(&handler) {
            return Ok(true);
        }
    }
    Ok(false)
}
