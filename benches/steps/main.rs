//! What each step of an event costs by itself, one after the other: judging the request, storing it, planning, claiming
//! and settling; 64 events share a transaction, as under load. Prints a Markdown table.
//!
//! `benches/instructions` runs it under callgrind, once through each step, and prints instructions in place of time.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table and the progress are what it is for")]

#[path = "../common/webhooks.rs"]
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::task::JoinSet;
use tokio::time::Instant;
use workhook::clock::Clock;
use workhook::contract::{Accepted, Brand, RawHead, RawRequest, check};
use workhook::model::{Claimed, Ended, HandlerName, NewDelivery, NextStep, Outcome, Plan, Settlement};
use workhook::sender::Fixture;
use workhook::store::{Appended, ClaimRequest, Settled, SqliteSettings, SqliteStore, Store};
use workhook::wake::Wakes;

const TOKEN: &str = "a-token-for-the-load";
/// How many events share a transaction.
const BATCH: usize = 64;

/// Measures the steps of an event.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many events.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    events: usize,
    /// The last step that is taken.
    #[arg(long, value_enum, default_value = "settle")]
    through: Step,
    /// What `cargo bench` passes; `cargo test --all-targets` does not, and wants nothing measured.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A step, in the order in which an event takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Step {
    /// Making the requests: what the measuring itself costs.
    Prepare,
    /// Looking at token, headers and body, and working out by what a repetition is known.
    Check,
    /// Queue, look-up of repetitions, insert and commit.
    Append,
    /// Reading what is not planned, making deliveries, commit.
    Plan,
    /// Finding what is due, leasing it, reading the events, commit.
    Claim,
    /// Keeping an attempt and its result, commit.
    Settle,
}

impl Step {
    fn what(self) -> &'static str {
        match self {
            Step::Prepare => "making the request, which is the measuring's own",
            Step::Check => "check: token, headers, body, keys of repetitions",
            Step::Append => "queue, insert and commit",
            Step::Plan => "plan",
            Step::Claim => "claim, with the event read for the attempt",
            Step::Settle => "settle",
        }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        eprintln!("nothing is measured; use cargo bench --bench steps");
        return Ok(());
    }
    // The store's own threads are beside it, as in the program.
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let config = SqliteSettings { path: folder.path().join("workhook.db"), ..SqliteSettings::default() };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config, &Wakes::default())?);
    println!("| step | each event | of one core, a second |\n|---|--:|--:|");
    let mut began = Instant::now();
    let mut done = |step: Step| {
        let each = began.elapsed() / u32::try_from(arguments.events)?;
        println!("| {} | {:.1} µs | {:.0} |", step.what(), each.as_secs_f64() * 1e6, 1.0 / each.as_secs_f64());
        began = Instant::now();
        anyhow::Ok(step >= arguments.through)
    };

    let requests = (0..arguments.events).map(request).collect::<anyhow::Result<Vec<_>>>()?;
    if done(Step::Prepare)? {
        return Ok(());
    }
    let accepted = judge(requests)?;
    if done(Step::Check)? {
        return Ok(());
    }
    append(&store, accepted).await?;
    if done(Step::Append)? {
        return Ok(());
    }
    plan(&store).await?;
    if done(Step::Plan)? {
        return Ok(());
    }
    let claimed = claim(&store).await?;
    ensure!(claimed.len() == arguments.events, "{} were claimed", claimed.len());
    if done(Step::Claim)? {
        return Ok(());
    }
    settle(&store, claimed).await?;
    done(Step::Settle)?;
    store.close().await;
    Ok(())
}

