//! A store with many events in it, made through the store's own door: events of many issues and people, planned for
//! two handlers, most of them delivered, all of them findable.

#[path = "../common/webhooks.rs"]
mod webhooks;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{Timestamp, ToSpan};
use tokio::task::JoinSet;
use workhook::contract::{Accepted, Brand, RawHead, RawRequest, Webhooks, check};
use workhook::model::{HandlerName, NewDelivery, NextStep, Outcome, Plan, Position, Settlement, StoredEvent};
use workhook::sender::Fixture;
use workhook::store::{Appended, ClaimRequest, Store};

/// The token of the webhook `product`.
pub(crate) const TOKEN: &str = "a-token-for-the-load";
/// How many events are stored, planned and settled at one time.
const BATCH: u64 = 512;
/// How many issues, as many sprints, and how many people the events are of.
const ISSUES: u64 = 5000;
const PEOPLE: u64 = 200;

/// Fills a store with so many events, received evenly over some days up to an end; the deliveries of the last `pending`
/// of them stay pending.
pub(crate) async fn fill(
    store: &Arc<dyn Store>,
    events: u64,
    pending: u64,
    days: i64,
    end: Timestamp,
) -> anyhow::Result<()> {
    let sender = Sender::new()?;
    let whole_ms = days * 24 * 3600 * 1000;
    let received_at = |n: u64| {
        let ago = whole_ms - i64::try_from(u128::from(n) * u128::try_from(whole_ms)? / u128::from(events))?;
        anyhow::Ok(end.checked_sub(ago.milliseconds())?)
    };
    let mut first = 0;
    while first < events {
        store_some(store, &sender, first..(first + BATCH).min(events), received_at).await?;
        plan(store, end).await?;
        if first + pending < events {
            settle(store, "crm", end).await?;
            settle(store, "audit", end).await?;
        }
        // What upkeep does beside it.
        while store.catalogue(256).await? == 256 {}
        while store.tidy_keys(received_at(first)?).await? {}
        first += BATCH;
        if first % (BATCH * 100) == 0 {
            eprintln!("  {first} of {events} events are there");
        }
    }
    Ok(())
}

/// Stores the events of these numbers, received at one time.
pub(crate) async fn append(store: &Arc<dyn Store>, numbers: Range<u64>, at: Timestamp) -> anyhow::Result<()> {
    let sender = Sender::new()?;
    for first in numbers.clone().step_by(usize::try_from(BATCH)?) {
        store_some(store, &sender, first..(first + BATCH).min(numbers.end), |_| Ok(at)).await?;
    }
    Ok(())
}

async fn store_some(
    store: &Arc<dyn Store>,
    sender: &Sender,
    numbers: Range<u64>,
    received_at: impl Fn(u64) -> anyhow::Result<Timestamp>,
) -> anyhow::Result<()> {
    let mut appends = JoinSet::new();
    for n in numbers {
        let accepted = sender.accepted(n, received_at(n)?)?;
        let store = Arc::clone(store);
        appends.spawn(async move { store.append(accepted).await });
    }
    while let Some(appended) = appends.join_next().await {
        let Appended::Stored { .. } = appended?? else { bail!("an event was there already") };
    }
    Ok(())
}

async fn plan(store: &Arc<dyn Store>, now: Timestamp) -> anyhow::Result<()> {
    loop {
        let unplanned = store.unplanned(256).await?;
        if unplanned.is_empty() {
            return Ok(());
        }
        let plans = unplanned.iter().map(planned).collect::<anyhow::Result<_>>()?;
        store.plan(plans, now).await?;
    }
}

/// Every event is for `crm`, every fourth for `audit` as well.
fn planned(event: &StoredEvent) -> anyhow::Result<Plan> {
    let lane = event.entity.as_ref().map(|entity| entity.as_str().to_owned());
    let to = |name: &str| {
        anyhow::Ok(NewDelivery { handler: handler(name)?, lane: lane.clone().filter(|_| name == "crm"), dead: None })
    };
    let mut deliveries = vec![to("crm")?];
    if event.position.0 % 4 == 0 {
        deliveries.push(to("audit")?);
    }
    Ok(Plan { position: event.position, deliveries, not_routed: Vec::new() })
}

