//! Rows of tables as the domain's types.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::statement::Row;
use crate::contract::{Brand, EventName, KeptHeaders, Note};
use crate::model::{
    Attempt, DeliveryId, DeliveryRecord, DeliveryState, Ended, Entity, HandlerName, HandlerRecord, OpenBreaker,
    Outcome, Position, Receipt, ReplayId, StoredEvent,
};

/// The columns that [`event`] reads, of `events e`.
pub(super) const EVENT: &str = "e.position, e.id, e.webhook, e.brand, e.claimed_webhook_id, e.name, e.original_name,
    e.occurrence_id, e.entity, e.received_at, e.retry_num, e.sent_at, e.peer, e.notes, e.headers, e.body";

/// The same, leaving out bodies that are too large for a list of many.
pub(super) const EVENT_IN_LIST: &str = "e.position, e.id, e.webhook, e.brand, e.claimed_webhook_id, e.name,
    e.original_name, e.occurrence_id, e.entity, e.received_at, e.retry_num, e.sent_at, e.peer, e.notes, e.headers,
    CASE WHEN length(e.body) <= 65536 THEN e.body ELSE ''::bytea END";

/// How many columns these are.
pub(super) const EVENT_COLUMNS: usize = 16;

/// The columns that [`delivery`] reads, of `deliveries d` and `events e`.
pub(super) const DELIVERY: &str = "d.id, d.position, e.id, e.name, d.handler, d.number, d.lane, d.state, d.ready_at,
    d.claimed, d.attempts, d.reason, d.planned_at, d.settled_at, d.retried, d.replay";

/// Reads [`EVENT`] from a column on.
pub(super) fn event(row: &Row, from: usize) -> Result<StoredEvent, Failure> {
    let notes: Option<String> = row.get(from + 13)?;
    Ok(StoredEvent {
        position: Position(row.get(from)?),
        id: row.get(from + 1)?,
        webhook: row.get(from + 2)?,
        brand: word(row, from + 3, Brand::from_stored)?,
        claimed_webhook_id: row.get(from + 4)?,
        name: word(row, from + 5, |name| EventName::parse(name).ok())?,
        original_name: row.get(from + 6)?,
        occurrence_id: row.get(from + 7)?,
        entity: row.get::<Option<String>>(from + 8)?.map(Entity::from_stored),
        first: Receipt {
            received_at: time(row.get(from + 9)?),
            retry_num: row.get(from + 10)?,
            sent_at: row.get(from + 11)?,
            peer: peer(row, from + 12)?,
            matched_by_body: false,
            other_body_bytes: None,
        },
        notes: notes.as_deref().map(from_json::<Vec<Note>>).transpose()?.unwrap_or_default(),
        headers: KeptHeaders::from_bytes(row.get(from + 14)?),
        body: row.get(from + 15)?,
    })
}

/// Reads `received_at, retry_num, sent_at, peer, matched_by_body, length(other_body)::bigint`.
pub(super) fn receipt(row: &Row) -> Result<Receipt, Failure> {
    Ok(Receipt {
        received_at: time(row.get(0)?),
        retry_num: row.get(1)?,
        sent_at: row.get(2)?,
        peer: peer(row, 3)?,
        matched_by_body: row.get(4)?,
        other_body_bytes: row.get::<Option<i64>>(5)?.map(count),
    })
}

/// Reads [`DELIVERY`].
pub(super) fn delivery(row: &Row) -> Result<DeliveryRecord, Failure> {
    Ok(DeliveryRecord {
        id: DeliveryId(row.get(0)?),
        position: Position(row.get(1)?),
        event: row.get(2)?,
        event_name: row.get(3)?,
        handler: handler_name(row, 4)?,
        number: row.get(5)?,
        lane: row.get(6)?,
        state: state(row, 7)?,
        due_at: row.get::<Option<i64>>(8)?.map(time),
        claimed: row.get(9)?,
        attempts: row.get(10)?,
        reason: row.get(11)?,
        planned_at: time(row.get(12)?),
        settled_at: row.get::<Option<i64>>(13)?.map(time),
        retried: row.get(14)?,
        replay: row.get::<Option<i64>>(15)?.map(ReplayId),
        history: Vec::new(),
    })
}

/// Reads `name, paused_at, breaker_since, breaker_until, breaker_failures, breaker_probes, breaker_reason`.
pub(super) fn handler(row: &Row) -> Result<HandlerRecord, Failure> {
    let breaker = match row.get::<Option<i64>>(2)? {
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
        paused_at: row.get::<Option<i64>>(1)?.map(time),
        breaker,
        deliveries: Vec::new(),
        oldest_pending: None,
    })
}

pub(super) fn handler_name(row: &Row, index: usize) -> Result<HandlerName, Failure> {
    word(row, index, HandlerName::parse)
}

/// The state of a delivery.
pub(super) fn state(row: &Row, index: usize) -> Result<DeliveryState, Failure> {
    word(row, index, DeliveryState::parse)
}

/// Reads `state, count`.
pub(super) fn state_count(row: &Row) -> Result<(DeliveryState, u64), Failure> {
    Ok((state(row, 0)?, count(row.get(1)?)))
}

/// Reads `number, ended, started_at, took_ms, status, message, response`.
pub(super) fn attempt(row: &Row) -> Result<Attempt, Failure> {
    let took_ms: i64 = row.get(3)?;
    let outcome = Outcome {
        ended: word(row, 1, Ended::parse)?,
        started_at: time(row.get(2)?),
        took: Duration::from_millis(u64::try_from(took_ms).unwrap_or(0)),
        status: row.get(4)?,
        message: row.get(5)?,
        response: row.get(6)?,
    };
    Ok(Attempt { number: row.get(0)?, outcome })
}

pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

pub(super) fn peer(row: &Row, index: usize) -> Result<Option<IpAddr>, Failure> {
    Ok(row.get::<Option<String>>(index)?.and_then(|peer| peer.parse().ok()))
}

/// A limit as PostgreSQL takes it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A count as PostgreSQL gives it.
pub(super) fn count(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

pub(super) fn to_json(value: &impl Serialize) -> String {
    // What is written here are plain lists of texts.
    serde_json::to_string(value).unwrap_or_else(|_| "[]".to_owned())
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Row(format!("a text is not what it should be: {error}")))
}

/// A column that has one of a set of words.
pub(super) fn word<T>(row: &Row, index: usize, parse: impl Fn(&str) -> Option<T>) -> Result<T, Failure> {
    let text: String = row.get(index)?;
    parse(&text).ok_or_else(|| Failure::Row(format!("{text:?} is not a word of this column")))
}
