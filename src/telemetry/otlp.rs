//! Sending spans to a collector: OTLP over HTTP, in protobuf.
//!
//! Spans wait in a queue with a bound, and a thread of its own makes batches of them; the runtime sends those. What
//! always holds: nobody waits for any of it, what has no place in the queue is dropped, and that a collector does not
//! answer is said at most once a minute.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor,
};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::traces::{Fact, Side, Span, TracesError};
use super::with_causes;

/// How many spans wait at the most; more are dropped.
const WAITING_MAX: usize = 4096;
/// How many go in one request.
const BATCH_MAX: usize = 512;
/// How long a span waits for others at the most.
const EVERY: Duration = Duration::from_secs(2);
/// How long the collector may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is said that it does not answer.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// Where a collector takes traces.
const PATH: &str = "/v1/traces";

/// The way to a collector.
#[derive(Debug)]
pub(super) struct Exporter {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Exporter {
    pub(super) fn start(endpoint: &str) -> Result<Exporter, TracesError> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .map_err(TracesError::of)?;
        let client = Client { client, runtime: Handle::current(), said: Mutex::default() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}{PATH}", endpoint.trim_end_matches('/')))
            .with_timeout(TIMEOUT)
            .build()
            .map_err(TracesError::of)?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(EVERY)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let version = env!("CARGO_PKG_VERSION");
        let names = [KeyValue::new("service.name", "workhook"), KeyValue::new("service.version", version)];
        processor.set_resource(&Resource::builder_empty().with_attributes(names).build());
        Ok(Exporter { processor, scope: InstrumentationScope::builder("workhook").with_version(version).build() })
    }

    pub(super) fn tell(&self, span: Span) {
        self.processor.on_end(self.data(span));
    }

    /// Sends what waits. Blocks, and must not be called on a thread of the runtime.
    pub(super) fn end(&self, within: Duration) {
        if let Err(error) = self.processor.shutdown_with_timeout(within) {
            tracing::debug!(error = with_causes(&error), "the last traces were not sent");
        }
    }

    fn data(&self, span: Span) -> SpanData {
        let (trace, id) = (TraceId::from_bytes(span.trace), SpanId::from_bytes(span.id));
        let start_time = SystemTime::from(span.started_at);
        SpanData {
            span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default()),
            parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: false,
            span_kind: match span.side {
                Side::Asked => SpanKind::Server,
                Side::Asking => SpanKind::Client,
                Side::Within => SpanKind::Internal,
            },
            name: span.name.into(),
            start_time,
            end_time: start_time + span.took,
            attributes: span.facts.into_iter().map(|(key, fact)| KeyValue::new(key, value(fact))).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: span.failed.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        }
    }
}

fn value(fact: Fact) -> Value {
    match fact {
        Fact::Text(text) => text.into(),
        Fact::Number(number) => number.into(),
    }
}

/// Sends on the runtime, because the thread that makes batches has none.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
    said: Mutex<Option<Instant>>,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let response = client.execute(request.try_into()?).await?.error_for_status()?;
            Ok::<_, reqwest::Error>(response.status())
        });
        // The address may have a secret in it.
        let sent = sent.await?.map_err(reqwest::Error::without_url);
        let status = sent.inspect_err(|error| self.say(error))?;
        // What it answers beside its status changes nothing, so it is not read.
        Ok(http::Response::builder().status(status).body(Bytes::new())?)
    }
}

impl Client {
    fn say(&self, error: &reqwest::Error) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            *said = Some(Instant::now());
            tracing::warn!(error = with_causes(error), "traces were not taken by their collector, and are dropped");
        }
    }
}
