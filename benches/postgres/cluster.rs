//! A PostgreSQL server of its own, as `tests/postgres` starts it, and what it says of its work.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio_postgres::{Client, NoTls};
use workhook::secret::Secret;
use workhook::store::{Metrics, PostgresSettings, PostgresStore, Store};
use workhook::wake::Wakes;

use super::process;

/// What starts and stops it.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres");

/// A server; stopped and removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: PathBuf,
    /// The address of its first database.
    url: String,
    /// Its first process.
    pid: u32,
}

/// What it has done up to now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) cpu: Duration,
    /// Bytes of the write-ahead log.
    pub(crate) log_bytes: i64,
    /// How often that was synced.
    pub(crate) syncs: i64,
    /// Commits in this database.
    pub(crate) commits: i64,
    /// How large this database is.
    pub(crate) bytes: i64,
}

impl Cluster {
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Cluster> {
        let folder = folder.join("postgres");
        let started = Command::new(SCRIPT).arg("start").arg(&folder).output().context("tests/postgres")?;
        ensure!(started.status.success(), "tests/postgres: {}", String::from_utf8_lossy(&started.stderr));
        let url = String::from_utf8(started.stdout)?.trim().to_owned();
        // From here on it is stopped whatever happens.
        let mut cluster = Cluster { folder, url, pid: 0 };
        let pid = std::fs::read_to_string(cluster.folder.join("cluster/postmaster.pid"))?;
        cluster.pid = pid.lines().next().context("no pid")?.trim().parse()?;
        Ok(cluster)
    }

    /// A new database that has the tables; its address. All that was done before is on the disk.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<String> {
        let client = connect(&self.url).await?;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        let url = self.url.rsplit_once('/').map(|(server, _)| format!("{server}/{name}")).context("an address")?;
        open(&url).await?.close().await;
        client.batch_execute("CHECKPOINT").await?;
        Ok(url)
    }

    /// Removes a database that nobody uses any more.
    pub(crate) async fn remove(&self, name: &str) -> anyhow::Result<()> {
        Ok(connect(&self.url).await?.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await?)
    }

    /// What it has done up to now. What a connection did is counted when it ends, and now and then before.
    pub(crate) async fn work(&self, url: &str) -> anyhow::Result<Work> {
        let row = connect(url)
            .await?
            .query_one(
                "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint, (SELECT wal_sync FROM pg_stat_wal),
                     (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
                     pg_database_size(current_database())",
                &[],
            )
            .await?;
        let (log_bytes, syncs, commits, bytes) = (row.get(0), row.get(1), row.get(2), row.get(3));
        Ok(Work { cpu: self.cpu_time()?, log_bytes, syncs, commits, bytes })
    }

    /// The time that all its processes had on a core, with those that ended.
    fn cpu_time(&self) -> anyhow::Result<Duration> {
        // Its own, and that of its children that have ended.
        let mut time = process::of_ticks(process::fields(self.pid, [11, 12, 13, 14])?);
        for entry in std::fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if process::fields(pid, [1]).is_ok_and(|[parent]| parent == u64::from(self.pid)) {
                // It may end at this moment.
                time += process::cpu_time(pid).unwrap_or_default();
            }
        }
        Ok(time)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = Command::new(SCRIPT).arg("stop").arg(&self.folder).status();
    }
}

/// A connection for a few questions.
pub(crate) async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The store as a process opens it.
pub(crate) async fn open(url: &str) -> anyhow::Result<Arc<dyn Store>> {
    let settings = PostgresSettings::new(Secret::new(url.to_owned()));
    Ok(Arc::new(PostgresStore::open(&settings, &Wakes::default(), Metrics::default()).await?))
}
