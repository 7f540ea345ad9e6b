//! What the public door counts and measures.
//!
//! What always holds: a label is a word of this file, a webhook's name from the configuration, or an event's name from
//! the vendor's list; and what is counted for a request is taken out of its family at the start.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;

use crate::connections::Meter;
use crate::contract::{Accepted, EventName, WebhookName};
use crate::store::Appended;
use crate::telemetry::metrics::{Counter, Family, Fraction, Histogram, Labels, Registry, SHORT};

/// What an event is called that is not in the vendor's list.
const OTHER: &str = "other";
/// Why a request was turned away.
const TURNED_AWAY: &[&str] = &[
    "no-family",
    "two-families",
    "no-token",
    "wrong-token",
    "doubled-token",
    "encoded",
    "too-large",
    "too-slow",
    "cut",
];
/// Of these, the ones that are about the token.
const TOKENS: &[&str] = &["no-token", "wrong-token", "doubled-token"];
/// Why a request was answered 503.
const UNAVAILABLE: &[&str] = &["busy", "over-budget", "store", "late", "disk-full", "panic"];

/// The metrics of the public door. Copies share them.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    accepted: Counter,
    duplicates: Counter,
    conflicts: Counter,
    rejected: Counter,
    /// Turned away or answered 503, by code.
    by_code: Vec<(&'static str, Counter)>,
    refused_tokens: Counter,
    acknowledgement: Histogram,
    in_flight: Arc<AtomicUsize>,
    meter: Meter,
    families: Families,
    webhooks: RwLock<Vec<Arc<OfWebhook>>>,
}

#[derive(Debug, Clone)]
struct Families {
    events: Family<Labels, Counter>,
    retries: Family<Labels, Counter>,
    last_event: Family<Labels, Fraction>,
}

/// What is counted for one webhook.
#[derive(Debug)]
struct OfWebhook {
    name: WebhookName,
    events: Vec<(EventName, Counter)>,
    others: Counter,
    retries: Counter,
    last_event: Fraction,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new(&mut Registry::default(), &[], Timestamp::UNIX_EPOCH)
    }
}

