//! Logs: readable on a terminal, JSON otherwise, always on standard error.
//!
//! Standard output belongs to what was asked for: a command's result, and the lines of the `log` handler.

use std::io::IsTerminal;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Readable on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Readable.
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// What is logged: a level, or directives such as `info,workhook::ingest=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig { format: LogFormat::Auto, level: "info".to_owned() }
    }
}

/// Why logging could not begin.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The level is not one.
    #[error("{level:?} is not a log level or a list of directives")]
    Level {
        /// What was given.
        level: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else has begun it already.
    #[error("logging has begun already")]
    Begun,
}

/// Libraries that say more than anyone who runs this wants to know; the configuration's word on them still counts.
const QUIET: &str = "refinery_core=warn";

/// Begins logging, for the whole process.
///
/// # Errors
/// When the level is not one, or logging has begun already.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let level = |source| TelemetryError::Level { level: config.level.clone(), source };
    let filter = EnvFilter::try_new(format!("{QUIET},{}", config.level)).map_err(level)?;
    let stderr = std::io::stderr();
    let json = match config.format {
        LogFormat::Auto => !stderr.is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_target(false);
    let begun = if json {
        builder.json().flatten_event(true).with_ansi(false).try_init()
    } else {
        builder.with_ansi(stderr.is_terminal()).try_init()
    };
    begun.map_err(|_| TelemetryError::Begun)
}

/// An error with its causes, as one text; a cause that repeats the error's own text is left out.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
