//! Events.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Delivery, StateCount};

/// A list of events: the newest first, or after a position the oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// The events.
    pub events: Vec<EventSummary>,
    /// What to give as `before`, or as `after` where that was given, for those that follow; absent where there are
    /// none. With `wait` it is always there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// An event in a list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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

/// Everything that is known of an event, but for its body.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NotRouted {
    /// The handler.
    pub handler: String,
    /// The clause of its route that said no.
    pub clause: String,
}
