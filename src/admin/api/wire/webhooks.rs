//! Webhooks and the uses of their tokens.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The configured webhooks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Webhooks {
    /// Each, in the order of the configuration.
    pub webhooks: Vec<Webhook>,
}

/// A configured webhook.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// The only brand that it takes; absent where it takes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The only webhook ids that it takes; none where it takes all.
    pub ids: Vec<String>,
    /// Whether it takes requests without a token.
    pub tokenless: bool,
    /// When a request last came in by one of its tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_request: Option<Timestamp>,
    /// Its tokens: those that are configured, and those that were used and are not any more.
    pub tokens: Vec<TokenUse>,
}

/// How often a token was used.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenUse {
    /// The beginning of the token's SHA-256, in hexadecimal; empty for requests without a token.
    pub token: String,
    /// Whether it is one of those that are configured.
    pub configured: bool,
    /// How many requests came in by it.
    pub count: u64,
    /// When last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
}
