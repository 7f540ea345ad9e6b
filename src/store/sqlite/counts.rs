//! How much there is of what, without counting row by row.

use rusqlite::{Connection, OptionalExtension};

use super::{catalogue, deliveries, delivery_lists, lists, rows};
use crate::model::DeliveryState;
use crate::store::Counts;

pub(super) fn counts(connection: &Connection) -> rusqlite::Result<Counts> {
    let (last, planned) = (lists::last_position(connection)?, deliveries::mark(connection, "planned")?);
    let handlers = delivery_lists::handlers(connection)?;
    let of_state = |state: DeliveryState| {
        let counts = handlers.iter().flat_map(|handler| &handler.deliveries);
        (state, counts.filter(|(own, _)| *own == state).map(|(_, count)| count).sum::<u64>())
    };
    let oldest_unplanned = connection
        .prepare_cached("SELECT received_at FROM events WHERE position > ?1 ORDER BY position LIMIT 1")?
        .query_row([planned], |row| row.get(0).map(rows::time))
        .optional()?;
    let rejected =
        connection.prepare_cached("SELECT count(*) FROM rejected")?.query_row([], |row| row.get(0).map(rows::count))?;
    let lanes = connection
        .prepare_cached("SELECT handler, count(*) FROM deliveries WHERE ready_at IS NOT NULL GROUP BY handler")?
        .query_map([], |row| Ok((rows::handler_name(row, 0)?, rows::count(row.get(1)?))))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Counts {
        // Positions are given without a gap, and what was removed is counted.
        events: rows::count(last - deliveries::mark(connection, "removed")?),
        unplanned: rows::count(lists::behind(connection, planned)?),
        oldest_unplanned,
        uncatalogued: rows::count(catalogue::behind(connection)?),
        deliveries: DeliveryState::ALL.map(of_state).into_iter().filter(|(_, count)| *count > 0).collect(),
        rejected,
        oldest_pending: handlers.iter().filter_map(|handler| handler.oldest_pending).min(),
        lanes,
    })
}
