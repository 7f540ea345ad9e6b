//! What came of many occurrences, in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::attempt::{Sent, Took, Try, millis};

/// The most reasons that are told apart; a receiver could otherwise answer with a new one each time.
const REASONS_MAX: usize = 20;

/// What came of many occurrences.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The occurrences that were sent.
    pub sent: u64,
    /// Those that ended with a success.
    pub ok: u64,
    /// Those that did not.
    pub failed: u64,
    /// The tries after the first ones.
    pub retries: u64,
    /// The occurrences that were due at a time, but had no place until later.
    pub late: u64,
    /// Why occurrences failed, by the reason of the last try.
    pub reasons: BTreeMap<String, u64>,
    /// How long the first tries took; `None` where nothing was sent.
    #[serde(rename = "latency_ms")]
    pub latency: Option<Latency>,
    /// From the start to the last answer.
    #[serde(rename = "elapsed_ms", serialize_with = "as_millis")]
    pub elapsed: Duration,
    /// Occurrences a second.
    pub per_second: f64,
}

/// How long the first tries took, those without an answer included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// The shortest.
    #[serde(serialize_with = "as_millis")]
    pub min: Duration,
    /// Half of them took at most so long.
    #[serde(serialize_with = "as_millis")]
    pub p50: Duration,
    /// 90 of 100 took at most so long.
    #[serde(serialize_with = "as_millis")]
    pub p90: Duration,
    /// 99 of 100 took at most so long.
    #[serde(serialize_with = "as_millis")]
    pub p99: Duration,
    /// The longest.
    #[serde(serialize_with = "as_millis")]
    pub max: Duration,
}

/// The numbers while they grow: four bytes for an occurrence.
#[derive(Debug, Default)]
pub(super) struct Tally {
    ok: u64,
    failed: u64,
    retries: u64,
    late: u64,
    reasons: BTreeMap<String, u64>,
    first_tries_micros: Vec<u32>,
}

impl Tally {
    pub(super) fn count(&mut self, sent: &Sent) {
        if sent.ok {
            self.ok += 1;
        } else {
            self.failed += 1;
            let mut reason = sent.attempts.last().map_or_else(String::new, Try::reason);
            if self.reasons.len() >= REASONS_MAX && !self.reasons.contains_key(&reason) {
                "other".clone_into(&mut reason);
            }
            *self.reasons.entry(reason).or_default() += 1;
        }
        self.retries += sent.attempts.iter().skip(1).map(|_| 1).sum::<u64>();
        let micros = sent.attempts.first().map(|first| first.took.as_micros());
        self.first_tries_micros.extend(micros.map(|micros| u32::try_from(micros).unwrap_or(u32::MAX)));
    }

    pub(super) fn count_late(&mut self) {
        self.late += 1;
    }

    pub(super) fn sum_up(mut self, elapsed: Duration) -> Summary {
        let sent = self.ok + self.failed;
        #[expect(clippy::cast_precision_loss, reason = "2^53 occurrences are not reached")]
        let per_second = sent as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
        Summary {
            sent,
            ok: self.ok,
            failed: self.failed,
            retries: self.retries,
            late: self.late,
            reasons: self.reasons,
            latency: Latency::of(&mut self.first_tries_micros),
            elapsed,
            per_second,
        }
    }
}

impl Latency {
    fn of(micros: &mut [u32]) -> Option<Latency> {
        micros.sort_unstable();
        let percentile = |percent| percentile(micros, percent);
        Some(Latency {
            min: percentile(0)?,
            p50: percentile(50)?,
            p90: percentile(90)?,
            p99: percentile(99)?,
            max: percentile(100)?,
        })
    }
}

/// The smallest of the sorted values that so many percent of them do not exceed.
fn percentile(sorted: &[u32], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map(|micros| Duration::from_micros(u64::from(*micros)))
}

fn as_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(millis(*time))
}

