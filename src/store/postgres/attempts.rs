//! Keeping what came of attempts.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::failure::Failure;
use super::pool::Transaction;
use super::statement::Array;
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
    let outcomes = || attempts.iter().map(|kept| &kept.attempt.outcome);
    // An attempt that did not count gives its number to the next one, which takes its place.
    let sql = "INSERT INTO attempts (delivery, number, epoch, ended, started_at, took_ms, status, message, response)
               SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
               ON CONFLICT (delivery, number) DO UPDATE SET epoch = EXCLUDED.epoch, ended = EXCLUDED.ended,
                   started_at = EXCLUDED.started_at, took_ms = EXCLUDED.took_ms, status = EXCLUDED.status,
                   message = EXCLUDED.message, response = EXCLUDED.response";
    transaction
        .execute(
            sql,
            &[
                &attempts.iter().map(|kept| kept.delivery.0).collect::<Array<_>>(),
                &attempts.iter().map(|kept| kept.attempt.number).collect::<Array<_>>(),
                &attempts.iter().map(|kept| kept.epoch).collect::<Array<_>>(),
                &outcomes().map(|outcome| outcome.ended.as_str()).collect::<Array<_>>(),
                &outcomes().map(|outcome| outcome.started_at.as_millisecond()).collect::<Array<_>>(),
                &outcomes()
                    .map(|outcome| i64::try_from(outcome.took.as_millis()).unwrap_or(i64::MAX))
                    .collect::<Array<_>>(),
                &outcomes().map(|outcome| outcome.status).collect::<Array<_>>(),
                &outcomes().map(|outcome| &outcome.message).collect::<Array<_>>(),
                &outcomes().map(|outcome| &outcome.response).collect::<Array<_>>(),
            ],
        )
        .await
        .map(drop)
}
