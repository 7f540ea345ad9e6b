//! Planning, claiming and settling.
//!
//! `ready_at` says everything about when: it is a time for the head of a lane and for what has no lane, and NULL for
//! what waits behind another. While a delivery is claimed it is the end of the lease, so a lease that ran out is
//! claimed again by itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::delivery_lists::tally;
use super::rows;
use crate::clock::later;
use crate::model::{
    Attempt, Claimed, DeliveryId, DeliveryState, Ended, HandlerName, NextStep, Outcome, Plan, Position, ReplayId,
    Settlement,
};
use crate::store::config::LOST;
use crate::store::{ClaimRequest, Claims, LongestWaits, PlanStart, Settled};

pub(super) fn mark(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT value FROM marks WHERE name = ?1")?.query_row([name], |row| row.get(0))
}

pub(super) fn set_mark(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE marks SET value = ?2 WHERE name = ?1")?.execute(params![name, value]).map(drop)
}

pub(super) fn start_planning(connection: &Connection) -> rusqlite::Result<PlanStart> {
    let planned = mark(connection, "planned")?;
    let pending: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE position > ?1)")?
        .query_row([planned], |row| row.get(0))?;
    let stalled = match mark(connection, "stalled_at")? {
        at if at == planned && pending => mark(connection, "stalled")?,
        _ => 0,
    };
    set_mark(connection, "stalled_at", planned)?;
    set_mark(connection, "stalled", if pending { stalled + 1 } else { 0 })?;
    Ok(PlanStart { stalled: u32::try_from(stalled).unwrap_or(u32::MAX) })
}

/// Says that planning ended in order, so that no event is to blame for the next start.
pub(super) fn end_planning(connection: &Connection) -> rusqlite::Result<()> {
    set_mark(connection, "stalled", 0)?;
    set_mark(connection, "stalled_at", -1)
}

pub(super) fn plan(connection: &Connection, plans: &[Plan], now: Timestamp) -> rusqlite::Result<()> {
    let planned = mark(connection, "planned")?;
    let plans: Vec<&Plan> = plans.iter().filter(|plan| plan.position.0 > planned).collect();
    let mut made: BTreeMap<(&str, DeliveryState), i64> = BTreeMap::new();
    for plan in &plans {
        // It may have been forgotten since it was read.
        let gone: bool = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM gaps WHERE position = ?1)")?
            .query_row([plan.position.0], |row| row.get(0))?;
        for delivery in plan.deliveries.iter().filter(|_| !gone) {
            let row = NewRow {
                position: plan.position,
                handler: &delivery.handler,
                number: 0,
                lane: delivery.lane.as_deref(),
                dead: delivery.dead.as_deref(),
                replay: None,
            };
            let state = insert(connection, &row, now)?;
            *made.entry((delivery.handler.as_str(), state)).or_default() += 1;
        }
    }
    for ((handler, state), count) in made {
        tally(connection, handler, state, count)?;
    }
    for run in plans.chunk_by(|one, other| one.not_routed == other.not_routed) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            let verdict = verdict(connection, &rows::to_json(&first.not_routed))?;
            connection
                .prepare_cached("INSERT INTO plans (first, last, planned_at, verdict) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![first.position.0, last.position.0, now.as_millisecond(), verdict])?;
            set_mark(connection, "planned", last.position.0)?;
        }
    }
    Ok(())
}

pub(super) fn verdict(connection: &Connection, not_routed: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached("INSERT OR IGNORE INTO verdicts (not_routed) VALUES (?1)")?.execute([not_routed])?;
    connection
        .prepare_cached("SELECT id FROM verdicts WHERE not_routed = ?1")?
        .query_row([not_routed], |row| row.get(0))
}

/// A row to be made.
pub(super) struct NewRow<'a> {
    pub(super) position: Position,
    pub(super) handler: &'a HandlerName,
    pub(super) number: u32,
    pub(super) lane: Option<&'a str>,
    pub(super) dead: Option<&'a str>,
    pub(super) replay: Option<ReplayId>,
}

