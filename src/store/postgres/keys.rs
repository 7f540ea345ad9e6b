//! What repetitions are known by, kept in order: what is over goes.

use jiff::Timestamp;

use super::Database;
use super::duties;
use super::failure::Failure;
use crate::store::Duty;

/// How many go in one step.
const PIECE: i64 = 1000;

/// Takes the next step; whether there was one.
pub(super) async fn tidy(db: &Database, now: Timestamp) -> Result<bool, Failure> {
    let transaction = db.pool.begin().await?;
    duties::check(db, &transaction, Duty::Upkeep).await?;
    let sql = "DELETE FROM keys WHERE hash IN (
                   SELECT hash FROM keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)";
    let gone = transaction.execute(sql, &[&now.as_millisecond(), &PIECE]).await?;
    transaction.commit().await?;
    Ok(gone > 0)
}
