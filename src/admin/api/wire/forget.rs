//! Forgetting.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A step of forgetting: some events are looked at, and what is about somebody or something is removed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// A person, by id, e-mail address or whole name; or else:
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// An entity: `leiga/tenant:1/issue/100`, or `issue/100` in whatever brand and tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Only count.
    #[serde(default)]
    pub dry_run: bool,
    /// Only events after this position: 0 for the first step, then what the last one said.
    #[serde(default)]
    pub after: i64,
}

/// What a step came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Forgotten {
    /// How many events.
    pub events: u64,
    /// How many rejected requests.
    pub rejected: u64,
    /// How many bodies of duplicates, of events that are about another entity and stay.
    #[serde(default)]
    pub bodies: u64,
    /// What to give as `after` in the next step; absent at the end, when nothing of it is left in the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// Where something that was forgotten, now or before, is still in the files: `catalogue`, `free_pages` or `log`, the
    /// last while somebody reads the database. Told by a dry run, and once all events are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}