impl Metrics {
    /// Adds the metrics of a door that takes these webhooks and opens now.
    pub fn new(registry: &mut Registry, webhooks: &[WebhookName], now: Timestamp) -> Metrics {
        let requests = registry.family("requests", "Requests, by what came of them, and why where they were not taken");
        let outcome = |outcome: &str, code: &'static str| -> Counter {
            let code = Some(("code", code.to_owned())).filter(|(_, code)| !code.is_empty());
            requests.get_or_create_owned(&[("outcome", outcome.to_owned())].into_iter().chain(code).collect())
        };
        let meter = Meter { turned_away: outcome("unavailable", "connections"), ..Meter::default() };
        registry.add("connections", "Connections that are open at the public door", meter.open.clone());
        let acknowledgement = Histogram::of_times(SHORT);
        let help = "From the first byte of a request's head to its 200";
        registry.add("acknowledgement_seconds", help, acknowledgement.clone());
        let in_flight = Arc::<AtomicUsize>::default();
        let asked = Arc::clone(&in_flight);
        #[expect(clippy::cast_precision_loss, reason = "no memory has so many bytes")]
        registry.ask("in_flight_bytes", "Bytes of bodies that are held, under ingest.max_in_flight", move || {
            asked.load(Ordering::Relaxed) as f64
        });
        let refused_tokens = registry.counter("refused_tokens", "Requests whose token was missing, wrong or doubled");
        let families = Families {
            events: registry.family("events_stored", "Events stored since the start, by webhook and name"),
            retries: registry.family("sender_retries", "Acknowledged requests that the sender had sent before"),
            last_event: registry.family(
                "last_event_timestamp_seconds",
                "When the last event of a webhook was stored; the start, where there was none since",
            ),
        };
        let of_codes = |of: &'static str, codes: &'static [&str]| {
            let outcome = &outcome;
            codes.iter().map(move |code| (*code, outcome(of, code))).collect::<Vec<_>>()
        };
        let metrics = Metrics(Arc::new(Inner {
            accepted: outcome("accepted", ""),
            duplicates: outcome("duplicate", ""),
            conflicts: outcome("conflict", ""),
            rejected: outcome("rejected", ""),
            by_code: [of_codes("turned-away", TURNED_AWAY), of_codes("unavailable", UNAVAILABLE)].concat(),
            refused_tokens,
            acknowledgement,
            in_flight,
            meter,
            families,
            webhooks: RwLock::default(),
        }));
        metrics.follow(webhooks, now);
        metrics
    }

    /// Has these webhooks told and no others. For one that is new, it counts as if its last event had come now.
    pub fn follow(&self, names: &[WebhookName], now: Timestamp) {
        let families = &self.0.families;
        let mut webhooks = self.0.webhooks.write().unwrap_or_else(PoisonError::into_inner);
        for gone in webhooks.iter().filter(|known| !names.contains(&known.name)) {
            families.remove(gone);
        }
        let before = std::mem::take(&mut *webhooks);
        let known = |name: &WebhookName| before.iter().find(|known| known.name == *name).cloned();
        *webhooks = names.iter().map(|name| known(name).unwrap_or_else(|| Arc::new(families.of(name, now)))).collect();
    }

    /// What counts the bytes of bodies that are held.
    pub(super) fn in_flight(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.0.in_flight)
    }

    /// What counts connections.
    pub(super) fn meter(&self) -> Meter {
        self.0.meter.clone()
    }

    /// A request was turned away, or answered 503.
    pub(super) fn turned_away(&self, code: &str) {
        if let Some((_, counter)) = self.0.by_code.iter().find(|(known, _)| *known == code) {
            counter.inc();
        }
        if TOKENS.contains(&code) {
            self.0.refused_tokens.inc();
        }
    }

    /// A request was rejected, and is kept.
    pub(super) fn rejected(&self) {
        self.0.rejected.inc();
    }

    /// What an accepted request will be counted by, once the store has said what it was.
    pub(super) fn of(&self, accepted: &Accepted) -> Acknowledged<'_> {
        let webhooks = self.0.webhooks.read().unwrap_or_else(PoisonError::into_inner);
        let known = webhooks.iter().find(|known| known.name == *accepted.webhook()).cloned();
        // A webhook that was taken out meanwhile is not told any more.
        let webhook = known.unwrap_or_else(|| Arc::new(OfWebhook::untold(accepted.webhook())));
        let event = webhook.events.iter().position(|(name, _)| name == accepted.name());
        let received = accepted.received_at().as_duration().as_secs_f64();
        Acknowledged { inner: &self.0, webhook, event, received, again: accepted.retry_num() > 0 }
    }
}

/// The counters of one request.
#[derive(Debug)]
pub(super) struct Acknowledged<'a> {
    inner: &'a Inner,
    webhook: Arc<OfWebhook>,
    event: Option<usize>,
    received: f64,
    again: bool,
}

impl Acknowledged<'_> {
    /// It is acknowledged, so long after its first byte.
    pub(super) fn count(&self, appended: &Appended, took: Duration) {
        self.inner.acknowledgement.took(took);
        if self.again {
            self.webhook.retries.inc();
        }
        match appended {
            Appended::Stored { .. } => {
                self.inner.accepted.inc();
                self.event.map_or(&self.webhook.others, |event| &self.webhook.events[event].1).inc();
                self.webhook.last_event.set(self.received);
            }
            Appended::Duplicate { conflict: false, .. } => _ = self.inner.duplicates.inc(),
            Appended::Duplicate { conflict: true, .. } => _ = self.inner.conflicts.inc(),
        }
    }
}

