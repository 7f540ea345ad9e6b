//! Traces: what was done for an event, when, and how long it took, for a collector.
//!
//! It knows no event. What always holds: telling a span costs nothing where no collector is set, never waits, and
//! fails nobody; what a collector does not take in time is dropped.

use std::error::Error;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

/// The settings of the traces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TracesConfig {
    /// The collector's address, which speaks OTLP over HTTP; none: no traces.
    pub endpoint: Option<String>,
}

/// Why traces could not begin.
#[derive(Debug, Error)]
#[error("traces cannot be sent")]
pub struct TracesError(#[source] Box<dyn Error + Send + Sync>);

/// Something that was done, within a trace.
#[derive(Debug, Clone)]
pub struct Span {
    /// What it is called.
    pub name: &'static str,
    /// The trace that it belongs to.
    pub trace: [u8; 16],
    /// Its id.
    pub id: [u8; 8],
    /// The span that it is a part of.
    pub parent: Option<[u8; 8]>,
    /// Which side of a conversation it is.
    pub side: Side,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, where it did.
    pub failed: Option<&'static str>,
    /// What else is known of it.
    pub facts: Vec<(&'static str, Fact)>,
}

/// Which side of a conversation a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Somebody asked us.
    Asked,
    /// We ask somebody.
    Asking,
    /// Neither.
    Within,
}

/// Something that is known of a span.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A text; never one that came from outside.
    Text(String),
    /// A number.
    Number(i64),
}

/// Where spans go. Copies lead to the same collector; by default to none.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    #[cfg(feature = "otlp")]
    exporter: Option<std::sync::Arc<super::otlp::Exporter>>,
}

#[cfg(feature = "otlp")]
impl TracesError {
    pub(super) fn of(error: impl Error + Send + Sync + 'static) -> TracesError {
        TracesError(Box::new(error))
    }
}

#[cfg(feature = "otlp")]
impl Traces {
    /// Starts to send spans where the settings say so. Has to be called from within a runtime, which sends them.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn start(config: &TracesConfig) -> Result<Traces, TracesError> {
        let exporter = config.endpoint.as_deref().map(super::otlp::Exporter::start).transpose()?;
        Ok(Traces { exporter: exporter.map(std::sync::Arc::new) })
    }

    /// Tells a span, which is made only where somebody hears it.
    pub fn tell(&self, span: impl FnOnce() -> Span) {
        if let Some(exporter) = &self.exporter {
            exporter.tell(span());
        }
    }

    /// Sends what waits, and ends. Nothing is told afterwards. When the future is dropped, it goes on by itself.
    pub async fn end(&self, within: Duration) {
        let Some(exporter) = self.exporter.clone() else { return };
        let end = tokio::task::spawn_blocking(move || exporter.end(within));
        let _ = tokio::time::timeout(within, end).await;
    }
}

#[cfg(not(feature = "otlp"))]
#[expect(clippy::unused_async, reason = "the same as where there are traces")]
impl Traces {
    /// Starts nothing, because this build has no traces; its settings have no endpoint either.
    ///
    /// # Errors
    /// Never.
    pub fn start(_config: &TracesConfig) -> Result<Traces, TracesError> {
        Ok(Traces::default())
    }

    /// Tells a span; to nobody, because this build has no traces.
    pub fn tell(&self, _span: impl FnOnce() -> Span) {}

    /// Ends. There is nothing to end in this build.
    pub async fn end(&self, _within: Duration) {}
}
