//! `workhook send`: stands in for the sender.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::client::{is_this_machine, reachable};
use super::{Done, Failed, Form, output};
use crate::clock::Clock;
use crate::config::{Config, ConfiguredWebhook};
use crate::contract::Brand;
use crate::secret::Secret;
use crate::sender::{
    DEFAULT_PARALLEL, Draft, Edit, Fault, FaultSettings, Fixture, Load, Retries, Sender, Target, inflict, run,
};

/// What to send, how often, and how badly.
#[derive(Debug, Args)]
pub(super) struct Send {
    /// The events to send, such as Issue.Update; their bodies are the built-in fixtures. With --file any name will do.
    #[arg(value_name = "EVENT", required_unless_present = "all")]
    events: Vec<String>,
    /// Send every known event of the brand.
    #[arg(long, conflicts_with = "events")]
    all: bool,
    /// Whose headers to send.
    #[arg(long, default_value = "leiga", value_parser = Brand::ALL.iter().map(|brand| brand.slug()).collect::<Vec<_>>())]
    brand: String,
    /// Send this file as the body, in place of the fixture.
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    file: Option<PathBuf>,
    /// Change the body: a path and a value, such as data.issue.status.name=Done. Can be given more than once.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    edits: Vec<Edit>,
    /// Where to; without it, the public door of the configuration.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Send to this webhook's own path and with its token; without it, to the first that takes the brand.
    #[arg(long, value_name = "NAME", conflicts_with = "url")]
    webhook: Option<String>,
    /// The token; without it, and to this machine only, the webhook's, or the generated one beside the store.
    #[arg(long, value_name = "TOKEN", env = "WORKHOOK_SEND_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The webhook id to claim; without it, the fixture's.
    #[arg(long, value_name = "ID")]
    webhook_id: Option<String>,
    /// The id of the occurrence; without it, a new one for each.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The retry number to begin with.
    #[arg(long, value_name = "N", default_value_t = 0)]
    retry_num: u32,
    /// How often to try again after a failure, with the same id and a higher retry number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// How long to wait before trying again, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    retry_wait_ms: u64,
    /// How many to send, going through the events again and again.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// How many to start a second, such as 5/s, whether answers come or not; without it, as fast as answers come.
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<f64>,
    /// How many may be under way at one time.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PARALLEL)]
    parallel: usize,
    /// Do something that a sender should not, and see whether the answer is right.
    #[arg(long, value_name = "FAULT", value_parser = fault, conflicts_with_all = ["count", "rate", "retries"],
          help = format!("Do something that a sender should not, and see whether the answer is right: {}", faults()))]
    fault: Option<Fault>,
    #[command(flatten)]
    form: Form,
}

fn fault(text: &str) -> Result<Fault, String> {
    text.parse::<Fault>().map_err(|error| error.to_string())
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number.parse().map_err(|_| "write for example 5/s, or 5".to_owned())
}

fn faults() -> String {
    Fault::ALL.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(", ")
}

impl Send {
    pub(super) async fn run(&self, config: &Config) -> Done {
        let json = self.form.json;
        let drafts = self.drafts().map_err(Failed::Use)?;
        let target = self.target(config).map_err(Failed::Use)?;
        let retries = Retries { count: self.retries, wait: Duration::from_millis(self.retry_wait_ms) };
        let sender = Sender::new(target, Clock::system()).map_err(|error| Failed::Use(error.into()))?;
        let sender = sender.with_retries(retries);
        let ok = if let Some(fault) = self.fault {
            self.inflict(&sender, &drafts, fault, config, json).await
        } else if self.count.is_some() || self.rate.is_some() {
            self.load(&sender, &drafts, json).await?
        } else {
            each(&sender, &drafts, json).await
        };
        if ok { Ok(()) } else { Err(Failed::Said) }
    }

