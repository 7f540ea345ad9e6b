//! `workhook events forget`: removes a person or an entity from everything that is kept.

use clap::Args;

use super::tail::newest;
use crate::admin::api::wire;
use crate::cli::ask::Sure;
use crate::cli::client::{Ask, Client};
use crate::cli::output::counted;
use crate::cli::progress::Progress;
use crate::cli::{Done, Form, half_way, output};
use crate::config::Config;

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
        let would = self.all(&client, true).await?;
        if self.sure.dry_run || would.events + would.rejected == 0 {
            self.tell(&would, if self.sure.dry_run { "would be forgotten" } else { "to forget" });
            return Ok(());
        }
        self.sure.confirm(&format!("{} will be forgotten, for good.", told(&would)))?;
        let done = self.all(&client, false).await?;
        self.tell(&done, "forgotten");
        Ok(())
    }

    async fn all(&self, client: &Client, dry_run: bool) -> anyhow::Result<wire::Forgotten> {
        let mut bar = Progress::of(u64::try_from(newest(client).await?).unwrap_or(0));
        let mut sum = wire::Forgotten { events: 0, rejected: 0, next: Some(0) };
        while let Some(after) = sum.next {
            let About { person, entity } = &self.about;
            let step = wire::Forget { person: person.clone(), entity: entity.clone(), dry_run, after };
            let step: anyhow::Result<wire::Forgotten> = client.post("/api/v1/forget", &step).await;
            let step = match step {
                Err(error) if !dry_run && sum.events + sum.rejected > 0 => {
                    return Err(error.context(half_way(&format!("{} forgotten", told(&sum)))));
                }
                step => step?,
            };
            sum = wire::Forgotten {
                events: sum.events + step.events,
                rejected: sum.rejected + step.rejected,
                next: step.next,
            };
            bar.at(step.next.and_then(|at| u64::try_from(at).ok()).unwrap_or(0));
        }
        Ok(sum)
    }

    fn tell(&self, forgotten: &wire::Forgotten, what: &str) {
        if self.form.json {
            output::json(forgotten);
        } else {
            output::line(format!("{} {what}", told(forgotten)));
        }
    }
}

fn told(forgotten: &wire::Forgotten) -> String {
    format!("{} and {}", counted(forgotten.events, "event"), counted(forgotten.rejected, "rejected request"))
}
