//! The shapes of the API, for those who answer and for those who ask.
//!
//! Times are RFC 3339. They are commitments: a field is added, never taken away or given another meaning.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Why a request failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// What was wrong, and what would be right.
    pub error: String,
}

/// A list of events, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Events {
    /// The events.
    pub events: Vec<EventSummary>,
    /// What to give as `before` for those that follow; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// An event in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventSummary {
    /// Its id.
    pub id: String,
    /// Its place in the order of storing.
    pub position: i64,
    /// When it first came in.
    pub received_at: Timestamp,
    /// Its name, normalised.
    pub name: String,
    /// The brand that sent it.
    pub brand: String,
    /// The configured webhook that it came to.
    pub webhook: String,
    /// The `ID` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurrence_id: Option<String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// What it is about in a few words of the sender's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How many requests it came by.
    pub receipts: u64,
    /// Whether it is planned.
    pub planned: bool,
    /// How many of its deliveries are in which state.
    pub deliveries: Vec<StateCount>,
    /// What was odd about it, as short words.
    pub notes: Vec<String>,
}

/// How many are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCount {
    /// The state: `pending`, `delivered`, `dead` or `cancelled`.
    pub state: String,
    /// How many.
    pub count: u64,
}

/// Everything that is known of an event, but for its body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventDetail {
    /// What a list says of it.
    #[serde(flatten)]
    pub summary: EventSummary,
    /// The name as it came, where it was an alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_name: Option<String>,
    /// The `WebHook-ID` header.
    pub claimed_webhook_id: String,
    /// What was odd about the request, in sentences.
    pub oddities: Vec<String>,
    /// What the typed views could not read.
    pub misfits: Vec<String>,
    /// The size of the body in bytes.
    pub body_bytes: usize,
    /// The headers less all credentials.
    pub headers: Vec<(String, String)>,
    /// The requests that it came by, as far as they were kept; the first one first.
    pub history: Vec<Receipt>,
    /// When it was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_at: Option<Timestamp>,
    /// The handlers that it was not routed to.
    pub not_routed: Vec<NotRouted>,
    /// Its deliveries with their attempts.
    pub handlers: Vec<Delivery>,
}

/// One request that an event came by.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Receipt {
    /// When.
    pub received_at: Timestamp,
    /// The `Retry-Num` header.
    pub retry_num: u32,
    /// The `Ts` header, in seconds since the epoch, as claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<i64>,
    /// From which address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Whether it was known by its body alone.
    pub matched_by_body: bool,
    /// The size of its body, where it was another than the event's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_body_bytes: Option<u64>,
}

/// Why a handler did not get an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NotRouted {
    /// The handler.
    pub handler: String,
    /// The clause of its route that said no.
    pub clause: String,
}

/// A list of deliveries, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deliveries {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// What to give as `before` for those that follow; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// One event for one handler.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
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

/// How it is going.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    /// Whether it is ready.
    pub ready: bool,
    /// Why not: `draining`, `store` or `planner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Events kept.
    pub events: u64,
    /// Events that wait to be planned.
    pub unplanned: u64,
    /// Deliveries by state.
    pub deliveries: Vec<StateCount>,
    /// How long the oldest pending delivery has been planned, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_pending_seconds: Option<u64>,
    /// Rejected requests kept.
    pub rejected: u64,
    /// Those who were turned away, the latest first.
    pub turned_away: Vec<TurnedAway>,
}

/// How often somebody was turned away.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TurnedAway {
    /// Why, as a short word.
    pub code: String,
    /// From which address.
    pub peer: String,
    /// The webhook id that was claimed.
    pub claimed_webhook_id: String,
    /// How often.
    pub count: u64,
    /// When last.
    pub last_at: Timestamp,
}
