//! What is loaded: each a process of its own, gone with its files when it is dropped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use workhook::admin::api::wire;

/// The token that the requests carry.
pub(crate) const TOKEN: &str = "a-token-for-the-load";
/// How long a process may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The bare handler.
    Bare,
    /// workhook with a handler that takes nothing.
    Acknowledging,
    /// workhook with a handler that takes everything.
    Handling,
}

impl Target {
    pub(crate) const ALL: [Target; 3] = [Target::Bare, Target::Acknowledging, Target::Handling];

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Target::Bare => "bare axum: parses, stores nothing",
            Target::Acknowledging => "workhook, no handler takes it",
            Target::Handling => "workhook, a `log` handler takes all",
        }
    }
}

/// A process that listens.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    addresses: Addresses,
    _folder: TempDir,
}

#[derive(Debug, Deserialize)]
struct Addresses {
    public: SocketAddr,
    private: Option<SocketAddr>,
}

impl Running {
    /// Starts a target with nothing stored, and waits until it is ready.
    pub(crate) async fn start(target: Target, workhook: &Path, folder: &Path) -> anyhow::Result<Running> {
        let folder = tempfile::tempdir_in(folder)?;
        let mut command = match target {
            Target::Bare => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("--serve-bare");
                command
            }
            Target::Acknowledging => serve(workhook, folder.path(), "Webhook.Test")?,
            Target::Handling => serve(workhook, folder.path(), "*")?,
        };
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let said = listen_to(child.stderr.take());
        let addresses = said.recv_timeout(PATIENCE);
        // From here on it is ended whatever happens.
        let nowhere = Addresses { public: SocketAddr::from(([0, 0, 0, 0], 0)), private: None };
        let mut running = Running { child, addresses: nowhere, _folder: folder };
        running.addresses = addresses.with_context(|| format!("{target:?} does not say where it listens"))?;
        running.become_ready().await?;
        Ok(running)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn public(&self) -> SocketAddr {
        self.addresses.public
    }

    /// How the private door says it is going; `None` where there is none.
    pub(crate) async fn health(&self) -> anyhow::Result<Option<wire::Health>> {
        let Some(private) = self.addresses.private else { return Ok(None) };
        let (status, body) = get(private, "/api/v1/health").await?;
        ensure!(status == 200, "the private door answered {status}: {body}");
        Ok(Some(serde_json::from_str(&body)?))
    }

    async fn become_ready(&self) -> anyhow::Result<()> {
        if self.addresses.private.is_none() {
            return Ok(());
        }
        let late = Instant::now() + PATIENCE;
        while get(self.public(), "/readyz").await?.0 != 200 {
            ensure!(Instant::now() < late, "it does not become ready");
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What it has stored goes with it, so nothing is lost by a short end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(workhook: &Path, folder: &Path, events: &str) -> anyhow::Result<Command> {
    let config = folder.join("workhook.toml");
    let text = format!(
        r#"
        [ingest]
        listen = "127.0.0.1:0"

        [admin]
        listen = "127.0.0.1:0"

        [store]
        url = "sqlite:data/workhook.db"

        [[webhook]]
        name = "load"
        tokens = ["{TOKEN}"]

        [[handler]]
        name = "lines"
        kind = "log"
        events = ["{events}"]
        "#
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new(workhook);
    command.arg("serve").arg("--config").arg(config);
    Ok(command)
}

/// Passes on what a process says, and picks out the line that has its addresses.
fn listen_to(stderr: Option<ChildStderr>) -> mpsc::Receiver<Addresses> {
    let (found, addresses) = mpsc::channel();
    std::thread::spawn(move || {
        for line in stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines()).map_while(Result::ok) {
            match serde_json::from_str(&line) {
                // Nobody waits any more where it took too long.
                Ok(addresses) => drop(found.send(addresses)),
                Err(_) => eprintln!("  {line}"),
            }
        }
    });
    addresses
}

async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(1 << 20).read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).with_context(|| format!("no answer from {address}{path}"))
}
