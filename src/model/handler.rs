//! What is kept about a handler itself.

use std::time::Duration;

use jiff::Timestamp;

use super::{DeliveryState, HandlerName};

/// A handler as the store knows it: because it had deliveries, or because somebody paused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerRecord {
    /// Its name.
    pub name: HandlerName,
    /// Since when nothing is claimed for it, because somebody said so.
    pub paused_at: Option<Timestamp>,
    /// Its breaker, while that is open.
    pub breaker: Option<OpenBreaker>,
    /// How many of its deliveries are in which state; states without any are left out.
    pub deliveries: Vec<(DeliveryState, u64)>,
    /// When its oldest pending delivery was planned.
    pub oldest_pending: Option<Timestamp>,
}

/// A breaker that is open: after repeated failures only one probe at a time is let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBreaker {
    /// When it opened.
    pub since: Timestamp,
    /// When the next probe is let through.
    pub until: Timestamp,
    /// How many attempts failed in a row, probes included.
    pub failures: u32,
    /// How many probes failed since it opened.
    pub probes: u32,
    /// What came of the last attempt, in a sentence.
    pub reason: String,
}

/// So many in such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub count: u32,
    /// In which time; more than nothing.
    pub per: Duration,
}
