//! Duties: what one process at a time does for all that share the store.
//!
//! What always holds: a duty is taken when nobody has it or its time is over, by the database's clock; each taking has
//! an epoch of its own; and who lost it finds out in the transaction in which it matters.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Database;
use super::failure::Failure;
use super::pool::{Pool, Transaction};
use crate::store::{Duty, StoreError};

/// The time of the database in milliseconds since the epoch.
pub(super) const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// The duties of this process: the epoch under which it has each.
#[derive(Debug, Default)]
pub(super) struct Duties(Mutex<HashMap<Duty, i64>>);

impl Duties {
    fn epoch(&self, duty: Duty) -> Option<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&duty).copied()
    }

    fn set(&self, duty: Duty, epoch: Option<i64>) {
        let mut epochs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match epoch {
            Some(epoch) => epochs.insert(duty, epoch),
            None => epochs.remove(&duty),
        };
    }
}

/// Makes sure that this process has a duty, until the end of the transaction. Nobody takes it over meanwhile.
pub(super) async fn check(db: &Database, transaction: &Transaction, duty: Duty) -> Result<(), Failure> {
    let epoch = db.duties.epoch(duty).ok_or(StoreError::Superseded)?;
    let sql = "SELECT 1::bigint FROM duties WHERE name = $1 AND holder = $2 AND epoch = $3 FOR SHARE";
    match transaction.query_opt(sql, &[&duty.as_str(), &db.process, &epoch]).await? {
        Some(_) => Ok(()),
        None => {
            db.duties.set(duty, None);
            Err(StoreError::Superseded.into())
        }
    }
}

/// Takes a duty, or keeps it; whether this process has it. On a connection for which nobody waits: a process that has
/// much to do must not lose its duties by that.
pub(super) async fn hold(db: &Database, pool: &Pool, duty: Duty, lease: Duration) -> Result<bool, Failure> {
    let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX / 4);
    let sql = format!(
        "INSERT INTO duties AS d (name, holder, epoch, until) VALUES ($1, $2, 1, {NOW} + $3)
         ON CONFLICT (name) DO UPDATE SET holder = $2, until = {NOW} + $3,
             epoch = d.epoch + CASE WHEN d.holder = $2 AND d.epoch = $4 THEN 0 ELSE 1 END
         WHERE d.until <= {NOW} OR d.holder = $2
         RETURNING epoch"
    );
    let known = db.duties.epoch(duty).unwrap_or(0);
    let held = pool.connection().await?.query_opt(&sql, &[&duty.as_str(), &db.process, &lease_ms, &known]).await?;
    let epoch = held.map(|row| row.get(0)).transpose()?;
    db.duties.set(duty, epoch);
    Ok(epoch.is_some())
}

/// Gives a duty up.
pub(super) async fn let_go(db: &Database, duty: Duty) -> Result<(), Failure> {
    let Some(epoch) = db.duties.epoch(duty) else { return Ok(()) };
    db.duties.set(duty, None);
    let sql = "UPDATE duties SET until = 0 WHERE name = $1 AND holder = $2 AND epoch = $3";
    db.pool.connection().await?.execute(sql, &[&duty.as_str(), &db.process, &epoch]).await.map(drop)
}
