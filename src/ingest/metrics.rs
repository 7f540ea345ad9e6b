//! What the public door counts and measures.
//!
//! What always holds: a label is a word of this file, a webhook's name from the configuration, or an event's name from
//! the vendor's list; and what is counted for a request is taken out of its family at the start.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    webhooks: Vec<OfWebhook>,
}

#[derive(Debug, Clone)]
struct Families {
    events: Family<Labels, Counter>,
    retries: Family<Labels, Counter>,
    last_event: Family<Labels, Fraction>,
}

/// What is counted for one webhook.
#[derive(Debug, Clone)]
struct OfWebhook {
    name: WebhookName,
    events: Vec<(EventName, Counter)>,
    others: Counter,
    retries: Counter,
    last_event: Fraction,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new(&mut Registry::default(), Vec::new(), Timestamp::UNIX_EPOCH)
    }
}

impl Metrics {
    /// Adds the metrics of a door that takes these webhooks and opens now.
    pub fn new(registry: &mut Registry, webhooks: Vec<WebhookName>, now: Timestamp) -> Metrics {
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
        let webhooks: Vec<_> = webhooks.into_iter().map(|name| families.of(&name)).collect();
        for webhook in &webhooks {
            webhook.last_event.set(now.as_duration().as_secs_f64());
        }
        Metrics(Arc::new(Inner {
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
            webhooks,
        }))
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
        let known = self.0.webhooks.iter().find(|known| known.name == *accepted.webhook());
        let webhook = known.map_or_else(|| Cow::Owned(self.0.families.of(accepted.webhook())), Cow::Borrowed);
        let event = webhook.events.iter().position(|(name, _)| name == accepted.name());
        let received = accepted.received_at().as_duration().as_secs_f64();
        Acknowledged { inner: &self.0, webhook, event, received, again: accepted.retry_num() > 0 }
    }
}

/// The counters of one request.
#[derive(Debug)]
pub(super) struct Acknowledged<'a> {
    inner: &'a Inner,
    webhook: Cow<'a, OfWebhook>,
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
    fn of(&self, name: &WebhookName) -> OfWebhook {
        let webhook = || ("webhook", name.as_str().to_owned());
        let events = |event: &str| self.events.get_or_create_owned(&vec![webhook(), ("event", event.to_owned())]);
        OfWebhook {
            name: name.clone(),
            events: EventName::known().map(|event| (event.clone(), events(&event.to_string()))).collect(),
            others: events(OTHER),
            retries: self.retries.get_or_create_owned(&vec![webhook()]),
            last_event: self.last_event.get_or_create_owned(&vec![webhook()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::sample::accepted;
    use crate::contract::{Brand, Refusal};
    use crate::ingest::answer::Shed;

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
    fn a_webhook_that_came_later_is_counted_like_any_other() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry, Vec::new(), Timestamp::UNIX_EPOCH);
        let duplicate = Appended::Duplicate { id: None, conflict: false };
        metrics.of(&accepted("{}")).count(&duplicate, Duration::ZERO);
        assert!(registry.open_metrics().contains(r#"workhook_sender_retries_total{webhook="product"} 0"#));
        assert_eq!((metrics.0.duplicates.get(), metrics.0.accepted.get()), (1, 0));
    }
}
