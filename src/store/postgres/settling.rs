//! Settling: results that arrive while others are being kept are kept together after them.
//!
//! What always holds: a result is kept if it is of the latest claim, and else refused; whoever is behind in the lane
//! goes on in the same transaction; and one that comes again, because nobody heard that it was kept, is kept already,
//! unless its attempt was replaced or removed since.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::Database;
use super::attempts::{self, Kept};
use super::failure::Failure;
use super::lanes::{self, Lane};
use super::pool::{Transaction, WORK_MAX};
use super::statement::Array;
use super::tallies::Tallies;
use crate::model::{Attempt, DeliveryId, DeliveryState, NextStep, Settlement};
use crate::store::{Settled, StoreError};

/// The most results in one transaction.
const BATCH_MAX: usize = 256;
/// The most results that wait.
const WAITING_MAX: usize = 8192;

/// Takes results, and hands them to the task that keeps them.
#[derive(Default)]
pub(super) struct Settling {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    closed: bool,
}

struct Waiting {
    settlement: Settlement,
    reply: oneshot::Sender<Result<Settled, StoreError>>,
}

impl Settling {
    /// Hands a result over. When the future is dropped, it is kept all the same.
    pub(super) async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.lock();
            if queue.closed {
                return Err(StoreError::Ended);
            }
            if queue.waiting.len() >= WAITING_MAX {
                return Err(StoreError::Busy);
            }
            queue.waiting.push_back(Waiting { settlement, reply });
        }
        self.arrived.notify_one();
        answer.await.unwrap_or(Err(StoreError::Ended))
    }

    /// Takes nothing more; what is waiting is still kept.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// The task's work: until it is closed and nothing waits.
    pub(super) async fn run(&self, db: &Database) {
        while let Some(batch) = self.next().await {
            let (settlements, replies): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|waiting| (waiting.settlement, waiting.reply)).unzip();
            for (reply, settled) in replies.into_iter().zip(settle(db, &settlements).await) {
                // Whoever asked may be gone; what was kept stands.
                let _ = reply.send(settled);
            }
        }
    }

    async fn next(&self) -> Option<Vec<Waiting>> {
        loop {
            {
                let mut queue = self.lock();
                let batch = queue.take();
                if !batch.is_empty() {
                    return Some(batch);
                }
                if queue.closed {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Of each delivery one at a time, so that the second sees what became of the first.
    fn take(&mut self) -> Vec<Waiting> {
        let (mut seen, mut batch) = (HashSet::new(), Vec::new());
        while batch.len() < BATCH_MAX && self.waiting.front().is_some_and(|waiting| seen.insert(waiting.settlement.id))
        {
            batch.extend(self.waiting.pop_front());
        }
        batch
    }
}

/// Keeps results together, and where one of them cannot be kept, each by itself.
async fn settle(db: &Database, settlements: &[Settlement]) -> Vec<Result<Settled, StoreError>> {
    match db.pool.within(WORK_MAX, || together(db, settlements)).await {
        Ok(settled) => settled.into_iter().map(Ok).collect(),
        Err(failure) if failure.is_about_a_row() && settlements.len() > 1 => {
            let mut settled = Vec::new();
            for settlement in settlements.chunks(1) {
                settled.extend(Box::pin(settle(db, settlement)).await);
            }
            settled
        }
        Err(failure) => {
            tracing::error!(error = %failure, results = settlements.len(), "results of attempts were not kept");
            let failure = Arc::new(failure);
            settlements.iter().map(|_| Err(Failure::Shared(Arc::clone(&failure)).into())).collect()
        }
    }
}

/// What becomes of a delivery.
struct Next<'a> {
    state: DeliveryState,
    ready_at: Option<i64>,
    reason: Option<&'a str>,
    settled_at: Option<i64>,
    /// How many attempts less.
    uncounted: i64,
}

impl<'a> Next<'a> {
    fn of(settlement: &'a Settlement) -> Next<'a> {
        let message = settlement.outcome.as_ref().map(|outcome| outcome.message.as_str());
        let (state, ready_at, reason) = match &settlement.next {
            NextStep::Delivered => (DeliveryState::Delivered, None, None),
            NextStep::RetryAt(time) | NextStep::WaitUntil(time) => (DeliveryState::Pending, Some(time), message),
            NextStep::Dead(reason) => (DeliveryState::Dead, None, Some(reason.as_str())),
        };
        let counts = settlement.outcome.is_some() && !matches!(settlement.next, NextStep::WaitUntil(_));
        Next {
            state,
            ready_at: ready_at.map(|time| time.as_millisecond()),
            reason,
            settled_at: (state != DeliveryState::Pending).then(|| settlement.at.as_millisecond()),
            uncounted: i64::from(!counts),
        }
    }
}

type Place = (String, Option<String>);

async fn together(db: &Database, settlements: &[Settlement]) -> Result<Vec<Settled>, Failure> {
    let transaction = db.pool.begin().await?;
    let places = places(&transaction, settlements).await?;
    let nexts: Vec<Next<'_>> = settlements.iter().map(Next::of).collect();
    let at_their_end = settlements.iter().zip(&nexts).filter(|(_, next)| next.state != DeliveryState::Pending);
    let at_their_end: Vec<_> = at_their_end.map(|(settlement, _)| settlement).collect();
    let lane_of = |id: &DeliveryId| -> Option<Lane<'_>> {
        places.get(id).and_then(|(handler, lane)| Some((handler.as_str(), lane.as_deref()?)))
    };
    let lanes: BTreeSet<Lane<'_>> = at_their_end.iter().filter_map(|settlement| lane_of(&settlement.id)).collect();
    lanes::lock(db, &transaction, &lanes).await?;
    let kept = update(&transaction, settlements, &nexts).await?;
    let is_kept = |settlement: &Settlement| kept.contains(&settlement.id);
    let before = kept_before(&transaction, settlements.iter().zip(&nexts).filter(|(one, _)| !is_kept(one))).await?;
    let mut outcomes = Vec::new();
    let mut tallies = Tallies::default();
    let mut go_on: BTreeMap<Lane<'_>, i64> = BTreeMap::new();
    for (settlement, next) in settlements.iter().zip(&nexts).filter(|(settlement, _)| is_kept(settlement)) {
        outcomes.extend(attempt_of(settlement));
        if next.state != DeliveryState::Pending {
            if let Some((handler, _)) = places.get(&settlement.id) {
                tallies.moved(handler, DeliveryState::Pending, next.state, 1);
            }
            go_on.extend(lane_of(&settlement.id).map(|lane| (lane, settlement.at.as_millisecond())));
        }
    }
    attempts::keep(&transaction, &outcomes).await?;
    lanes::go_on(&transaction, &go_on).await?;
    tallies.write(&transaction, db.shard).await?;
    transaction.commit().await?;
    let settled = settlements.iter().map(|settlement| is_kept(settlement) || before.contains(&settlement.id));
    Ok(settled.map(|kept| if kept { Settled::Kept } else { Settled::LostLease }).collect())
}

/// The attempt that a result is of, where there was one.
fn attempt_of(settlement: &Settlement) -> Option<Kept> {
    let attempt = Attempt { number: settlement.attempt, outcome: settlement.outcome.clone()? };
    Some(Kept { delivery: settlement.id, epoch: settlement.epoch, attempt })
}

/// The handler and the lane of each; neither ever changes while it is claimed.
async fn places(transaction: &Transaction, settlements: &[Settlement]) -> Result<HashMap<DeliveryId, Place>, Failure> {
    let ids: Array<i64> = settlements.iter().map(|settlement| settlement.id.0).collect();
    let sql = "SELECT id, handler, lane FROM deliveries WHERE id = ANY($1)";
    let rows = transaction.query(sql, &[&ids]).await?;
    rows.iter().map(|row| Ok((DeliveryId(row.get(0)?), (row.get(1)?, row.get(2)?)))).collect()
}

/// Changes those whose claim is the latest; which ones.
async fn update(
    transaction: &Transaction,
    settlements: &[Settlement],
    nexts: &[Next<'_>],
) -> Result<HashSet<DeliveryId>, Failure> {
    let sql = "UPDATE deliveries d SET state = n.state, ready_at = n.ready_at, reason = n.reason, claimed = false,
                   claimed_by = NULL, settled_at = n.settled_at, attempts = d.attempts - n.uncounted
               FROM unnest($1, $2, $3, $4, $5, $6, $7)
                   AS n (id, epoch, state, ready_at, reason, settled_at, uncounted)
               WHERE d.id = n.id AND d.epoch = n.epoch AND d.claimed RETURNING d.id";
    let rows = transaction
        .query(
            sql,
            &[
                &settlements.iter().map(|settlement| settlement.id.0).collect::<Array<_>>(),
                &settlements.iter().map(|settlement| settlement.epoch).collect::<Array<_>>(),
                &nexts.iter().map(|next| next.state.as_str()).collect::<Array<_>>(),
                &nexts.iter().map(|next| next.ready_at).collect::<Array<_>>(),
                &nexts.iter().map(|next| next.reason).collect::<Array<_>>(),
                &nexts.iter().map(|next| next.settled_at).collect::<Array<_>>(),
                &nexts.iter().map(|next| next.uncounted).collect::<Array<_>>(),
            ],
        )
        .await?;
    rows.iter().map(|row| row.get(0).map(DeliveryId)).collect()
}

/// Which of these results were kept before: the commit was done, and its answer was lost on its way. A claim has one
/// result, so it is known again by what is kept of its attempt; and where none was made, by its delivery, as long as
/// nobody changed that.
async fn kept_before<'a>(
    transaction: &Transaction,
    refused: impl Iterator<Item = (&'a Settlement, &'a Next<'a>)>,
) -> Result<HashSet<DeliveryId>, Failure> {
    let (tried, not_tried): (Vec<_>, Vec<_>) = refused.partition(|(settlement, _)| settlement.outcome.is_some());
    let tried: Vec<Kept> = tried.iter().filter_map(|(settlement, _)| attempt_of(settlement)).collect();
    let mut known = attempts::known(transaction, &tried).await?;
    if not_tried.is_empty() {
        return Ok(known);
    }
    let sql = "SELECT d.id FROM unnest($1, $2, $3, $4, $5, $6) AS n (id, epoch, state, ready_at, reason, settled_at)
               JOIN deliveries d ON d.id = n.id AND d.epoch = n.epoch AND NOT d.claimed AND d.state = n.state
                   AND (d.ready_at, d.reason, d.settled_at) IS NOT DISTINCT FROM (n.ready_at, n.reason, n.settled_at)";
    let settlements = || not_tried.iter().map(|(settlement, _)| settlement);
    let nexts = || not_tried.iter().map(|(_, next)| next);
    let rows = transaction
        .query(
            sql,
            &[
                &settlements().map(|settlement| settlement.id.0).collect::<Array<_>>(),
                &settlements().map(|settlement| settlement.epoch).collect::<Array<_>>(),
                &nexts().map(|next| next.state.as_str()).collect::<Array<_>>(),
                &nexts().map(|next| next.ready_at).collect::<Array<_>>(),
                &nexts().map(|next| next.reason).collect::<Array<_>>(),
                &nexts().map(|next| next.settled_at).collect::<Array<_>>(),
            ],
        )
        .await?;
    for row in rows {
        known.insert(DeliveryId(row.get(0)?));
    }
    Ok(known)
}
