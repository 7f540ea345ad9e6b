//! What can be set about the store.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The settings of the store.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database file.
    pub path: PathBuf,
    /// How long an event's id is remembered, so that it is not handled twice (ruling 8).
    pub remember: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config { path: PathBuf::from("workhook-data/workhook.db"), remember: Duration::from_secs(30 * 24 * 3600) }
    }
}

impl Config {
    /// The folder of the database, where generated secrets lie as well.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}
