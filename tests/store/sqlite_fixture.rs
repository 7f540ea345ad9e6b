//! SQLite as a kind of store.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;
use workhook::store::{SqliteSettings, SqliteStore, Store};
use workhook::wake::Wakes;

use crate::bench::{Fixture, REMEMBER};

/// A database in a folder of its own.
#[derive(Debug)]
pub(crate) struct SqliteFixture {
    folder: TempDir,
    /// How often it was killed; each time it goes on in another place.
    kills: u32,
}

impl SqliteFixture {
    pub(crate) fn config(&self) -> SqliteSettings {
        // Whatever room the machine has.
        SqliteSettings { path: self.database(), remember: REMEMBER, min_free: 0, ..SqliteSettings::default() }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join(self.kills.to_string()).join("workhook.db")
    }
}

#[async_trait]
impl Fixture for SqliteFixture {
    fn fresh() -> SqliteFixture {
        SqliteFixture { folder: tempfile::tempdir().unwrap(), kills: 0 }
    }

    fn kind(&self) -> &'static str {
        "sqlite"
    }

    async fn open(&mut self, wakes: &Wakes) -> Arc<dyn Store> {
        let (config, wakes) = (self.config(), wakes.clone());
        let open = tokio::task::spawn_blocking(move || SqliteStore::open(&config, &wakes));
        Arc::new(open.await.unwrap().unwrap())
    }

    /// Takes the files as they are while the store is open, which is what a kill leaves behind.
    async fn kill(&mut self, store: Arc<dyn Store>) {
        let from = self.database();
        self.kills += 1;
        let to = self.database();
        std::fs::create_dir(to.parent().unwrap()).unwrap();
        // The log comes second: what a checkpoint moves between the two is still in it.
        for (from, to) in [(&from, &to), (&from.with_extension("db-wal"), &to.with_extension("db-wal"))] {
            std::fs::copy(from, to).unwrap();
        }
        store.close().await;
    }
}
