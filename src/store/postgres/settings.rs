//! What can be set about the store on PostgreSQL.

use std::time::Duration;

use crate::secret::Secret;
use crate::store::config::RETENTION;

/// The settings of a store on PostgreSQL.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `postgres://user:password@host:port/database?sslmode=…`. A `search_path` in its `options` chooses the schema.
    pub url: Secret,
    /// The authorities that may speak for the server, in PEM. With them the server has to prove who it is, unless the
    /// address says otherwise; without them it has to where the address says `sslmode=verify-full`, to those that the
    /// machine trusts.
    pub ca: Option<Vec<u8>>,
    /// How many connections there are at the most, 4 at the least.
    pub connections: usize,
    /// Whether nothing is listened for, where a pooler knows no LISTEN.
    pub poll_only: bool,
    /// How long an event's id is remembered, so that it is not handled twice (ruling 8).
    pub remember: Duration,
}

impl Settings {
    /// The usual settings for a server.
    #[must_use]
    pub fn new(url: Secret) -> Settings {
        Settings { url, ca: None, connections: 16, poll_only: false, remember: RETENTION }
    }
}
