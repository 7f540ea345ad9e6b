//! `workhook deliveries`: what became of events at their handlers.

use clap::{Args, Subcommand};

use super::change::{Cancel, Retry};
use super::client::{Ask, Client};
use super::known::say_unknown_handler;
use super::table::Narrow;
use super::which::{WhichDeliveries, query};
use super::{Done, Form, output, table};
use crate::admin::api::wire;
use crate::config::Config;
use crate::model::DeliveryState;

/// The most deliveries of one answer of the API.
const PAGE: u64 = 200;

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
pub(super) enum Deliveries {
    /// List deliveries, the newest first.
    List(List),
    /// Have dead letters, or cancelled deliveries, tried again: by id, or all that are meant.
    ///
    /// They keep their key and run out of order. Those that are named by id are not asked about.
    Retry(Retry),
    /// Cancel deliveries that are pending: by id, or all that are meant.
    ///
    /// An attempt under way is not taken back. Those that are named by id are not asked about.
    Cancel(Cancel),
}

/// Which deliveries.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    /// How many at the most.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Only deliveries before this one, the newest first.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// Only deliveries after this one, the oldest first.
    #[arg(long, value_name = "ID", conflicts_with = "before")]
    after: Option<i64>,
    #[command(flatten)]
    which: WhichDeliveries,
    /// Those in this state.
    #[arg(long, value_parser = DeliveryState::ALL.map(DeliveryState::as_str), help_heading = "Which deliveries")]
    state: Option<String>,
}

impl Deliveries {
    pub(super) async fn run(&self, config: &Config) -> Done {
        match self {
            Deliveries::List(list) => list.run(config).await,
            Deliveries::Retry(retry) => retry.run(config).await,
            Deliveries::Cancel(cancel) => cancel.run(config).await,
        }
    }
}

impl List {
    async fn run(&self, config: &Config) -> Done {
        let client = self.ask.client(config)?;
        let answer = self.all(&client).await?;
        if answer.deliveries.is_empty() {
            say_unknown_handler(&client, self.which.handler()).await;
        }
        if self.form.json {
            output::json(&answer);
            return Ok(());
        }
        if answer.deliveries.is_empty() {
            output::line("no deliveries");
            return Ok(());
        }
        let rows: Vec<_> = answer.deliveries.iter().map(row).collect();
        let narrow = Narrow { whole: &["NAME", "STATE"], spare: &["TRIES"] };
        table::print_narrow(&["ID", "EVENT", "NAME", "HANDLER", "STATE", "TRIES", "WHY"], narrow, &rows);
        if let Some(next) = answer.next {
            output::line(format!("more: --{} {next}", self.direction()));
        }
        Ok(())
    }

    /// Page after page: one may be short, or empty, though there are more.
    async fn all(&self, client: &Client) -> anyhow::Result<wire::Deliveries> {
        let which = query(&self.which.filter(self.state.as_ref()));
        let (mut deliveries, mut from) = (Vec::new(), self.before.or(self.after));
        loop {
            let left = self.limit - deliveries.len() as u64;
            let mut asked: Vec<_> = which.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
            asked.push(("limit", left.min(PAGE).to_string()));
            asked.extend(from.map(|from| (self.direction(), from.to_string())));
            let page: wire::Deliveries = client.get("/api/v1/deliveries", &asked).await?;
            deliveries.extend(page.deliveries);
            from = page.next;
            if from.is_none() || deliveries.len() as u64 >= self.limit {
                return Ok(wire::Deliveries { deliveries, next: from });
            }
        }
    }

    fn direction(&self) -> &'static str {
        if self.after.is_some() { "after" } else { "before" }
    }
}

fn row(delivery: &wire::Delivery) -> Vec<String> {
    let waits = delivery.waits.as_ref().map(|waits| in_words(waits));
    let why: Vec<String> = delivery.reason.clone().into_iter().chain(waits).collect();
    vec![
        delivery.id.to_string(),
        delivery.event.clone(),
        delivery.event_name.clone(),
        delivery.handler.clone(),
        delivery.state.clone(),
        delivery.attempts.to_string(),
        why.join("; "),
    ]
}

/// What a delivery waits for, after a comma or a semicolon.
pub(super) fn in_words(waits: &str) -> String {
    if waits.starts_with("for ") || waits.starts_with("until ") { format!("waits {waits}") } else { waits.to_owned() }
}
