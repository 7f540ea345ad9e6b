//! Which events and deliveries are meant. What is not said is not asked for; what is said must all hold.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventFilter {
    /// Those of this name, or of any name of an object: `Issue.Update`, `Issue.*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those of this configured webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// Those about this entity: `leiga/tenant:1/issue/100`, or `issue/100` in whatever brand and tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Those in which this person appears, by id, e-mail address or whole name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Those in which every one of these words appears, in what people read of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Those received at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Those received before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Those that came to this: `pending`, `delivered`, `dead`, `cancelled`, `not-routed` or `unplanned`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// Which deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryFilter {
    /// Those of this handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// Those in this state: `pending`, `delivered`, `dead` or `cancelled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Those of this event, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Those of events of this name, or of any name of an object: `Issue.Update`, `Issue.*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those planned at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Those planned before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Those whose reason has this text in it; case does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which deliveries are to be retried or cancelled: these, or all that are meant by a filter. One answer is about a
/// bounded number of them; the next request goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeDeliveries {
    /// These, at most 500.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<i64>,
    /// All that are meant by this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<DeliveryFilter>,
    /// Only say how many there are.
    pub dry_run: bool,
    /// For a cancellation: why, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// With a filter: the `next` of the answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// With a filter: the `through` of the answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<i64>,
}

/// How many deliveries were retried or cancelled, or would be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ChangedDeliveries {
    /// How many; with `dry_run`, how many would be.
    pub done: u64,
    /// What to give as `after` for those that follow; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// With a filter: what to give as `through` for those that follow, the newest delivery that there was at the first
    /// request. So a bulk ends though what it retries fails again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<i64>,
}
