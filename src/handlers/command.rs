//! The `command` kind: the event as it came, on the standard input of a program.
//!
//! No shell is asked: the arguments are the file's alone, and nothing of an event gets into them or into the name of a
//! variable. What always holds: the program and what it starts are one process group, which is ended with the attempt,
//! however that ends while this process lives; of what the program writes everything is read and only the beginning
//! kept. Where the process itself is killed (`kill -9`, a second signal, a crash), the group runs on.
//!
//! The time-out is kept here and not by dispatch alone, so that an attempt ends when its processes have, and the next
//! one finds none of them.

mod environment;
mod exit;
mod group;
mod output;
mod program;

pub use environment::{NameError, is_settable};
pub use exit::{ExitCodes, Meaning};
pub use program::{PATH, ProgramError, find};

use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, Command};
use tokio::time::timeout;

use self::group::Running;
use self::output::Output;
use super::mask::Mask;
use super::{Failure, Handler, Success};
use crate::model::Claimed;
use crate::secret::Secret;
use crate::telemetry::with_causes;

/// How long a program has from SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How long output is waited for that processes outside of the group hold open.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);
/// How much longer than its time-out an attempt can take until its processes have ended.
const ENDING: Duration = Duration::from_secs(5);

/// The settings of one.
#[derive(Debug, Clone)]
pub struct Config {
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments, the name not among them.
    pub arguments: Vec<String>,
    /// Where it runs.
    pub folder: PathBuf,
    /// Variables to add; they take the place of others of the same name.
    pub env: Vec<(String, Secret)>,
    /// What its exit codes mean.
    pub exit_codes: ExitCodes,
}

/// Hands events to a program.
#[derive(Debug)]
pub struct CommandHandler {
    config: Config,
    timeout: Duration,
    mask: Mask,
}

/// How a program ended.
struct End {
    status: ExitStatus,
    in_time: bool,
}

impl CommandHandler {
    /// A handler that lets the program run for so long.
    #[must_use]
    pub fn new(config: Config, timeout: Duration) -> CommandHandler {
        // What stands in the file itself is mostly a folder or an address, which a program may speak of.
        let secrets = config.env.iter().map(|(_, value)| value).filter(|value| value.is_referred());
        let mask = Mask::of(secrets.map(|value| value.expose().as_bytes()));
        CommandHandler { config, timeout, mask }
    }

    /// Starts the program. The file system may keep one waiting for that, so a thread that may wait does it.
    async fn start(&self, delivery: &Claimed) -> Result<Running, Failure> {
        let Config { program, arguments, folder, env, .. } = &self.config;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).process_group(0);
        command.env_clear().env("HOME", folder).envs(environment::of(delivery));
        command.envs(env.iter().map(|(name, value)| (name, value.expose())));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = tokio::task::spawn_blocking(move || Running::start(&mut command)).await?;
        started.map_err(|error| Failure::transient(format!("the program cannot be started: {}", with_causes(&error))))
    }

    /// Waits until the program has ended, and ends it when its time is over.
    async fn end(&self, mut running: Running) -> std::io::Result<End> {
        let in_time = match timeout(self.timeout, running.ended()).await {
            Ok(ended) => ended.map(|()| true)?,
            Err(_) => {
                running.ask_to_end();
                drop(timeout(GRACE, running.ended()).await);
                false
            }
        };
        Ok(End { status: running.reap().await?, in_time })
    }
}

#[async_trait]
impl Handler for CommandHandler {
    fn kind(&self) -> &'static str {
        "command"
    }

    fn ending(&self) -> Duration {
        ENDING
    }

    /// When this is dropped, the program and all of its group are killed.
    async fn handle(&self, delivery: &Claimed) -> Result<Success, Failure> {
        let mut running = self.start(delivery).await?;
        let (stdin, stdout, stderr) = running.pipes();
        let mut output = Output::new(&self.mask);
        let ended = {
            let mut talk = pin!(async { tokio::join!(feed(stdin, &delivery.event.body), output.read(stdout, stderr)) });
            let mut end = pin!(self.end(running));
            let mut all_said = false;
            let ended = loop {
                tokio::select! {
                    ended = &mut end => break ended,
                    _ = &mut talk, if !all_said => all_said = true,
                }
            };
            if !all_said {
                drop(timeout(OUTPUT_TIMEOUT, talk).await);
            }
            ended?
        };
        let response = output.into_response();
        if ended.in_time {
            return self.config.exit_codes.judge(ended.status, response);
        }
        let message = format!("it did not end within {:?}, and was ended with all that it had started", self.timeout);
        Err(Failure { status: ended.status.code(), response, ..Failure::transient(message) })
    }
}

/// Writes the event. A program may leave as much of it unread as it likes.
async fn feed(stdin: Option<ChildStdin>, body: &[u8]) {
    if let Some(mut stdin) = stdin {
        drop(stdin.write_all(body).await);
    }
}
