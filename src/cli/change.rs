//! `workhook deliveries retry` and `cancel`: some by id, or all that are meant.

use std::collections::BTreeSet;

use anyhow::{Context, anyhow};
use clap::Args;

use super::ask::Sure;
use super::client::{Ask, Client, Missing};
use super::known::say_unknown_handler;
use super::progress::Progress;
use super::which::WhichDeliveries;
use super::{Done, Failed, Form, half_way, output};
use crate::admin::api::wire;
use crate::config::Config;

/// How many ids one request takes.
const IDS_MAX: usize = 500;

/// Of how many that were left alone it is looked whether they are there.
const LOOKED_FOR_MAX: usize = 20;

/// What is tried again.
#[derive(Debug, Args)]
pub(super) struct Retry {
    #[command(flatten)]
    change: Change,
    /// Those in this state; without it, dead ones.
    #[arg(long, value_parser = ["dead", "cancelled"], help_heading = "Which deliveries")]
    state: Option<String>,
}

/// What is cancelled.
#[derive(Debug, Args)]
pub(super) struct Cancel {
    #[command(flatten)]
    change: Change,
    /// All that are pending.
    #[arg(long, value_parser = ["pending"], help_heading = "Which deliveries")]
    state: Option<String>,
    /// Why, in a few words; it is kept with them.
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
}

/// What both take.
#[derive(Debug, Args)]
struct Change {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    sure: Sure,
    /// These, and nothing is asked.
    #[arg(value_name = "ID", value_parser = id)]
    ids: Vec<i64>,
    #[command(flatten)]
    which: WhichDeliveries,
}

/// What is done, in words.
struct Verb {
    path: &'static str,
    now: &'static str,
    done: &'static str,
    allowed: &'static str,
}

const RETRY: Verb = Verb {
    path: "/api/v1/deliveries/retry",
    now: "retry",
    done: "retried",
    allowed: "only what is dead or cancelled can be retried",
};
const CANCEL: Verb = Verb {
    path: "/api/v1/deliveries/cancel",
    now: "cancel",
    done: "cancelled",
    allowed: "only what is pending can be cancelled",
};

impl Verb {
    /// Asks for one step; so many were changed before it.
    async fn ask(
        &self,
        client: &Client,
        asked: &wire::ChangeDeliveries,
        before: u64,
    ) -> anyhow::Result<wire::ChangedDeliveries> {
        let changed = client.post(self.path, asked).await;
        if before == 0 || asked.dry_run {
            return changed;
        }
        changed.with_context(|| half_way(&format!("{} {}", deliveries(before), self.done)))
    }
}

impl Retry {
    pub(super) async fn run(&self, config: &Config) -> Done {
        self.change.run(config, &RETRY, self.state.as_ref(), None).await
    }
}

impl Cancel {
    pub(super) async fn run(&self, config: &Config) -> Done {
        self.change.run(config, &CANCEL, self.state.as_ref(), self.because.clone()).await
    }
}

impl Change {
    async fn run(&self, config: &Config, verb: &Verb, state: Option<&String>, reason: Option<String>) -> Done {
        let filter = self.which.filter(state);
        let by_filter = filter != wire::DeliveryFilter::default();
        let wrong = |text: &str| Err(Failed::Use(anyhow!("{text}")));
        match (self.ids.is_empty(), by_filter) {
            (true, false) => wrong("say which deliveries: by id, or with --handler, --event, --state and the like"),
            (false, true) => wrong("name deliveries by id, or say which are meant; not both"),
            (false, false) => self.by_id(&self.ask.client(config)?, verb, reason).await,
            (true, true) => self.by_filter(&self.ask.client(config)?, verb, filter, reason).await,
        }
    }

    async fn by_id(&self, client: &Client, verb: &Verb, reason: Option<String>) -> Done {
        let named: Vec<i64> = BTreeSet::from_iter(self.ids.iter().copied()).into_iter().collect();
        let mut done = 0;
        for ids in named.chunks(IDS_MAX) {
            let (ids, dry_run, reason) = (ids.to_vec(), self.sure.dry_run, reason.clone());
            let asked = wire::ChangeDeliveries { ids, dry_run, reason, ..wire::ChangeDeliveries::default() };
            done += verb.ask(client, &asked, done).await?.done;
        }
        self.say(verb, done);
        let named = named.len() as u64;
        if done < named {
            let missing = self.missing(client).await?;
            let there = named - done > missing.len() as u64;
            let why: Vec<_> = there.then(|| verb.allowed.to_owned()).into_iter().chain(missing).collect();
            let left = format!("{} of {named} were left alone: {}", named - done, why.join("; "));
            return Err(Failed::Work(anyhow!(left)));
        }
        Ok(())
    }

    /// Which of the first that were named there are not, in words.
    async fn missing(&self, client: &Client) -> anyhow::Result<Vec<String>> {
        let mut missing = Vec::new();
        for id in BTreeSet::from_iter(&self.ids).into_iter().take(LOOKED_FOR_MAX) {
            match client.get::<wire::Delivery>(&format!("/api/v1/deliveries/{id}"), &[]).await {
                Ok(_) => {}
                Err(error) if error.is::<Missing>() => missing.push(format!("there is no delivery {id}")),
                Err(error) => return Err(error),
            }
        }
        Ok(missing)
    }

    async fn by_filter(
        &self,
        client: &Client,
        verb: &Verb,
        filter: wire::DeliveryFilter,
        reason: Option<String>,
    ) -> Done {
        let mut asked =
            wire::ChangeDeliveries { filter: Some(filter), dry_run: true, reason, ..wire::ChangeDeliveries::default() };
        let count = all(client, verb, asked.clone(), &mut Progress::of(0)).await?;
        if count == 0 || self.sure.dry_run {
            self.say(verb, count);
            if count == 0 {
                say_unknown_handler(client, self.which.handler()).await;
            }
            return Ok(());
        }
        self.sure.confirm(&format!("{} will be {}.", deliveries(count), verb.done))?;
        asked.dry_run = false;
        let done = all(client, verb, asked, &mut Progress::of(count)).await?;
        self.say(verb, done);
        Ok(())
    }

    fn say(&self, verb: &Verb, done: u64) {
        if self.form.json {
            output::json(&wire::ChangedDeliveries { done, next: None, through: None });
        } else if done == 0 {
            output::line(format!("nothing to {}", verb.now));
        } else if self.sure.dry_run {
            output::line(format!("{} would be {}", deliveries(done), verb.done));
        } else {
            output::line(format!("{} {}", deliveries(done), verb.done));
        }
    }
}

/// Asks until the end; how many it were.
async fn all(
    client: &Client,
    verb: &Verb,
    mut asked: wire::ChangeDeliveries,
    progress: &mut Progress,
) -> Result<u64, Failed> {
    let mut done = 0;
    loop {
        let changed = verb.ask(client, &asked, done).await?;
        done += changed.done;
        progress.at(done);
        if changed.next.is_none() {
            return Ok(done);
        }
        (asked.after, asked.through) = (changed.next, changed.through);
    }
}

fn id(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "the id of a delivery is a number, as `workhook deliveries list` shows it".to_owned())
}

/// So many deliveries, in words.
pub(super) fn deliveries(count: u64) -> String {
    if count == 1 { "1 delivery".to_owned() } else { format!("{count} deliveries") }
}
