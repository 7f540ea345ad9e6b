//! The breakers that processes share: each state takes the place of the one that was known.

use super::Database;
use super::failure::Failure;
use super::rows;
use crate::model::{HandlerName, OpenBreaker};

/// Puts a state in the place of another; whether that was what was kept. Whoever comes second at the same time waits for
/// the first, and looks again then.
pub(super) async fn replace(
    db: &Database,
    handler: &HandlerName,
    from: Option<&OpenBreaker>,
    to: Option<&OpenBreaker>,
) -> Result<bool, Failure> {
    let transaction = db.pool.begin().await?;
    let sql = match from {
        // Where there is no row, nothing is open.
        None => {
            "INSERT INTO handlers AS h
                 (name, breaker_since, breaker_until, breaker_failures, breaker_probes, breaker_reason)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (name) DO UPDATE SET breaker_since = $2, breaker_until = $3, breaker_failures = $4,
                 breaker_probes = $5, breaker_reason = $6
             WHERE h.breaker_since IS NOT DISTINCT FROM $7 AND h.breaker_until IS NOT DISTINCT FROM $8"
        }
        Some(_) => {
            "UPDATE handlers SET breaker_since = $2, breaker_until = $3, breaker_failures = $4, breaker_probes = $5,
                 breaker_reason = $6
             WHERE name = $1 AND breaker_since = $7 AND breaker_until = $8"
        }
    };
    let replaced = transaction
        .execute(
            sql,
            &[
                handler,
                &to.map(|open| open.since.as_millisecond()),
                &to.map(|open| open.until.as_millisecond()),
                &to.map(|open| open.failures),
                &to.map(|open| open.probes),
                &to.map(|open| &open.reason),
                &from.map(|open| open.since.as_millisecond()),
                &from.map(|open| open.until.as_millisecond()),
            ],
        )
        .await?;
    let empty = "DELETE FROM handlers WHERE name = $1 AND paused_at IS NULL AND breaker_since IS NULL";
    transaction.execute(empty, &[handler]).await?;
    transaction.commit().await?;
    Ok(replaced > 0)
}

/// Every breaker that is open.
pub(super) async fn open(db: &Database) -> Result<Vec<(HandlerName, OpenBreaker)>, Failure> {
    let sql = "SELECT name, paused_at, breaker_since, breaker_until, breaker_failures, breaker_probes, breaker_reason
               FROM handlers WHERE breaker_since IS NOT NULL";
    let mut open = Vec::new();
    for row in db.pool.connection().await?.query(sql, &[]).await? {
        let record = rows::handler(&row)?;
        open.extend(record.breaker.map(|breaker| (record.name, breaker)));
    }
    Ok(open)
}
