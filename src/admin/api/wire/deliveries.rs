//! Deliveries and their attempts.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A list of deliveries, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Deliveries {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// What to give as `before` for those that follow; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// One event for one handler.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// Its id.
    pub id: i64,
    /// The event's id.
    pub event: String,
    /// The event's name.
    pub event_name: String,
    /// The handler.
    pub handler: String,
    /// 0 for the first delivery, one more for each replay.
    pub number: u32,
    /// What a handler tells repetitions by.
    pub idempotency_key: String,
    /// The lane that it waits in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// `pending`, `delivered`, `dead` or `cancelled`.
    pub state: String,
    /// While pending: what it waits for, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// While pending: when it is attempted next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// How many attempts count.
    pub attempts: u32,
    /// How often somebody had it retried by hand, which runs it out of order.
    pub retried: u32,
    /// The replay that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<i64>,
    /// Why it is dead, or what the last attempt said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was planned.
    pub planned_at: Timestamp,
    /// When it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
    /// The attempts, where one event was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Attempt>,
}

/// One try.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// `delivered`, `failed`, `refused`, `throttled` or `lost`.
    pub ended: String,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The far end's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// What came of it.
    pub message: String,
    /// The beginning of what the far end answered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub response: String,
}
