//! Counting those who were turned away, without letting them write; what is counted is written once a second.
//!
//! What anybody on the network can cause is counted in memory, under a bound, and written and logged once a second.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::uses::Uses;
use crate::store::{RefusalCount, Store};
use crate::telemetry::with_causes;

/// How many kinds are told apart between two writes; the rest is counted as from elsewhere.
const KINDS_MAX: usize = 1000;
/// How often the counts are written.
const EVERY: Duration = Duration::from_secs(1);

/// The counts since the last write.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<HashMap<Kind, (u64, Timestamp)>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    code: &'static str,
    peer: Option<IpAddr>,
    claimed_webhook_id: String,
}

impl Tally {
    /// Counts one.
    pub(super) fn count(&self, code: &'static str, peer: IpAddr, claimed_webhook_id: &str, now: Timestamp) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kind = Kind { code, peer: Some(peer), claimed_webhook_id: claimed_webhook_id.to_owned() };
        if counts.len() >= KINDS_MAX && !counts.contains_key(&kind) {
            kind = Kind { code, peer: None, claimed_webhook_id: String::new() };
        }
        let (count, last_at) = counts.entry(kind).or_insert((0, now));
        *count += 1;
        *last_at = now.max(*last_at);
    }

    fn take(&self) -> Vec<RefusalCount> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        counts.into_iter().map(|(kind, (count, last_at))| refusals(kind, count, last_at)).collect()
    }
}

fn refusals(kind: Kind, count: u64, last_at: Timestamp) -> RefusalCount {
    RefusalCount {
        code: kind.code.to_owned(),
        peer: kind.peer.map_or_else(|| "elsewhere".to_owned(), |peer| peer.to_string()),
        claimed_webhook_id: kind.claimed_webhook_id,
        count,
        last_at,
    }
}

/// Writes and logs the counts until it is told to stop, and once more then.
pub(super) async fn run(tally: Arc<Tally>, uses: Arc<Uses>, store: Arc<dyn Store>, stop: CancellationToken) {
    loop {
        let stopping = tokio::time::timeout(EVERY, stop.cancelled()).await.is_ok();
        let counts = tally.take();
        if !counts.is_empty() {
            tracing::warn!(requests = by_code(&counts), "requests were turned away");
            if let Err(error) = store.count_refusals(counts).await {
                tracing::warn!(error = with_causes(&error), "counts of requests that were turned away were not kept");
            }
        }
        let uses = uses.take();
        if !uses.is_empty()
            && let Err(error) = store.count_uses(uses).await
        {
            tracing::warn!(error = with_causes(&error), "counts of the uses of tokens were not kept");
        }
        if stopping {
            return;
        }
    }
}

/// How many there were of which code, for example `too-large 1, wrong-token 3`.
fn by_code(counts: &[RefusalCount]) -> String {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for count in counts {
        *sums.entry(&count.code).or_default() += count.count;
    }
    sums.iter().map(|(code, count)| format!("{code} {count}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_bounded_and_the_rest_is_counted_as_from_elsewhere() {
        let tally = Tally::default();
        let peer = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..2 * u32::try_from(KINDS_MAX).unwrap() {
            tally.count("wrong-token", peer(n), "", Timestamp::UNIX_EPOCH);
        }
        tally.count("wrong-token", peer(0), "", Timestamp::UNIX_EPOCH);
        let counts = tally.take();
        assert_eq!(counts.len(), KINDS_MAX + 1);
        assert_eq!(counts.iter().map(|count| count.count).sum::<u64>(), 2 * KINDS_MAX as u64 + 1);
        assert!(tally.take().is_empty());
        assert_eq!(by_code(&counts), format!("wrong-token {}", 2 * KINDS_MAX + 1));
    }
}
