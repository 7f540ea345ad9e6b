//! What workhook says of itself: the log, the metrics, the traces.
//!
//! It knows no event and no metric: rooms define their own, and hand over what is to be said.

mod log;
pub mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
pub mod traces;

pub use log::{LogConfig, LogFormat, LogLevel, TelemetryError, init, with_causes};
