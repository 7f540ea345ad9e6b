//! `workhook serve`: receives webhooks and handles them.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::pin::pin;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Done, Failed, demo, runtime};
use crate::app::{App, BuildError, Reload, Role, Welcome, WelcomeWebhook};
use crate::clock::Clock;
use crate::config::{Config, Env};
use crate::handlers::rust::Registry;
use crate::telemetry::{self, LogLevel};

/// How to serve.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Also send itself every known event of both brands, and print what became of each.
    #[arg(long)]
    demo: bool,
    /// What this process does, where several share a store on PostgreSQL: take requests, all the rest, or both.
    #[arg(long, value_enum, value_name = "ROLE", default_value = "all")]
    role: Part,
}

/// What a process can be told to do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    All,
    Ingest,
    Dispatch,
}

impl From<Part> for Role {
    fn from(part: Part) -> Role {
        match part {
            Part::All => Role::All,
            Part::Ingest => Role::Ingest,
            Part::Dispatch => Role::Dispatch,
        }
    }
}

impl Serve {
    pub(super) fn run(&self, config: Config, registry: Registry) -> Done {
        let role = Role::from(self.role);
        if role != Role::All && config.store.place.embedded().is_some() {
            return Err(Failed::Use(BuildError::Role(role).into()));
        }
        if role != Role::All && self.demo {
            return Err(Failed::Use(anyhow!("--demo sends and handles, which needs --role all")));
        }
        let log = telemetry::init(&config.log).map_err(|error| Failed::Use(error.into()))?;
        let runtime = runtime()?;
        let served = runtime.block_on(self.serve(config, registry, log));
        // Nothing that is left may hold up the end.
        runtime.shutdown_background();
        served
    }

    async fn serve(&self, config: Config, registry: Registry, log: LogLevel) -> Done {
        let mut shutdown = pin!(shutdown()?);
        // From here on it does not end the process.
        let hangup = signal(SignalKind::hangup()).context("signals cannot be received")?;
        let file = config.source.clone();
        let app = tokio::select! {
            built = App::build_as(self.role.into(), config, registry, Clock::system()) => built.context("cannot start")?,
            // A database that is away is tried for a while.
            () = &mut shutdown => return Ok(()),
        };
        let welcome = app.welcome().clone();
        say(&welcome);
        let reloading = tokio::spawn(reload(hangup, app.reload_handle().with_log(log), file));
        let demo = self.demo.then(|| tokio::spawn(demo::run(welcome)));
        let result = app.run(shutdown).await;
        reloading.abort();
        if let Some(demo) = demo {
            demo.abort();
        }
        Ok(result.context("stopped")?)
    }
}

/// Reads the configuration again at each SIGHUP; at one more for all that came while it was at it. What comes of it is
/// in the log.
async fn reload(mut hangup: Signal, reload: Reload, file: Option<PathBuf>) {
    while hangup.recv().await.is_some() {
        let file = file.clone();
        // A file that was read once has to be there: without it, everything would have its default.
        let _ = reload.read(move || Config::load(file.as_deref(), &Env::of_process())).await;
    }
}

/// Resolves at SIGTERM or SIGINT; a second one ends the process at once.
fn shutdown() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    let mut received = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        received().await;
        tokio::spawn(async move {
            received().await;
            std::process::exit(1);
        });
    })
}

/// Says where everything is: in full on a terminal, as one line of the log otherwise, without any secret.
fn say(welcome: &Welcome) {
    tracing::info!(
        role = welcome.role.as_str(),
        public = welcome.public.map(tracing::field::display),
        path = welcome.path,
        private = %welcome.private,
        database = welcome.store,
        webhooks = welcome.webhooks.len(),
        handlers = welcome.handlers.len(),
        "{}",
        if welcome.role.ingests() { "receiving" } else { "handling" }
    );
    for file in
        welcome.webhooks.iter().filter_map(|webhook| webhook.token_file.as_ref()).chain(&welcome.admin_token_file)
    {
        tracing::info!(file = %file.display(), "a generated token lies there");
    }
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = stderr.write_all(in_full(welcome).as_bytes());
    }
}

fn in_full(welcome: &Welcome) -> String {
    let mut text = String::from("\n");
    let mut add = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    if let Some(public) = welcome.public {
        add("Point Leiga or WorkZappy here, in the settings of a project under Webhooks:".to_owned());
        for webhook in &welcome.webhooks {
            add(webhook_text(webhook, &welcome.path));
        }
        add(format!("workhook itself listens at http://{public}; put a proxy with TLS in front of it.\n"));
    }
    for (name, kind, events) in &welcome.handlers {
        add(format!("  handler  {name} ({kind}) gets {events}"));
    }
    add(format!("  kept in  {}", welcome.store));
    add(format!("  API      http://{}/api/v1", welcome.private));
    if let (Some(token), Some(file)) = (&welcome.admin_token, &welcome.admin_token_file) {
        add(format!("           credential {} (from {})", token.expose(), file.display()));
    }
    add("\nTry it:  workhook send Issue.Update --set data.issue.status.name=Done".to_owned());
    add("         workhook events list\n".to_owned());
    text
}

fn webhook_text(webhook: &WelcomeWebhook, path: &str) -> String {
    let brand = webhook.brand.map(|brand| format!(" ({})", brand.name())).unwrap_or_default();
    let token = match (&webhook.token, &webhook.token_file) {
        (Some(token), Some(file)) => format!("{}  (from {})", token.expose(), file.display()),
        (Some(_), None) => "as configured".to_owned(),
        (None, _) => "none".to_owned(),
    };
    let path = if webhook.token.is_some() { path.to_owned() } else { format!("{path}/{}", webhook.name) };
    format!("  webhook  {}{brand}\n    URL    https://your.host{path}\n    Token  {token}", webhook.name)
}
