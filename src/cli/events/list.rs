//! `workhook events list`.

use clap::Args;

use crate::admin::api::wire;
use crate::cli::client::{Ask, Client};
use crate::cli::filter::Filter;
use crate::cli::known::say_unknown_webhook;
use crate::cli::table::Narrow;
use crate::cli::{Done, Form, output, table};
use crate::config::Config;

/// The most events of one answer of the API.
pub(super) const PAGE: u64 = 200;

/// Which events.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    /// How many at the most.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Only events before this position.
    #[arg(long, value_name = "POSITION")]
    before: Option<i64>,
    #[command(flatten)]
    filter: Filter,
}

impl List {
    pub(super) async fn run(&self, config: &Config) -> Done {
        let client = self.ask.client(config)?;
        let list = self.all(&client).await?;
        if list.events.is_empty() {
            say_unknown_webhook(&client, self.filter.webhook.as_deref()).await;
        }
        if self.form.json {
            output::json(&list);
            return Ok(());
        }
        if list.events.is_empty() {
            output::line("no events");
        } else {
            let rows: Vec<_> = list.events.iter().map(row).collect();
            let narrow = Narrow { whole: &["RECEIVED", "EVENT", "HANDLED"], spare: &["BRAND"] };
            table::print_narrow(&["ID", "RECEIVED", "EVENT", "BRAND", "HANDLED", "ABOUT"], narrow, &rows);
        }
        if let Some(next) = list.next {
            output::line(format!("more: --before {next}"));
        }
        Ok(())
    }

    /// Page after page: one may be short, or empty, though there are more.
    async fn all(&self, client: &Client) -> anyhow::Result<wire::Events> {
        let mut events = Vec::new();
        let mut before = self.before;
        loop {
            let left = self.limit - events.len() as u64;
            let mut query = self.filter.query();
            query.push(("limit", left.min(PAGE).to_string()));
            query.extend(before.map(|before| ("before", before.to_string())));
            let page: wire::Events = client.get("/api/v1/events", &query).await?;
            events.extend(page.events);
            before = page.next;
            if before.is_none() || events.len() as u64 >= self.limit {
                return Ok(wire::Events { events, next: before });
            }
        }
    }
}

fn row(event: &wire::EventSummary) -> Vec<String> {
    let received_at = table::time(event.received_at);
    vec![event.id.clone(), received_at, event.name.clone(), event.brand.clone(), handled(event), about(event)]
}

/// What an event is about, and what was odd about it.
pub(super) fn about(event: &wire::EventSummary) -> String {
    let mut about = event.title.clone().or_else(|| event.entity.clone()).unwrap_or_default();
    if !event.notes.is_empty() {
        about.push_str(&format!("  [{}]", event.notes.join(", ")));
    }
    about
}

/// What became of an event, in a few words.
pub(in crate::cli) fn handled(event: &wire::EventSummary) -> String {
    if !event.planned {
        return "to be planned".to_owned();
    }
    let states: Vec<_> = event.deliveries.iter().map(|count| format!("{} {}", count.count, count.state)).collect();
    if states.is_empty() { "not routed".to_owned() } else { states.join(", ") }
}
