//! What can be set about the embedded store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::store::DiskFree;
use crate::store::config::RETENTION;

/// The settings of an embedded store.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database file.
    pub path: PathBuf,
    /// How long an event's id is remembered, so that it is not handled twice (ruling 8).
    pub remember: Duration,
    /// Below how many free bytes of the disk nothing is taken any more.
    pub min_free: u64,
    /// Who tells how much room the disk has.
    pub disk_free: DiskFree,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            path: PathBuf::from("workhook-data/workhook.db"),
            remember: RETENTION,
            min_free: 256 << 20,
            disk_free: DiskFree::default(),
        }
    }
}

impl Settings {
    /// The folder of the database, where generated secrets lie as well.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}
