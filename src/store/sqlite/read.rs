//! Looking things up, on connections that cannot write.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Semaphore;

use super::{deliveries, rows};
use crate::model::{DeliveryRecord, DeliveryState, EventId, EventRecord, Position, RejectedId, StoredEvent};
use crate::store::{Counts, DeliveryQuery, EventQuery, EventRow, RefusalCount, RejectedRow, StoreError};

/// How many bytes of bodies are read at one time for planning, beside the last one.
const UNPLANNED_BYTES_MAX: usize = 4 << 20;

/// A few connections for reading.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Readers {
        let places = Arc::new(Semaphore::new(connections.len()));
        Readers { idle: Arc::new(Mutex::new(connections)), places }
    }

    /// Reads on a thread that may block, when a connection is free.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Ended)?;
        let idle = Arc::clone(&self.idle);
        let read = tokio::task::spawn_blocking(move || {
            let connection = idle.lock().unwrap_or_else(PoisonError::into_inner).pop().ok_or(StoreError::Ended)?;
            let result = work(&connection);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(place);
            result.map_err(|error| StoreError::Unavailable(error.into()))
        });
        read.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.into())))
    }

    /// Closes the connections; nothing is read afterwards.
    pub(super) fn close(&self) {
        self.places.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

pub(super) fn unplanned(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<StoredEvent>> {
    let planned = deliveries::mark(connection, "planned")?;
    let sql = format!("SELECT {} FROM events WHERE position > ?1 ORDER BY position LIMIT ?2", rows::EVENT);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query(params![planned, rows::limit(limit)])?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while bytes < UNPLANNED_BYTES_MAX
        && let Some(row) = found.next()?
    {
        let event = rows::event(row)?;
        bytes += event.body.len();
        events.push(event);
    }
    Ok(events)
}

pub(super) fn other_body(connection: &Connection, id: EventId, number: u64) -> rusqlite::Result<Option<Bytes>> {
    let sql = "SELECT other_body FROM receipts JOIN events USING (position) WHERE id = ?1 AND number = ?2";
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let body: Option<Option<Vec<u8>>> =
        connection.prepare_cached(sql)?.query_row(params![id.as_bytes(), number], |row| row.get(0)).optional()?;
    Ok(body.flatten().map(Bytes::from))
}

pub(super) fn event(connection: &Connection, id: EventId) -> rusqlite::Result<Option<EventRecord>> {
    let found = connection
        .prepare_cached(&format!("SELECT {} FROM events WHERE id = ?1", rows::EVENT))?
        .query_row([id.as_bytes()], rows::event)
        .optional()?;
    let Some(event) = found else { return Ok(None) };
    let position = event.position;
    let duplicates = connection
        .prepare_cached(
            "SELECT received_at, retry_num, sent_at, peer, matched_by_body, length(other_body) FROM receipts
             WHERE position = ?1 ORDER BY number",
        )?
        .query_map([position.0], rows::receipt)?
        .collect::<rusqlite::Result<_>>()?;
    let planned: Option<(i64, String)> = connection
        .prepare_cached(
            "SELECT planned_at, not_routed FROM plans JOIN verdicts ON verdicts.id = plans.verdict
             WHERE first = (SELECT max(first) FROM plans WHERE first <= ?1) AND last >= ?1",
        )?
        .query_row([position.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let mut deliveries: Vec<DeliveryRecord> = connection
        .prepare_cached(&format!(
            "SELECT {} FROM deliveries d JOIN events e ON e.position = d.position WHERE d.position = ?1 ORDER BY d.id",
            rows::DELIVERY
        ))?
        .query_map([position.0], rows::delivery)?
        .collect::<rusqlite::Result<_>>()?;
    for delivery in &mut deliveries {
        delivery.history = connection
            .prepare_cached(
                "SELECT number, ended, started_at, took_ms, status, message, response FROM attempts
                 WHERE delivery = ?1 ORDER BY number",
            )?
            .query_map([delivery.id.0], rows::attempt)?
            .collect::<rusqlite::Result<_>>()?;
    }
    Ok(Some(EventRecord {
        receipts: receipts(connection, position)?,
        duplicates,
        planned_at: planned.as_ref().map(|(at, _)| rows::time(*at)),
        not_routed: planned.map(|(_, json)| rows::from_json(&json)).transpose()?.unwrap_or_default(),
        deliveries,
        event,
    }))
}

fn receipts(connection: &Connection, position: Position) -> rusqlite::Result<u64> {
    let duplicates: Option<i64> = connection
        .prepare_cached("SELECT count FROM duplicates WHERE position = ?1")?
        .query_row([position.0], |row| row.get(0))
        .optional()?;
    Ok(1 + rows::count(duplicates.unwrap_or(0)))
}

pub(super) fn events(connection: &Connection, query: &EventQuery) -> rusqlite::Result<Vec<EventRow>> {
    let planned = deliveries::mark(connection, "planned")?;
    let events: Vec<StoredEvent> = connection
        .prepare_cached(&format!(
            "SELECT {} FROM events WHERE (?1 IS NULL OR position < ?1) AND (?2 IS NULL OR name = ?2)
             AND (?3 IS NULL OR webhook = ?3) ORDER BY position DESC LIMIT ?4",
            rows::EVENT_IN_LIST
        ))?
        .query_map(
            params![query.before.map(|before| before.0), query.name, query.webhook, rows::limit(query.limit)],
            rows::event,
        )?
        .collect::<rusqlite::Result<_>>()?;
    events
        .into_iter()
        .map(|event| {
            let deliveries = by_state(connection, Some(event.position))?;
            let receipts = receipts(connection, event.position)?;
            Ok(EventRow { receipts, planned: event.position.0 <= planned, deliveries, event })
        })
        .collect()
}

pub(super) fn deliveries(connection: &Connection, query: &DeliveryQuery) -> rusqlite::Result<Vec<DeliveryRecord>> {
    connection
        .prepare_cached(&format!(
            "SELECT {} FROM deliveries d JOIN events e ON e.position = d.position
             WHERE (?1 IS NULL OR d.id < ?1) AND (?2 IS NULL OR d.handler = ?2) AND (?3 IS NULL OR d.state = ?3)
             ORDER BY d.id DESC LIMIT ?4",
            rows::DELIVERY
        ))?
        .query_map(
            params![
                query.before.map(|before| before.0),
                query.handler.as_ref().map(|handler| handler.as_str().to_owned()),
                query.state.map(DeliveryState::as_str),
                rows::limit(query.limit)
            ],
            rows::delivery,
        )?
        .collect()
}

pub(super) fn rejected(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<RejectedRow>> {
    connection
        .prepare_cached(
            "SELECT id, received_at, webhook, brand, peer, reason, headers, body FROM rejected ORDER BY id DESC LIMIT ?1",
        )?
        .query_map([rows::limit(limit)], |row| {
            Ok(RejectedRow {
                id: RejectedId(row.get(0)?),
                received_at: rows::time(row.get(1)?),
                webhook: row.get(2)?,
                brand: row.get(3)?,
                peer: rows::peer(row, 4)?,
                reason: row.get(5)?,
                headers: row.get(6)?,
                body: row.get(7)?,
            })
        })?
        .collect()
}

pub(super) fn refusals(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<RefusalCount>> {
    connection
        .prepare_cached(
            "SELECT code, peer, claimed_webhook_id, count, last_at FROM refusals ORDER BY last_at DESC LIMIT ?1",
        )?
        .query_map([rows::limit(limit)], |row| {
            Ok(RefusalCount {
                code: row.get(0)?,
                peer: row.get(1)?,
                claimed_webhook_id: row.get(2)?,
                count: rows::count(row.get(3)?),
                last_at: rows::time(row.get(4)?),
            })
        })?
        .collect()
}

pub(super) fn counts(connection: &Connection) -> rusqlite::Result<Counts> {
    let number = |sql: &str| connection.prepare_cached(sql)?.query_row([], |row| row.get(0).map(rows::count));
    let planned = deliveries::mark(connection, "planned")?;
    let unplanned = connection
        .prepare_cached("SELECT count(*) FROM events WHERE position > ?1")?
        .query_row([planned], |row| row.get(0).map(rows::count))?;
    let oldest: Option<i64> = connection
        .prepare_cached("SELECT min(planned_at) FROM deliveries WHERE state = 'pending'")?
        .query_row([], |row| row.get(0))?;
    Ok(Counts {
        events: number("SELECT count(*) FROM events")?,
        unplanned,
        deliveries: by_state(connection, None)?,
        rejected: number("SELECT count(*) FROM rejected")?,
        oldest_pending: oldest.map(rows::time),
    })
}

fn by_state(connection: &Connection, position: Option<Position>) -> rusqlite::Result<Vec<(DeliveryState, u64)>> {
    let sql = match position {
        Some(_) => "SELECT state, count(*) FROM deliveries WHERE position = ?1 GROUP BY state",
        None => "SELECT state, count(*) FROM deliveries WHERE ?1 IS NULL GROUP BY state",
    };
    let counted: Vec<(String, i64)> = connection
        .prepare_cached(sql)?
        .query_map([position.map(|position| position.0)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let state = |(state, count): (String, i64)| Some((DeliveryState::parse(&state)?, rows::count(count)));
    Ok(counted.into_iter().filter_map(state).collect())
}