/// Makes a delivery, at the end of its lane where it has one.
pub(super) fn insert(connection: &Connection, new: &NewRow<'_>, now: Timestamp) -> rusqlite::Result<DeliveryState> {
    let state = if new.dead.is_some() { DeliveryState::Dead } else { DeliveryState::Pending };
    // The head of its lane is ready at once; whoever comes behind it is made ready when it is settled.
    connection
        .prepare_cached(
            "INSERT INTO deliveries
                 (position, handler, number, lane, state, reason, planned_at, settled_at, replay, ready_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, iif(?6 IS NULL, NULL, ?7), ?8, iif(?6 IS NULL AND NOT EXISTS (
                 SELECT 1 FROM deliveries WHERE handler = ?2 AND lane = ?4 AND state = 'pending' AND lane IS NOT NULL
             ), ?7, NULL))",
        )?
        .execute(params![
            new.position.0,
            new.handler.as_str(),
            new.number,
            new.lane,
            state.as_str(),
            new.dead,
            now.as_millisecond(),
            new.replay.map(|replay| replay.0),
        ])?;
    Ok(state)
}

pub(super) fn claim(connection: &Connection, request: &ClaimRequest) -> rusqlite::Result<Claims> {
    let now = request.now.as_millisecond();
    if is_paused(connection, &request.handler)? {
        return Ok(Claims::default());
    }
    let lease_until = later(request.now, request.lease);
    let due: Vec<Due> = connection
        .prepare_cached(
            "SELECT id, position, number, epoch, attempts, claimed, before_retry FROM deliveries
             WHERE handler = ?1 AND ready_at <= ?2 ORDER BY ready_at, id LIMIT ?3",
        )?
        .query_map(params![request.handler.as_str(), now, rows::limit(request.limit)], Due::from_row)?
        .collect::<rusqlite::Result<_>>()?;
    let mut claims = Claims::default();
    for due in due {
        if due.claimed {
            keep_attempt(connection, due.id, &lost(due.attempts, LOST, request.now))?;
        }
        let (epoch, attempt) = (due.epoch + 1, due.attempts + 1);
        connection
            .prepare_cached(
                "UPDATE deliveries SET claimed = 1, epoch = ?2, attempts = ?3, ready_at = ?4 WHERE id = ?1",
            )?
            .execute(params![due.id.0, epoch, attempt, lease_until.as_millisecond()])?;
        claims.claimed.push(Claimed {
            id: due.id,
            epoch,
            attempt,
            allowed_attempt: attempt.saturating_sub(due.before_retry),
            handler: request.handler.clone(),
            number: due.number,
            lease_until,
            presence: 0,
            event: rows::event_at(connection, due.position)?,
        });
    }
    if claims.claimed.len() < request.limit {
        claims.next_at = connection
            .prepare_cached("SELECT min(ready_at) FROM deliveries WHERE handler = ?1 AND ready_at > ?2")?
            .query_row(params![request.handler.as_str(), now], |row| row.get::<_, Option<i64>>(0))?
            .map(rows::time);
    }
    Ok(claims)
}

/// Brings nearer what is due later than anything should be, which is what a clock that was set back leaves behind.
pub(super) fn shorten_waits(connection: &Connection, longest: &LongestWaits) -> rusqlite::Result<usize> {
    let (retry_at, lease_until) = (later(longest.now, longest.retry), later(longest.now, longest.lease));
    connection
        .prepare_cached(
            "UPDATE deliveries SET ready_at = CASE WHEN claimed THEN ?4 WHEN epoch = 0 THEN ?2 ELSE ?3 END
             WHERE handler = ?1 AND ready_at > ?2
                 AND ready_at > CASE WHEN claimed THEN ?4 WHEN epoch = 0 THEN ?2 ELSE ?3 END",
        )?
        .execute(params![
            longest.handler.as_str(),
            longest.now.as_millisecond(),
            retry_at.as_millisecond(),
            lease_until.as_millisecond()
        ])
}

struct Due {
    id: DeliveryId,
    position: Position,
    number: u32,
    epoch: i64,
    attempts: u32,
    claimed: bool,
    before_retry: u32,
}

impl Due {
    fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Due> {
        Ok(Due {
            id: DeliveryId(row.get(0)?),
            position: Position(row.get(1)?),
            number: row.get(2)?,
            epoch: row.get(3)?,
            attempts: row.get(4)?,
            claimed: row.get(5)?,
            before_retry: row.get(6)?,
        })
    }
}

fn is_paused(connection: &Connection, handler: &HandlerName) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM handlers WHERE name = ?1 AND paused_at IS NOT NULL)")?
        .query_row([handler.as_str()], |row| row.get(0))
}

/// An attempt whose result nobody knows.
pub(super) fn lost(number: u32, why: &str, now: Timestamp) -> Attempt {
    let outcome = Outcome {
        ended: Ended::Lost,
        started_at: now,
        took: std::time::Duration::ZERO,
        status: None,
        message: why.to_owned(),
        response: bytes::Bytes::new(),
    };
    Attempt { number, outcome }
}

