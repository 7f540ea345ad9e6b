//! Looking up one thing with all that belongs to it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::failure::Failure;
use super::pool::Transaction;
use super::statement::Array;
use super::{Database, rows};
use crate::model::{Attempt, DeliveryId, DeliveryRecord, EventId, EventRecord, NotRouted};

pub(super) async fn other_body(db: &Database, id: EventId, number: u64) -> Result<Option<Bytes>, Failure> {
    let sql = "SELECT r.other_body FROM receipts r JOIN events e ON e.position = r.position
               WHERE e.id = $1 AND r.number = $2";
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let row = db.pool.connection().await?.query_opt(sql, &[&id, &number]).await?;
    row.map_or(Ok(None), |row| row.get(0))
}

pub(super) async fn event(db: &Database, id: EventId) -> Result<Option<EventRecord>, Failure> {
    let transaction = db.pool.begin_reading().await?;
    let record = record(&transaction, id).await?;
    transaction.commit().await?;
    Ok(record)
}

async fn record(transaction: &Transaction, id: EventId) -> Result<Option<EventRecord>, Failure> {
    let sql = format!("SELECT {} FROM events e WHERE e.id = $1", rows::EVENT);
    let Some(row) = transaction.query_opt(&sql, &[&id]).await? else { return Ok(None) };
    let event = rows::event(&row, 0)?;
    let position = event.position.0;
    let sql = "SELECT received_at, retry_num, sent_at, peer, matched_by_body, length(other_body)::bigint FROM receipts
               WHERE position = $1 ORDER BY number";
    let duplicates = transaction.query(sql, &[&position]).await?;
    let sql = "SELECT count FROM duplicates WHERE position = $1";
    let repeated = transaction.query_opt(sql, &[&position]).await?.map_or(Ok(0), |row| row.get(0))?;
    let planned = plan(transaction, position).await?;
    let sql = format!(
        "SELECT {} FROM deliveries d JOIN events e ON e.position = d.position WHERE d.position = $1 ORDER BY d.id",
        rows::DELIVERY
    );
    let deliveries = transaction.query(&sql, &[&position]).await?;
    let mut deliveries = deliveries.iter().map(rows::delivery).collect::<Result<Vec<_>, Failure>>()?;
    let mut attempts = attempts(transaction, deliveries.iter().map(|delivery| delivery.id).collect()).await?;
    for delivery in &mut deliveries {
        delivery.history = attempts.remove(&delivery.id).unwrap_or_default();
    }
    let (planned_at, not_routed) = planned.unzip();
    Ok(Some(EventRecord {
        receipts: 1 + rows::count(repeated),
        duplicates: duplicates.iter().map(rows::receipt).collect::<Result<_, Failure>>()?,
        planned_at: planned_at.map(rows::time),
        not_routed: not_routed.unwrap_or_default(),
        deliveries,
        event,
    }))
}

/// When an event was planned, and for whom it was not.
async fn plan(transaction: &Transaction, position: i64) -> Result<Option<(i64, Vec<NotRouted>)>, Failure> {
    let sql = "SELECT p.planned_at, v.not_routed FROM plans p JOIN verdicts v ON v.id = p.verdict
               WHERE p.first = (SELECT max(first) FROM plans WHERE first <= $1) AND p.last >= $1";
    let Some(row) = transaction.query_opt(sql, &[&position]).await? else { return Ok(None) };
    Ok(Some((row.get(0)?, rows::from_json(&row.get::<String>(1)?)?)))
}

pub(super) async fn delivery(db: &Database, id: DeliveryId) -> Result<Option<DeliveryRecord>, Failure> {
    let transaction = db.pool.begin_reading().await?;
    let sql =
        format!("SELECT {} FROM deliveries d JOIN events e ON e.position = d.position WHERE d.id = $1", rows::DELIVERY);
    let Some(row) = transaction.query_opt(&sql, &[&id.0]).await? else { return Ok(None) };
    let mut delivery = rows::delivery(&row)?;
    delivery.history = attempts(&transaction, vec![id]).await?.remove(&id).unwrap_or_default();
    transaction.commit().await?;
    Ok(Some(delivery))
}

async fn attempts(
    transaction: &Transaction,
    deliveries: Vec<DeliveryId>,
) -> Result<BTreeMap<DeliveryId, Vec<Attempt>>, Failure> {
    let sql = "SELECT number, ended, started_at, took_ms, status, message, response, delivery FROM attempts
               WHERE delivery = ANY ($1) ORDER BY delivery, number";
    let ids: Array<i64> = deliveries.into_iter().map(|id| id.0).collect();
    let mut attempts: BTreeMap<DeliveryId, Vec<Attempt>> = BTreeMap::new();
    for row in transaction.query(sql, &[&ids]).await? {
        attempts.entry(DeliveryId(row.get(7)?)).or_default().push(rows::attempt(&row)?);
    }
    Ok(attempts)
}
