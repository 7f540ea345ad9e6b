//! Planning: one process at a time takes what is not planned yet, by position.
//!
//! Positions are given before they are committed, so an event can appear behind ones that are planned already. So what
//! is not planned is a table of its own, from which plans take (ruling 12).

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::lanes::{self, NewRow};
use super::pool::Transaction;
use super::statement::Array;
use super::tallies::Tallies;
use super::{Database, duties, rows};
use crate::model::{Plan, StoredEvent};
use crate::store::{Duty, PlanStart};

/// How many bytes of bodies are read at one time for planning, beside the last one.
const UNPLANNED_BYTES_MAX: i64 = 4 << 20;

pub(super) async fn start(db: &Database) -> Result<PlanStart, Failure> {
    let transaction = db.pool.begin().await?;
    duties::check(db, &transaction, Duty::Planning).await?;
    let sql = "SELECT (SELECT min(position) FROM unplanned),
                   (SELECT value FROM marks WHERE name = 'stalled_at'), (SELECT value FROM marks WHERE name = 'stalled')";
    let row = transaction.query_one(sql, &[]).await?;
    let (first, at, before): (Option<i64>, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let stalled = if first == Some(at) { before } else { 0 };
    let next = first.map_or(0, |_| stalled + 1);
    set_stalled(&transaction, first.unwrap_or(-1), next).await?;
    transaction.commit().await?;
    Ok(PlanStart { stalled: u32::try_from(stalled).unwrap_or(u32::MAX) })
}

/// Says that planning ended in order, so that no event is to blame for the next start.
pub(super) async fn end(db: &Database) -> Result<(), Failure> {
    let transaction = db.pool.begin().await?;
    duties::check(db, &transaction, Duty::Planning).await?;
    set_stalled(&transaction, -1, 0).await?;
    transaction.commit().await
}

async fn set_stalled(transaction: &Transaction, at: i64, times: i64) -> Result<(), Failure> {
    let sql = "UPDATE marks SET value = CASE name WHEN 'stalled_at' THEN $1 ELSE $2 END
               WHERE name IN ('stalled', 'stalled_at')";
    transaction.execute(sql, &[&at, &times]).await.map(drop)
}

pub(super) async fn unplanned(db: &Database, limit: usize) -> Result<Vec<StoredEvent>, Failure> {
    let sql = format!(
        "SELECT {} FROM (
            SELECT u.position, sum(length(b.body)) OVER (ORDER BY u.position) - length(b.body) AS before
            FROM (SELECT position FROM unplanned ORDER BY position LIMIT $1) u JOIN events b USING (position)
        ) w JOIN events e USING (position) WHERE w.before < $2 ORDER BY e.position",
        rows::EVENT
    );
    let found = db.pool.connection().await?.query(&sql, &[&rows::limit(limit), &UNPLANNED_BYTES_MAX]).await?;
    found.iter().map(|row| rows::event(row, 0)).collect()
}

pub(super) async fn plan(db: &Database, plans: &[Plan], now: Timestamp) -> Result<(), Failure> {
    let transaction = db.pool.begin().await?;
    duties::check(db, &transaction, Duty::Planning).await?;
    let open = take(&transaction, plans).await?;
    // What is planned already, or was forgotten since it was read, is left out.
    let plans: Vec<&Plan> = plans.iter().filter(|plan| open.contains(&plan.position.0)).collect();
    let (mut new, mut tallies) = (Vec::new(), Tallies::default());
    for plan in &plans {
        for delivery in &plan.deliveries {
            let row = NewRow {
                position: plan.position,
                handler: &delivery.handler,
                number: 0,
                lane: delivery.lane.as_deref(),
                dead: delivery.dead.as_deref(),
                replay: None,
            };
            tallies.add(delivery.handler.as_str(), row.state(), 1);
            new.push(row);
        }
    }
    lanes::insert(db, &transaction, &new, now).await?;
    keep_verdicts(&transaction, &plans, now).await?;
    tallies.write(&transaction, db.shard).await?;
    transaction.commit().await
}

/// Takes what is to be planned out of what is not planned yet; the positions of those that were in it.
async fn take(transaction: &Transaction, plans: &[Plan]) -> Result<BTreeSet<i64>, Failure> {
    let positions: Array<i64> = plans.iter().map(|plan| plan.position.0).collect();
    let sql = "DELETE FROM unplanned WHERE position = ANY($1) RETURNING position";
    transaction.query(sql, &[&positions]).await?.iter().map(|row| row.get(0)).collect()
}

/// Keeps for runs of events which handlers did not get them. A run has no gap: what is missing in one may still come.
async fn keep_verdicts(transaction: &Transaction, plans: &[&Plan], now: Timestamp) -> Result<(), Failure> {
    if plans.is_empty() {
        return Ok(());
    }
    let follows =
        |one: &&Plan, other: &&Plan| one.not_routed == other.not_routed && one.position.0 + 1 == other.position.0;
    let runs: Vec<(i64, i64, String)> = plans
        .chunk_by(follows)
        .filter_map(|run| {
            Some((run.first()?.position.0, run.last()?.position.0, rows::to_json(&run.first()?.not_routed)))
        })
        .collect();
    let verdicts = verdicts(transaction, runs.iter().map(|(_, _, json)| json.as_str()).collect()).await?;
    let sql = "INSERT INTO plans (first, last, planned_at, verdict)
               SELECT n.first, n.last, $3, n.verdict FROM unnest($1, $2, $4) AS n (first, last, verdict)";
    transaction
        .execute(
            sql,
            &[
                &runs.iter().map(|(first, _, _)| *first).collect::<Array<_>>(),
                &runs.iter().map(|(_, last, _)| *last).collect::<Array<_>>(),
                &now.as_millisecond(),
                &runs.iter().map(|(_, _, json)| verdicts.get(json).copied()).collect::<Array<_>>(),
            ],
        )
        .await
        .map(drop)
}

/// The ids of verdicts, which are made where they are not there, and stay until the end of the transaction.
async fn verdicts(transaction: &Transaction, texts: BTreeSet<&str>) -> Result<HashMap<String, i64>, Failure> {
    let sql = "INSERT INTO verdicts (hash, not_routed) SELECT * FROM unnest($1, $2)
               ON CONFLICT (hash) DO UPDATE SET hash = EXCLUDED.hash RETURNING not_routed, id";
    let hashes: Array<[u8; 32]> = texts.iter().map(|text| Sha256::digest(text).into()).collect();
    let rows = transaction.query(sql, &[&hashes, &texts.into_iter().collect::<Array<_>>()]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}
