//! `workhook events`: what is kept, and the whole story of one.

use clap::{Args, Subcommand};

use super::client::Ask;
use super::{Done, Form, output, table};
use crate::admin::api::wire;
use crate::config::Config;
use crate::contract::EventName;

/// What to do with events.
#[derive(Debug, Subcommand)]
pub(super) enum Events {
    /// List events, the newest first.
    List(List),
    /// Show all that is known of an event: how it came in, which handlers got it, and why the others did not.
    Show(Show),
}

/// Which events.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    /// How many at the most, up to 200.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=200))]
    limit: u64,
    /// Only events before this position.
    #[arg(long, value_name = "POSITION")]
    before: Option<i64>,
    /// Only events of this name, such as Issue.Update.
    #[arg(long, value_name = "EVENT", value_parser = event_name)]
    name: Option<String>,
    /// Only events of this webhook.
    #[arg(long, value_name = "NAME")]
    webhook: Option<String>,
}

/// Which event.
#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    /// The event's id.
    id: String,
    /// Print the body as it came, and nothing else.
    #[arg(long)]
    raw: bool,
}

impl Events {
    pub(super) async fn run(&self, config: &Config) -> Done {
        match self {
            Events::List(list) => list.run(config).await,
            Events::Show(show) => show.run(config).await,
        }
    }
}

impl List {
    async fn run(&self, config: &Config) -> Done {
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.before.map(|before| ("before", before.to_string())));
        query.extend(self.name.clone().map(|name| ("name", name)));
        query.extend(self.webhook.clone().map(|webhook| ("webhook", webhook)));
        let list: wire::Events = self.ask.client(config)?.get("/api/v1/events", &query).await?;
        if self.form.json {
            output::json(&list);
            return Ok(());
        }
        if list.events.is_empty() {
            output::line("no events");
            return Ok(());
        }
        let rows: Vec<_> = list.events.iter().map(row).collect();
        table::print(&["ID", "RECEIVED", "EVENT", "BRAND", "HANDLED", "ABOUT"], &rows);
        if let Some(next) = list.next {
            output::line(format!("more: --before {next}"));
        }
        Ok(())
    }
}

/// A name as events are stored under it.
fn event_name(text: &str) -> Result<String, String> {
    EventName::parse(text).map(|name| name.to_string()).map_err(|error| format!("it {error}"))
}

fn row(event: &wire::EventSummary) -> Vec<String> {
    let mut about = event.title.clone().or_else(|| event.entity.clone()).unwrap_or_default();
    if !event.notes.is_empty() {
        about.push_str(&format!("  [{}]", event.notes.join(", ")));
    }
    let (name, received_at) = (event.name.clone(), output::time(event.received_at));
    vec![event.id.clone(), received_at, name, event.brand.clone(), handled(event), about]
}

/// What became of an event, in a few words.
pub(super) fn handled(event: &wire::EventSummary) -> String {
    if !event.planned {
        return "to be planned".to_owned();
    }
    let states: Vec<_> = event.deliveries.iter().map(|count| format!("{} {}", count.count, count.state)).collect();
    if states.is_empty() { "not routed".to_owned() } else { states.join(", ") }
}

impl Show {
    async fn run(&self, config: &Config) -> Done {
        let client = self.ask.client(config)?;
        if self.raw {
            let body = client.bytes(&format!("/api/v1/events/{}/body", self.id)).await?;
            output::bytes(&body);
            return Ok(());
        }
        let event: wire::EventDetail = client.get(&format!("/api/v1/events/{}", self.id), &[]).await?;
        if self.form.json {
            output::json(&event);
        } else {
            story(&event);
        }
        Ok(())
    }
}

/// The story of an event, from the first request to the last attempt.
fn story(event: &wire::EventDetail) {
    let summary = &event.summary;
    let alias = event.original_name.as_ref().map(|name| format!(" (came as {name})")).unwrap_or_default();
    output::line(format!(
        "{}{alias}  {}  {}",
        summary.name,
        summary.brand,
        summary.title.as_deref().unwrap_or_default()
    ));
    output::line(format!("  id        {}  at position {}", summary.id, summary.position));
    output::line(format!("  webhook   {}  (claims id {:?})", summary.webhook, event.claimed_webhook_id));
    output::line(format!("  sender's  {}", summary.occurrence_id.as_deref().unwrap_or("no id; known by its body")));
    output::line(format!("  entity    {}", summary.entity.as_deref().unwrap_or("none")));
    output::line(format!("  body      {} bytes; --raw prints it", event.body_bytes));
    for text in event.oddities.iter().chain(&event.misfits) {
        output::line(format!("  odd       {text}"));
    }
    output::line(format!("received {} time{}", summary.receipts, if summary.receipts == 1 { "" } else { "s" }));
    for receipt in &event.history {
        output::line(format!("  {}", receipt_line(receipt)));
    }
    match event.planned_at {
        None => output::line("not planned yet"),
        Some(at) => output::line(format!("planned {}", output::time(at))),
    }
    for delivery in &event.handlers {
        output::line(format!("  {}", delivery_line(delivery)));
        for attempt in &delivery.history {
            output::line(format!("    {}", attempt_line(attempt)));
        }
    }
    for not in &event.not_routed {
        output::line(format!("  {}  not asked: {}", not.handler, not.clause));
    }
}

fn receipt_line(receipt: &wire::Receipt) -> String {
    let mut text = format!("{}  retry {}", output::time(receipt.received_at), receipt.retry_num);
    if let Some(peer) = &receipt.peer {
        text.push_str(&format!("  from {peer}"));
    }
    if receipt.matched_by_body {
        text.push_str("  matched by body");
    }
    if let Some(bytes) = receipt.other_body_bytes {
        text.push_str(&format!("  with another body of {bytes} bytes (kept, not handled)"));
    }
    text
}

fn delivery_line(delivery: &wire::Delivery) -> String {
    let mut text = format!("{}  {}", delivery.handler, delivery.state);
    if let Some(waits) = &delivery.waits {
        text.push_str(&format!(", {waits}"));
    }
    if let Some(due_at) = delivery.due_at {
        text.push_str(&format!(" ({})", output::time(due_at)));
    }
    if let Some(reason) = &delivery.reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}

fn attempt_line(attempt: &wire::Attempt) -> String {
    let status = attempt.status.map(|status| format!(" {status}")).unwrap_or_default();
    let started_at = output::time(attempt.started_at);
    format!(
        "{started_at}  attempt {}  {}{status}  {} ms  {}",
        attempt.number, attempt.ended, attempt.took_ms, attempt.message
    )
}
