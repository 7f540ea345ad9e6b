//! A PostgreSQL server of a test's own, which it may stop, and what stands between it and a store.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use workhook::secret::Secret;
use workhook::store::{Metrics, PostgresSettings, PostgresStore};
use workhook::wake::Wakes;

use crate::bench::PATIENCE;
use crate::postgres_fixture::server;

/// A cluster of its own; it goes at the end.
#[derive(Debug)]
pub(crate) struct OwnServer {
    folder: TempDir,
    url: String,
}

impl OwnServer {
    /// Makes one and starts it, which takes a few seconds.
    pub(crate) fn start() -> OwnServer {
        // Whoever has no server for tests is told so first.
        server();
        let folder = open_folder();
        let url = script("start", &folder);
        OwnServer { folder, url: url.trim().to_owned() }
    }

    /// Has it encrypt for those who ask for it, with this certificate and its key in PEM.
    pub(crate) fn encrypt(&self, certificate: &str, key: &str) {
        let cluster = self.folder.path().join("server/cluster");
        let owner = std::fs::metadata(&cluster).unwrap();
        for (name, pem) in [("server.crt", certificate), ("server.key", key)] {
            let file = cluster.join(name);
            std::fs::write(&file, pem).unwrap();
            // It takes a key that nobody else can read only.
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::os::unix::fs::chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let mut settings = std::fs::OpenOptions::new().append(true).open(cluster.join("postgresql.conf")).unwrap();
        settings.write_all(b"ssl = on\n").unwrap();
        self.halt();
        self.resume();
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it as a crash would.
    pub(crate) fn halt(&self) {
        script("halt", &self.folder);
    }

    pub(crate) fn resume(&self) {
        script("resume", &self.folder);
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        script("stop", &self.folder);
    }
}

/// A folder that the server's user can look into.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn script(command: &str, folder: &TempDir) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres");
    let ran = Command::new(script).arg(command).arg(folder.path().join("server")).output().unwrap();
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// Opens a store at an address.
pub(crate) async fn open(url: &str, poll_only: bool) -> PostgresStore {
    let settings = PostgresSettings { poll_only, ..PostgresSettings::new(Secret::new(url.to_owned())) };
    PostgresStore::open(&settings, &Wakes::default(), Metrics::default()).await.unwrap()
}

/// An address with another host and port.
fn through(url: &str, address: SocketAddr) -> String {
    let (front, rest) = url.split_once('@').unwrap();
    let (_, path) = rest.split_once('/').unwrap();
    format!("{front}@{address}/{path}")
}

fn address_of(url: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0.to_owned()
}

/// What a proxy does with what comes its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// Nothing goes either way.
    Blocked,
    /// Nothing that the server says comes back.
    NoAnswers,
    /// A connection ends in place of what the server says when it has committed a transaction of several statements.
    CommitsUnheard,
    /// Every connection ends.
    Cut,
}

/// A proxy between a store and its server.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    way: watch::Sender<Way>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(url: &str) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (to, way) = (address_of(url), watch::Sender::new(Way::Open));
        let url = through(url, listener.local_addr().unwrap());
        let sender = way.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&to).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let unheard = Arc::<AtomicBool>::default();
                let heard = Arc::clone(&unheard);
                tokio::spawn(carry(from_client, to_server, sender.subscribe(), unheard, false));
                tokio::spawn(carry(from_server, to_client, sender.subscribe(), heard, true));
            }
        });
        Proxy { url, way, task }
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.way.send_replace(Way::Cut);
    }
}

/// Carries bytes one way until an end closes, or the way is cut. `unheard` is for both ways: the next answer is not to
/// be heard.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    unheard: Arc<AtomicBool>,
    back: bool,
) {
    let mut buffer = vec![0; 16 << 10];
    let mut cut = way.clone();
    let carried = async {
        loop {
            let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
            let now = *way.borrow();
            if back && now == Way::NoAnswers {
                continue;
            }
            if back && unheard.load(Ordering::Relaxed) {
                return;
            }
            if now == Way::CommitsUnheard && buffer[..count].ends_with(b"COMMIT\0") {
                unheard.store(true, Ordering::Relaxed);
            }
            if way.wait_for(|way| *way != Way::Blocked).await.is_err() || to.write_all(&buffer[..count]).await.is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        () = carried => {}
        _ = cut.wait_for(|way| *way == Way::Cut) => {}
    }
}

/// A pgbouncer that gives a connection away after every transaction.
#[derive(Debug)]
pub(crate) struct Pooler {
    pub(crate) url: String,
    child: Child,
    _folder: TempDir,
}

impl Pooler {
    /// Starts one in front of a database of a server.
    pub(crate) async fn start(url: &str, database: &str) -> Pooler {
        let folder = open_folder();
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let (user_and_password, _) = url.split_once("://").unwrap().1.split_once('@').unwrap();
        let (user, password) = user_and_password.split_once(':').unwrap();
        let address = address_of(url);
        let (host, port) = address.split_once(':').unwrap();
        let settings = format!(
            "[databases]\n{database} = host={host} port={port} dbname={database} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 3\nserver_reset_query_always = 0\n",
            free.port()
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        // It refuses to be run by root, and takes the other user's name then.
        let user_of_server: &[&str] = if rustix::process::geteuid().is_root() { &["-u", "postgres"] } else { &[] };
        let child = Command::new("/usr/sbin/pgbouncer")
            .args(user_of_server)
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer is there; tests/run installs it");
        let up = async {
            while TcpStream::connect(free).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, up).await.expect("pgbouncer listens");
        Pooler { url: format!("postgres://{user}@{free}/{database}"), child, _folder: folder }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