impl fmt::Display for Summary {
    /// An aligned block without a line break at its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (elapsed, per_second) = (Took(self.elapsed), self.per_second);
        write!(f, "sent     {:>9}  in {elapsed}, {per_second:.1} a second", self.sent)?;
        write!(f, "\nok       {:>9}", self.ok)?;
        write!(f, "\nfailed   {:>9}", self.failed)?;
        for (reason, count) in &self.reasons {
            write!(f, "\n         {count:>9}  {reason}")?;
        }
        if self.retries > 0 {
            write!(f, "\nretries  {:>9}", self.retries)?;
        }
        if self.late > 0 {
            write!(f, "\nlate     {:>9}  started after they were due: too many were under way", self.late)?;
        }
        if let Some(Latency { min, p50, p90, p99, max }) = self.latency {
            let [min, p50, p90, p99, max] = [min, p50, p90, p99, max].map(Took);
            write!(f, "\nlatency  min {min}, p50 {p50}, p90 {p90}, p99 {p99}, max {max}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Brand;
    use crate::sender::answer::Answer;

    fn sent(answers: &[(u16, u64)]) -> Sent {
        let tried = |(number, (status, millis)): (usize, &(u16, u64))| Try {
            retry_num: u32::try_from(number).unwrap(),
            outcome: Ok(Answer::read(*status, br#"{"errcode":0}"#)),
            took: Duration::from_millis(*millis),
        };
        let attempts: Vec<_> = answers.iter().enumerate().map(tried).collect();
        let ok = attempts.last().unwrap().is_success();
        Sent { event: "Issue.Update".to_owned(), brand: Brand::Leiga, id: "1".to_owned(), ok, attempts }
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        #[track_caller]
        fn check(values: &[u32], percent: usize, expected: Option<u64>) {
            assert_eq!(percentile(values, percent), expected.map(Duration::from_micros));
        }
        let hundred: Vec<u32> = (1..=100).collect();
        for (percent, expected) in [(0, 1), (50, 50), (90, 90), (99, 99), (100, 100)] {
            check(&hundred, percent, Some(expected));
        }
        check(&[7], 0, Some(7));
        check(&[7], 99, Some(7));
        check(&[1, 2], 50, Some(1));
        check(&[1, 2], 51, Some(2));
        check(&[1, 2, 3], 99, Some(3));
        check(&[], 50, None);
    }

    #[test]
    fn a_summary_counts_occurrences_and_measures_first_tries() {
        let mut tally = Tally::default();
        tally.count(&sent(&[(200, 3)]));
        tally.count(&sent(&[(503, 1), (200, 900)]));
        tally.count(&sent(&[(503, 2), (500, 900), (401, 900)]));
        tally.count_late();
        let summary = tally.sum_up(Duration::from_millis(1500));
        assert_eq!((summary.sent, summary.ok, summary.failed), (3, 2, 1));
        let expected = "\
sent             3  in 1.50 s, 2.0 a second
ok               2
failed           1
                 1  401 errcode 0
retries          3
late             1  started after they were due: too many were under way
latency  min 1.0 ms, p50 2.0 ms, p90 3.0 ms, p99 3.0 ms, max 3.0 ms";
        assert_eq!(summary.to_string(), expected);
        let json = serde_json::to_string(&summary).unwrap();
        let expected = concat!(
            r#"{"sent":3,"ok":2,"failed":1,"retries":3,"late":1,"reasons":{"401 errcode 0":1},"#,
            r#""latency_ms":{"min":1.0,"p50":2.0,"p90":3.0,"p99":3.0,"max":3.0},"#,
            r#""elapsed_ms":1500.0,"per_second":2.0}"#,
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn nothing_sent_is_no_latency_and_reasons_are_bounded() {
        assert_eq!(Tally::default().sum_up(Duration::ZERO).latency, None);
        let mut tally = Tally::default();
        for status in 300..400 {
            tally.count(&sent(&[(status, 1)]));
        }
        let summary = tally.sum_up(Duration::from_secs(1));
        assert_eq!(summary.reasons.len(), REASONS_MAX + 1);
        assert_eq!(summary.reasons["other"], 80);
    }
}
