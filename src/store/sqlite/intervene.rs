//! What somebody decides about deliveries and handlers.
//!
//! What always holds: whoever is in a state that does not allow it stays as it is, without an error; and a row about a
//! handler that says nothing any more is not kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::delivery_lists::tally;
use super::{deliveries, rows};
use crate::model::{DeliveryId, DeliveryState, HandlerName, OpenBreaker};

/// What an attempt is remembered as whose delivery was cancelled while it was under way.
const CANCELLED: &str = "the delivery was cancelled while it was under way; what came of it is not known";

pub(super) fn set_paused(
    connection: &Connection,
    handler: &HandlerName,
    paused: bool,
    now: Timestamp,
) -> rusqlite::Result<()> {
    // Whoever pauses what is paused does not make the pause shorter.
    connection
        .prepare_cached(
            "INSERT INTO handlers (name, paused_at) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET paused_at = iif(?2 IS NULL, NULL, ifnull(paused_at, ?2))",
        )?
        .execute(params![handler.as_str(), paused.then_some(now.as_millisecond())])?;
    remove_empty(connection, handler)
}

pub(super) fn keep_breaker(
    connection: &Connection,
    handler: &HandlerName,
    breaker: Option<&OpenBreaker>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO handlers (name, breaker_since, breaker_until, breaker_failures, breaker_probes, breaker_reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (name) DO UPDATE SET breaker_since = ?2, breaker_until = ?3, breaker_failures = ?4,
                 breaker_probes = ?5, breaker_reason = ?6",
        )?
        .execute(params![
            handler.as_str(),
            breaker.map(|breaker| breaker.since.as_millisecond()),
            breaker.map(|breaker| breaker.until.as_millisecond()),
            breaker.map(|breaker| breaker.failures),
            breaker.map(|breaker| breaker.probes),
            breaker.map(|breaker| &breaker.reason),
        ])?;
    remove_empty(connection, handler)
}

pub(super) fn replace_breaker(
    connection: &Connection,
    handler: &HandlerName,
    from: Option<&OpenBreaker>,
    to: Option<&OpenBreaker>,
) -> rusqlite::Result<bool> {
    let kept: Option<(Option<i64>, Option<i64>)> = connection
        .prepare_cached("SELECT breaker_since, breaker_until FROM handlers WHERE name = ?1")?
        .query_row([handler.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let from = from.map(|open| (open.since.as_millisecond(), open.until.as_millisecond()));
    let is_kept = kept.and_then(|(since, until)| since.zip(until)) == from;
    if is_kept {
        keep_breaker(connection, handler, to)?;
    }
    Ok(is_kept)
}

fn remove_empty(connection: &Connection, handler: &HandlerName) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM handlers WHERE name = ?1 AND paused_at IS NULL AND breaker_since IS NULL")?
        .execute([handler.as_str()])
        .map(drop)
}

pub(super) fn retry(connection: &Connection, ids: &[DeliveryId], now: Timestamp) -> rusqlite::Result<u64> {
    let mut moves = Moves::default();
    for id in ids {
        let Some(before) = Before::of(connection, *id)? else { continue };
        if !matches!(before.state, DeliveryState::Dead | DeliveryState::Cancelled) {
            continue;
        }
        // Out of order: without a lane it neither waits for those of its entity nor holds them.
        connection
            .prepare_cached(
                "UPDATE deliveries SET state = 'pending', ready_at = ?2, claimed = 0, lane = NULL, reason = NULL,
                     settled_at = NULL, retried = retried + 1, before_retry = attempts
                 WHERE id = ?1",
            )?
            .execute(params![id.0, now.as_millisecond()])?;
        moves.add(before, DeliveryState::Pending);
    }
    moves.tally(connection)
}

pub(super) fn cancel(
    connection: &Connection,
    ids: &[DeliveryId],
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let mut moves = Moves::default();
    for id in ids {
        let Some(before) = Before::of(connection, *id)? else { continue };
        if before.state != DeliveryState::Pending {
            continue;
        }
        if before.claimed {
            // It may have reached the far end, so it is told of; its result is refused when it comes.
            deliveries::keep_attempt(connection, *id, &deliveries::lost(before.attempts, CANCELLED, now))?;
        }
        connection
            .prepare_cached(
                "UPDATE deliveries SET state = 'cancelled', ready_at = NULL, claimed = 0, reason = ?2, settled_at = ?3
                 WHERE id = ?1",
            )?
            .execute(params![id.0, reason, now.as_millisecond()])?;
        deliveries::go_on(connection, &before.handler, before.lane.as_deref(), now.as_millisecond())?;
        moves.add(before, DeliveryState::Cancelled);
    }
    moves.tally(connection)
}

/// What a delivery was before somebody intervened.
struct Before {
    handler: String,
    lane: Option<String>,
    state: DeliveryState,
    claimed: bool,
    attempts: u32,
}

impl Before {
    fn of(connection: &Connection, id: DeliveryId) -> rusqlite::Result<Option<Before>> {
        let before = |row: &rusqlite::Row<'_>| {
            Ok(Before {
                handler: row.get(0)?,
                lane: row.get(1)?,
                state: rows::word(row, 2, DeliveryState::parse)?,
                claimed: row.get(3)?,
                attempts: row.get(4)?,
            })
        };
        connection
            .prepare_cached("SELECT handler, lane, state, claimed, attempts FROM deliveries WHERE id = ?1")?
            .query_row([id.0], before)
            .optional()
    }
}

/// How many deliveries of which handler came from which state into another.
#[derive(Default)]
struct Moves(BTreeMap<(String, DeliveryState, DeliveryState), i64>);

impl Moves {
    fn add(&mut self, before: Before, after: DeliveryState) {
        *self.0.entry((before.handler, before.state, after)).or_default() += 1;
    }

    /// Moves the tallies; how many deliveries it were.
    fn tally(self, connection: &Connection) -> rusqlite::Result<u64> {
        let mut moved = 0;
        for ((handler, before, after), count) in self.0 {
            tally(connection, &handler, before, -count)?;
            tally(connection, &handler, after, count)?;
            moved += count;
        }
        Ok(rows::count(moved))
    }
}
