//! What can be set about the store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::DiskFree;

/// For how long an event's id is remembered at the least (ruling 8).
pub const REMEMBER_MIN: Duration = Duration::from_secs(7 * 24 * 3600);

const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// The settings of the store.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database file.
    pub path: PathBuf,
    /// How long an event's id is remembered, so that it is not handled twice (ruling 8).
    pub remember: Duration,
    /// How long an event is kept; `None` for ever.
    pub retention: Option<Duration>,
    /// From how many bytes on the oldest events go, whatever their age; `None` is no bound.
    pub max_size: Option<u64>,
    /// Below how many free bytes of the disk nothing is taken any more.
    pub min_free: u64,
    /// Who tells how much room the disk has.
    pub disk_free: DiskFree,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            path: PathBuf::from("workhook-data/workhook.db"),
            remember: RETENTION,
            retention: Some(RETENTION),
            max_size: None,
            min_free: 256 << 20,
            disk_free: DiskFree::default(),
        }
    }
}

impl Config {
    /// The folder of the database, where generated secrets lie as well.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Sets how long an event is kept, and with it how long its id is remembered (ruling 8).
    pub fn set_retention(&mut self, retention: Option<Duration>) {
        self.retention = retention;
        self.remember = retention.map_or(Duration::MAX, |retention| retention.max(REMEMBER_MIN));
    }
}
