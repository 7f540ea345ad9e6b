//! `/metrics`: what all rooms count, and what the store has to be asked for.
//!
//! What always holds: a scrape answers whether the store does or not, and says so; and a handler's name that is not
//! in the configuration is not told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use jiff::Timestamp;
use tokio::time::timeout;

use super::Admin;
use crate::clock::{Clock, between};
use crate::health::{Health, Holder};
use crate::model::{DeliveryState, HandlerName, HandlerRecord};
use crate::store::{Counts, Store};
use crate::telemetry::metrics::{Family, Fraction, Gauge, Labels, Registry, classic};

/// How long the store may take.
const STORE_WITHIN: Duration = Duration::from_secs(1);
/// What handlers are called together that no configuration knows (ruling 20).
const ORPHANED: &str = "(orphaned)";
const OPEN_METRICS: &str = "application/openmetrics-text";

/// Adds what is known without asking: what this is, since when it runs, and whether it is ready.
pub fn about(registry: &mut Registry, clock: &Clock, health: Health) {
    let build: Family<Labels, Gauge> = registry.family("build_info", "Which workhook this is; always 1");
    build.get_or_create_owned(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
    let started = clock.now().as_duration().as_secs_f64();
    registry.ask("start_time_seconds", "When the process started", move || started);
    let ready = move || if health.ready().is_ok() { 1.0 } else { 0.0 };
    registry.ask("ready", "Whether it is ready, as /readyz says: 1 or 0", ready);
}

pub(super) async fn scrape(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let asked = Stored::ask(&*admin.store).await;
    let mut stored = Registry::default();
    let complete = Gauge::<i64>::default();
    complete.set(i64::from(asked.is_some()));
    stored.add("scrape_complete", "Whether the store could be asked for this scrape: 1 or 0", complete);
    if let Some(asked) = asked {
        asked.add_to(&mut stored, &admin);
    }
    add_duties(&mut stored, &admin.health);
    let (rooms, stored) = (admin.registry.open_metrics(), stored.open_metrics());
    let text = format!("{}{stored}", rooms.strip_suffix("# EOF\n").unwrap_or(&rooms));
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let (kind, text) = match accept.into_iter().any(|accept| accept.contains(OPEN_METRICS)) {
        true => ("application/openmetrics-text; version=1.0.0; charset=utf-8", text),
        false => ("text/plain; version=0.0.4; charset=utf-8", classic(&text)),
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// What the store was asked for.
struct Stored {
    counts: Counts,
    handlers: Vec<HandlerRecord>,
    /// How many processes share it; `None` where it belongs to this one.
    replicas: Option<usize>,
}

impl Stored {
    /// `None` where it failed or took too long; the log says more of a store that fails than a scrape could.
    async fn ask(store: &dyn Store) -> Option<Stored> {
        let all = async { tokio::try_join!(store.counts(), store.handlers(), store.replicas()) };
        let (counts, handlers, replicas) = timeout(STORE_WITHIN, all).await.ok()?.ok()?;
        Some(Stored { counts, handlers, replicas: store.is_shared().then_some(replicas.len()) })
    }

    fn add_to(self, registry: &mut Registry, admin: &Admin) {
        let now = admin.clock.now();
        let Stored { counts, handlers, replicas } = self;
        if let Some(replicas) = replicas {
            add(registry, "replicas", "Processes that share the store and live", replicas as u64);
        }
        add(registry, "events_kept", "Events in the store", counts.events);
        add(registry, "rejected_kept", "Rejected requests in the store", counts.rejected);
        add(registry, "uncatalogued_events", "Events that cannot be found by their terms yet", counts.uncatalogued);
        add(registry, "unplanned_events", "Events that wait to be planned", counts.unplanned);
        let oldest = Fraction::default();
        oldest.set(age(counts.oldest_unplanned, now));
        let help = "How long ago the oldest event was received that waits to be planned; 0 where none does";
        registry.add("oldest_unplanned_seconds", help, oldest);

        let help = "Deliveries in the store, by handler and state";
        let deliveries: Family<Labels, Gauge> = registry.family("deliveries", help);
        let help = "How long ago the oldest delivery was planned that waits, by handler; 0 where none does";
        let oldest: Family<Labels, Fraction> = registry.family("oldest_pending_seconds", help);
        let lanes: Family<Labels, Gauge> = registry.family("lanes", "Lanes in which a delivery waits, by handler");
        let help = "Whether somebody has paused a handler: 1 or 0";
        let paused: Family<Labels, Gauge> = registry.family("handler_paused", help);
        let help = "Whether a handler's breaker is open: 1 or 0";
        let breaker: Family<Labels, Gauge> = registry.family("breaker_open", help);
        let configured = admin.in_force().handlers.iter().map(|handler| handler.name.clone()).collect();
        for (handler, has) in by_handler(&configured, &handlers, &counts.lanes) {
            let labels = vec![("handler", handler)];
            for (state, count) in DeliveryState::ALL.into_iter().zip(has.deliveries) {
                let state = ("state", state.as_str().to_owned());
                let labels = labels.iter().cloned().chain([state]).collect();
                deliveries.get_or_create_owned(&labels).set(number(count));
            }
            oldest.get_or_create_owned(&labels).set(age(has.oldest_pending, now));
            lanes.get_or_create_owned(&labels).set(number(has.lanes));
            paused.get_or_create_owned(&labels).set(i64::from(has.paused));
            breaker.get_or_create_owned(&labels).set(i64::from(has.breaker_open));
        }
    }
}

/// Which duties this process has, where one process at a time has them.
fn add_duties(registry: &mut Registry, health: &Health) {
    let duties = health.duties();
    if duties.is_empty() {
        return;
    }
    let held: Family<Labels, Gauge> = registry.family("duty_held", "Whether this process has a duty: 1 or 0");
    for (duty, holder) in duties {
        held.get_or_create_owned(&vec![("duty", duty.to_owned())]).set(i64::from(holder == Holder::Here));
    }
}

#[derive(Default)]
struct OfHandler {
    /// In the order of all states.
    deliveries: [u64; DeliveryState::ALL.len()],
    lanes: u64,
    oldest_pending: Option<Timestamp>,
    paused: bool,
    breaker_open: bool,
}

/// What there is for each configured handler, and for all others together where there are any.
fn by_handler(
    configured: &BTreeSet<HandlerName>,
    records: &[HandlerRecord],
    lanes: &[(HandlerName, u64)],
) -> BTreeMap<String, OfHandler> {
    let name = |handler: &HandlerName| {
        if configured.contains(handler) { handler.to_string() } else { ORPHANED.to_owned() }
    };
    let mut all: BTreeMap<_, _> = configured.iter().map(|known| (name(known), OfHandler::default())).collect();
    for record in records {
        let has = all.entry(name(&record.name)).or_default();
        for (sum, state) in has.deliveries.iter_mut().zip(DeliveryState::ALL) {
            let counts = record.deliveries.iter().filter(|(own, _)| *own == state);
            *sum += counts.map(|(_, count)| count).sum::<u64>();
        }
        has.oldest_pending = has.oldest_pending.into_iter().chain(record.oldest_pending).min();
        has.paused |= record.paused_at.is_some();
        has.breaker_open |= record.breaker.is_some();
    }
    for (handler, count) in lanes {
        all.entry(name(handler)).or_default().lanes += count;
    }
    all
}

/// How long ago something was, in seconds; 0 where there is nothing.
fn age(at: Option<Timestamp>, now: Timestamp) -> f64 {
    at.map_or(0.0, |at| between(at, now).as_secs_f64())
}

fn add(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(number(value));
    registry.add(name, help, gauge);
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
