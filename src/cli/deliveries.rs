//! `workhook deliveries`: what became of events at their handlers.

use clap::{Args, Subcommand};

use super::client::Ask;
use super::{Done, Form, output, table};
use crate::admin::api::wire;
use crate::config::Config;
use crate::model::DeliveryState;

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
pub(super) enum Deliveries {
    /// List deliveries, the newest first.
    List(List),
}

/// Which deliveries.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    /// How many at the most, up to 200.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=200))]
    limit: u64,
    /// Only deliveries before this one.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// Only those of this handler.
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// Only those in this state.
    #[arg(long, value_parser = DeliveryState::ALL.map(DeliveryState::as_str))]
    state: Option<String>,
}

impl Deliveries {
    pub(super) async fn run(&self, config: &Config) -> Done {
        let Deliveries::List(list) = self;
        let mut query = vec![("limit", list.limit.to_string())];
        query.extend(list.before.map(|before| ("before", before.to_string())));
        query.extend(list.handler.clone().map(|handler| ("handler", handler)));
        query.extend(list.state.clone().map(|state| ("state", state)));
        let answer: wire::Deliveries = list.ask.client(config)?.get("/api/v1/deliveries", &query).await?;
        if list.form.json {
            output::json(&answer);
            return Ok(());
        }
        if answer.deliveries.is_empty() {
            output::line("no deliveries");
            return Ok(());
        }
        let rows: Vec<_> = answer.deliveries.iter().map(row).collect();
        table::print(&["ID", "EVENT", "NAME", "HANDLER", "STATE", "TRIES", "WHY"], &rows);
        if let Some(next) = answer.next {
            output::line(format!("more: --before {next}"));
        }
        Ok(())
    }
}

fn row(delivery: &wire::Delivery) -> Vec<String> {
    let waits = delivery.waits.as_ref().map(|waits| format!("waits {waits}"));
    let why: Vec<String> = waits.into_iter().chain(delivery.reason.clone()).collect();
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
