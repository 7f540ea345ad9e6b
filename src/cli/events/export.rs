//! `workhook events export`: events as fixtures in a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::json;

use super::list::PAGE;
use crate::admin::api::wire;
use crate::cli::client::{Ask, Client, Missing};
use crate::cli::filter::Filter;
use crate::cli::output::counted;
use crate::cli::progress::Progress;
use crate::cli::{Done, Form, output};
use crate::config::Config;
use crate::contract::Brand;
use crate::sender::{Recorded, Redaction};

/// Which events, and where to.
#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    form: Form,
    /// The folder to write to; it is made, or has to be empty.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// How many at the most, the oldest first; without it, all that are meant.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Replace people: names, addresses, telephone numbers and ids of all users, wherever they stand.
    #[arg(long)]
    redact: bool,
    #[command(flatten)]
    filter: Filter,
}

impl Export {
    pub(super) async fn run(&self, config: &Config) -> Done {
        let client = self.ask.client(config)?;
        make_empty(&self.to)?;
        let (events, own) = self.events(&client).await?;
        let redaction = if self.redact { Some(self.people(&client, &events).await?) } else { None };
        let mut bar = Progress::of(events.len() as u64);
        let mut folders = Vec::new();
        for (event, done) in events.iter().zip(1..) {
            bar.at(done);
            // Retention goes on meanwhile, and so does whoever forgets.
            let Some(request) = there(request(&client, event).await)? else { continue };
            let request = match &redaction {
                Some(redaction) => request.redacted(redaction),
                None => request,
            };
            let folder = self.to.join(format!("{:08}-{}", event.position, event.name));
            write(&folder, &request).with_context(|| format!("{} cannot be written", folder.display()))?;
            folders.push(folder.display().to_string());
        }
        drop(bar);
        self.tell(&folders, own, (events.len() - folders.len()) as u64);
        Ok(())
    }

    /// What is in the folder, and how many were left out: workhook's own, and those that went meanwhile.
    fn tell(&self, folders: &[String], own: u64, gone: u64) {
        if self.form.json {
            return output::json(&json!({ "events": folders.len(), "own": own, "gone": gone, "folders": folders }));
        }
        output::line(format!("{} in {}", counted(folders.len() as u64, "event"), self.to.display()));
        if own > 0 {
            output::line(format!("left out, as nobody sent them: {} of workhook's own", counted(own, "event")));
        }
        if gone > 0 {
            output::line(format!("left out, as they went meanwhile: {}", counted(gone, "event")));
        }
    }

    /// All events that are meant, the oldest first; and how many more of workhook's own, which nobody sent.
    async fn events(&self, client: &Client) -> anyhow::Result<(Vec<wire::EventSummary>, u64)> {
        let (mut events, mut own, mut after) = (Vec::new(), 0, Some(0));
        while let Some(position) = after {
            let left = self.limit.map_or(PAGE, |limit| limit.saturating_sub(events.len() as u64));
            if left == 0 {
                break;
            }
            let mut query = self.filter.query();
            query.extend([("after", position.to_string()), ("limit", left.min(PAGE).to_string())]);
            let page: wire::Events = client.get("/api/v1/events", &query).await?;
            let (noticed, sent): (Vec<_>, Vec<_>) = page.events.into_iter().partition(is_own);
            own += noticed.len() as u64;
            events.extend(sent);
            after = page.next;
        }
        Ok((events, own))
    }

    /// Everyone who is in one of the events.
    async fn people(&self, client: &Client, events: &[wire::EventSummary]) -> anyhow::Result<Redaction> {
        let mut redaction = Redaction::default();
        let mut bar = Progress::of(events.len() as u64);
        for (event, done) in events.iter().zip(1..) {
            bar.at(done);
            let Some(body) = there(body(client, event).await)? else { continue };
            redaction.learn(brand(event)?, &body);
        }
        Ok(redaction)
    }
}

fn make_empty(folder: &Path) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be used", folder.display());
    fs::create_dir_all(folder).with_context(cannot)?;
    if fs::read_dir(folder).with_context(cannot)?.next().is_some() {
        bail!("{} is not empty", folder.display());
    }
    Ok(())
}

/// What was asked for; `None` where it is not there any more.
fn there<T>(asked: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match asked {
        Err(error) if error.is::<Missing>() => Ok(None),
        asked => asked.map(Some),
    }
}

async fn request(client: &Client, event: &wire::EventSummary) -> anyhow::Result<Recorded> {
    let detail: wire::EventDetail = client.get(&format!("/api/v1/events/{}", event.id), &[]).await?;
    let recorded = json!({
        "id": event.id,
        "position": event.position,
        "received_at": event.received_at,
        "webhook": event.webhook,
    });
    Ok(Recorded {
        brand: brand(event)?,
        event: detail.original_name.unwrap_or_else(|| event.name.clone()),
        headers: detail.headers,
        body: body(client, event).await?,
        recorded,
    })
}

async fn body(client: &Client, event: &wire::EventSummary) -> anyhow::Result<Vec<u8>> {
    client.bytes(&format!("/api/v1/events/{}/body", event.id)).await
}

/// Whether it is one of workhook's own, which came by no request.
fn is_own(event: &wire::EventSummary) -> bool {
    event.brand == Brand::Workhook.slug()
}

fn brand(event: &wire::EventSummary) -> anyhow::Result<Brand> {
    Brand::from_slug(&event.brand).ok_or_else(|| anyhow!("{} is no brand that this workhook knows", event.brand))
}

fn write(folder: &Path, request: &Recorded) -> std::io::Result<()> {
    fs::create_dir(folder)?;
    fs::write(folder.join("body.json"), &request.body)?;
    fs::write(folder.join("meta.json"), request.meta())?;
    let script = folder.join("send.sh");
    fs::write(&script, request.script())?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
}
