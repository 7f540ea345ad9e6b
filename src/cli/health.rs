//! `workhook health`: for people, and as a container's health check.

use super::client::Ask;
use super::{Done, Failed, output};
use crate::admin::api::wire;
use crate::config::Config;

pub(super) async fn run(ask: &Ask, config: &Config, json: bool) -> Done {
    let client = ask.client(config)?;
    let (status, text) = client.ask("/readyz").await?;
    if json {
        output::json(&client.get::<wire::Health>("/api/v1/health", &[]).await?);
    } else {
        match client.get::<wire::Health>("/api/v1/health", &[]).await {
            Ok(health) => print(&health),
            // Without the credential it is still said whether it is ready.
            Err(error) => output::line(format!("{text} (no more is told: {error})")),
        }
    }
    if status == 200 { Ok(()) } else { Err(Failed::Said) }
}

fn print(health: &wire::Health) {
    output::line(match &health.because {
        None => "ready".to_owned(),
        Some(why) => format!("not ready: {why}"),
    });
    let states: Vec<_> = health.deliveries.iter().map(|count| format!("{} {}", count.count, count.state)).collect();
    output::line(format!("events      {} kept, {} waiting to be planned", health.events, health.unplanned));
    output::line(format!("deliveries  {}", if states.is_empty() { "none".to_owned() } else { states.join(", ") }));
    if let Some(seconds) = health.oldest_pending_seconds {
        output::line(format!("oldest      pending for {seconds} s"));
    }
    output::line(format!("rejected    {} kept", health.rejected));
    if !health.turned_away.is_empty() {
        output::line("turned away, the latest first:");
        let rows = health.turned_away.iter().map(|away| {
            vec![
                away.count.to_string(),
                away.code.clone(),
                away.peer.clone(),
                output::time(away.last_at),
                away.claimed_webhook_id.clone(),
            ]
        });
        output::table(&["COUNT", "WHY", "FROM", "LAST", "WEBHOOK ID"], &rows.collect::<Vec<_>>(), 40);
    }
}
