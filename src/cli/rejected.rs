//! `workhook rejected`: requests with a good token that could not be events.

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::client::Ask;
use super::known::say_unknown_webhook;
use super::table::Narrow;
use super::{Done, Form, output, table};
use crate::admin::api::wire;
use crate::config::Config;

/// What to do with rejected requests.
#[derive(Debug, Subcommand)]
pub(super) enum Rejected {
    /// List rejected requests, the newest first.
    List(List),
    /// Show all that is known of a rejected request.
    Show(Show),
    /// Judge a rejected request again, with corrections; when it is good now, it becomes an event.
    Retry(Retry),
}

/// Which requests.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    /// How many at the most, up to 200.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=200))]
    limit: u64,
    /// Only requests before this one.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// Only those of this webhook.
    #[arg(long, value_name = "NAME")]
    webhook: Option<String>,
}

/// Which request.
#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    /// The request's id.
    id: i64,
    /// Print the body as it came, and nothing else.
    #[arg(long)]
    raw: bool,
}

/// Which request, and what to correct.
#[derive(Debug, Args)]
pub(super) struct Retry {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    /// The request's id.
    id: i64,
    /// Set a header, such as Retry-Num=0, with or without the brand's prefix; nothing behind the = takes it away. Can
    /// be given more than once.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = correction)]
    set: Vec<(String, String)>,
}

fn correction(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Rejected {
    pub(super) async fn run(&self, config: &Config) -> Done {
        match self {
            Rejected::List(list) => list.run(config).await,
            Rejected::Show(show) => show.run(config).await,
            Rejected::Retry(retry) => retry.run(config).await,
        }
    }
}

impl List {
    async fn run(&self, config: &Config) -> Done {
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.before.map(|before| ("before", before.to_string())));
        query.extend(self.webhook.clone().map(|webhook| ("webhook", webhook)));
        let client = self.ask.client(config)?;
        let list: wire::RejectedList = client.get("/api/v1/rejected", &query).await?;
        if list.rejected.is_empty() {
            say_unknown_webhook(&client, self.webhook.as_deref()).await;
        }
        if self.form.json {
            output::json(&list);
            return Ok(());
        }
        if list.rejected.is_empty() {
            output::line("no rejected requests");
            return Ok(());
        }
        let rows: Vec<_> = list.rejected.iter().map(row).collect();
        let narrow = Narrow { whole: &["RECEIVED", "NOW"], spare: &["BRAND"] };
        table::print_narrow(&["ID", "RECEIVED", "WEBHOOK", "BRAND", "NOW", "WHY"], narrow, &rows);
        if let Some(next) = list.next {
            output::line(format!("more: --before {next}"));
        }
        Ok(())
    }
}

fn row(rejected: &wire::Rejected) -> Vec<String> {
    let now = if rejected.became.is_some() { "an event" } else { "rejected" };
    vec![
        rejected.id.to_string(),
        table::time(rejected.received_at),
        rejected.webhook.clone(),
        rejected.brand.clone(),
        now.to_owned(),
        rejected.reason.clone(),
    ]
}

impl Show {
    async fn run(&self, config: &Config) -> Done {
        let client = self.ask.client(config)?;
        if self.raw {
            output::bytes(&client.bytes(&format!("/api/v1/rejected/{}/body", self.id)).await?);
            return Ok(());
        }
        let rejected: wire::Rejected = client.get(&format!("/api/v1/rejected/{}", self.id), &[]).await?;
        if self.form.json {
            output::json(&rejected);
        } else {
            story(&rejected);
        }
        Ok(())
    }
}

fn story(rejected: &wire::Rejected) {
    output::line(format!("rejected  {}", rejected.reason));
    let from = rejected.peer.as_deref().unwrap_or("an unknown address");
    output::line(format!("  received  {}  from {from}", output::time(rejected.received_at)));
    output::line(format!("  webhook   {}  ({})", rejected.webhook, rejected.brand));
    output::line(match rejected.body_bytes {
        0 => "  body      none is kept".to_owned(),
        bytes => format!("  body      {bytes} bytes; --raw prints it"),
    });
    for (name, value) in &rejected.headers {
        output::line(format!("  header    {name}: {value}"));
    }
    if let Some(became) = &rejected.became {
        output::line(format!("became event {}  {}", became.event, output::time(became.at)));
    }
}

impl Retry {
    async fn run(&self, config: &Config) -> Done {
        let asked = wire::RetryRejected { set: self.set.iter().cloned().collect() };
        if asked.set.len() < self.set.len() {
            return Err(super::Failed::Use(anyhow!("a header is set twice")));
        }
        let path = format!("/api/v1/rejected/{}/retry", self.id);
        let retried: wire::Retried = self.ask.client(config)?.post(&path, &asked).await?;
        if self.form.json {
            output::json(&retried);
            return Ok(());
        }
        let event = retried.event.as_deref().unwrap_or("that is no longer kept");
        output::line(match retried.outcome.as_str() {
            "stored" => format!("stored as event {event}"),
            _ => format!("a duplicate of event {event}"),
        });
        Ok(())
    }
}
