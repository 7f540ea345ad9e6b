//! Replays: events of the past, handled again.
//!
//! What always holds: a replay's place moves in the transaction that makes the deliveries of the events before it, so
//! it goes on after any end where it was, and makes nothing twice.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::deliveries::{self, NewRow};
use super::delivery_lists::tally;
use super::{lists, rows};
use crate::model::{
    DeliveryState, EventFilter, EventId, HandlerName, NewReplay, Position, Replay, ReplayId, ReplayState, ReplayStep,
    ReplayTo, ReplayedEvents,
};

/// The columns that [`replay`] reads.
const REPLAY: &str = "id, asked_at, event, filter, handler, rematch, undelivered, per_second, state, position, last,
    events, deliveries, done_at";

/// How many of the newest replays are kept when they are done; those that are not are kept in any case.
const DONE_MAX: i64 = 1000;

pub(super) fn list(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<Replay>> {
    connection
        .prepare_cached(&format!("SELECT {REPLAY} FROM replays ORDER BY id DESC LIMIT ?1"))?
        .query_map([rows::limit(limit)], replay)?
        .collect()
}

pub(super) fn running(connection: &Connection) -> rusqlite::Result<Vec<Replay>> {
    connection
        .prepare_cached(&format!("SELECT {REPLAY} FROM replays WHERE state = ?1 ORDER BY id"))?
        .query_map([ReplayState::Running.as_str()], replay)?
        .collect()
}

pub(super) fn find(connection: &Connection, id: ReplayId) -> rusqlite::Result<Option<Replay>> {
    connection
        .prepare_cached(&format!("SELECT {REPLAY} FROM replays WHERE id = ?1"))?
        .query_row([id.0], replay)
        .optional()
}

fn replay(row: &Row<'_>) -> rusqlite::Result<Replay> {
    let events = match row.get::<_, Option<[u8; 16]>>(2)? {
        Some(id) => ReplayedEvents::One(EventId::from_bytes(id)),
        None => ReplayedEvents::Filter(rows::from_json(&row.get::<_, String>(3)?)?),
    };
    let handler = row.get::<_, Option<String>>(4)?.map(|_| rows::handler_name(row, 4)).transpose()?;
    let to = match (handler, row.get(5)?) {
        (None, false) => ReplayTo::SameHandlers,
        (Some(handler), false) => ReplayTo::Handler(handler),
        (None, true) => ReplayTo::Rematch,
        (Some(handler), true) => ReplayTo::RematchHandler(handler),
    };
    let asked =
        NewReplay { events, to, undelivered: row.get(6)?, per_second: row.get(7)?, at: rows::time(row.get(1)?) };
    Ok(Replay {
        id: ReplayId(row.get(0)?),
        asked,
        state: rows::word(row, 8, ReplayState::parse)?,
        position: Position(row.get(9)?),
        last: Position(row.get(10)?),
        events: rows::count(row.get(11)?),
        deliveries: rows::count(row.get(12)?),
        done_at: row.get::<_, Option<i64>>(13)?.map(rows::time),
    })
}

/// One for which there is no event is done at once.
pub(super) fn start(connection: &Connection, new: &NewReplay) -> rusqlite::Result<Option<Replay>> {
    let (event, filter, position, last) = match &new.events {
        ReplayedEvents::One(id) => {
            let Some(position) = position_of(connection, *id)? else { return Ok(None) };
            (Some(*id.as_bytes()), None, position - 1, position)
        }
        ReplayedEvents::Filter(filter) => {
            let first = filter.since.map_or(Ok(1), |since| lists::first_since(connection, since))?;
            (None, Some(to_json(filter)?), first - 1, lists::last_position(connection)?)
        }
    };
    let (handler, rematch) = match &new.to {
        ReplayTo::SameHandlers => (None, false),
        ReplayTo::Handler(handler) => (Some(handler), false),
        ReplayTo::Rematch => (None, true),
        ReplayTo::RematchHandler(handler) => (Some(handler), true),
    };
    let is_done = position >= last;
    let state = if is_done { ReplayState::Done } else { ReplayState::Running };
    let at = new.at.as_millisecond();
    connection
        .prepare_cached(
            "INSERT INTO replays (asked_at, event, filter, handler, rematch, undelivered, per_second, state, position,
                 last, done_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            at,
            event,
            filter,
            handler.map(HandlerName::as_str),
            rematch,
            new.undelivered,
            new.per_second,
            state.as_str(),
            position,
            last,
            is_done.then_some(at),
        ])?;
    let id = connection.last_insert_rowid();
    connection
        .prepare_cached("DELETE FROM replays WHERE state = ?1 AND id <= ?2")?
        .execute(params![ReplayState::Done.as_str(), id - DONE_MAX])?;
    find(connection, ReplayId(id))
}

