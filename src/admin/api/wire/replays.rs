//! Replays.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EventFilter;

/// Which events are to be handled again, by whom and how fast. One of `event` and `filter` is needed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewReplay {
    /// This event, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Every event that is meant by this; an empty one means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<EventFilter>,
    /// Only for this handler, which may be one that did not get the events before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// For the handlers whose routes take an event now, and not for those that it was planned for.
    pub rematch: bool,
    /// Only for handlers to which an event has no delivery that is delivered or pending.
    pub undelivered: bool,
    /// How many events a second at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
}

/// A question how much a replay would be. One answer looks at a bounded number of events; the next question goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PreviewReplay {
    /// What would be replayed.
    pub replay: NewReplay,
    /// The `next` of the answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// The `through` of the answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<i64>,
}

/// How much some of a replay would be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReplayPreview {
    /// How many of the events that were looked at would be replayed.
    pub events: u64,
    /// How many deliveries would be made of them.
    pub deliveries: u64,
    /// What to give as `after` for those that follow; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// What to give as `through` for those that follow: the newest event that there was at the first question.
    pub through: i64,
}

/// The newest replays, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Replays {
    /// The replays.
    pub replays: Vec<Replay>,
}

/// Events of the past, handled again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Replay {
    /// Its id.
    pub id: i64,
    /// `running`, `stopped` or `done`.
    pub state: String,
    /// What was asked for.
    #[serde(flatten)]
    pub asked: NewReplay,
    /// When it was asked for. Events that came later are not replayed.
    pub started_at: Timestamp,
    /// The position of the last event that it looked at.
    pub position: i64,
    /// The position of the last event that there was when it began.
    pub last: i64,
    /// How many events it took.
    pub events: u64,
    /// How many deliveries it made.
    pub deliveries: u64,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}
