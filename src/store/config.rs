//! What can be set about the store, of whatever kind it is.

use std::path::Path;
use std::time::Duration;

use super::{PostgresSettings, SqliteSettings};

/// For how long a body stands for its event (rulings 4 and 5), in milliseconds.
pub(super) const DAY_MS: i64 = 24 * 3600 * 1000;

/// How many duplicates of an event are kept; the rest is counted (ruling 8).
pub(super) const RECEIPTS_MAX: i64 = 100;

/// What a lost attempt is remembered as.
pub(super) const LOST: &str = "the process ended, or the lease ran out, while it was under way";

/// For how long an event's id is remembered at the least (ruling 8).
pub const REMEMBER_MIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// For how long an event is kept where nobody says.
pub(super) const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// The settings of the store.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it is.
    pub place: Place,
    /// How long an event is kept; `None` for ever.
    pub retention: Option<Duration>,
    /// From how many bytes on the oldest events go, whatever their age; `None` is no bound.
    pub max_size: Option<u64>,
}

/// Where everything is kept, with what can be set for that kind of store only.
#[derive(Debug, Clone)]
pub enum Place {
    /// A file of one process.
    Sqlite(SqliteSettings),
    /// A database that many processes share.
    Postgres(Box<PostgresSettings>),
}

impl Default for Config {
    fn default() -> Config {
        Config { place: Place::Sqlite(SqliteSettings::default()), retention: Some(RETENTION), max_size: None }
    }
}

impl Config {
    /// Sets how long an event is kept, and with it how long its id is remembered (ruling 8).
    pub fn set_retention(&mut self, retention: Option<Duration>) {
        self.retention = retention;
        let remember = retention.map_or(Duration::MAX, |retention| retention.max(REMEMBER_MIN));
        match &mut self.place {
            Place::Sqlite(settings) => settings.remember = remember,
            Place::Postgres(settings) => settings.remember = remember,
        }
    }
}

impl Place {
    /// The settings of an embedded store, where it is one.
    #[must_use]
    pub fn embedded(&self) -> Option<&SqliteSettings> {
        match self {
            Place::Sqlite(settings) => Some(settings),
            Place::Postgres(_) => None,
        }
    }

    /// The folder of the database, where generated secrets lie as well. A database that is shared has none: a secret
    /// that one process made would be unknown to the others.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.embedded().map(SqliteSettings::folder)
    }

    /// Below how many free bytes of the disk nothing is taken any more; 0 where the disk is another machine's affair.
    #[must_use]
    pub fn min_free(&self) -> u64 {
        self.embedded().map_or(0, |settings| settings.min_free)
    }
}