/// The vendor's Issue.Update, of an occurrence of its own and with a body of its own.
fn request(number: usize) -> anyhow::Result<(HeaderMap, Bytes)> {
    let fixture = Fixture::find(Brand::Leiga, "Issue.Update")?;
    let mut headers = HeaderMap::new();
    for (name, value) in &fixture.headers {
        let value = match name.rsplit('-').next() {
            Some("Token") => TOKEN.to_owned(),
            Some("ID") if !name.ends_with("WebHook-ID") => format!("43b17a15-624a-4f03-aa66-{number:012}"),
            _ => value.clone(),
        };
        headers.append(name.parse::<HeaderName>()?, HeaderValue::from_str(&value)?);
    }
    let mut body = fixture.body.to_vec();
    body.extend(format!("{:>width$}\n", "", width = number % 100).bytes());
    Ok((headers, body.into()))
}

fn judge(requests: Vec<(HeaderMap, Bytes)>) -> anyhow::Result<Vec<Accepted>> {
    let webhooks = webhooks::with_token(TOKEN)?;
    let judge = |(headers, body): (HeaderMap, Bytes)| {
        let head = RawHead { path: None, headers: &headers, received_at: Clock::system().now(), peer: None };
        check(RawRequest { head, body }, &webhooks).map_err(|error| anyhow::anyhow!("{error:?}"))
    };
    requests.into_iter().map(judge).collect()
}

async fn append(store: &Arc<dyn Store>, accepted: Vec<Accepted>) -> anyhow::Result<()> {
    let mut waiting = accepted.into_iter();
    loop {
        let mut appends = JoinSet::new();
        for accepted in waiting.by_ref().take(BATCH) {
            let store = Arc::clone(store);
            appends.spawn(async move { store.append(accepted).await });
        }
        if appends.is_empty() {
            return Ok(());
        }
        while let Some(appended) = appends.join_next().await {
            let Appended::Stored { .. } = appended?? else { bail!("an event was there already") };
        }
    }
}

async fn plan(store: &Arc<dyn Store>) -> anyhow::Result<()> {
    loop {
        let unplanned = store.unplanned(BATCH).await?;
        if unplanned.is_empty() {
            return Ok(());
        }
        // Each in a lane of its own, so that all of them are due.
        let planned = unplanned.iter().map(|event| {
            let delivery = NewDelivery { handler: crm()?, lane: Some(event.id.to_string()), dead: None };
            anyhow::Ok(Plan { position: event.position, deliveries: vec![delivery], not_routed: Vec::new() })
        });
        store.plan(planned.collect::<anyhow::Result<_>>()?, Clock::system().now()).await?;
    }
}

async fn claim(store: &Arc<dyn Store>) -> anyhow::Result<Vec<Claimed>> {
    let mut all = Vec::new();
    loop {
        let (handler, now) = (crm()?, Clock::system().now());
        let request = ClaimRequest { handler, limit: BATCH, now, lease: Duration::from_secs(600) };
        let claimed = store.claim(request).await?.claimed;
        if claimed.is_empty() {
            return Ok(all);
        }
        all.extend(claimed);
    }
}

async fn settle(store: &Arc<dyn Store>, claimed: Vec<Claimed>) -> anyhow::Result<()> {
    let mut waiting = claimed.into_iter();
    loop {
        let mut settles = JoinSet::new();
        for claimed in waiting.by_ref().take(BATCH) {
            let (store, at) = (Arc::clone(store), Clock::system().now());
            let outcome = Outcome {
                ended: Ended::Delivered,
                started_at: at,
                took: Duration::from_millis(12),
                status: Some(200),
                message: "200 OK".to_owned(),
                response: Bytes::from_static(b"{\"ok\":true}"),
            };
            let Claimed { id, epoch, attempt, .. } = claimed;
            let settlement = Settlement { id, epoch, attempt, outcome: Some(outcome), next: NextStep::Delivered, at };
            settles.spawn(async move { store.settle(settlement).await });
        }
        if settles.is_empty() {
            return Ok(());
        }
        while let Some(settled) = settles.join_next().await {
            ensure!(settled?? == Settled::Kept, "a result was not kept");
        }
    }
}

fn crm() -> anyhow::Result<HandlerName> {
    HandlerName::parse("crm").context("a name of a handler")
}
