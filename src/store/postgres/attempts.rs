//! Keeping what came of attempts.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::failure::Failure;
use super::pool::Transaction;
use super::statement::{Array, Param};
use crate::model::{Attempt, DeliveryId, Ended, Outcome};

/// An attempt of a delivery, under the claim with this epoch.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) delivery: DeliveryId,
    pub(super) epoch: i64,
    pub(super) attempt: Attempt,
}

/// An attempt whose result nobody knows.
pub(super) fn lost(number: u32, why: &str, now: Timestamp) -> Attempt {
    let outcome = Outcome {
        ended: Ended::Lost,
        started_at: now,
        took: Duration::ZERO,
        status: None,
        message: why.to_owned(),
        response: Bytes::new(),
    };
    Attempt { number, outcome }
}

/// Keeps attempts, of each delivery at most one.
pub(super) async fn keep(transaction: &Transaction, attempts: &[Kept]) -> Result<(), Failure> {
    if attempts.is_empty() {
        return Ok(());
    }
    // An attempt that did not count gives its number to the next one, which takes its place.
    let sql = "INSERT INTO attempts (delivery, number, epoch, ended, started_at, took_ms, status, message, response)
               SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $8, $7, $9)
               ON CONFLICT (delivery, number) DO UPDATE SET epoch = EXCLUDED.epoch, ended = EXCLUDED.ended,
                   started_at = EXCLUDED.started_at, took_ms = EXCLUDED.took_ms, status = EXCLUDED.status,
                   message = EXCLUDED.message, response = EXCLUDED.response";
    let outcomes = || attempts.iter().map(|kept| &kept.attempt.outcome);
    let statuses: Array<_> = outcomes().map(|outcome| outcome.status).collect();
    let responses: Array<_> = outcomes().map(|outcome| &outcome.response).collect();
    let columns = Columns::of(attempts);
    let mut params = columns.params();
    params.extend([&statuses as &dyn Param, &responses]);
    transaction.execute(sql, &params).await.map(drop)
}

/// The deliveries of those of these attempts that are kept just like that.
pub(super) async fn known(transaction: &Transaction, attempts: &[Kept]) -> Result<HashSet<DeliveryId>, Failure> {
    if attempts.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = "SELECT a.delivery FROM unnest($1, $2, $3, $4, $5, $6, $7)
                   AS n (delivery, number, epoch, ended, started_at, took_ms, message)
               JOIN attempts a ON (a.delivery, a.number, a.epoch, a.ended, a.started_at, a.took_ms, a.message)
                   = (n.delivery, n.number, n.epoch, n.ended, n.started_at, n.took_ms, n.message)";
    let rows = transaction.query(sql, &Columns::of(attempts).params()).await?;
    rows.iter().map(|row| row.get(0).map(DeliveryId)).collect()
}

/// What tells attempts apart, as columns.
struct Columns<'a> {
    deliveries: Array<i64>,
    numbers: Array<u32>,
    epochs: Array<i64>,
    ended: Array<&'static str>,
    started_at: Array<i64>,
    took_ms: Array<i64>,
    messages: Array<&'a String>,
}

impl Columns<'_> {
    fn of(attempts: &[Kept]) -> Columns<'_> {
        let outcomes = || attempts.iter().map(|kept| &kept.attempt.outcome);
        let took_ms = |outcome: &Outcome| i64::try_from(outcome.took.as_millis()).unwrap_or(i64::MAX);
        Columns {
            deliveries: attempts.iter().map(|kept| kept.delivery.0).collect(),
            numbers: attempts.iter().map(|kept| kept.attempt.number).collect(),
            epochs: attempts.iter().map(|kept| kept.epoch).collect(),
            ended: outcomes().map(|outcome| outcome.ended.as_str()).collect(),
            started_at: outcomes().map(|outcome| outcome.started_at.as_millisecond()).collect(),
            took_ms: outcomes().map(took_ms).collect(),
            messages: outcomes().map(|outcome| &outcome.message).collect(),
        }
    }

    fn params(&self) -> Vec<&dyn Param> {
        vec![
            &self.deliveries,
            &self.numbers,
            &self.epochs,
            &self.ended,
            &self.started_at,
            &self.took_ms,
            &self.messages,
        ]
    }
}
