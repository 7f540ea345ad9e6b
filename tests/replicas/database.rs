//! A schema of its own in the database of the tests, and a way there that can be cut.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

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

/// A proxy before the server, on which all connections can be cut.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
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
fn server_address() -> String {
    let url = server();
    let (_, rest) = url.rsplit_once('@').unwrap();
    rest.split('/').next().unwrap().to_owned()
}

impl Way {
    /// A way to the server.
    pub(crate) fn open() -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let way = Way { address: listener.local_addr().unwrap(), is_cut: Arc::default(), open: Arc::default() };
        let passing = way.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                passing.pass(stream);
            }
        });
        way
    }

    /// Cuts every connection, and lets no other through until it is mended.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }

    fn pass(&self, near: TcpStream) {
        if self.is_cut.load(Ordering::SeqCst) {
            return;
        }
        let Ok(far) = TcpStream::connect(server_address()) else { return };
        self.open.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
        for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }
}
