//! What every verb works with: connections, and what this process is among others.

use tokio::sync::Notify;
use uuid::Uuid;

use super::duties::Duties;
use super::pool::Pool;
use super::presence::Presence;
use super::{migrate, tallies};
use crate::wake::{Wake, Wakes};

/// What every verb works with.
pub(super) struct Database {
    /// For everything but storing events.
    pub(super) pool: Pool,
    /// The schema that the tables are in.
    pub(super) schema: String,
    /// This process, as long as the store is open, and what it is called where people look.
    pub(super) process: Uuid,
    pub(super) name: String,
    /// Where this process counts.
    pub(super) shard: i64,
    /// Whether others may take it for gone.
    pub(super) presence: Presence,
    /// What it does for all.
    pub(super) duties: Duties,
    pub(super) wakes: Wakes,
    /// That there is something to tell other processes.
    pub(super) to_tell: Notify,
}

impl Database {
    pub(super) fn new(pool: Pool, schema: String, wakes: &Wakes) -> Database {
        let process = Uuid::now_v7();
        Database {
            pool,
            schema,
            process,
            name: own_name(),
            shard: i64::from(process.as_bytes()[15]) % tallies::SHARDS,
            presence: Presence::default(),
            duties: Duties::default(),
            wakes: wakes.clone(),
            to_tell: Notify::new(),
        }
    }

    /// The key of a lock that is held until the end of a transaction.
    pub(super) fn lock_key(&self, what: &str) -> i64 {
        migrate::lock_key(&self.schema, what)
    }

    /// Hints here at once, and elsewhere soon, that there is something to do.
    pub(super) fn hint(&self, wake: &Wake) {
        wake.wake();
        self.tell_others();
    }

    /// Has other processes look.
    pub(super) fn tell_others(&self) {
        self.to_tell.notify_one();
    }
}

/// What this process is called where people look: its machine, where that is known, and its number.
fn own_name() -> String {
    let number = std::process::id();
    std::env::var("HOSTNAME").map_or_else(|_| format!("process {number}"), |host| format!("{host}:{number}"))
}
