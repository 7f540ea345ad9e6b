//! The shapes of the API, for those who answer and for those who ask. A file for each kind of thing.
//!
//! Times are RFC 3339. They are commitments: a field is added, never taken away or given another meaning.

mod deliveries;
mod events;
mod filters;
mod forget;
mod handlers;
mod health;
mod rejected;
mod replays;
mod settings;
mod webhooks;

pub use deliveries::*;
pub use events::*;
pub use filters::*;
pub use forget::*;
pub use handlers::*;
pub use health::*;
pub use rejected::*;
pub use replays::*;
pub use settings::*;
pub use webhooks::*;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a request failed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What was wrong, and what would be right.
    pub error: String,
}

/// How many are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateCount {
    /// The state: `pending`, `delivered`, `dead` or `cancelled`.
    pub state: String,
    /// How many.
    pub count: u64,
}
