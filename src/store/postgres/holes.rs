//! Positions that are missing before others that are there: given to an event that is being stored at this moment, or to
//! none that stays.
//!
//! Whoever stores an event holds a lock on the table from before its position is given until it is committed, and
//! everybody may see who does. So what is missing when all of those have ended stays missing.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Database;
use super::failure::Failure;
use super::pool::Transaction;
use crate::model::Position;

/// In how many of the newest events a missing position is looked for.
const NEWEST: i64 = 2000;
/// How old the event behind it may be, in milliseconds: far longer than storing takes.
const RECENT_MS: i64 = 10_000;
/// The longest that is waited, and the pause between two looks.
const WAIT_MAX: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(15);

/// The last position that there is, where one behind a position is missing and may still come.
pub(super) async fn last_if_any(transaction: &Transaction, after: Position) -> Result<Option<i64>, Failure> {
    let sql = "SELECT max(last) FROM (
                   SELECT position, received_at, lag(position) OVER (ORDER BY position) AS before,
                       max(position) OVER () AS last
                   FROM (SELECT position, received_at FROM events ORDER BY position DESC LIMIT $1) AS newest
               ) AS neighbours
               WHERE position - 1 > greatest(before, $2) AND received_at > extract(epoch FROM now()) * 1000 - $3";
    transaction.query_one(sql, &[&NEWEST, &after.0, &RECENT_MS]).await?.get(0)
}

/// Waits until whoever stores events now has ended, one way or the other.
pub(super) async fn wait(db: &Database) -> Result<(), Failure> {
    let until = Instant::now() + WAIT_MAX;
    let mut storing = storing(db).await?;
    while !storing.is_empty() && Instant::now() < until {
        sleep(PAUSE).await;
        let still = self::storing(db).await?;
        storing.retain(|one| still.contains(one));
    }
    Ok(())
}

/// The transactions that store events.
async fn storing(db: &Database) -> Result<BTreeSet<String>, Failure> {
    let sql = "SELECT DISTINCT virtualtransaction FROM pg_locks
               WHERE relation = to_regclass('events') AND mode = 'RowExclusiveLock' AND granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    db.pool.connection().await?.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect()
}
