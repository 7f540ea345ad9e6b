//! What can be set about how a handler is asked.

use std::time::Duration;

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

impl Default for Policy {
    fn default() -> Policy {
        Policy { ordered: true, concurrency: 8, timeout: Duration::from_secs(10), retry: RetryPolicy::default() }
    }
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy { attempts: 30, first: Duration::from_secs(1), max: Duration::from_secs(3600) }
    }
}
