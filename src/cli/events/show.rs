//! `workhook events show`: the whole story of an event.

use clap::Args;

use crate::admin::api::wire;
use crate::cli::client::Ask;
use crate::cli::deliveries::in_words;
use crate::cli::{Done, Form, output, table};
use crate::config::Config;

/// How much of a far end's answer is shown, in places on the screen.
const ANSWER_MAX: usize = 200;

/// Which event.
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
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

impl Show {
    pub(super) async fn run(&self, config: &Config) -> Done {
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
            answer_line(&attempt.response).into_iter().for_each(|answer| output::line(format!("      {answer}")));
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
        text.push_str(&format!(", {}", in_words(waits)));
    }
    if let Some(replay) = delivery.replay {
        text.push_str(&format!(", by replay {replay}"));
    }
    if delivery.retried > 0 {
        text.push_str(&format!(", retried by hand {}", output::counted(delivery.retried.into(), "time")));
    }
    if let Some(due_at) = delivery.due_at {
        text.push_str(&format!(" ({})", output::time(due_at)));
    }
    if let Some(reason) = &delivery.reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}

/// An attempt in a line.
pub(in crate::cli) fn attempt_line(attempt: &wire::Attempt) -> String {
    let status = attempt.status.map(|status| format!(" {status}")).unwrap_or_default();
    let started_at = output::time(attempt.started_at);
    format!(
        "{started_at}  attempt {}  {}{status}  {} ms  {}",
        attempt.number, attempt.ended, attempt.took_ms, attempt.message
    )
}

/// The beginning of what the far end answered, where it said anything.
fn answer_line(response: &str) -> Option<String> {
    let first = response.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(format!("answer: {}", table::cut(first, ANSWER_MAX)))
}