pub(super) fn settle(connection: &Connection, settlement: &Settlement) -> rusqlite::Result<Settled> {
    let at = settlement.at.as_millisecond();
    let message = settlement.outcome.as_ref().map(|outcome| &outcome.message);
    let (state, ready_at, reason) = match &settlement.next {
        NextStep::Delivered => (DeliveryState::Delivered, None, None),
        NextStep::RetryAt(time) | NextStep::WaitUntil(time) => (DeliveryState::Pending, Some(time), message),
        NextStep::Dead(reason) => (DeliveryState::Dead, None, Some(reason)),
    };
    let counts = settlement.outcome.is_some() && !matches!(settlement.next, NextStep::WaitUntil(_));
    let settled_at = (state != DeliveryState::Pending).then_some(at);
    let lane: Option<(String, Option<String>)> = {
        // What fails is undone with all of its transaction or savepoint. By itself, it would need a copy of each page first.
        let mut update = connection.prepare_cached(
            "UPDATE OR FAIL deliveries SET state = ?3, ready_at = ?4, reason = ?5, claimed = 0, settled_at = ?6, attempts = attempts - ?7
             WHERE id = ?1 AND epoch = ?2 AND claimed = 1 RETURNING handler, lane",
        )?;
        let ready_at = ready_at.map(|time| time.as_millisecond());
        let params = params![
            settlement.id.0,
            settlement.epoch,
            state.as_str(),
            ready_at,
            reason,
            settled_at,
            i32::from(!counts)
        ];
        let mut rows = update.query(params)?;
        rows.next()?.map(|row| Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?))).transpose()?
    };
    let Some((handler, lane)) = lane else { return Ok(Settled::LostLease) };
    if let Some(outcome) = settlement.outcome.clone() {
        keep_attempt(connection, settlement.id, &Attempt { number: settlement.attempt, outcome })?;
    }
    if state != DeliveryState::Pending {
        tally(connection, &handler, DeliveryState::Pending, -1)?;
        tally(connection, &handler, state, 1)?;
        go_on(connection, &handler, lane.as_deref(), at)?;
    }
    Ok(Settled::Kept)
}

/// Makes the first of a lane ready, where it was not before.
pub(super) fn go_on(connection: &Connection, handler: &str, lane: Option<&str>, at: i64) -> rusqlite::Result<()> {
    let Some(lane) = lane else { return Ok(()) };
    connection
        .prepare_cached(
            "UPDATE deliveries SET ready_at = ?3 WHERE ready_at IS NULL AND id = (
                 SELECT min(id) FROM deliveries WHERE handler = ?1 AND lane = ?2 AND state = 'pending')",
        )?
        .execute(params![handler, lane, at])
        .map(drop)
}

pub(super) fn keep_attempt(connection: &Connection, delivery: DeliveryId, attempt: &Attempt) -> rusqlite::Result<()> {
    let outcome = &attempt.outcome;
    let values = params![
        delivery.0,
        attempt.number,
        outcome.ended.as_str(),
        outcome.started_at.as_millisecond(),
        i64::try_from(outcome.took.as_millis()).unwrap_or(i64::MAX),
        outcome.status,
        outcome.message,
        &outcome.response[..],
    ];
    let kept = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO attempts (delivery, number, ended, started_at, took_ms, status, message, response)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(values)?;
    if kept == 0 {
        // An attempt that did not count gave its number to this one, which takes its place.
        connection
            .prepare_cached(
                "UPDATE attempts SET ended = ?3, started_at = ?4, took_ms = ?5, status = ?6, message = ?7, response = ?8
                 WHERE delivery = ?1 AND number = ?2",
            )?
            .execute(values)?;
    }
    Ok(())
}

pub(super) fn release(connection: &Connection, claims: &[(DeliveryId, i64)]) -> rusqlite::Result<()> {
    for (id, epoch) in claims {
        connection
            .prepare_cached(
                "UPDATE deliveries SET claimed = 0, ready_at = planned_at, attempts = attempts - 1
                 WHERE id = ?1 AND epoch = ?2 AND claimed = 1",
            )?
            .execute(params![id.0, epoch])?;
    }
    Ok(())
}

/// Makes what the process before this one had claimed due again. It stays marked as claimed, so that the next claim
/// counts the attempt that was lost (ruling 17).
pub(super) fn recover(connection: &Connection) -> rusqlite::Result<usize> {
    connection.execute("UPDATE deliveries SET ready_at = 0 WHERE claimed = 1", [])
}
