//! `workhook serve --demo`: sends itself every known event of both brands, and tells what became of each.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;

use super::client::{Client, reachable};
use super::{output, table};
use crate::admin::api::wire;
use crate::app::{Welcome, WelcomeWebhook};
use crate::clock::Clock;
use crate::contract::Brand;
use crate::sender::{Draft, Fixture, Sender, Sent, Target};

/// How long what became of the events is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) async fn run(welcome: Welcome) {
    if let Err(error) = show(&welcome).await {
        output::error(&error.context("the demo did not come to its end"));
    }
}

async fn show(welcome: &Welcome) -> anyhow::Result<()> {
    let public = welcome.public.context("there is no public door to send to")?;
    let client = Client::new(format!("http://{}", reachable(welcome.private)), welcome.admin_token.clone())?;
    until_ready(&client).await?;
    let mut sent = Vec::new();
    for &brand in Brand::ALL {
        let Some(webhook) = webhook_of(welcome, brand) else {
            output::line(format!("no webhook takes {}", brand.name()));
            continue;
        };
        let url = format!("http://{}{}/{}", reachable(public), welcome.path, webhook.name);
        let sender = Sender::new(Target::new(url, webhook.token.clone()), Clock::system())?;
        for fixture in Fixture::story(brand) {
            sent.push(sender.send(&Draft::of_fixture(fixture)).await);
        }
    }
    let events = settled(&client, &sent).await?;
    print(&sent, &events);
    Ok(())
}

fn webhook_of(welcome: &Welcome, brand: Brand) -> Option<&WelcomeWebhook> {
    welcome.webhooks.iter().find(|webhook| webhook.brand.is_none_or(|own| own == brand))
}

async fn until_ready(client: &Client) -> anyhow::Result<()> {
    let ready = async {
        while !client.is_ready().await.unwrap_or(false) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.context("it did not become ready")
}

/// The stored events by the sender's id, when nothing of them is pending any more, or after a while all the same.
async fn settled(client: &Client, sent: &[Sent]) -> anyhow::Result<HashMap<String, wire::EventSummary>> {
    let mut events = HashMap::new();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        let list: wire::Events = client.get("/api/v1/events", &[("limit", "200".to_owned())]).await?;
        let with_id = |event: wire::EventSummary| Some((event.occurrence_id.clone()?, event));
        events = list.events.into_iter().filter_map(with_id).collect();
        let done =
            |event: &wire::EventSummary| event.planned && event.deliveries.iter().all(|count| count.state != "pending");
        if sent.iter().filter(|sent| sent.ok).all(|sent| events.get(&sent.id).is_some_and(done)) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(events)
}

fn print(sent: &[Sent], events: &HashMap<String, wire::EventSummary>) {
    let rows: Vec<Vec<String>> = sent.iter().map(|sent| row(sent, events.get(&sent.id))).collect();
    output::line("");
    table::print(&["EVENT", "BRAND", "ANSWER", "MS", "HANDLED", "ABOUT"], &rows);
    let acknowledged = sent.iter().filter(|sent| sent.ok).count();
    let count = |state: &str| -> u64 {
        let of = |event: &wire::EventSummary| {
            event.deliveries.iter().find(|count| count.state == state).map(|count| count.count)
        };
        sent.iter().filter_map(|sent| of(events.get(&sent.id)?)).sum()
    };
    let (delivered, dead, pending) = (count("delivered"), count("dead"), count("pending"));
    output::line(format!(
        "\n{} sent, {acknowledged} acknowledged; {delivered} deliveries made, {pending} pending, {dead} dead. \
         It goes on receiving; Ctrl-C stops it.",
        sent.len()
    ));
}

fn row(sent: &Sent, event: Option<&wire::EventSummary>) -> Vec<String> {
    let last = sent.attempts.last();
    let answer = match (sent.ok, last) {
        (true, _) => "200 errcode 0".to_owned(),
        (false, Some(last)) => last.reason(),
        (false, None) => String::new(),
    };
    let took = last.map(|last| format!("{:.1}", last.took.as_secs_f64() * 1000.0)).unwrap_or_default();
    let handled = event.map_or_else(|| "not stored".to_owned(), super::events::handled);
    let about = event.and_then(|event| event.title.clone().or_else(|| event.entity.clone())).unwrap_or_default();
    vec![sent.event.clone(), sent.brand.to_string(), answer, took, handled, about]
}
