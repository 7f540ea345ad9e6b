//! `workhook replay`: events of the past, handled again.

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde_json::json;

use super::ask::Sure;
use super::change::deliveries;
use super::client::{Ask, Client};
use super::filter::Filter;
use super::progress::Progress;
use super::which::query;
use super::{Done, Failed, Form, output, table};
use crate::admin::api::wire;
use crate::config::Config;

/// How often it is asked how far a replay is.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Have events handled again: one by its id, or all that are meant.
///
/// Each becomes a new delivery, with a key of its own, for the handlers that it was planned for, at the end of the
/// lane. It says how many and asks, but not about one that is named by its id. A replay is made by the running
/// workhook: it goes on when this command is ended, and after a restart.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Replay {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    new: New,
}

/// What to do with replays that there are.
#[derive(Debug, Subcommand)]
enum Verb {
    /// List replays, the newest first.
    List(List),
    /// Say how far a replay is until it is done.
    Follow(One),
    /// Stop a replay; the deliveries that it made stay.
    Stop(One),
    /// Let a stopped replay go on.
    Resume(One),
}

/// What is to be replayed.
#[derive(Debug, Args)]
struct New {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    sure: Sure,
    /// This event, and nothing is asked.
    #[arg(value_name = "EVENT_ID")]
    event: Option<String>,
    #[command(flatten)]
    which: Filter,
    /// Every event that is kept, but for notices.
    #[arg(long, help_heading = "Which events")]
    all: bool,
    /// Only for this handler, also where it did not get the event before.
    #[arg(long, value_name = "NAME", help_heading = "For whom")]
    handler: Option<String>,
    /// Ask the routes as they are now, not for whom it was planned.
    #[arg(long, help_heading = "For whom")]
    rematch: bool,
    /// Only for handlers to which the event has no delivery that is delivered or pending.
    #[arg(long, help_heading = "For whom")]
    undelivered: bool,
    /// How many events a second at the most, such as 10/s; without it, as fast as it goes.
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<u32>,
    /// Do not wait for its end.
    #[arg(long)]
    detach: bool,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Args)]
struct One {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    /// The replay.
    id: i64,
}

impl Replay {
    pub(super) async fn run(&self, config: &Config) -> Done {
        match &self.verb {
            None => self.new.run(config).await,
            Some(Verb::List(list)) => list.run(config).await,
            Some(Verb::Follow(one)) => one.follow(config).await,
            Some(Verb::Stop(one)) => one.set(config, "stop").await,
            Some(Verb::Resume(one)) => one.set(config, "resume").await,
        }
    }
}

impl New {
    async fn run(&self, config: &Config) -> Done {
        let asked = self.asked()?;
        let client = self.ask.client(config)?;
        let would = preview(&client, &asked).await?;
        let (events, made) = (output::counted(would.events, "event"), deliveries(would.deliveries));
        if self.sure.dry_run || would.deliveries == 0 {
            if self.form.json {
                output::json(&would);
            } else if would.deliveries == 0 {
                output::line(format!("nothing to replay: {events}, {made}"));
            } else {
                output::line(format!("{events} would be replayed: {made}"));
            }
            return Ok(());
        }
        if self.event.is_none() {
            self.sure.confirm(&format!("{events} will be replayed: {made}."))?;
        }
        let replay: wire::Replay = client.post("/api/v1/replays", &asked).await?;
        let replay = if self.detach { replay } else { follow(&client, replay.id, would.events).await? };
        said(&replay, self.form.json)
    }

    fn asked(&self) -> Result<wire::NewReplay, Failed> {
        let filter = self.which.shape();
        let is_said = filter != wire::EventFilter::default();
        let wrong = |text: &str| Err(Failed::Use(anyhow!("{text}")));
        let filter = match (&self.event, is_said, self.all) {
            (None, false, false) => {
                return wrong("say which events: by id, or with --since, --name and the like, or --all");
            }
            (Some(_), false, false) => None,
            (None, true, false) | (None, false, true) => Some(filter),
            _ => return wrong("name an event by its id, say which are meant, or say --all; one of the three"),
        };
        Ok(wire::NewReplay {
            event: self.event.clone(),
            filter,
            handler: self.handler.clone(),
            rematch: self.rematch,
            undelivered: self.undelivered,
            per_second: self.rate,
        })
    }
}

