//! What somebody decides about deliveries.
//!
//! What always holds: whoever is in a state that does not allow it stays as it is, without an error.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Database;
use super::attempts::{self, Kept};
use super::failure::Failure;
use super::lanes;
use super::pool::Transaction;
use super::rows;
use super::statement::{Array, Row};
use super::tallies::Tallies;
use crate::model::{DeliveryId, DeliveryState};

/// What an attempt is remembered as whose delivery was cancelled while it was under way.
const CANCELLED: &str = "the delivery was cancelled while it was under way; what came of it is not known";

pub(super) async fn retry(db: &Database, ids: &[DeliveryId], now: Timestamp) -> Result<u64, Failure> {
    let transaction = db.pool.begin().await?;
    let mut before = Before::locked(&transaction, ids).await?;
    before.retain(|before| matches!(before.state, DeliveryState::Dead | DeliveryState::Cancelled));
    // Out of order: without a lane it neither waits for those of its entity nor holds them.
    let sql = "UPDATE deliveries SET state = 'pending', ready_at = $2, claimed = false, claimed_by = NULL, lane = NULL,
                   lane_hash = NULL, reason = NULL, settled_at = NULL, retried = retried + 1, before_retry = attempts
               WHERE id = ANY ($1)";
    transaction.execute(sql, &[&ids_of(&before), &now.as_millisecond()]).await?;
    moved(db, transaction, &before, DeliveryState::Pending).await
}

pub(super) async fn cancel(db: &Database, ids: &[DeliveryId], reason: &str, now: Timestamp) -> Result<u64, Failure> {
    let transaction = db.pool.begin().await?;
    let named = Before::seen(&transaction, ids).await?;
    let lanes: BTreeSet<_> = named.iter().filter_map(Before::waits_in).collect();
    // Who waits for the lanes here sees afterwards what was done in them meanwhile.
    lanes::lock(db, &transaction, &lanes).await?;
    let mut before = Before::locked(&transaction, ids).await?;
    before.retain(|before| before.state == DeliveryState::Pending);
    // They may have reached the far end, so they are told of; their results are refused when they come.
    let under_way = before.iter().filter(|before| before.claimed);
    let lost = |before: &Before| Kept {
        delivery: DeliveryId(before.id),
        epoch: before.epoch,
        attempt: attempts::lost(before.attempts, CANCELLED, now),
    };
    attempts::keep(&transaction, &under_way.map(lost).collect::<Vec<_>>()).await?;
    let sql = "UPDATE deliveries SET state = 'cancelled', ready_at = NULL, claimed = false, claimed_by = NULL,
                   reason = $2, settled_at = $3
               WHERE id = ANY ($1)";
    let now = now.as_millisecond();
    transaction.execute(sql, &[&ids_of(&before), &reason, &now]).await?;
    let lanes: BTreeMap<_, _> = before.iter().filter_map(Before::waits_in).map(|lane| (lane, now)).collect();
    lanes::go_on(&transaction, &lanes).await?;
    moved(db, transaction, &before, DeliveryState::Cancelled).await
}

/// Counts what went into a state, and commits; how many there were.
async fn moved(
    db: &Database,
    transaction: Transaction,
    before: &[Before],
    after: DeliveryState,
) -> Result<u64, Failure> {
    let mut tallies = Tallies::default();
    for before in before {
        tallies.moved(&before.handler, before.state, after, 1);
    }
    tallies.write(&transaction, db.shard).await?;
    transaction.commit().await?;
    Ok(before.len() as u64)
}

fn ids_of(before: &[Before]) -> Array<i64> {
    before.iter().map(|before| before.id).collect()
}

/// What a delivery was before somebody intervened.
struct Before {
    id: i64,
    handler: String,
    lane: Option<String>,
    state: DeliveryState,
    claimed: bool,
    attempts: u32,
    epoch: i64,
}

impl Before {
    /// Those that are there now.
    async fn seen(transaction: &Transaction, ids: &[DeliveryId]) -> Result<Vec<Before>, Failure> {
        Before::query(transaction, ids, "").await
    }

    /// Those that are there, which nobody changes until the end of the transaction.
    async fn locked(transaction: &Transaction, ids: &[DeliveryId]) -> Result<Vec<Before>, Failure> {
        Before::query(transaction, ids, "FOR UPDATE").await
    }

    async fn query(transaction: &Transaction, ids: &[DeliveryId], lock: &str) -> Result<Vec<Before>, Failure> {
        let sql = format!(
            "SELECT id, handler, lane, state, claimed, attempts, epoch FROM deliveries WHERE id = ANY ($1)
             ORDER BY id {lock}"
        );
        let ids: Array<i64> = ids.iter().map(|id| id.0).collect();
        transaction.query(&sql, &[&ids]).await?.iter().map(Before::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Before, Failure> {
        Ok(Before {
            id: row.get(0)?,
            handler: row.get(1)?,
            lane: row.get(2)?,
            state: rows::state(row, 3)?,
            claimed: row.get(4)?,
            attempts: row.get(5)?,
            epoch: row.get(6)?,
        })
    }

    /// The lane that it waits in, where it does.
    fn waits_in(&self) -> Option<lanes::Lane<'_>> {
        let lane = self.lane.as_deref().filter(|_| self.state == DeliveryState::Pending)?;
        Some((&self.handler, lane))
    }
}
