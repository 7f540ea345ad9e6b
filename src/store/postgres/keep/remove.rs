//! Removing events with everything that belongs to them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::failure::Failure;
use super::super::lanes::{self, Lane};
use super::super::pool::Transaction;
use super::super::statement::{Array, Row};
use super::super::tallies::Tallies;
use super::super::{Database, rows};
use super::{plans, space};
use crate::model::{DeliveryState, HandlerName};

/// What went.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// How many events.
    pub(super) events: u64,
    /// How many of their deliveries were pending.
    pub(super) pending: u64,
    /// What is to be counted at the end of the transaction.
    pub(super) tallies: Tallies,
}

/// Removes events, their duplicates, receipts, deliveries and attempts, and what they are found by; but for those that
/// are pending for one of these handlers.
///
/// Whoever adds something to an event has its row, or its place among those that wait, and so either comes before this,
/// and what it added is seen here, or finds it gone.
pub(super) async fn events(
    db: &Database,
    transaction: &Transaction,
    positions: &[i64],
    but_for: Option<&[HandlerName]>,
) -> Result<Removed, Failure> {
    let mut removed = Removed::default();
    if positions.is_empty() {
        return Ok(removed);
    }
    let Taken { mut there, uncatalogued } = Taken::of(transaction, positions).await?;
    let mut deliveries = locked(db, transaction, &there).await?;
    if let Some(known) = but_for {
        let needed = deliveries.iter().filter(|delivery| delivery.is_needed(known));
        let needed: BTreeSet<i64> = needed.map(|delivery| delivery.position).collect();
        there.retain(|position, _| !needed.contains(position));
        deliveries.retain(|delivery| !needed.contains(&delivery.position));
    }
    let gone: Array<i64> = there.keys().copied().collect();
    delete(transaction, &gone, &deliveries).await?;
    let mut lanes: BTreeMap<Lane<'_>, i64> = BTreeMap::new();
    for delivery in &deliveries {
        removed.tallies.add(&delivery.handler, delivery.state, -1);
        removed.pending += u64::from(delivery.state == DeliveryState::Pending);
        // Whoever waited behind it in its lane has waited long enough.
        lanes.extend(delivery.waits_in().map(|lane| (lane, delivery.planned_at)));
    }
    lanes::go_on(transaction, &lanes).await?;
    plans::trim(transaction, &gone).await?;
    removed.events = there.len() as u64;
    removed.tallies.add_events(-rows::limit(there.len()));
    let (not_counted, counted): (Vec<_>, Vec<_>) =
        there.iter().partition(|(position, _)| uncatalogued.contains(position));
    let sum = |of: Vec<(&i64, &i64)>| of.into_iter().map(|(_, bytes)| bytes).sum::<i64>();
    space::less_bytes(transaction, sum(counted), sum(not_counted)).await?;
    Ok(removed)
}

/// What is there of some events; nobody adds anything to them until the end of the transaction.
struct Taken {
    /// The events, each with its bytes.
    there: BTreeMap<i64, i64>,
    /// Those that are not in the catalogue.
    uncatalogued: BTreeSet<i64>,
}

impl Taken {
    async fn of(transaction: &Transaction, positions: &[i64]) -> Result<Taken, Failure> {
        let asked = Array(positions.to_vec());
        let sql = "SELECT position FROM unplanned WHERE position = ANY ($1) ORDER BY position FOR UPDATE";
        transaction.query(sql, &[&asked]).await?;
        let sql = "SELECT position FROM uncatalogued WHERE position = ANY ($1) ORDER BY position FOR UPDATE";
        let uncatalogued = transaction.query(sql, &[&asked]).await?;
        let sql = format!(
            "SELECT e.position, {} FROM events e WHERE e.position = ANY ($1) ORDER BY e.position FOR UPDATE",
            space::BYTES
        );
        let there = transaction.query(&sql, &[&asked]).await?;
        Ok(Taken {
            there: there.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect::<Result<_, Failure>>()?,
            uncatalogued: uncatalogued.iter().map(|row| row.get(0)).collect::<Result<_, Failure>>()?,
        })
    }
}

async fn delete(transaction: &Transaction, gone: &Array<i64>, deliveries: &[Delivery]) -> Result<(), Failure> {
    let ids: Array<i64> = deliveries.iter().map(|delivery| delivery.id).collect();
    transaction.execute("DELETE FROM attempts WHERE delivery = ANY ($1)", &[&ids]).await?;
    transaction.execute("DELETE FROM deliveries WHERE id = ANY ($1)", &[&ids]).await?;
    for table in ["unplanned", "uncatalogued", "terms", "receipts", "duplicates", "events"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE position = ANY ($1)"), &[gone]).await?;
    }
    Ok(())
}

struct Delivery {
    id: i64,
    position: i64,
    handler: String,
    lane: Option<String>,
    state: DeliveryState,
    planned_at: i64,
}

/// The deliveries of some events, which nobody changes until the end of the transaction, nor who is in their lanes.
async fn locked(db: &Database, transaction: &Transaction, of: &BTreeMap<i64, i64>) -> Result<Vec<Delivery>, Failure> {
    let positions: Array<i64> = of.keys().copied().collect();
    let seen = deliveries(transaction, &positions, "").await?;
    lanes::lock(db, transaction, &seen.iter().filter_map(Delivery::waits_in).collect()).await?;
    deliveries(transaction, &positions, "FOR UPDATE").await
}

async fn deliveries(transaction: &Transaction, positions: &Array<i64>, lock: &str) -> Result<Vec<Delivery>, Failure> {
    let sql = format!(
        "SELECT id, position, handler, lane, state, planned_at FROM deliveries WHERE position = ANY ($1)
         ORDER BY id {lock}"
    );
    transaction.query(&sql, &[positions]).await?.iter().map(Delivery::from_row).collect()
}

impl Delivery {
    fn from_row(row: &Row) -> Result<Delivery, Failure> {
        Ok(Delivery {
            id: row.get(0)?,
            position: row.get(1)?,
            handler: row.get(2)?,
            lane: row.get(3)?,
            state: rows::state(row, 4)?,
            planned_at: row.get(5)?,
        })
    }

    /// Whether it is pending for one of these handlers.
    fn is_needed(&self, known: &[HandlerName]) -> bool {
        self.state == DeliveryState::Pending && known.iter().any(|handler| handler.as_str() == self.handler)
    }

    /// The lane that it waits in, where it does.
    fn waits_in(&self) -> Option<Lane<'_>> {
        let lane = self.lane.as_deref().filter(|_| self.state == DeliveryState::Pending)?;
        Some((&self.handler, lane))
    }
}
