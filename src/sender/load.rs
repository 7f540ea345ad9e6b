//! Many occurrences: at a rate, or as fast as the receiver answers.
//!
//! With a rate, each occurrence is started at the time that it is due, however slow the receiver is (an open loop),
//! up to a number that are under way at one time. What could not be started in time is counted, so that a receiver
//! that falls behind cannot make its own numbers look better.

use std::time::Duration;

use thiserror::Error;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::Sent;
use super::request::Draft;
use super::send::Sender;
use super::summary::{Summary, Tally};

/// How many occurrences are under way at one time where nothing else is said.
pub const DEFAULT_PARALLEL: usize = 64;

/// The most occurrences a second that can be asked for.
const RATE_MAX: f64 = 1e6;

/// How late a start may be and still be in time: timers count in milliseconds.
const IN_TIME: Duration = Duration::from_millis(10);

/// A due time that is not reached.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// How many occurrences, and how fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    count: u64,
    rate: Option<f64>,
    parallel: usize,
}

/// Why a load cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum LoadError {
    /// The rate is not a number above 0 that can be held.
    #[error("a rate of {0} a second cannot be held; it is above 0 and at most {RATE_MAX}")]
    Rate(f64),
    /// Nothing could ever be started.
    #[error("at least one occurrence has to be under way at a time")]
    Parallel,
}

impl Load {
    /// So many occurrences, at so many a second, with at most so many under way at one time.
    ///
    /// # Errors
    /// When the rate is not above 0 and at most a million, or none could be under way.
    pub fn new(count: u64, rate: Option<f64>, parallel: usize) -> Result<Load, LoadError> {
        if let Some(rate) = rate.filter(|rate| !(*rate > 0.0 && *rate <= RATE_MAX)) {
            return Err(LoadError::Rate(rate));
        }
        if parallel == 0 {
            return Err(LoadError::Parallel);
        }
        Ok(Load { count, rate, parallel })
    }

    /// When an occurrence is due after the start; `None` as soon as there is a place for it.
    fn due(&self, number: u64) -> Option<Duration> {
        let rate = self.rate?;
        #[expect(clippy::cast_precision_loss, reason = "2^53 occurrences are not reached")]
        let seconds = number as f64 / rate;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(FAR).min(FAR))
    }
}

/// Sends new occurrences of the drafts, one draft after the other and then from the first again.
///
/// When it is told to stop, it starts no more, waits for those under way, and sums up what was sent. When it is
/// dropped, those under way are given up.
pub async fn run(sender: &Sender, drafts: &[Draft], load: &Load, stop: &CancellationToken) -> Summary {
    let start = Instant::now();
    let mut tally = Tally::default();
    let mut running = JoinSet::new();
    for (number, draft) in (0..load.count).zip(drafts.iter().cycle()) {
        let due = load.due(number).map(|after| start + after);
        if stop.run_until_cancelled(turn(due, load.parallel, &mut running, &mut tally)).await.is_none() {
            break;
        }
        if due.is_some_and(|due| due.elapsed() > IN_TIME) {
            tally.count_late();
        }
        let (sender, draft) = (sender.clone(), draft.clone());
        running.spawn(async move { sender.send(&draft).await });
    }
    while let Some(done) = running.join_next().await {
        count(done, &mut tally);
    }
    tally.sum_up(start.elapsed())
}

/// Waits until the next occurrence is due and has a place. Cancel safe.
async fn turn(due: Option<Instant>, parallel: usize, running: &mut JoinSet<Sent>, tally: &mut Tally) {
    if let Some(due) = due {
        tokio::time::sleep_until(due).await;
    }
    while let Some(done) = running.try_join_next() {
        count(done, tally);
    }
    while running.len() >= parallel {
        if let Some(done) = running.join_next().await {
            count(done, tally);
        }
    }
}

