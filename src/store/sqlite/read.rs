//! Looking things up, on connections that cannot write.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Semaphore;

use super::{deliveries, lists, rows};
use crate::model::{Attempt, DeliveryId, DeliveryRecord, EventId, EventRecord, StoredEvent};
use crate::store::StoreError;

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

    /// Does something with each connection, none of which is in use.
    #[cfg(test)]
    pub(super) fn each(&self, work: impl FnMut(&mut Connection)) {
        self.idle.lock().unwrap().iter_mut().for_each(work);
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
        delivery.history = attempts(connection, delivery.id)?;
    }
    Ok(Some(EventRecord {
        receipts: lists::receipts(connection, position)?,
        duplicates,
        planned_at: planned.as_ref().map(|(at, _)| rows::time(*at)),
        not_routed: planned.map(|(_, json)| rows::from_json(&json)).transpose()?.unwrap_or_default(),
        deliveries,
        event,
    }))
}

pub(super) fn delivery(connection: &Connection, id: DeliveryId) -> rusqlite::Result<Option<DeliveryRecord>> {
    let Some(mut delivery) = rows::delivery_at(connection, id)? else { return Ok(None) };
    delivery.history = attempts(connection, id)?;
    Ok(Some(delivery))
}

fn attempts(connection: &Connection, delivery: DeliveryId) -> rusqlite::Result<Vec<Attempt>> {
    connection
        .prepare_cached(
            "SELECT number, ended, started_at, took_ms, status, message, response FROM attempts
             WHERE delivery = ?1 ORDER BY number",
        )?
        .query_map([delivery.0], rows::attempt)?
        .collect()
}
