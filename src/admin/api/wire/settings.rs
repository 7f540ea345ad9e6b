//! The settings in force.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings in force.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// When they were read.
    pub read_at: Timestamp,
    /// The file that they were read from; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Each key.
    pub settings: Vec<Setting>,
}

/// A key and what it is set to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// The key, for example `handler.crm.timeout`.
    pub key: String,
    /// What it is set to, a secret as `…`; absent where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where that was said: a place in the file, as in `workhook.toml:3:10`, a variable of the environment, or
    /// `default`.
    pub origin: String,
}
