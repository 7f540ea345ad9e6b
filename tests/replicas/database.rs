//! A schema of its own in the database of the tests.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::NoTls;
use workhook::secret::Secret;
use workhook::store::{Metrics, PostgresSettings, PostgresStore};
use workhook::wake::Wakes;

/// Where `tests/run` says that there is a server for tests.
const SERVER: &str = "WORKHOOK_TEST_POSTGRES";

/// A schema; it goes at the end.
#[derive(Debug)]
pub(crate) struct Database {
    schema: String,
}

fn server() -> String {
    std::env::var(SERVER).unwrap_or_else(|_| {
        panic!("{SERVER} is not set: these tests need a PostgreSQL server of their own; `tests/run` starts one")
    })
}

/// Runs a statement on a runtime of its own.
fn execute(sql: String) {
    let done = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&server(), NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(&sql).await.unwrap();
        });
    });
    assert!(done.join().is_ok() || std::thread::panicking(), "the statement failed");
}

impl Database {
    pub(crate) fn new() -> Database {
        static CASES: AtomicU64 = AtomicU64::new(0);
        let schema = format!("replicas_{}_{}", std::process::id(), CASES.fetch_add(1, Ordering::Relaxed));
        execute(format!("CREATE SCHEMA {schema}"));
        Database { schema }
    }

    /// Its address, for `store.url`.
    pub(crate) fn url(&self) -> String {
        format!("{}?options=-csearch_path%3D{}", server(), self.schema)
    }

    /// What lets somebody in.
    pub(crate) fn password(&self) -> String {
        let url = server();
        let (user, _) = url.rsplit_once('@').unwrap();
        user.rsplit(':').next().unwrap().to_owned()
    }

    /// Its address by another way.
    pub(crate) fn url_by(&self, way: SocketAddr) -> String {
        self.url().replace(&server_address(), &way.to_string())
    }

    /// Opens a store on it, as a process would.
    pub(crate) async fn open(&self) -> PostgresStore {
        let settings = PostgresSettings { connections: 8, ..PostgresSettings::new(Secret::new(self.url())) };
        PostgresStore::open(&settings, &Wakes::default(), Metrics::default()).await.unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        execute(format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema));
    }
}

/// The host and port of the server.
pub(crate) fn server_address() -> String {
    let url = server();
    let (_, rest) = url.rsplit_once('@').unwrap();
    rest.split('/').next().unwrap().to_owned()
}