/// How much it would be, asked until the end.
async fn preview(client: &Client, replay: &wire::NewReplay) -> Result<wire::ReplayPreview, Failed> {
    let mut asked = wire::PreviewReplay { replay: replay.clone(), after: None, through: None };
    let (mut progress, mut events, mut deliveries) = (Progress::of(0), 0, 0);
    loop {
        let part: wire::ReplayPreview = client.post("/api/v1/replays/preview", &asked).await?;
        (events, deliveries) = (events + part.events, deliveries + part.deliveries);
        progress.at(events);
        if part.next.is_none() {
            return Ok(wire::ReplayPreview { events, deliveries, ..part });
        }
        (asked.after, asked.through) = (part.next, Some(part.through));
    }
}

/// Shows how far it is until it is done, or somebody stops it, or nobody wants to see more.
async fn follow(client: &Client, id: i64, events: u64) -> Result<wire::Replay, Failed> {
    let mut progress = Progress::of(events);
    let mut enough = std::pin::pin!(tokio::signal::ctrl_c());
    // It is listened for from the first look at it on.
    tokio::select! {
        biased;
        _ = &mut enough => {}
        () = std::future::ready(()) => {}
    }
    loop {
        let replay: wire::Replay = client.get(&format!("/api/v1/replays/{id}"), &[]).await?;
        progress.at(replay.events);
        if replay.state != "running" {
            return Ok(replay);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            heard = &mut enough => {
                heard.context("Ctrl-C could not be heard")?;
                return Ok(replay);
            }
        }
    }
}

/// Says what became of a replay.
fn said(replay: &wire::Replay, json: bool) -> Done {
    let id = replay.id;
    if json {
        output::json(replay);
    } else {
        let made = format!("{}, {}", output::counted(replay.events, "event"), deliveries(replay.deliveries));
        output::line(match replay.state.as_str() {
            "done" => format!("replay {id} is done: {made}"),
            "stopped" => format!("replay {id} is stopped: {made}; `workhook replay resume {id}` lets it go on"),
            _ => format!("replay {id} goes on: {made} so far; `workhook replay stop {id}` stops it"),
        });
    }
    Ok(())
}

impl List {
    async fn run(&self, config: &Config) -> Done {
        let list: wire::Replays = self.ask.client(config)?.get("/api/v1/replays", &[]).await?;
        if self.form.json {
            output::json(&list);
            return Ok(());
        }
        if list.replays.is_empty() {
            output::line("no replays");
            return Ok(());
        }
        let rows: Vec<_> = list.replays.iter().map(row).collect();
        table::print(&["ID", "STARTED", "STATE", "EVENTS", "DELIVERIES", "WHICH"], &rows);
        Ok(())
    }
}

fn row(replay: &wire::Replay) -> Vec<String> {
    vec![
        replay.id.to_string(),
        table::time(replay.started_at),
        replay.state.clone(),
        replay.events.to_string(),
        replay.deliveries.to_string(),
        which(&replay.asked),
    ]
}

/// What was asked for, as the arguments that ask for it.
fn which(asked: &wire::NewReplay) -> String {
    let mut words: Vec<String> = asked.event.iter().cloned().collect();
    if let Some(filter) = &asked.filter {
        let said = query(filter);
        words.extend(said.iter().map(|(key, value)| format!("--{key} {value}")));
        words.extend(said.is_empty().then(|| "--all".to_owned()));
    }
    words.extend(asked.handler.iter().map(|handler| format!("--handler {handler}")));
    words.extend(asked.rematch.then(|| "--rematch".to_owned()));
    words.extend(asked.undelivered.then(|| "--undelivered".to_owned()));
    words.extend(asked.per_second.map(|rate| format!("--rate {rate}/s")));
    words.join(" ")
}

impl One {
    async fn follow(&self, config: &Config) -> Done {
        said(&follow(&self.ask.client(config)?, self.id, 0).await?, self.form.json)
    }

    async fn set(&self, config: &Config, verb: &str) -> Done {
        let path = format!("/api/v1/replays/{}/{verb}", self.id);
        let replay: wire::Replay = self.ask.client(config)?.post(&path, &json!({})).await?;
        said(&replay, self.form.json)
    }
}

fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok();
    number
        .filter(|rate| (1..=100_000).contains(rate))
        .ok_or_else(|| "write for example 10/s, up to 100000/s".to_owned())
}