fn to_json(filter: &EventFilter) -> rusqlite::Result<String> {
    serde_json::to_string(filter).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn position_of(connection: &Connection, id: EventId) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT position FROM events WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()
}

pub(super) fn step(
    connection: &Connection,
    id: ReplayId,
    step: &ReplayStep,
    through: Position,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Some(replay) = find(connection, id)? else { return Ok(()) };
    if replay.state != ReplayState::Running || through <= replay.position {
        return Ok(());
    }
    let through = through.min(replay.last);
    let (mut events, mut made) = (0_i64, BTreeMap::<&str, i64>::new());
    for again in again(connection, step)? {
        if again.position <= replay.position || again.position > through {
            continue;
        }
        events += 1;
        for (handler, number, ordered) in again.takers {
            let lane = again.entity.as_deref().filter(|_| ordered);
            let row = NewRow { position: again.position, handler, number, lane, dead: None, replay: Some(id) };
            deliveries::insert(connection, &row, now)?;
            *made.entry(handler.as_str()).or_default() += 1;
        }
    }
    for (handler, count) in &made {
        tally(connection, handler, DeliveryState::Pending, *count)?;
    }
    connection
        .prepare_cached(
            "UPDATE replays SET position = ?2, events = events + ?3, deliveries = deliveries + ?4,
                 state = iif(last <= ?2, 'done', state), done_at = iif(last <= ?2, ?5, NULL)
             WHERE id = ?1",
        )?
        .execute(params![id.0, through.0, events, made.values().sum::<i64>(), now.as_millisecond()])
        .map(drop)
}

pub(super) fn preview(connection: &Connection, step: &ReplayStep) -> rusqlite::Result<u64> {
    let takers: usize = again(connection, step)?.iter().map(|again| again.takers.len()).sum();
    Ok(u64::try_from(takers).unwrap_or(u64::MAX))
}

/// An event that is handled again.
struct Again<'a> {
    position: Position,
    entity: Option<String>,
    /// Who gets it, under which number, and whether in order.
    takers: Vec<(&'a HandlerName, u32, bool)>,
}

/// The events of a step that are there still, in their order, with those of the candidates that get them.
fn again<'a>(connection: &Connection, step: &'a ReplayStep) -> rusqlite::Result<Vec<Again<'a>>> {
    let mut candidates: BTreeMap<Position, BTreeMap<&HandlerName, bool>> = BTreeMap::new();
    for (position, of_event) in &step.events {
        let of_event = of_event.iter().map(|candidate| (&candidate.handler, candidate.ordered));
        candidates.entry(*position).or_default().extend(of_event);
    }
    let mut events = Vec::new();
    for (position, candidates) in candidates {
        let entity: Option<Option<String>> = connection
            .prepare_cached("SELECT entity FROM events WHERE position = ?1")?
            .query_row([position.0], |row| row.get(0))
            .optional()?;
        let Some(entity) = entity else { continue };
        let mut takers = Vec::new();
        for (handler, ordered) in candidates {
            if let Some(number) = number(connection, step, position, handler)? {
                takers.push((handler, number, ordered));
            }
        }
        events.push(Again { position, entity, takers });
    }
    Ok(events)
}

/// The number of a handler's next delivery of an event; `None` where the step leaves the handler out.
fn number(
    connection: &Connection,
    step: &ReplayStep,
    position: Position,
    handler: &HandlerName,
) -> rusqlite::Result<Option<u32>> {
    let (asked, had, number): (bool, bool, u32) = connection
        .prepare_cached(
            "SELECT count(*) > 0, ifnull(max(state IN ('delivered', 'pending')), 0), ifnull(max(number), 0) + 1
             FROM deliveries WHERE position = ?1 AND handler = ?2",
        )?
        .query_row(params![position.0, handler.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    // The number 0 is the first delivery's, even where there is none yet.
    Ok(((asked || !step.asked_before) && !(had && step.undelivered)).then_some(number))
}

pub(super) fn set(connection: &Connection, id: ReplayId, state: ReplayState, now: Timestamp) -> rusqlite::Result<bool> {
    let done_at = (state == ReplayState::Done).then_some(now.as_millisecond());
    let set = connection
        .prepare_cached(
            "UPDATE replays SET state = ?2, done_at = ?3 WHERE id = ?1 AND state <> ?2 AND state <> 'done'",
        )?
        .execute(params![id.0, state.as_str(), done_at])?;
    Ok(set > 0)
}
