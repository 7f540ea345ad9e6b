//! What is loaded: each a process of its own, gone with its files when it is dropped.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
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
    /// The same on one core, so that whoever sends more than it can take has another.
    OnOneCore,
    /// workhook with a handler that takes everything.
    Handling,
    /// adnanh/webhook, which runs a program for each.
    Webhook,
}

impl Target {
    /// What there is on this machine.
    pub(crate) fn all() -> Vec<Target> {
        let mut all = vec![Target::Bare, Target::Acknowledging, Target::Handling];
        if Command::new("webhook").arg("-version").output().is_ok() {
            all.push(Target::Webhook);
        }
        all
    }

    /// Whether it is the program that is measured.
    pub(crate) fn is_workhook(self) -> bool {
        matches!(self, Target::Acknowledging | Target::Handling)
    }

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Target::Bare => "bare axum: parses, stores nothing",
            Target::Acknowledging => "workhook, no handler takes it",
            Target::OnOneCore => "workhook on one core, no handler takes it",
            Target::Handling => "workhook, a `log` handler takes all",
            Target::Webhook => "adnanh/webhook: runs `true` for each, stores nothing",
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
        let mut elsewhere = None;
        let mut command = match target {
            Target::Bare => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("--serve-bare");
                command
            }
            Target::Acknowledging => serve(Command::new(workhook), folder.path(), "Webhook.Test")?,
            Target::OnOneCore => {
                let mut on_one_core = Command::new("taskset");
                on_one_core.args(["--cpu-list", "0"]).arg(workhook);
                serve(on_one_core, folder.path(), "Webhook.Test")?
            }
            Target::Handling => serve(Command::new(workhook), folder.path(), "*")?,
            Target::Webhook => {
                // It has to be told a port, and does not say when it listens there.
                let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
                elsewhere = Some(address);
                webhook(folder.path(), address)?
            }
        };
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let said = listen_to(child.stderr.take());
        let addresses = match elsewhere {
            Some(public) => Ok(Addresses { public, private: None }),
            None => said.recv_timeout(PATIENCE),
        };
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
        let late = Instant::now() + PATIENCE;
        if self.addresses.private.is_none() {
            while TcpStream::connect(self.public()).await.is_err() {
                ensure!(Instant::now() < late, "it does not listen");
                sleep(Duration::from_millis(10)).await;
            }
            return Ok(());
        }
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

fn serve(mut command: Command, folder: &Path, events: &str) -> anyhow::Result<Command> {
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
    command.arg("serve").arg("--config").arg(config);
    Ok(command)
}

fn webhook(folder: &Path, address: SocketAddr) -> anyhow::Result<Command> {
    let hooks = serde_json::json!([{
        "id": "webhook",
        "execute-command": "/bin/true",
        "response-message": r#"{"errcode":0}"#,
        "trigger-rule": {"match": {
            "type": "value", "value": TOKEN, "parameter": {"source": "header", "name": "X-Leiga-Token"}
        }},
    }]);
    let file = folder.join("hooks.json");
    std::fs::write(&file, hooks.to_string())?;
    let mut command = Command::new("webhook");
    command.args(["-urlprefix", "", "-ip", &address.ip().to_string(), "-port", &address.port().to_string()]);
    command.arg("-hooks").arg(file);
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
