//! Rejected requests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A list of rejected requests, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RejectedList {
    /// The requests.
    pub rejected: Vec<Rejected>,
    /// What to give as `before` for those that follow; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// A request with a good token that could not be an event.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Rejected {
    /// Its id.
    pub id: i64,
    /// When it came.
    pub received_at: Timestamp,
    /// The configured webhook whose token it had.
    pub webhook: String,
    /// The brand that sent it.
    pub brand: String,
    /// From which address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What was wrong.
    pub reason: String,
    /// The size of its body in bytes.
    pub body_bytes: u64,
    /// The headers less all credentials; not in a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The event that it became when it was judged again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub became: Option<Became>,
}

/// What a rejected request became.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Became {
    /// The event's id.
    pub event: String,
    /// When it was judged again.
    pub at: Timestamp,
}

/// A rejected request is to be judged again, with corrections.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRejected {
    /// Headers to set, by name, with or without the brand's prefix: `Retry-Num`. An empty value takes one away.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
}

/// What became of a request that was judged again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Retried {
    /// `stored`, or `duplicate` where the event was there already.
    pub outcome: String,
    /// The event's id; absent where it is only known, and no longer kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}
