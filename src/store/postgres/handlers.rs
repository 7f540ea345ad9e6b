//! What is decided about handlers: pauses and breakers.
//!
//! What always holds: a row that says nothing any more is not kept.

use jiff::Timestamp;

use super::Database;
use super::failure::Failure;
use super::pool::Transaction;
use crate::model::{HandlerName, OpenBreaker};

pub(super) async fn set_paused(
    db: &Database,
    handler: &HandlerName,
    paused: bool,
    now: Timestamp,
) -> Result<(), Failure> {
    // Whoever pauses what is paused does not make the pause shorter.
    let sql = "INSERT INTO handlers AS h (name, paused_at) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE
               SET paused_at = CASE WHEN $2 IS NULL THEN NULL ELSE coalesce(h.paused_at, $2) END";
    let transaction = db.pool.begin().await?;
    transaction.execute(sql, &[handler, &paused.then_some(now.as_millisecond())]).await?;
    remove_empty(transaction, handler).await
}

pub(super) async fn keep_breaker(
    db: &Database,
    handler: &HandlerName,
    breaker: Option<&OpenBreaker>,
) -> Result<(), Failure> {
    let sql = "INSERT INTO handlers
                   (name, breaker_since, breaker_until, breaker_failures, breaker_probes, breaker_reason)
               VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (name) DO UPDATE SET breaker_since = $2, breaker_until = $3, breaker_failures = $4,
                   breaker_probes = $5, breaker_reason = $6";
    let transaction = db.pool.begin().await?;
    transaction
        .execute(
            sql,
            &[
                handler,
                &breaker.map(|breaker| breaker.since.as_millisecond()),
                &breaker.map(|breaker| breaker.until.as_millisecond()),
                &breaker.map(|breaker| breaker.failures),
                &breaker.map(|breaker| breaker.probes),
                &breaker.map(|breaker| &breaker.reason),
            ],
        )
        .await?;
    remove_empty(transaction, handler).await
}

async fn remove_empty(transaction: Transaction, handler: &HandlerName) -> Result<(), Failure> {
    let sql = "DELETE FROM handlers WHERE name = $1 AND paused_at IS NULL AND breaker_since IS NULL";
    transaction.execute(sql, &[handler]).await?;
    transaction.commit().await
}
