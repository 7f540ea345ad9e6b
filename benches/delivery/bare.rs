//! What the client of the `http` handler does by itself, with nothing else to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use tokio::task::JoinSet;
use tokio::time::Instant;
use workhook::contract::Brand;
use workhook::sender::Fixture;

use super::receiver::Receiver;

/// How many a second the client does by itself.
pub(crate) async fn bare_loop(receiver: &Receiver, events: u64, concurrency: usize) -> anyhow::Result<f64> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let body = Fixture::find(Brand::Leiga, "Issue.Update")?.body;
    let (left, url) = (Arc::new(AtomicU64::new(events)), format!("http://{}/", receiver.address));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..concurrency {
        let (client, left, url) = (client.clone(), Arc::clone(&left), url.clone());
        tasks.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let answer = client.post(&url).header("content-type", "application/json").body(body).send().await?;
                ensure!(answer.status().is_success(), "the receiver said {}", answer.status());
                answer.bytes().await?;
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(a_second(events, began.elapsed()))
}

/// So many in so long.
#[expect(clippy::cast_precision_loss, reason = "a count of seconds' worth")]
pub(crate) fn a_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
