//! PostgreSQL as a kind of store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio_postgres::NoTls;
use workhook::secret::Secret;
use workhook::store::{Metrics, PostgresSettings, PostgresStore, Store};
use workhook::wake::Wakes;

use crate::bench::{Fixture, REMEMBER};

/// Where `tests/run` says that there is a server for tests.
const SERVER: &str = "WORKHOOK_TEST_POSTGRES";

/// A schema of its own in the database of the tests; it goes at the end.
#[derive(Debug)]
pub(crate) struct PostgresFixture {
    schema: String,
}

/// The address of the database of the tests.
pub(crate) fn server() -> String {
    std::env::var(SERVER).unwrap_or_else(|_| {
        panic!("{SERVER} is not set: these tests need a PostgreSQL server of their own; `tests/run` starts one")
    })
}

/// A connection of the test's own, in no particular schema.
pub(crate) async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl PostgresFixture {
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// The address of the database with this schema.
    pub(crate) fn url(&self) -> String {
        let url = server();
        let sign = if url.contains('?') { '&' } else { '?' };
        format!("{url}{sign}options=-csearch_path%3D{}", self.schema)
    }

    pub(crate) fn settings(&self) -> PostgresSettings {
        PostgresSettings { remember: REMEMBER, connections: 8, ..PostgresSettings::new(Secret::new(self.url())) }
    }

    /// Opens one more store on the same tables, as another process would.
    pub(crate) async fn open_another(&self, wakes: &Wakes) -> PostgresStore {
        PostgresStore::open(&self.settings(), wakes, Metrics::default()).await.unwrap()
    }

    /// Runs statements in the schema, beside the store.
    pub(crate) async fn execute(&self, sql: &str) {
        connect(&self.url()).await.batch_execute(sql).await.unwrap();
    }

    /// The one number that a statement in the schema tells.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        connect(&self.url()).await.query_typed_one(sql, &[]).await.unwrap().get(0)
    }
}

#[async_trait]
impl Fixture for PostgresFixture {
    fn fresh() -> PostgresFixture {
        static CASES: AtomicU64 = AtomicU64::new(0);
        let case = CASES.fetch_add(1, Ordering::Relaxed);
        PostgresFixture { schema: format!("case_{}_{case}", std::process::id()) }
    }

    fn kind(&self) -> &'static str {
        "postgres"
    }

    async fn open(&mut self, wakes: &Wakes) -> Arc<dyn Store> {
        let make = format!("CREATE SCHEMA IF NOT EXISTS {}", self.schema);
        connect(&server()).await.batch_execute(&make).await.unwrap();
        Arc::new(self.open_another(wakes).await)
    }

    /// Leaves what a process had under a name that nobody answers to and that was not heard of for long, which is what
    /// a kill leaves behind once the others notice it.
    async fn kill(&mut self, store: Arc<dyn Store>) {
        let sql = "WITH gone AS (SELECT gen_random_uuid() AS id),
                       claims AS (UPDATE deliveries SET claimed_by = gone.id FROM gone WHERE claimed)
                   UPDATE duties SET holder = gone.id, until = 0 FROM gone";
        self.execute(sql).await;
        store.close().await;
    }
}

impl Drop for PostgresFixture {
    fn drop(&mut self) {
        // Without a server there is nothing to remove, and the test has failed by itself.
        let (schema, Ok(url)) = (self.schema.clone(), std::env::var(SERVER)) else { return };
        // A runtime of its own: the test's may be at its end.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let gone = connect(&url).await.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await;
                gone.unwrap();
            });
        });
        // While a test fails nothing more is said.
        if dropped.join().is_err() && !std::thread::panicking() {
            panic!("the schema {} is still there", self.schema);
        }
    }
}
