//! `workhook health`: for people, and as a container's health check.

use clap::Args;
use jiff::Timestamp;

use super::client::Ask;
use super::{Done, Failed, Form, output, table};
use crate::admin::api::wire;
use crate::config::Config;

/// Whom to ask, and how to say it.
#[derive(Debug, Args)]
pub(super) struct Health {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    /// Print nothing but errors, and ask only whether it is ready: for a container's health check.
    #[arg(long, conflicts_with = "json")]
    pub(super) quiet: bool,
}

impl Health {
    /// Whether it is ready decides; whoever has no credential is told no more than that.
    pub(super) async fn run(&self, config: &Config) -> Done {
        let client = self.ask.client(config)?;
        let ready = client.is_ready().await?;
        if self.quiet {
            return if ready { Ok(()) } else { Err(Failed::Said) };
        }
        let told = client.get::<wire::Health>("/api/v1/health", &[]).await;
        match (told, self.form.json) {
            (Ok(health), true) => output::json(&health),
            (Ok(health), false) => print(&health),
            (Err(error), true) => output::json(&serde_json::json!({ "ready": ready, "error": error.to_string() })),
            (Err(error), false) => {
                output::line(format!("{}; no more is told: {error}", if ready { "ready" } else { "not ready" }));
            }
        }
        if ready { Ok(()) } else { Err(Failed::Said) }
    }
}

fn print(health: &wire::Health) {
    output::line(match &health.because {
        None => "ready".to_owned(),
        Some(why) => format!("not ready: {why}"),
    });
    if let Some(failed) = health.reload.as_ref().filter(|reload| !reload.ok) {
        output::line(format!("reload      failed at {}; the old configuration is in force:", output::time(failed.at)));
        failed.mistakes.iter().for_each(|mistake| output::line(format!("  {mistake}")));
    }
    let states: Vec<_> = health.deliveries.iter().map(|count| format!("{} {}", count.count, count.state)).collect();
    output::line(format!("events      {} kept, {} waiting to be planned", health.events, health.unplanned));
    output::line(format!("deliveries  {}", if states.is_empty() { "none".to_owned() } else { states.join(", ") }));
    if let Some(seconds) = health.oldest_pending_seconds {
        output::line(format!("oldest      pending for {seconds} s"));
    }
    output::line(format!("rejected    {} kept", health.rejected));
    if !health.replicas.is_empty() {
        output::line(format!("replicas    {}", replicas(&health.replicas)));
        output::line(format!("duties      {}", duties(&health.duties)));
    }
    if !health.webhooks.is_empty() {
        output::line("webhooks:");
        let rows: Vec<_> = health.webhooks.iter().flat_map(webhook).collect();
        table::print(&["NAME", "LAST REQUEST", "TOKEN", "USES", "LAST USE"], &rows);
    }
    if !health.turned_away.is_empty() {
        output::line("turned away, the latest first:");
        let rows: Vec<_> = health.turned_away.iter().map(turned_away).collect();
        table::print(&["COUNT", "WHY", "FROM", "LAST", "WEBHOOK ID"], &rows);
    }
}

/// How many there are, and what each does for all.
fn replicas(replicas: &[wire::Replica]) -> String {
    let told = |replica: &wire::Replica| {
        let this = if replica.this { " (this one)" } else { "" };
        let duties = if replica.duties.is_empty() { String::new() } else { format!(": {}", replica.duties.join(", ")) };
        format!("{}{this}{duties}", replica.name)
    };
    format!("{}; {}", replicas.len(), replicas.iter().map(told).collect::<Vec<_>>().join("; "))
}

fn duties(duties: &[wire::Duty]) -> String {
    // A process that only takes requests asks for none.
    if duties.is_empty() {
        return "none are for this one".to_owned();
    }
    duties.iter().map(|duty| format!("{} {}", duty.name, duty.holder)).collect::<Vec<_>>().join(", ")
}

/// A line for each of its tokens.
fn webhook(webhook: &wire::Webhook) -> Vec<Vec<String>> {
    let time = |time: Option<Timestamp>| time.map_or_else(|| "never".to_owned(), table::time);
    let row = |used: &wire::TokenUse| {
        let token = match (used.token.as_str(), used.configured) {
            ("", _) => "none sent".to_owned(),
            (token, true) => format!("{token}…"),
            (token, false) => format!("{token}… (no longer configured)"),
        };
        let last = time(webhook.last_request);
        vec![webhook.name.clone(), last, token, used.count.to_string(), time(used.last_at)]
    };
    webhook.tokens.iter().map(row).collect()
}

fn turned_away(away: &wire::TurnedAway) -> Vec<String> {
    let last_at = table::time(away.last_at);
    vec![away.count.to_string(), away.code.clone(), away.peer.clone(), last_at, away.claimed_webhook_id.clone()]
}
