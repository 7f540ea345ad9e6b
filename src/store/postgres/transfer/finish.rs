//! What is kept beside the rows: made anew from them when a copy is whole.

use super::super::failure::Failure;
use super::super::pool::{Pool, Transaction};
use crate::store::transfer::{Filled, Given};

pub(super) async fn given(pool: &Pool) -> Result<Given, Failure> {
    let transaction = pool.begin_reading().await?;
    let given = Given {
        position: last(&transaction, "events", "position").await?,
        delivery: last(&transaction, "deliveries", "id").await?,
        rejected: last(&transaction, "rejected", "id").await?,
        replay: last(&transaction, "replays", "id").await?,
    };
    transaction.commit().await?;
    Ok(given)
}

/// The last number that a table gave, whoever rolled that back.
async fn last(transaction: &Transaction, table: &str, column: &str) -> Result<i64, Failure> {
    let sql = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence($1, $2)::regclass), 0)";
    transaction.query_one(sql, &[&table, &column]).await?.get(0)
}

pub(super) async fn finish(pool: &Pool, given: Given, filled: &Filled) -> Result<(), Failure> {
    let transaction = pool.begin().await?;
    let numbered = [
        ("events", "position", given.position),
        ("deliveries", "id", given.delivery),
        ("rejected", "id", given.rejected),
        ("replays", "id", given.replay),
    ];
    for (table, column, last) in numbered {
        let sql = "SELECT setval(pg_get_serial_sequence($1, $2)::regclass, greatest($3, 1), $3 > 0)";
        transaction.query(sql, &[&table, &column, &last]).await?;
    }
    for made in [
        "INSERT INTO tallies (handler, state, shard, count)
         SELECT handler, state, 0, count(*) FROM deliveries GROUP BY handler, state",
        "INSERT INTO totals (name, shard, count) SELECT 'events', 0, count(*) FROM events",
        "UPDATE marks SET value = (SELECT coalesce(sum(length(body) + length(headers)), 0) FROM rejected)
         WHERE name = 'rejected_bytes'",
        // What was copied of this store before, when it was empty, is no copy of what it has now.
        "DELETE FROM copying WHERE role IN ('to', 'from')",
    ] {
        transaction.execute(made, &[]).await?;
    }
    let sql = "INSERT INTO copying (role, copy, tables, next) VALUES ('filled', $1, 0, $2)
               ON CONFLICT (role) DO UPDATE SET copy = EXCLUDED.copy, next = EXCLUDED.next";
    transaction.execute(sql, &[&filled.copy, &filled.of]).await?;
    transaction.commit().await
}
