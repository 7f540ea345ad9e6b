//! `workhook events tail`: events as they come.
//!
//! What always holds: no event is left out or told twice, however often the service goes away in between.

use std::time::Duration;

use clap::Args;

use super::list::{PAGE, about};
use crate::admin::api::wire;
use crate::cli::client::{Ask, Away, Client};
use crate::cli::filter::Filter;
use crate::cli::{Done, output, table};
use crate::config::Config;

/// For how long one request waits, in seconds.
const WAIT_SECONDS: u64 = 20;
/// How long lies between two tries while nobody answers.
const AWAY_PAUSE: Duration = Duration::from_millis(200);

/// Which events, and how to print them.
#[derive(Debug, Args)]
pub(in crate::cli) struct Tail {
    #[command(flatten)]
    ask: Ask,
    /// Print each event as one line of JSON, for programs.
    #[arg(long)]
    json: bool,
    /// Begin after this position; without it, with what comes from now on.
    #[arg(long, value_name = "POSITION")]
    after: Option<i64>,
    /// End after so many events.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    filter: Filter,
}

impl Tail {
    pub(super) async fn run(&self, config: &Config) -> Done {
        let client = self.ask.client(config)?;
        tokio::select! {
            done = self.follow(&client) => done,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }

    async fn follow(&self, client: &Client) -> Done {
        // Whoever never answered is not waited for.
        let newest = newest(client).await?;
        let mut after = self.after.unwrap_or(newest);
        let (mut told, mut away) = (0, false);
        loop {
            let left = self.limit.map_or(PAGE, |limit| limit - told);
            if left == 0 {
                return Ok(());
            }
            match self.next(client, after, left).await {
                Ok(page) => {
                    if std::mem::take(&mut away) {
                        output::complaint("workhook: it answers again");
                    }
                    after = page.next.unwrap_or(after);
                    told += page.events.len() as u64;
                    page.events.iter().for_each(|event| self.print(event));
                }
                Err(error) if error.is::<Away>() => {
                    if !std::mem::replace(&mut away, true) {
                        output::error(&error.context("waiting until it is there again"));
                    }
                    tokio::time::sleep(AWAY_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn next(&self, client: &Client, after: i64, left: u64) -> anyhow::Result<wire::Events> {
        let mut query = self.filter.query();
        query.push(("after", after.to_string()));
        query.push(("limit", left.min(PAGE).to_string()));
        query.push(("wait", WAIT_SECONDS.to_string()));
        client.get("/api/v1/events", &query).await
    }

    fn print(&self, event: &wire::EventSummary) {
        if self.json {
            output::json_line(event);
            return;
        }
        let line =
            format!("{}  {:<20}  {:<9}  {}", table::time(event.received_at), event.name, event.brand, about(event));
        output::line(table::screen().map_or_else(|| line.clone(), |screen| table::cut(&line, screen)));
    }
}

/// The newest position; 0 where there is no event.
pub(super) async fn newest(client: &Client) -> anyhow::Result<i64> {
    let list: wire::Events = client.get("/api/v1/events", &[("limit", "1".to_owned())]).await?;
    Ok(list.events.first().map_or(0, |event| event.position))
}
