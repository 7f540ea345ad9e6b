//! Proxies in front of the public door, with the configurations of docs/compose as they stand there but for addresses,
//! ports and paths.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::raw::{Answer, Post, read};
use super::tls::Authority;
use super::{PATIENCE, until};

const NGINX: &str = include_str!("../../../docs/compose/nginx.conf");
const HAPROXY: &str = include_str!("../../../docs/compose/haproxy.cfg");

/// A running proxy; it ends with the test.
pub(crate) struct Front {
    pub(crate) name: &'static str,
    address: SocketAddr,
    connector: TlsConnector,
    _process: Child,
    _folder: TempDir,
}

/// What a proxy is started with.
struct Made {
    folder: TempDir,
    address: SocketAddr,
    connector: TlsConnector,
}

impl Front {
    /// Each proxy that has a configuration in the documents.
    pub(crate) async fn all(app: SocketAddr) -> [Front; 2] {
        [Front::nginx(app).await, Front::haproxy(app).await]
    }

    pub(crate) async fn nginx(app: SocketAddr) -> Front {
        let made = Made::new();
        // Started by root it would give up root's rights, and not reach the test's folder any more.
        let mut temporary = format!("{}\nhttp {{\n", if is_root() { "user root;" } else { "" });
        for of in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            temporary.push_str(&format!("  {of}_temp_path {};\n", made.path(of)));
        }
        let config = replaced(
            NGINX,
            &[
                ("server workhook:8080;", &format!("server {app};")),
                ("listen 443 ssl;", &format!("listen {} ssl;", made.address)),
                ("/run/secrets/", &format!("{}/", made.folder.path().display())),
                ("/tmp/nginx.pid", &made.path("nginx.pid")),
                ("http {\n", &temporary),
            ],
        );
        std::fs::write(made.path("nginx.conf"), config).unwrap();
        let (config, log) = (made.path("nginx.conf"), made.path("error.log"));
        let args = ["-c", &config, "-e", &log, "-g", "daemon off; master_process off;"];
        made.started("nginx", &args).await
    }

    pub(crate) async fn haproxy(app: SocketAddr) -> Front {
        let made = Made::new();
        let config = replaced(
            HAPROXY,
            &[
                ("server workhook workhook:8080", &format!("server workhook {app}")),
                ("bind :443 ", &format!("bind {} ", made.address)),
                ("/run/secrets/", &format!("{}/", made.folder.path().display())),
            ],
        );
        std::fs::write(made.path("haproxy.cfg"), config).unwrap();
        let config = made.path("haproxy.cfg");
        made.started("haproxy", &["-db", "-f", &config]).await
    }

    /// A connection to it, from any address of this machine.
    pub(crate) async fn connect_from(&self, from: Ipv4Addr) -> TlsStream<TcpStream> {
        self.try_connect(from).await.unwrap()
    }

    async fn try_connect(&self, from: Ipv4Addr) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(self.address).await?;
        self.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    /// Sends bytes on a connection of its own and reads one answer; `None` where the connection ends without one.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = self.connect_from(Ipv4Addr::LOCALHOST).await;
        // The other end may answer and close before all is sent.
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
        tokio::time::timeout(PATIENCE, read(&mut stream)).await.expect("neither an answer nor an end")
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, post: &Post) -> Answer {
        self.exchange(&post.bytes()).await.unwrap_or_else(|| panic!("{}: no answer to {post:?}", self.name))
    }
}

impl Made {
    fn new() -> Made {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("a test's own");
        let (certificate, key) = authority.sign("localhost");
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        for (name, text) in
            [("fullchain.pem", &certificate), ("privkey.pem", &key), ("both.pem", &format!("{certificate}{key}"))]
        {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = ClientConfig::builder().with_root_certificates(authority.roots()).with_no_client_auth();
        Made { folder, address, connector: TlsConnector::from(Arc::new(config)) }
    }

    fn path(&self, name: &str) -> String {
        Path::join(self.folder.path(), name).display().to_string()
    }

    async fn started(self, name: &'static str, args: &[&str]) -> Front {
        let mut command = Command::new(name);
        command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}; tests/run installs it"));
        let Made { folder, address, connector } = self;
        let front = Front { name, address, connector, _process: process, _folder: folder };
        until(&format!("{name} listens"), || async { front.try_connect(Ipv4Addr::LOCALHOST).await.ok() }).await;
        front
    }
}

/// A configuration with parts replaced, each of which has to be there.
#[track_caller]
fn replaced(config: &str, parts: &[(&str, &str)]) -> String {
    parts.iter().fold(config.to_owned(), |config, (from, to)| {
        assert!(config.contains(from), "the configuration has no {from:?} any more");
        config.replace(from, to)
    })
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}
