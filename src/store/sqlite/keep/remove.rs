//! Removing an event with everything that belongs to it.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::delivery_lists::tally;
use super::super::{catalogue, deliveries, rows};
use crate::model::DeliveryState;

/// What went.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// Whether there was such an event.
    pub(super) event: bool,
    /// How many of its deliveries were pending.
    pub(super) pending: u64,
}

/// Removes an event, its duplicates, receipts, deliveries and attempts; its entry in the catalogue is known to be stale.
pub(super) fn event(connection: &Connection, position: i64) -> rusqlite::Result<Removed> {
    if connection.prepare_cached("DELETE FROM events WHERE position = ?1")?.execute([position])? == 0 {
        return Ok(Removed::default());
    }
    for table in ["duplicates", "receipts"] {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE position = ?1"))?.execute([position])?;
    }
    let mut pending = 0;
    for delivery in deliveries_of(connection, position)? {
        remove_delivery(connection, &delivery)?;
        pending += u64::from(delivery.state == DeliveryState::Pending);
    }
    catalogue::removed(connection, position)?;
    let (planned, catalogued) = (deliveries::mark(connection, "planned")?, deliveries::mark(connection, "catalogued")?);
    if position > planned.min(catalogued) {
        // Whoever counts what is behind a mark, or plans what was read before, has to know.
        connection.prepare_cached("INSERT OR IGNORE INTO gaps (position) VALUES (?1)")?.execute([position])?;
    }
    connection.prepare_cached("DELETE FROM gaps WHERE position <= ?1")?.execute([planned.min(catalogued)])?;
    deliveries::set_mark(connection, "removed", deliveries::mark(connection, "removed")? + 1)?;
    Ok(Removed { event: true, pending })
}

struct Delivery {
    id: i64,
    handler: String,
    lane: Option<String>,
    state: DeliveryState,
    planned_at: i64,
}

fn deliveries_of(connection: &Connection, position: i64) -> rusqlite::Result<Vec<Delivery>> {
    connection
        .prepare_cached("SELECT id, handler, lane, state, planned_at FROM deliveries WHERE position = ?1")?
        .query_map([position], |row| {
            Ok(Delivery {
                id: row.get(0)?,
                handler: row.get(1)?,
                lane: row.get(2)?,
                state: rows::state(row, 3)?,
                planned_at: row.get(4)?,
            })
        })?
        .collect()
}

fn remove_delivery(connection: &Connection, delivery: &Delivery) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM attempts WHERE delivery = ?1")?.execute([delivery.id])?;
    connection.prepare_cached("DELETE FROM deliveries WHERE id = ?1")?.execute([delivery.id])?;
    tally(connection, &delivery.handler, delivery.state, -1)?;
    if delivery.state == DeliveryState::Pending {
        // Whoever waited behind it in its lane has waited long enough.
        deliveries::go_on(connection, &delivery.handler, delivery.lane.as_deref(), delivery.planned_at)?;
    }
    Ok(())
}

/// Removes the plans in which no event is left, and the verdicts that no plan speaks of any more.
pub(super) fn trim_plans(connection: &Connection, gone: &[i64]) -> rusqlite::Result<()> {
    let mut seen = BTreeSet::new();
    for position in gone {
        let plan: Option<(i64, i64, i64)> = connection
            .prepare_cached("SELECT first, last, verdict FROM plans WHERE first <= ?1 ORDER BY first DESC LIMIT 1")?
            .query_row([position], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((first, last, verdict)) = plan.filter(|(_, last, _)| last >= position) else { continue };
        if !seen.insert(first) {
            continue;
        }
        let empty: bool = connection
            .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM events WHERE position BETWEEN ?1 AND ?2)")?
            .query_row(params![first, last], |row| row.get(0))?;
        if empty {
            connection.prepare_cached("DELETE FROM plans WHERE first = ?1")?.execute([first])?;
            connection
                .prepare_cached(
                    "DELETE FROM verdicts WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM plans WHERE verdict = ?1)",
                )?
                .execute([verdict])?;
        }
    }
    Ok(())
}
