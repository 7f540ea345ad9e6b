//! Rows of tables as the domain's types.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use crate::contract::{Brand, EventName, KeptHeaders, Note};
use crate::model::{
    Attempt, DeliveryId, DeliveryRecord, DeliveryState, Ended, Entity, EventId, HandlerName, HandlerRecord,
    OpenBreaker, Outcome, Position, Receipt, ReplayId, StoredEvent,
};
use crate::store::Start;

/// The columns that [`event`] reads.
pub(super) const EVENT: &str = "position, id, webhook, brand, claimed_webhook_id, name, original_name, occurrence_id,
    entity, received_at, retry_num, sent_at, peer, notes, headers, body";

/// The same, leaving out bodies that are too large for a list of many.
pub(super) const EVENT_IN_LIST: &str = "position, id, webhook, brand, claimed_webhook_id, name, original_name,
    occurrence_id, entity, received_at, retry_num, sent_at, peer, notes, headers, iif(length(body) <= 65536, body, x'')";

/// The columns that [`delivery`] reads, of `deliveries d` and `events e`.
pub(super) const DELIVERY: &str = "d.id, d.position, e.id, e.name, d.handler, d.number, d.lane, d.state, d.ready_at,
    d.claimed, d.attempts, d.reason, d.planned_at, d.settled_at, d.retried, d.replay";

pub(super) fn event_at(connection: &Connection, position: Position) -> rusqlite::Result<Arc<StoredEvent>> {
    connection
        .prepare_cached(&format!("SELECT {EVENT} FROM events WHERE position = ?1"))?
        .query_row([position.0], event)
        .map(Arc::new)
}

pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let notes: Option<String> = row.get(13)?;
    Ok(StoredEvent {
        position: Position(row.get(0)?),
        id: EventId::from_bytes(row.get(1)?),
        webhook: row.get(2)?,
        brand: word(row, 3, Brand::from_stored)?,
        claimed_webhook_id: row.get(4)?,
        name: word(row, 5, |name| EventName::parse(name).ok())?,
        original_name: row.get(6)?,
        occurrence_id: row.get(7)?,
        entity: row.get::<_, Option<String>>(8)?.map(Entity::from_stored),
        first: Receipt {
            received_at: time(row.get(9)?),
            retry_num: row.get(10)?,
            sent_at: row.get(11)?,
            peer: peer(row, 12)?,
            matched_by_body: false,
            other_body_bytes: None,
        },
        notes: notes.as_deref().map(from_json::<Vec<Note>>).transpose()?.unwrap_or_default(),
        headers: KeptHeaders::from_bytes(row.get(14)?),
        body: row.get::<_, Vec<u8>>(15)?.into(),
    })
}

/// Reads `received_at, retry_num, sent_at, peer, matched_by_body, length(other_body)`.
pub(super) fn receipt(row: &Row<'_>) -> rusqlite::Result<Receipt> {
    Ok(Receipt {
        received_at: time(row.get(0)?),
        retry_num: row.get(1)?,
        sent_at: row.get(2)?,
        peer: peer(row, 3)?,
        matched_by_body: row.get(4)?,
        other_body_bytes: row.get::<_, Option<i64>>(5)?.map(count),
    })
}

pub(super) fn delivery(row: &Row<'_>) -> rusqlite::Result<DeliveryRecord> {
    Ok(DeliveryRecord {
        id: DeliveryId(row.get(0)?),
        position: Position(row.get(1)?),
        event: EventId::from_bytes(row.get(2)?),
        event_name: row.get(3)?,
        handler: handler_name(row, 4)?,
        number: row.get(5)?,
        lane: row.get(6)?,
        state: state(row, 7)?,
        due_at: row.get::<_, Option<i64>>(8)?.map(time),
        claimed: row.get(9)?,
        attempts: row.get(10)?,
        reason: row.get(11)?,
        planned_at: time(row.get(12)?),
        settled_at: row.get::<_, Option<i64>>(13)?.map(time),
        retried: row.get(14)?,
        replay: row.get::<_, Option<i64>>(15)?.map(ReplayId),
        history: Vec::new(),
    })
}

pub(super) fn delivery_at(connection: &Connection, id: DeliveryId) -> rusqlite::Result<Option<DeliveryRecord>> {
    let sql = format!("SELECT {DELIVERY} FROM deliveries d JOIN events e ON e.position = d.position WHERE d.id = ?1");
    connection.prepare_cached(&sql)?.query_row([id.0], delivery).optional()
}