impl Families {
    fn of(&self, name: &WebhookName, now: Timestamp) -> OfWebhook {
        let webhook = || ("webhook", name.as_str().to_owned());
        let last_event = self.last_event.get_or_create_owned(&vec![webhook()]);
        last_event.set(now.as_duration().as_secs_f64());
        let events = |event: &str| self.events.get_or_create_owned(&vec![webhook(), ("event", event.to_owned())]);
        OfWebhook {
            name: name.clone(),
            events: EventName::known().map(|event| (event.clone(), events(&event.to_string()))).collect(),
            others: events(OTHER),
            retries: self.retries.get_or_create_owned(&vec![webhook()]),
            last_event,
        }
    }

    fn remove(&self, gone: &OfWebhook) {
        let webhook = || ("webhook", gone.name.as_str().to_owned());
        let names = gone.events.iter().map(|(event, _)| event.to_string()).chain([OTHER.to_owned()]);
        for event in names {
            self.events.remove(&vec![webhook(), ("event", event)]);
        }
        self.retries.remove(&vec![webhook()]);
        self.last_event.remove(&vec![webhook()]);
    }
}

impl OfWebhook {
    /// Counts what nobody asks for.
    fn untold(name: &WebhookName) -> OfWebhook {
        let (others, retries, last_event) = Default::default();
        OfWebhook { name: name.clone(), events: Vec::new(), others, retries, last_event }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::sample::accepted;
    use crate::contract::{Brand, Refusal};
    use crate::ingest::answer::Shed;
    use crate::model::{EventId, Position};

    #[test]
    fn every_code_that_a_request_is_turned_away_with_has_a_counter() {
        let leiga = Brand::ALL[0];
        let refusals = [
            Refusal::NoFamily,
            Refusal::TwoFamilies(leiga, Brand::ALL[1]),
            Refusal::NoToken(leiga),
            Refusal::DoubledToken(leiga),
            Refusal::WrongToken(leiga),
        ];
        let metrics = Metrics::default();
        let codes: Vec<_> = refusals
            .map(Refusal::code)
            .into_iter()
            .chain([Shed::Busy, Shed::OverBudget, Shed::Store, Shed::Late, Shed::DiskFull].map(Shed::code))
            .chain(["encoded", "too-large", "too-slow", "cut", "panic"])
            .collect();
        for code in &codes {
            metrics.turned_away(code);
        }
        assert!(metrics.0.by_code.iter().all(|(code, counter)| codes.contains(code) && counter.get() == 1));
        assert_eq!(metrics.0.by_code.len(), codes.len());
        assert_eq!(metrics.0.refused_tokens.get(), 3);
    }

    #[test]
    fn a_webhook_is_told_from_when_it_comes_until_it_goes() {
        let mut registry = Registry::default();
        let name = |name: &str| WebhookName::parse(name).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let metrics = Metrics::new(&mut registry, &[name("old")], at(100));
        let stored = Appended::Stored { id: EventId::from_bytes([0; 16]), position: Position(1) };
        let count = || metrics.of(&accepted("{}")).count(&stored, Duration::ZERO);
        let of = |webhook: &str| {
            let text = registry.open_metrics();
            let of = |line: &&str| line.contains(&format!("webhook=\"{webhook}\"")) && !line.ends_with(" 0");
            text.lines().filter(of).map(str::to_owned).collect::<Vec<_>>()
        };
        count();
        assert!(of("product").is_empty(), "it is not there yet");
        metrics.follow(&[name("old"), name("product")], at(200));
        let since = |webhook: &str, second: u32| {
            format!("workhook_last_event_timestamp_seconds{{webhook=\"{webhook}\"}} {second}.0")
        };
        assert_eq!((of("old"), of("product")), (vec![since("old", 100)], vec![since("product", 200)]));
        count();
        assert_eq!(of("product").len(), 2);
        metrics.follow(&[name("product")], at(300));
        assert_eq!((of("old").len(), of("product").len()), (0, 2));
        metrics.follow(&[], at(400));
        count();
        assert!(!registry.open_metrics().contains("webhook=\""));
        assert_eq!(metrics.0.accepted.get(), 3);
    }
}
