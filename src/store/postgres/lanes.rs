//! Lanes: who is at their end, and who comes next.
//!
//! `ready_at` says everything about when: it is a time for the head of a lane and for what has no lane, and NULL for
//! what waits behind another. What always holds: whoever changes who is in a lane, but for what comes to its end while
//! nobody is in it, has locked the lane in a statement before the one that looks. A row's lock would not do: who waited
//! for one goes on with what was there when its statement began.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Database;
use super::failure::Failure;
use super::pool::Transaction;
use super::statement::Array;
use crate::model::{DeliveryState, HandlerName, Position, ReplayId};

/// The most lanes that one transaction locks one by one; for more it locks all.
const LOCKED_MAX: usize = 1024;

/// A lane of a handler.
pub(super) type Lane<'a> = (&'a str, &'a str);

/// What a lane is found by in an index.
pub(super) fn hash(lane: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&Sha256::digest(lane)[..16]);
    hash
}

/// Locks lanes until the end of the transaction; has to come before its first look at who is in them, and before it
/// changes a delivery.
pub(super) async fn lock(db: &Database, transaction: &Transaction, lanes: &BTreeSet<Lane<'_>>) -> Result<(), Failure> {
    if lanes.is_empty() {
        return Ok(());
    }
    let all = db.lock_key("all lanes");
    if lanes.len() > LOCKED_MAX {
        return transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&all]).await.map(drop);
    }
    // Sorted, so that nobody waits in a ring.
    let keys: BTreeSet<i64> = lanes.iter().map(|(handler, lane)| db.lock_key(&format!("{handler} {lane}"))).collect();
    let sql = "SELECT pg_advisory_xact_lock_shared($1) UNION ALL
               SELECT pg_advisory_xact_lock(key) FROM unnest($2) WITH ORDINALITY AS k (key, place)";
    transaction.execute(sql, &[&all, &keys.into_iter().collect::<Array<_>>()]).await.map(drop)
}

/// Makes the first of each lane ready, where it was not before. The lanes are locked.
pub(super) async fn go_on(transaction: &Transaction, lanes: &BTreeMap<Lane<'_>, i64>) -> Result<(), Failure> {
    if lanes.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE deliveries SET ready_at = l.at
               FROM unnest($1, $2, $3) AS l (handler, lane, at)
               WHERE ready_at IS NULL AND state = 'pending' AND id = (
                   SELECT d.id FROM deliveries d
                   WHERE d.handler = l.handler AND d.lane_hash = l.lane AND d.state = 'pending' AND d.lane_hash IS NOT NULL
                   ORDER BY d.id LIMIT 1)";
    let handlers: Array<&str> = lanes.keys().map(|(handler, _)| *handler).collect();
    let hashes: Array<[u8; 16]> = lanes.keys().map(|(_, lane)| hash(lane)).collect();
    transaction.execute(sql, &[&handlers, &hashes, &lanes.values().copied().collect::<Array<_>>()]).await.map(drop)
}

/// A delivery to be made.
#[derive(Debug)]
pub(super) struct NewRow<'a> {
    pub(super) position: Position,
    pub(super) handler: &'a HandlerName,
    pub(super) number: u32,
    pub(super) lane: Option<&'a str>,
    pub(super) dead: Option<&'a str>,
    pub(super) replay: Option<ReplayId>,
}

impl NewRow<'_> {
    pub(super) fn state(&self) -> DeliveryState {
        if self.dead.is_some() { DeliveryState::Dead } else { DeliveryState::Pending }
    }

    /// The lane that it waits in, where it does.
    fn waits_in(&self) -> Option<Lane<'_>> {
        self.lane.filter(|_| self.dead.is_none()).map(|lane| (self.handler.as_str(), lane))
    }
}

/// Makes deliveries, each at the end of its lane where it has one. One transaction at a time does.
pub(super) async fn insert(
    db: &Database,
    transaction: &Transaction,
    new: &[NewRow<'_>],
    now: Timestamp,
) -> Result<(), Failure> {
    if new.is_empty() {
        return Ok(());
    }
    let inserting = db.lock_key("new deliveries");
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&inserting]).await?;
    let lanes: BTreeSet<Lane<'_>> = new.iter().filter_map(NewRow::waits_in).collect();
    let mut taken = taken(transaction, &lanes).await?;
    if !taken.is_empty() {
        // Whoever is in one may be settled at this moment.
        lock(db, transaction, &taken).await?;
        taken = self::taken(transaction, &taken).await?;
    }
    let now = now.as_millisecond();
    // The head of its lane is ready at once; whoever comes behind it is made ready when it is settled.
    let ready_at = new.iter().map(|row| match row.waits_in() {
        _ if row.dead.is_some() => None,
        None => Some(now),
        Some(lane) => taken.insert(lane).then_some(now),
    });
    let ready_at: Array<Option<i64>> = ready_at.collect();
    let sql =
        "INSERT INTO deliveries (position, handler, number, lane, lane_hash, state, reason, planned_at, settled_at,
                   replay, ready_at)
               SELECT n.position, n.handler, n.number, n.lane, n.lane_hash, n.state, n.reason, $9,
                   CASE WHEN n.reason IS NULL THEN NULL ELSE $9 END, n.replay, n.ready_at
               FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $10) WITH ORDINALITY
                   AS n (position, handler, number, lane, lane_hash, state, reason, replay, ready_at, place)
               ORDER BY n.place";
    transaction
        .execute(
            sql,
            &[
                &new.iter().map(|row| row.position.0).collect::<Array<_>>(),
                &new.iter().map(|row| row.handler).collect::<Array<_>>(),
                &new.iter().map(|row| row.number).collect::<Array<_>>(),
                &new.iter().map(|row| row.lane).collect::<Array<_>>(),
                &new.iter().map(|row| row.lane.map(hash)).collect::<Array<_>>(),
                &new.iter().map(|row| row.state().as_str()).collect::<Array<_>>(),
                &new.iter().map(|row| row.dead).collect::<Array<_>>(),
                &new.iter().map(|row| row.replay.map(|replay| replay.0)).collect::<Array<_>>(),
                &now,
                &ready_at,
            ],
        )
        .await
        .map(drop)
}

/// The lanes in which somebody is.
async fn taken<'a>(transaction: &Transaction, lanes: &BTreeSet<Lane<'a>>) -> Result<BTreeSet<Lane<'a>>, Failure> {
    if lanes.is_empty() {
        return Ok(BTreeSet::new());
    }
    let sql = "SELECT l.place FROM unnest($1, $2) WITH ORDINALITY AS l (handler, lane, place)
               WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.handler = l.handler AND d.lane_hash = l.lane
                   AND d.state = 'pending' AND d.lane_hash IS NOT NULL)";
    let handlers: Array<&str> = lanes.iter().map(|(handler, _)| *handler).collect();
    let hashes: Array<[u8; 16]> = lanes.iter().map(|(_, lane)| hash(lane)).collect();
    let all: Vec<Lane<'a>> = lanes.iter().copied().collect();
    let rows = transaction.query(sql, &[&handlers, &hashes]).await?;
    rows.iter()
        .map(|row| {
            let place = usize::try_from(row.get::<i64>(0)? - 1).unwrap_or(usize::MAX);
            all.get(place).copied().ok_or_else(|| Failure::Row("a lane that nobody asked for".to_owned()))
        })
        .collect()
}
