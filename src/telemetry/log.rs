//! Logs: readable on a terminal, JSON otherwise, always on standard error.
//!
//! Standard output belongs to what was asked for: a command's result, and the lines of the `log` handler.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

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

/// Changes what is logged, while it is logged.
#[derive(Clone)]
pub struct LogLevel(Arc<dyn Fn(EnvFilter) + Send + Sync>);

impl LogLevel {
    /// Logs from here on at a level, or by directives. One that is none is said, and changes nothing.
    pub fn set(&self, level: &str) {
        match filter(level) {
            Ok(filter) => (self.0)(filter),
            Err(error) => tracing::error!(error = with_causes(&error), "the level of the log stays"),
        }
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLevel").finish_non_exhaustive()
    }
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let not_one = |source| TelemetryError::Level { level: level.to_owned(), source };
    EnvFilter::try_new(format!("{QUIET},{level}")).map_err(not_one)
}

/// Begins logging, for the whole process; what is given back changes the level.
///
/// # Errors
/// When the level is not one, or logging has begun already.
pub fn init(config: &LogConfig) -> Result<LogLevel, TelemetryError> {
    let filter = filter(&config.level)?;
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
    // Nothing is left to change where the subscriber is gone, which is where the process ends.
    let (begun, level): (_, Arc<dyn Fn(EnvFilter) + Send + Sync>) = if json {
        let builder = builder.json().flatten_event(true).with_ansi(false).with_filter_reloading();
        let handle = builder.reload_handle();
        (builder.try_init(), Arc::new(move |filter| drop(handle.reload(filter))))
    } else {
        let builder = builder.with_ansi(stderr.is_terminal()).with_filter_reloading();
        let handle = builder.reload_handle();
        (builder.try_init(), Arc::new(move |filter| drop(handle.reload(filter))))
    };
    begun.map(|()| LogLevel(level)).map_err(|_| TelemetryError::Begun)
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