/// Reads `name, paused_at, breaker_since, breaker_until, breaker_failures, breaker_probes, breaker_reason`.
pub(super) fn handler(row: &Row<'_>) -> rusqlite::Result<HandlerRecord> {
    let breaker = match row.get::<_, Option<i64>>(2)? {
        None => None,
        Some(since) => Some(OpenBreaker {
            since: time(since),
            until: time(row.get(3)?),
            failures: row.get(4)?,
            probes: row.get(5)?,
            reason: row.get(6)?,
        }),
    };
    Ok(HandlerRecord {
        name: handler_name(row, 0)?,
        paused_at: row.get::<_, Option<i64>>(1)?.map(time),
        breaker,
        deliveries: Vec::new(),
        oldest_pending: None,
    })
}

pub(super) fn handler_name(row: &Row<'_>, index: usize) -> rusqlite::Result<HandlerName> {
    word(row, index, HandlerName::parse)
}

/// The state of a delivery.
pub(super) fn state(row: &Row<'_>, index: usize) -> rusqlite::Result<DeliveryState> {
    word(row, index, DeliveryState::parse)
}

/// Reads `state, count`.
pub(super) fn state_count(row: &Row<'_>) -> rusqlite::Result<(DeliveryState, u64)> {
    Ok((state(row, 0)?, count(row.get(1)?)))
}

/// Reads `number, ended, started_at, took_ms, status, message, response`.
pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let took_ms: i64 = row.get(3)?;
    let outcome = Outcome {
        ended: word(row, 1, Ended::parse)?,
        started_at: time(row.get(2)?),
        took: Duration::from_millis(u64::try_from(took_ms).unwrap_or(0)),
        status: row.get(4)?,
        message: row.get(5)?,
        response: row.get::<_, Vec<u8>>(6)?.into(),
    };
    Ok(Attempt { number: row.get(0)?, outcome })
}

/// The first number in a range of which `before` does not hold, in an order in which it holds of all or none that
/// follow; `before` tells the number that it looked at, which may be a later one.
pub(super) fn halve(
    mut first: i64,
    mut end: i64,
    mut before: impl FnMut(i64) -> rusqlite::Result<Option<i64>>,
) -> rusqlite::Result<i64> {
    while first < end {
        let middle = first + (end - first) / 2;
        match before(middle)? {
            Some(looked_at) => first = looked_at + 1,
            None => end = middle,
        }
    }
    Ok(first)
}

/// How far apart the order of rows and that of their times are taken to be.
const ASTRAY_MINUTES: i64 = 2;

/// From which time on rows are looked at, so that none of this time or later is left out.
pub(super) fn well_before(time: Timestamp) -> Timestamp {
    time.checked_sub(ASTRAY_MINUTES.minutes()).unwrap_or(Timestamp::MIN)
}

/// Up to which time rows are looked at, so that none before this one is left out.
pub(super) fn well_after(time: Timestamp) -> Timestamp {
    time.checked_add(ASTRAY_MINUTES.minutes()).unwrap_or(Timestamp::MAX)
}

/// The first id and the last that a page can have, by where it begins.
pub(super) fn bounds<Id>(start: Start<Id>, number: impl Fn(Id) -> i64) -> (i64, i64) {
    match start {
        Start::Newest => (0, i64::MAX),
        Start::Before(id) => (0, number(id).saturating_sub(1)),
        Start::After(id) => (number(id).saturating_add(1), i64::MAX),
    }
}

/// The direction of a list as SQLite takes it.
pub(super) fn direction(forward: bool) -> &'static str {
    if forward { "ASC" } else { "DESC" }
}

pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

pub(super) fn peer(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<IpAddr>> {
    Ok(row.get::<_, Option<String>>(index)?.and_then(|peer| peer.parse().ok()))
}

/// A limit as SQLite takes it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A count as SQLite gives it.
pub(super) fn count(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

pub(super) fn to_json(value: &impl Serialize) -> String {
    // What is written here are plain lists of texts.
    serde_json::to_string(value).unwrap_or_else(|_| "[]".to_owned())
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))
}

/// A column that has one of a set of words.
pub(super) fn word<T>(row: &Row<'_>, index: usize, parse: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(index)?;
    parse(&text).ok_or_else(|| {
        let error = format!("{text:?} is not a word of this column");
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, error.into())
    })
}