fn count(done: Result<Sent, JoinError>, tally: &mut Tally) {
    match done.map_err(JoinError::try_into_panic) {
        Ok(sent) => tally.count(&sent),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // Only what is dropped is cancelled, and then nobody counts.
        Err(Err(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Brand;
    use crate::sender::fixtures::Fixture;
    use crate::sender::stub::Stub;
    use std::collections::HashSet;

    fn drafts() -> Vec<Draft> {
        let find = |name| Fixture::find(Brand::Leiga, name).unwrap();
        ["Issue.Update", "Issue.Create"].map(find).map(Draft::of_fixture).to_vec()
    }

    #[tokio::test]
    async fn each_is_started_when_it_is_due_and_is_an_occurrence_of_its_own() {
        let stub = Stub::answering(&[(200, r#"{"errcode":0}"#)]).await;
        let load = Load::new(50, Some(500.0), 64).unwrap();
        let summary = run(&stub.sender(), &drafts(), &load, &CancellationToken::new()).await;
        assert_eq!((summary.sent, summary.ok, summary.failed), (50, 50, 0));
        assert!(summary.elapsed >= Duration::from_millis(98), "the last is due after 98 ms");
        let seen = stub.seen();
        let header = |name: &str| seen.iter().map(|seen| seen.headers[name].clone()).collect::<Vec<_>>();
        assert_eq!(header("x-leiga-id").iter().collect::<HashSet<_>>().len(), 50);
        assert_eq!(header("x-leiga-event").iter().filter(|name| *name == "Issue.Update").count(), 25);
    }

    #[tokio::test]
    async fn no_more_are_under_way_than_may_be_and_failures_are_counted_by_reason() {
        let stub = Stub::answering(&[(503, r#"{"errcode":503}"#), (200, r#"{"errcode":0}"#)]).await;
        let load = Load::new(40, None, 4).unwrap();
        let summary = run(&stub.sender(), &drafts(), &load, &CancellationToken::new()).await;
        assert_eq!((summary.sent, summary.ok, summary.failed), (40, 39, 1));
        assert_eq!(summary.reasons["503 errcode 503"], 1);
        assert!((1..=4).contains(&stub.most_at_once()), "{}", stub.most_at_once());
    }

    #[tokio::test]
    async fn a_rate_that_the_places_do_not_allow_shows_as_late_starts() {
        let stub = Stub::answering(&[(200, r#"{"errcode":0}"#)]).await;
        let load = Load::new(40, Some(100_000.0), 1).unwrap();
        let summary = run(&stub.sender(), &drafts(), &load, &CancellationToken::new()).await;
        assert_eq!(summary.ok, 40);
        assert!(summary.late > 0, "40 answers of 2 ms each do not fit into a millisecond");
    }

    #[tokio::test]
    async fn told_to_stop_it_sums_up_what_was_sent() {
        let stub = Stub::answering(&[(200, r#"{"errcode":0}"#)]).await;
        let stop = CancellationToken::new();
        let load = Load::new(u64::MAX, Some(0.000_1), 1).unwrap();
        let (sender, drafts) = (stub.sender(), drafts());
        let stopped = async {
            while stub.seen().is_empty() {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        let (summary, ()) = tokio::join!(run(&sender, &drafts, &load, &stop), stopped);
        assert_eq!((summary.sent, summary.ok), (1, 1));
        assert_eq!(run(&sender, &[], &load, &CancellationToken::new()).await.sent, 0);
    }

    #[test]
    fn a_load_is_one_that_can_be_run() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e7] {
            assert!(matches!(Load::new(1, Some(rate), 1), Err(LoadError::Rate(_))), "{rate}");
        }
        assert_eq!(Load::new(1, None, 0), Err(LoadError::Parallel));
        let slow = Load::new(1, Some(f64::MIN_POSITIVE), 1).unwrap();
        assert_eq!(slow.due(u64::MAX), Some(FAR));
        assert_eq!(Load::new(9, Some(2.0), 1).unwrap().due(3), Some(Duration::from_millis(1500)));
    }
}
