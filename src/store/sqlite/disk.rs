//! Whether the disk has room for more: looked at now and then, beside the writer (ruling 23).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::contract::Brand;
use crate::store::{DiskFree, SqliteSettings, StoreError};

/// The disk that the database is on.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    free: DiskFree,
    min_free: u64,
    nearly_full: AtomicBool,
}

impl Disk {
    /// The disk of a store that is being opened.
    pub(super) fn new(config: &SqliteSettings) -> Disk {
        let (path, free) = (config.path.clone(), config.disk_free.clone());
        let disk = Disk { path, free, min_free: config.min_free, nearly_full: AtomicBool::new(false) };
        disk.look();
        disk
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn free(&self) -> &DiskFree {
        &self.free
    }

    /// Looks how much room there is. A disk that does not say has room until it fails.
    pub(super) fn look(&self) {
        let free = self.free.now(&self.path);
        let nearly_full = free.is_some_and(|free| free < self.min_free);
        if self.nearly_full.swap(nearly_full, Ordering::Relaxed) != nearly_full {
            if nearly_full {
                tracing::error!(free, min_free = self.min_free, "the disk is nearly full; nothing more is taken");
            } else {
                tracing::info!(free, "the disk has room again; requests are taken");
            }
        }
    }

    /// Whether there is room.
    ///
    /// # Errors
    /// With [`StoreError::Full`] where there is not.
    pub(super) fn has_room(&self) -> Result<(), StoreError> {
        if self.nearly_full.load(Ordering::Relaxed) { Err(StoreError::Full) } else { Ok(()) }
    }

    /// Whether there is room for what comes in of a brand; there always is for our own few words.
    ///
    /// # Errors
    /// With [`StoreError::Full`] where there is not.
    pub(super) fn has_room_for(&self, brand: Brand) -> Result<(), StoreError> {
        if brand == Brand::Workhook { Ok(()) } else { self.has_room() }
    }
}
