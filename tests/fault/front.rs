//! nginx in front of several processes, with the configuration of docs/compose as it stands there, but for addresses,
//! paths and TLS.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::http::Connection;
use crate::wait::until;

const NGINX: &str = include_str!("../../docs/compose/nginx-replicas.conf");
/// The places of the replicas in it.
const PLACES: [&str; 3] = ["10.0.0.11:8080", "10.0.0.12:8080", "10.0.0.13:8080"];

/// A running proxy; it ends with the test.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    process: Child,
    _folder: TempDir,
}

impl Front {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(replicas: [SocketAddr; 3]) -> Front {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Path::join(folder.path(), name).display().to_string();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // Started by root it would give up root's rights, and not reach the test's folder any more.
        let mut http = format!("{}\nhttp {{\n", if rustix::process::getuid().is_root() { "user root;" } else { "" });
        for of in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            http.push_str(&format!("  {of}_temp_path {};\n", path(of)));
        }
        let mut config: String =
            NGINX.lines().filter(|line| !line.contains("ssl_")).map(|line| format!("{line}\n")).collect();
        let listen = format!("listen {address};");
        let parts = [("listen 443 ssl;", &listen), ("/tmp/nginx.pid", &path("nginx.pid")), ("http {\n", &http)];
        let places = PLACES.into_iter().zip(replicas.map(|replica| replica.to_string()));
        for (from, to) in parts.into_iter().map(|(from, to)| (from, to.clone())).chain(places) {
            assert!(config.contains(from), "the configuration has no {from:?} any more");
            config = config.replace(from, &to);
        }
        std::fs::write(path("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-c", &path("nginx.conf"), "-e", &path("error.log"), "-g", "daemon off; master_process off;"]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.unwrap_or_else(|error| panic!("nginx: {error}; tests/run installs it"));
        let front = Front { address, process, _folder: folder };
        until("nginx listens", || Connection::open(front.address).map(drop));
        front
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
