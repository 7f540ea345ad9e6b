//! What can be set about how a handler is asked.

use std::time::Duration;

use crate::model::Rate;

/// How a handler is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether the events of one entity are handled one after the other.
    pub ordered: bool,
    /// How many deliveries are attempted at one time, for each process.
    pub concurrency: usize,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// When it is asked again.
    pub retry: RetryPolicy,
    /// When it is left alone, after repeated failures.
    pub breaker: BreakerPolicy,
    /// How often it is asked at the most, by all processes together; `None` is as often as it goes.
    pub rate: Option<Rate>,
}

/// When a delivery that failed is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many attempts there are in all. The default of 30 outlasts a far end that is down for a night.
    pub attempts: u32,
    /// The longest wait before the second attempt.
    pub first: Duration,
    /// The longest wait before any; it doubles up to here.
    pub max: Duration,
}

/// When a handler that keeps failing is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// How many attempts fail in a row before the breaker opens; 0 is never.
    pub failures: u32,
    /// The longest wait before the first probe.
    pub first: Duration,
    /// The longest wait before any; it doubles with each probe that fails, up to here.
    pub max: Duration,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            ordered: true,
            concurrency: 8,
            timeout: Duration::from_secs(10),
            retry: RetryPolicy::default(),
            breaker: BreakerPolicy::default(),
            rate: None,
        }
    }
}

impl Default for BreakerPolicy {
    fn default() -> BreakerPolicy {
        BreakerPolicy { failures: 10, first: Duration::from_secs(5), max: Duration::from_secs(300) }
    }
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy { attempts: 30, first: Duration::from_secs(1), max: Duration::from_secs(3600) }
    }
}
