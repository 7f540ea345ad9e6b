//! How much there is of what, without counting row by row what there is much of.

use super::failure::Failure;
use super::pool::Transaction;
use super::{Database, delivery_lists, rows};
use crate::model::DeliveryState;
use crate::store::Counts;

pub(super) async fn counts(db: &Database) -> Result<Counts, Failure> {
    let transaction = db.pool.begin_reading().await?;
    let counts = all(&transaction).await?;
    transaction.commit().await?;
    Ok(counts)
}

async fn all(transaction: &Transaction) -> Result<Counts, Failure> {
    let handlers = delivery_lists::all_handlers(transaction).await?;
    let of_state = |state: DeliveryState| {
        let counts = handlers.iter().flat_map(|handler| &handler.deliveries);
        (state, counts.filter(|(own, _)| *own == state).map(|(_, count)| count).sum::<u64>())
    };
    let sql = "SELECT (SELECT coalesce(sum(count), 0)::bigint FROM totals WHERE name = 'events'),
                   (SELECT count(*) FROM unplanned), (SELECT count(*) FROM uncatalogued), (SELECT count(*) FROM rejected),
                   (SELECT e.received_at FROM unplanned u JOIN events e ON e.position = u.position
                    ORDER BY u.position LIMIT 1)";
    let row = transaction.query_one(sql, &[]).await?;
    let sql = "SELECT handler, count(*) FROM deliveries WHERE ready_at IS NOT NULL GROUP BY handler ORDER BY handler";
    let lanes = transaction.query(sql, &[]).await?;
    let lanes = lanes.iter().map(|row| Ok((rows::handler_name(row, 0)?, rows::count(row.get(1)?))));
    Ok(Counts {
        events: rows::count(row.get(0)?),
        unplanned: rows::count(row.get(1)?),
        oldest_unplanned: row.get::<Option<i64>>(4)?.map(rows::time),
        uncatalogued: rows::count(row.get(2)?),
        deliveries: DeliveryState::ALL.map(of_state).into_iter().filter(|(_, count)| *count > 0).collect(),
        rejected: rows::count(row.get(3)?),
        oldest_pending: handlers.iter().filter_map(|handler| handler.oldest_pending).min(),
        lanes: lanes.collect::<Result<_, Failure>>()?,
    })
}
