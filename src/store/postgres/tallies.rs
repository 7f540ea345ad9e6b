//! What is counted as it goes: deliveries by handler and state, and events.
//!
//! What always holds: whoever counts does so at the end of a transaction, and in one order, so that processes wait for
//! each other shortly and never in a ring: deliveries first, each in its order, then events. Storing events counts them
//! by itself (`ingest/`), as the last thing that it waits for as well.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::pool::Transaction;
use super::statement::Array;
use crate::model::DeliveryState;

/// How many shards there are.
pub(super) const SHARDS: i64 = 64;

/// What a transaction changes in the tallies.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    deliveries: BTreeMap<(String, DeliveryState), i64>,
    events: i64,
}

impl Tallies {
    /// So many more in a state, or fewer.
    pub(super) fn add(&mut self, handler: &str, state: DeliveryState, count: i64) {
        *self.deliveries.entry((handler.to_owned(), state)).or_default() += count;
    }

    /// So many went from one state to another.
    pub(super) fn moved(&mut self, handler: &str, before: DeliveryState, after: DeliveryState, count: i64) {
        self.add(handler, before, -count);
        self.add(handler, after, count);
    }

    /// So many events more, or fewer.
    pub(super) fn add_events(&mut self, count: i64) {
        self.events += count;
    }

    /// Writes them; the last thing before the commit.
    pub(super) async fn write(&self, transaction: &Transaction, shard: i64) -> Result<(), Failure> {
        self.write_deliveries(transaction, shard).await?;
        if self.events == 0 {
            return Ok(());
        }
        let sql = "INSERT INTO totals AS t (name, shard, count) VALUES ('events', $1, $2)
                   ON CONFLICT (name, shard) DO UPDATE SET count = t.count + EXCLUDED.count";
        transaction.execute(sql, &[&shard, &self.events]).await.map(drop)
    }

    async fn write_deliveries(&self, transaction: &Transaction, shard: i64) -> Result<(), Failure> {
        let changed = || self.deliveries.iter().filter(|(_, count)| **count != 0);
        if changed().next().is_none() {
            return Ok(());
        }
        let handlers: Array<&str> = changed().map(|((handler, _), _)| handler.as_str()).collect();
        let states: Array<&str> = changed().map(|((_, state), _)| state.as_str()).collect();
        let counts: Array<i64> = changed().map(|(_, count)| *count).collect();
        let sql = "INSERT INTO tallies AS t (handler, state, shard, count)
                   SELECT n.handler, n.state, $4, n.count FROM unnest($1, $2, $3) AS n (handler, state, count)
                   ORDER BY n.handler COLLATE \"C\", n.state COLLATE \"C\"
                   ON CONFLICT (handler, state, shard) DO UPDATE SET count = t.count + EXCLUDED.count";
        transaction.execute(sql, &[&handlers, &states, &counts, &shard]).await.map(drop)
    }
}
