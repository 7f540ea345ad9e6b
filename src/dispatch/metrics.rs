//! What dispatch counts and measures.
//!
//! What always holds: a handler's label is its name from the configuration, and attempts and dead letters are counted
//! when the store has kept them, so that they agree with what it tells.

use crate::model::{Ended, HandlerName, NextStep, Plan, Settlement};
use crate::store::Settled;
use crate::telemetry::metrics::{Counter, Family, Gauge, Histogram, LONG, Labels, Registry};

type Times = Family<Labels, Histogram, fn() -> Histogram>;

/// The metrics of dispatch. Copies share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    planned: Counter,
    attempts: Family<Labels, Counter>,
    dead_letters: Family<Labels, Counter>,
    running: Family<Labels, Gauge>,
    times: Times,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new(&mut Registry::default())
    }
}

impl Metrics {
    /// Adds the metrics of dispatch.
    pub fn new(registry: &mut Registry) -> Metrics {
        let times: Times = Family::new_with_constructor(|| Histogram::of_times(LONG));
        registry.add("attempt_seconds", "How long attempts took, by handler", times.clone());
        Metrics {
            planned: registry.counter("events_planned", "Events planned since the start"),
            attempts: registry.family("attempts", "Attempts that ended, by handler and how"),
            dead_letters: registry.family("dead_letters", "Deliveries that became dead letters, by handler"),
            running: registry.family("attempts_running", "Attempts that are under way, by handler"),
            times,
        }
    }

    /// What is counted for a handler. It is told from here on, with 0 where nothing happened yet.
    pub(super) fn of(&self, handler: &HandlerName) -> OfHandler {
        let handler = || ("handler", handler.to_string());
        let ended = |ended: Ended| vec![handler(), ("outcome", ended.as_str().to_owned())];
        OfHandler {
            attempts: Ended::ALL.map(|one| (one, self.attempts.get_or_create_owned(&ended(one)))),
            dead_letters: self.dead_letters.get_or_create_owned(&vec![handler()]),
            running: self.running.get_or_create_owned(&vec![handler()]),
            times: self.times.get_or_create_owned(&vec![handler()]),
        }
    }

    /// Nothing runs any more for a handler, nor will unless it comes back. What was counted stays.
    pub(super) fn rest(&self, handler: &HandlerName) {
        self.running.remove(&vec![("handler", handler.to_string())]);
    }

    /// Plans are about to be kept.
    pub(super) fn planning(&self, plans: &[Plan]) -> Planning<'_> {
        let dead = plans.iter().flat_map(|plan| &plan.deliveries).filter(|delivery| delivery.dead.is_some());
        let labels = |handler: &HandlerName| vec![("handler", handler.to_string())];
        let dead = dead.map(|delivery| self.dead_letters.get_or_create_owned(&labels(&delivery.handler))).collect();
        Planning { metrics: self, events: plans.len() as u64, dead }
    }
}

/// What is counted of plans when they are kept.
#[derive(Debug)]
pub(super) struct Planning<'a> {
    metrics: &'a Metrics,
    events: u64,
    /// One for each dead letter that they make.
    dead: Vec<Counter>,
}

impl Planning<'_> {
    /// They were kept.
    pub(super) fn kept(self) {
        self.metrics.planned.inc_by(self.events);
        for dead in self.dead {
            dead.inc();
        }
    }
}

/// What is counted for one handler.
#[derive(Debug, Clone)]
pub(super) struct OfHandler {
    attempts: [(Ended, Counter); 5],
    dead_letters: Counter,
    running: Gauge,
    times: Histogram,
}

impl OfHandler {
    /// An attempt is under way, until what this gives is dropped.
    pub(super) fn running(&self) -> Running {
        self.running.inc();
        Running(self.running.clone())
    }

    /// An attempt was settled; `None` where its result could not be kept.
    pub(super) fn settled(&self, settlement: &Settlement, settled: Option<Settled>) {
        let kept = settled == Some(Settled::Kept);
        if let Some(outcome) = &settlement.outcome {
            let ended = if kept { outcome.ended } else { Ended::Lost };
            for (_, counter) in self.attempts.iter().filter(|(known, _)| *known == ended) {
                counter.inc();
            }
            self.times.took(outcome.took);
        }
        if kept && matches!(settlement.next, NextStep::Dead(_)) {
            self.dead_letters.inc();
        }
    }
}

/// An attempt that is under way.
#[derive(Debug)]
pub(super) struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeliveryId, NewDelivery, Outcome, Position};
    use bytes::Bytes;
    use jiff::Timestamp;
    use std::time::Duration;

    fn crm() -> HandlerName {
        HandlerName::parse("crm").unwrap()
    }

    #[track_caller]
    fn check(ended: Ended, next: NextStep, settled: Option<Settled>, expected: Ended, dead: u64) {
        let crm = Metrics::default().of(&crm());
        let at = Timestamp::UNIX_EPOCH;
        let (took, message, response) = (Duration::from_secs(1), String::new(), Bytes::new());
        let outcome = Some(Outcome { ended, started_at: at, took, status: None, message, response });
        crm.settled(&Settlement { id: DeliveryId(1), epoch: 1, attempt: 1, outcome, next, at }, settled);
        for (known, counter) in &crm.attempts {
            assert_eq!(counter.get(), u64::from(*known == expected), "{known:?}");
        }
        assert_eq!(crm.dead_letters.get(), dead);
    }

    #[test]
    fn what_was_not_kept_is_an_attempt_that_was_lost_and_no_dead_letter() {
        let dead = || NextStep::Dead("no".to_owned());
        check(Ended::Delivered, NextStep::Delivered, Some(Settled::Kept), Ended::Delivered, 0);
        check(Ended::Refused, dead(), Some(Settled::Kept), Ended::Refused, 1);
        check(Ended::Refused, dead(), Some(Settled::LostLease), Ended::Lost, 0);
        check(Ended::Delivered, NextStep::Delivered, None, Ended::Lost, 0);
    }

    #[test]
    fn plans_are_counted_when_they_are_kept_with_the_dead_letters_that_they_make() {
        let metrics = Metrics::default();
        let delivery = |dead: Option<&str>| NewDelivery { handler: crm(), lane: None, dead: dead.map(str::to_owned) };
        let deliveries = vec![delivery(None), delivery(Some("it cannot be planned"))];
        let plans = [Plan { position: Position(1), deliveries, not_routed: Vec::new() }];
        let planning = metrics.planning(&plans);
        assert_eq!((metrics.planned.get(), metrics.of(&crm()).dead_letters.get()), (0, 0));
        planning.kept();
        assert_eq!((metrics.planned.get(), metrics.of(&crm()).dead_letters.get()), (1, 1));
    }
}