    fn drafts(&self) -> anyhow::Result<Vec<Draft>> {
        let brand = Brand::from_slug(&self.brand).ok_or_else(|| anyhow!("{} is no brand", self.brand))?;
        let drafts = if self.all {
            Fixture::story(brand).into_iter().map(Draft::of_fixture).collect()
        } else {
            self.events.iter().map(|event| self.draft(brand, event)).collect::<anyhow::Result<Vec<_>>>()?
        };
        let with = |draft: Draft| {
            let mut draft = draft.edited(&self.edits)?;
            draft.webhook_id = self.webhook_id.clone().or(draft.webhook_id);
            draft.id.clone_from(&self.id);
            draft.retry_num = self.retry_num;
            Ok(draft)
        };
        drafts.into_iter().map(with).collect()
    }

    fn draft(&self, brand: Brand, event: &str) -> anyhow::Result<Draft> {
        let Some(file) = &self.file else {
            let fixture = Fixture::find(brand, event);
            return Ok(Draft::of_fixture(fixture.map_err(|none| anyhow!("{none}; with --file any name will do"))?));
        };
        let body = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        Ok(Draft::of_body(brand, event, Bytes::from(body))?)
    }

    /// Where to, and with which token.
    fn target(&self, config: &Config) -> anyhow::Result<Target> {
        let takes = |configured: &&ConfiguredWebhook| match &self.webhook {
            Some(name) => configured.webhook.name.as_str() == name,
            None => configured.webhook.brand.is_none_or(|brand| brand.slug() == self.brand),
        };
        let webhook = config.webhooks.iter().find(takes);
        if let (Some(name), None) = (&self.webhook, webhook) {
            let names: Vec<_> = config.webhooks.iter().map(|configured| configured.webhook.name.as_str()).collect();
            bail!("no webhook is named {name:?} in the configuration; there are: {}", names.join(", "));
        }
        let ingest = &config.ingest;
        let door = format!("http://{}{}", reachable(ingest.listen), ingest.path);
        // A webhook without a token is open under its own path only.
        let own_path = webhook.filter(|configured| self.webhook.is_some() || configured.webhook.tokenless);
        let url = own_path.map_or_else(|| door.clone(), |configured| format!("{door}/{}", configured.webhook.name));
        let generated = || {
            let text = std::fs::read_to_string(config.store.place.folder()?.join("webhook-token")).ok()?;
            Some(Secret::new(text.trim().to_owned()))
        };
        let url = self.url.clone().unwrap_or(url);
        let token = match (&self.token, webhook) {
            (Some(token), _) => Some(Secret::new(token.clone())),
            (None, _) if self.url.is_some() && !is_this_machine(&url) => None,
            (None, Some(configured)) => configured.tokens.first().cloned(),
            (None, None) => generated(),
        };
        Ok(Target::new(url, token))
    }

    async fn inflict(&self, sender: &Sender, drafts: &[Draft], fault: Fault, config: &Config, json: bool) -> bool {
        let oversize_bytes = config.ingest.max_body + (1 << 20);
        let settings = FaultSettings { oversize_bytes, ..FaultSettings::default() };
        let mut ok = true;
        for draft in drafts {
            let report = inflict(sender, draft, fault, settings).await;
            ok &= report.ok;
            if json { output::json(&report) } else { output::line(report.to_string()) }
        }
        ok
    }

    async fn load(&self, sender: &Sender, drafts: &[Draft], json: bool) -> Result<bool, Failed> {
        let count = self.count.unwrap_or(drafts.len() as u64);
        let load = Load::new(count, self.rate, self.parallel).map_err(|error| Failed::Use(error.into()))?;
        let stop = CancellationToken::new();
        let interrupt = stop.clone();
        let stopper = tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                interrupt.cancel();
            }
        });
        let summary = run(sender, drafts, &load, &stop).await;
        stopper.abort();
        if json {
            output::json(&summary);
        } else {
            output::line(summary.to_string());
        }
        Ok(summary.failed == 0 && summary.sent == count)
    }
}

async fn each(sender: &Sender, drafts: &[Draft], json: bool) -> bool {
    let mut ok = true;
    for draft in drafts {
        let sent = sender.send(draft).await;
        ok &= sent.ok;
        if json { output::json(&sent) } else { output::line(sent.to_string()) }
    }
    ok
}
