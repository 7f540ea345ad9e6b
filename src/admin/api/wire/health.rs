//! How it is going.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{StateCount, Webhook};

/// How it is going.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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
    /// The configured webhooks, with the uses of their tokens.
    #[serde(default)]
    pub webhooks: Vec<Webhook>,
    /// The processes that share the store and live, this one among them; absent where it belongs to one process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<Replica>,
    /// What one process at a time does for all, with where it is done as this process knows it; absent where the store
    /// belongs to one process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duties: Vec<Duty>,
    /// What came of the last reload of the configuration; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Reload>,
}

/// A process that shares the store.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Replica {
    /// What it calls itself.
    pub name: String,
    /// Whether it is the one that tells this.
    pub this: bool,
    /// What it does for all: `planning`, `replaying`, `upkeep`.
    pub duties: Vec<String>,
}

/// Something that one process at a time does for all.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Duty {
    /// What: `planning`, `replaying`, `upkeep`.
    pub name: String,
    /// Where: `here`, `elsewhere` or `unknown`.
    pub holder: String,
}

/// What came of a reload of the configuration.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Reload {
    /// When.
    pub at: Timestamp,
    /// Whether it is in force; otherwise the one before it still is.
    pub ok: bool,
    /// Everything that was wrong with it, each with its place.
    pub mistakes: Vec<String>,
}

/// How often somebody was turned away.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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
