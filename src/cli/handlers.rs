//! `workhook handlers`: how they are going; pausing, going on, and trying one.

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Ask;
use super::deliveries::in_words;
use super::events::attempt_line;
use super::table::Narrow;
use super::{Done, Failed, Form, output, table};
use crate::admin::api::wire;
use crate::config::Config;

/// What to do with handlers.
#[derive(Debug, Subcommand)]
pub(super) enum Handlers {
    /// List every handler that is configured or has deliveries.
    List(List),
    /// Pause a handler: it gets nothing, and its deliveries wait, also after a restart.
    Pause(One),
    /// Let a paused handler go on.
    Resume(One),
    /// Send one event to a handler alone, the whole way, and say what came of it; exit code 1 where it was not taken.
    Test(Test),
}

/// In which form.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
}

/// Which handler.
#[derive(Debug, Args)]
pub(super) struct One {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    /// The handler.
    name: String,
}

/// Which handler, and with which event.
#[derive(Debug, Args)]
pub(super) struct Test {
    #[command(flatten)]
    one: One,
    /// This event; without it, the newest that the handler's route takes.
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// The newest event of this name, such as Issue.Update, whatever the handler's route says.
    #[arg(long, value_name = "EVENT", conflicts_with = "event")]
    event_name: Option<String>,
}

impl Handlers {
    pub(super) async fn run(&self, config: &Config) -> Done {
        match self {
            Handlers::List(list) => list.run(config).await,
            Handlers::Pause(one) => one.set(config, "pause", "is paused; its deliveries wait").await,
            Handlers::Resume(one) => one.set(config, "resume", "goes on").await,
            Handlers::Test(test) => test.run(config).await,
        }
    }
}

impl List {
    async fn run(&self, config: &Config) -> Done {
        let list: wire::Handlers = self.ask.client(config)?.get("/api/v1/handlers", &[]).await?;
        if self.form.json {
            output::json(&list);
            return Ok(());
        }
        let rows: Vec<_> = list.handlers.iter().map(row).collect();
        let narrow = Narrow { whole: &["PENDING", "DELIVERED", "DEAD", "CANCELLED"], spare: &["KIND"] };
        let heading = ["NAME", "KIND", "PENDING", "DELIVERED", "DEAD", "CANCELLED", "EVENTS", "STATE"];
        table::print_narrow(&heading, narrow, &rows);
        Ok(())
    }
}

fn row(handler: &wire::Handler) -> Vec<String> {
    let count = |state| {
        let count = handler.deliveries.iter().find(|count| count.state == state);
        count.map_or_else(|| "0".to_owned(), |count| count.count.to_string())
    };
    let settings = handler.settings.as_ref();
    vec![
        handler.name.clone(),
        settings.map_or("?", |settings| &settings.kind).to_owned(),
        count("pending"),
        count("delivered"),
        count("dead"),
        count("cancelled"),
        settings.map(|settings| settings.events.join(" ")).unwrap_or_default(),
        state(handler),
    ]
}

/// How a handler is going, in a few words.
fn state(handler: &wire::Handler) -> String {
    let mut words = Vec::new();
    if handler.orphaned {
        words.push("not configured".to_owned());
    }
    if let Some(since) = handler.paused_at {
        words.push(format!("paused since {}", table::time(since)));
    }
    if let Some(breaker) = &handler.breaker {
        let next = table::time(breaker.next_probe_at);
        words.push(format!("breaker open, next probe {next}: {}", breaker.reason));
    }
    if let Some(seconds) = handler.oldest_pending_seconds.filter(|seconds| *seconds >= 60) {
        words.push(format!("oldest pending {} min", seconds / 60));
    }
    if words.is_empty() { "good".to_owned() } else { words.join("; ") }
}

impl One {
    fn path(&self, verb: &str) -> String {
        format!("/api/v1/handlers/{}/{verb}", self.name)
    }

    async fn set(&self, config: &Config, verb: &str, said: &str) -> Done {
        let handler: wire::Handler = self.ask.client(config)?.post(&self.path(verb), &json!({})).await?;
        if self.form.json {
            output::json(&handler);
        } else {
            output::line(format!("{} {said}", handler.name));
        }
        Ok(())
    }
}

impl Test {
    async fn run(&self, config: &Config) -> Done {
        let asked = wire::TestHandler { event_id: self.event.clone(), event: self.event_name.clone() };
        let tested: wire::Tested = self.one.ask.client(config)?.post(&self.one.path("test"), &asked).await?;
        if self.one.form.json {
            output::json(&tested);
        } else {
            self.say(&tested);
        }
        let taken = |delivery: &wire::Delivery| delivery.state == "delivered";
        if tested.delivery.as_ref().is_some_and(taken) { Ok(()) } else { Err(Failed::Said) }
    }

    fn say(&self, tested: &wire::Tested) {
        let name = &self.one.name;
        let Some(delivery) = &tested.delivery else {
            let why =
                anyhow!("event {} was not sent to {name} in time; replay {} does it", tested.event, tested.replay);
            return output::error(&why);
        };
        output::line(format!("event {} to {name}, delivery {}: {}", tested.event, delivery.id, delivery.state));
        for attempt in &delivery.history {
            output::line(format!("  {}", attempt_line(attempt)));
        }
        if let Some(waits) = &delivery.waits {
            output::line(format!("  {}; `workhook deliveries cancel {}` ends that", in_words(waits), delivery.id));
        }
    }
}