/// Of a hundred, one becomes a dead letter and one waits for long.
async fn settle(store: &Arc<dyn Store>, name: &str, now: Timestamp) -> anyhow::Result<()> {
    loop {
        let request = ClaimRequest { handler: handler(name)?, limit: 200, now, lease: Duration::from_secs(60) };
        let claimed = store.claim(request).await?.claimed;
        if claimed.is_empty() {
            return Ok(());
        }
        let mut settles = JoinSet::new();
        for claimed in claimed {
            let Position(position) = claimed.event.position;
            let next = match position % 100 {
                7 => NextStep::Dead("the far end said 404 Not Found".to_owned()),
                // In a lane of its own kind, so that nothing waits behind it.
                8 if name == "audit" => NextStep::RetryAt(now.checked_add(8760.hours())?),
                _ => NextStep::Delivered,
            };
            let outcome = Outcome {
                ended: workhook::model::Ended::Delivered,
                started_at: now,
                took: Duration::from_millis(12),
                status: Some(200),
                message: "200 OK".to_owned(),
                response: bytes::Bytes::from_static(b"{\"ok\":true}"),
            };
            let settlement = Settlement {
                id: claimed.id,
                epoch: claimed.epoch,
                attempt: claimed.attempt,
                outcome: Some(outcome),
                next,
                at: now,
            };
            let store = Arc::clone(store);
            settles.spawn(async move { store.settle(settlement).await });
        }
        while let Some(settled) = settles.join_next().await {
            settled??;
        }
    }
}

/// The name of a handler.
pub(crate) fn handler(name: &str) -> anyhow::Result<HandlerName> {
    HandlerName::parse(name).context("a name of a handler")
}

struct Sender {
    webhooks: Webhooks,
    fixtures: Vec<&'static Fixture>,
}

impl Sender {
    fn new() -> anyhow::Result<Sender> {
        let webhooks = webhooks::with_token(TOKEN)?;
        let names = ["Issue.Update", "Issue.Create", "Comment.Create", "Issue.Update", "Sprint.Start"];
        let fixtures =
            names.into_iter().map(|name| Fixture::find(Brand::Leiga, name)).collect::<Result<Vec<_>, _>>()?;
        Ok(Sender { webhooks, fixtures })
    }

    /// The event of this number: the vendor's own body, of another issue, with another person in it.
    fn accepted(&self, n: u64, received_at: Timestamp) -> anyhow::Result<Accepted> {
        let fixture = &self.fixtures[usize::try_from(n)? % self.fixtures.len()];
        let mut headers = HeaderMap::new();
        for (name, value) in &fixture.headers {
            let value = match name.rsplit('-').next() {
                Some("Token") => TOKEN.to_owned(),
                Some("ID") if !name.ends_with("WebHook-ID") => format!("seed-{n}"),
                _ => value.clone(),
            };
            headers.append(name.parse::<HeaderName>()?, HeaderValue::from_str(&value)?);
        }
        let mut body: serde_json::Value = serde_json::from_slice(fixture.body)?;
        body["date"] = received_at.as_millisecond().into();
        body["trigger"]["user"]["name"] = format!("Person {}", n % PEOPLE).into();
        if body["data"]["issue"].is_object() {
            body["data"]["issue"]["id"] = (n % ISSUES).into();
            body["data"]["issue"]["summary"] = format!("Login fails on machine {}", n % 977).into();
        }
        if body["data"]["sprint"].is_object() {
            body["data"]["sprint"]["id"] = (n % ISSUES).into();
        }
        let head = RawHead { path: None, headers: &headers, received_at, peer: None };
        let raw = RawRequest { head, body: body.to_string().into() };
        check(raw, &self.webhooks).map_err(|error| anyhow::anyhow!("{error:?}"))
    }
}
