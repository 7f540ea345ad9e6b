//! `workhook events forget`: removes a person or an entity from everything that is kept.

use anyhow::anyhow;
use clap::Args;

use super::tail::newest;
use crate::admin::api::wire;
use crate::cli::ask::Sure;
use crate::cli::client::{Ask, Client};
use crate::cli::output::counted;
use crate::cli::progress::Progress;
use crate::cli::{Done, Failed, Form, half_way, output};
use crate::config::Config;

/// What is left while somebody reads the database.
const LOG: &str = "log";
/// How many steps it cleans for, of about two seconds each; fewer while it is only the log that is left.
const CLEAN_MAX: usize = 450;
const LOG_MAX: usize = 10;

/// Whom or what.
#[derive(Debug, Args)]
pub(in crate::cli) struct Forget {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    about: About,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct About {
    /// Everything in which this person appears, by id, e-mail address or whole name.
    #[arg(long, value_name = "WHO")]
    person: Option<String>,
    /// Everything about this entity, by its id and not its number: issue/100, or leiga/tenant:1/issue/100.
    #[arg(long, value_name = "ENTITY")]
    entity: Option<String>,
}

impl Forget {
    /// Counts, asks, and removes, in steps of which any can be the last: run again, it goes on.
    pub(super) async fn run(&self, config: &Config) -> Done {
        let client = self.ask.client(config)?;
        let would = self.all(&client, true, 0).await?;
        if self.sure.dry_run {
            self.tell(&would, "would be forgotten");
            return Ok(());
        }
        if would.events + would.rejected + would.bodies > 0 {
            self.sure.confirm(&format!("{} will be forgotten, for good.", told(&would)))?;
            let done = self.all(&client, false, 0).await?;
            self.tell(&done, "forgotten");
            return is_clean(&done);
        }
        let cleaned = match would.left {
            None => would,
            // An earlier one ended before its end; nothing that came in since is looked at.
            Some(_) => self.all(&client, false, i64::MAX).await?,
        };
        self.tell(&cleaned, "to forget");
        is_clean(&cleaned)
    }

    /// Goes through what was stored behind a position, and on until nothing is left in the files or it takes too long.
    async fn all(&self, client: &Client, dry_run: bool, from: i64) -> anyhow::Result<wire::Forgotten> {
        let mut bar = Progress::of(u64::try_from(newest(client).await?).unwrap_or(0));
        let mut sum = wire::Forgotten { next: Some(from), ..wire::Forgotten::default() };
        let mut cleaned = 0;
        while let Some(after) = sum.next {
            let About { person, entity } = &self.about;
            let step = wire::Forget { person: person.clone(), entity: entity.clone(), dry_run, after };
            let step: anyhow::Result<wire::Forgotten> = client.post("/api/v1/forget", &step).await;
            let step = match step {
                Err(error) if !dry_run && sum.events + sum.rejected + sum.bodies > 0 => {
                    return Err(error.context(half_way(&format!("{} forgotten", told(&sum)))));
                }
                step => step?,
            };
            sum.events += step.events;
            sum.rejected += step.rejected;
            sum.bodies += step.bodies;
            (sum.next, sum.left) = (step.next, step.left);
            match &sum.left {
                Some(left) if !dry_run => cleaned += if left == LOG { CLEAN_MAX / LOG_MAX } else { 1 },
                _ => bar.at(sum.next.and_then(|at| u64::try_from(at).ok()).unwrap_or(0)),
            }
            if cleaned >= CLEAN_MAX {
                break;
            }
        }
        Ok(sum)
    }

    fn tell(&self, forgotten: &wire::Forgotten, what: &str) {
        if self.form.json {
            output::json(forgotten);
            return;
        }
        output::line(format!("{} {what}", told(forgotten)));
        if self.sure.dry_run && forgotten.left.is_some() {
            output::line("of what was forgotten before, something is still in the files; without --dry-run it goes");
        }
    }
}

/// It is wrong where something is left, which the next run goes on with.
fn is_clean(forgotten: &wire::Forgotten) -> Done {
    let why = match forgotten.left.as_deref() {
        None => return Ok(()),
        Some(LOG) => "somebody reads the database for long, so that its write-ahead log cannot be emptied",
        Some(_) => "so much comes in that it cannot be taken out as quickly",
    };
    Err(Failed::Work(anyhow!("something of what was forgotten is still in the files: {why}; run it again later")))
}

fn told(forgotten: &wire::Forgotten) -> String {
    let (events, rejected) = (counted(forgotten.events, "event"), counted(forgotten.rejected, "rejected request"));
    match forgotten.bodies {
        0 => format!("{events} and {rejected}"),
        1 => format!("{events}, {rejected} and 1 body of a duplicate"),
        bodies => format!("{events}, {rejected} and {bodies} bodies of duplicates"),
    }
}
