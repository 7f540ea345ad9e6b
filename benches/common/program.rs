//! The program as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::Instant;

/// The program; ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// Where requests go.
    public: Option<SocketAddr>,
    /// Where it tells how it is going.
    private: Option<SocketAddr>,
    /// How long it took until it received.
    pub(crate) started: Duration,
}

impl Running {
    /// Starts it on the store of a folder, and waits until it receives. `more` is the rest of the configuration: what
    /// belongs into `[store]`, and tables.
    pub(crate) fn start(folder: &Path, token: &str, more: &str) -> anyhow::Result<Running> {
        Running::start_on(&format!("sqlite:{}/workhook.db", folder.display()), "all", folder, token, more)
    }

    /// Starts it on a store and in a role, with its configuration in a folder, and waits until it is there.
    pub(crate) fn start_on(store: &str, role: &str, folder: &Path, token: &str, more: &str) -> anyhow::Result<Running> {
        let file = folder.join("workhook.toml");
        let text = format!(
            "[ingest]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[[webhook]]\nname = \"product\"\n\
             tokens = [\"{token}\"]\n[store]\nurl = \"{store}\"\n{more}"
        );
        std::fs::write(&file, text)?;
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_workhook"))
            .args(["serve", "--role", role, "--config"])
            .arg(file)
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(child.stderr.take().context("it was asked for")?);
        let address = |said: &serde_json::Value| said.as_str().map(str::parse).transpose();
        let (public, private) = loop {
            let mut line = String::new();
            ensure!(log.read_line(&mut line)? > 0, "it ended before it was there");
            let said: serde_json::Value = serde_json::from_str(&line)?;
            if said["role"] == role {
                break (address(&said["public"])?, address(&said["private"])?);
            }
        };
        let started = began.elapsed();
        // What it says further on is read, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(Running { child, public, private, started })
    }

    /// Where requests go, where the role takes any.
    pub(crate) fn public(&self) -> anyhow::Result<SocketAddr> {
        self.public.context("it takes no requests")
    }

    /// Where it tells how it is going.
    pub(crate) fn private(&self) -> anyhow::Result<SocketAddr> {
        self.private.context("it has no private door")
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
