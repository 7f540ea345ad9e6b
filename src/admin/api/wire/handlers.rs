//! Handlers.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Delivery, StateCount};

/// Every handler, by name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Handlers {
    /// The handlers.
    pub handlers: Vec<Handler>,
}

/// A handler: what is set about it, and how it is going.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Handler {
    /// Its name.
    pub name: String,
    /// Whether it is not configured any more, though there are deliveries for it.
    pub orphaned: bool,
    /// What is set about it; absent where it is not configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<HandlerSettings>,
    /// Since when it gets nothing, because somebody paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// Its breaker, while that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// Its deliveries by state.
    pub deliveries: Vec<StateCount>,
    /// How long its oldest pending delivery has been planned, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_pending_seconds: Option<u64>,
}

/// What is set about a handler.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HandlerSettings {
    /// Its kind.
    pub kind: String,
    /// The patterns of the events that it takes.
    pub events: Vec<String>,
    /// Whether the events of one entity are handled one after the other.
    pub ordered: bool,
    /// How many deliveries are attempted at one time.
    pub concurrency: usize,
    /// How long an attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// When it is asked again.
    pub retry: Retry,
    /// How many attempts fail in a row before its breaker opens; 0 is never.
    pub breaker_failures: u32,
    /// How often it is asked at the most; absent where that is not bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// So many in such a time.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time, in milliseconds.
    pub per_ms: u64,
}

/// When a delivery that failed is tried again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Retry {
    /// How many attempts there are in all.
    pub attempts: u32,
    /// The longest wait before the second attempt, in milliseconds.
    pub first_ms: u64,
    /// The longest wait before any, in milliseconds.
    pub max_ms: u64,
}

/// A breaker that is open: only one probe at a time is let through.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Breaker {
    /// Since when.
    pub since: Timestamp,
    /// When the next probe is let through.
    pub next_probe_at: Timestamp,
    /// How many attempts failed in a row, probes included.
    pub failures: u32,
    /// How many probes failed.
    pub probes: u32,
    /// What came of the last attempt.
    pub reason: String,
}

/// Which event a handler is tested with; none is the newest that its route takes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TestHandler {
    /// This event, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The newest event of this name, such as `Issue.Update`, or of any name of an object, such as `Issue.*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// What came of a test.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Tested {
    /// The event that was sent.
    pub event: String,
    /// The replay that it was sent by.
    pub replay: i64,
    /// The delivery with its attempts; absent where it was not made in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Whether the first attempt has ended.
    pub ended: bool,
}
