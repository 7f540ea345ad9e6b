//! The planner: takes stored events in order and decides which handlers get them.
//!
//! One process at a time plans. What always holds: an event is planned by itself, so one that cannot be planned costs nothing
//! but dead letters of its own (ruling 21).

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::notices::Notices;
use super::{Consumer, Consumers, House, trace};
use crate::model::{HandlerName, NewDelivery, NotRouted, Plan, Position, StoredEvent};
use crate::store::{Duty, StoreError, Tenure};
use crate::telemetry::with_causes;

/// How many events are planned in one transaction. With more of them, claims wait for longer commits and places stay empty.
const BATCH: usize = 64;
/// How often the store is asked though nobody said that there is something.
const POLL: Duration = Duration::from_secs(5);
/// How long to wait after the store failed.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a step may take before it is said that planning stands still.
const STEP_MAX: Duration = Duration::from_secs(20);
/// How often planning may begin at an event without getting beyond it.
const CRASHES_MAX: u32 = 3;
/// How many unknown names are remembered, to warn of each once.
const NAMES_MAX: usize = 1000;

/// Plans until it is told to stop, while this process has the duty; says when lanes may begin, which is when the first
/// step was good, or another process plans. When the future is dropped, the step under way is done or not as a whole.
pub(super) async fn run(
    house: House,
    consumers: Consumers,
    notices: Notices,
    planned: CancellationToken,
    stop: CancellationToken,
) {
    let duty = Tenure::new(Arc::clone(&house.store), Duty::Planning, house.health.clone());
    let planner = Planner::new(house, consumers, notices);
    duty.during(planner.run(&duty, planned, stop)).await;
}

struct Planner {
    house: House,
    consumers: Consumers,
    notices: Notices,
    /// The term of the duty in which planning began.
    term: Option<u64>,
    /// How often planning began at the first event without getting beyond it; unknown before the first step.
    stalled: Option<u32>,
    /// How many events are still planned one by one, so that a crash shows which one it was.
    one_by_one: usize,
    warned: HashSet<String>,
}

impl Planner {
    fn new(house: House, consumers: Consumers, notices: Notices) -> Planner {
        Planner { house, consumers, notices, term: None, stalled: None, one_by_one: 0, warned: HashSet::new() }
    }

    async fn run(mut self, duty: &Tenure, planned: CancellationToken, stop: CancellationToken) {
        let (mut sleeper, mut seen) = (self.house.wakes.events.sleeper(), duty.seen());
        while !stop.is_cancelled() {
            let Some(term) = duty.term() else {
                self.house.health.set_planner_moving(duty.is_elsewhere());
                if duty.is_elsewhere() {
                    planned.cancel();
                }
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = seen.changed() => {}
                }
                continue;
            };
            let Some(pause) = self.turn(duty, term, &planned).await else { continue };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sleeper.woken() => {}
                () = seen.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        if duty.is_here()
            && let Err(error) = self.house.store.end_planning().await
        {
            tracing::warn!(error = with_causes(&error), "that planning ended in order was not kept");
        }
    }

    /// Takes a step in a term of the duty; how long to wait for the next, `None` where there is more at once.
    async fn turn(&mut self, duty: &Tenure, term: u64, planned: &CancellationToken) -> Option<Duration> {
        if self.term.replace(term) != Some(term) {
            self.stalled = None;
        }
        let stepped = tokio::time::timeout(STEP_MAX, self.step()).await;
        if let Ok(Err(error)) = &stepped
            && duty.is_lost_by(error)
        {
            return None;
        }
        self.house.health.set_planner_moving(matches!(stepped, Ok(Ok(_))));
        match stepped {
            Ok(Ok(count)) => {
                planned.cancel();
                (count == 0).then_some(POLL)
            }
            Ok(Err(error)) => {
                let error = with_causes(&error);
                tracing::warn!(error, "planning stands still until the store is available");
                Some(PAUSE)
            }
            Err(_) => {
                tracing::warn!("planning stands still: the store did not answer within {STEP_MAX:?}");
                Some(PAUSE)
            }
        }
    }

    /// Plans the first events that are not; how many they were.
    async fn step(&mut self) -> Result<usize, StoreError> {
        let stalled = match self.stalled {
            Some(stalled) => stalled,
            None => self.start().await?,
        };
        let events = self.house.store.unplanned(if self.one_by_one > 0 { 1 } else { BATCH }).await?;
        // After the events, so that what came in after a change is never judged by what held before it; once for all of
        // them, so that each is judged by one configuration (ruling 19).
        let consumers = Arc::clone(&self.consumers.borrow());
        let plans: Vec<Plan> = events.iter().map(|event| self.plan(event, &consumers, stalled)).collect();
        let count = plans.len();
        if count > 0 {
            let (planned, started) = (self.house.metrics.planning(&plans), Instant::now());
            let (dead, now) = (dead_letters(&plans), self.house.clock.now());
            self.house.store.plan(plans, now).await?;
            planned.kept();
            self.house.traces.tell(|| trace::planning(count, now, started.elapsed()));
            for (position, handler, reason) in dead {
                if let Some(event) = events.iter().find(|event| event.position == position) {
                    self.notices.unplannable(event, &handler, &reason, now);
                }
            }
            self.stalled = Some(0);
            self.one_by_one = self.one_by_one.saturating_sub(count);
        }
        Ok(count)
    }

    async fn start(&mut self) -> Result<u32, StoreError> {
        let stalled = self.house.store.start_planning().await?.stalled;
        self.stalled = Some(stalled);
        self.one_by_one = if stalled > 0 { BATCH } else { 0 };
        Ok(stalled)
    }

    fn plan(&mut self, event: &StoredEvent, consumers: &[Consumer], stalled: u32) -> Plan {
        if !event.name.is_known()
            && !event.name.is_own()
            && self.warned.len() < NAMES_MAX
            && self.warned.insert(event.name.to_string())
        {
            tracing::warn!(event_id = %event.id, name = %event.name, "an event that is not in the vendor's list; it is routed like any other");
        }
        if stalled >= CRASHES_MAX {
            let reason = format!("planning it ended the process {stalled} times in a row");
            return unplannable(event, consumers, &reason);
        }
        by_itself(event, consumers, decide)
    }
}

/// The deliveries that are dead from the start.
fn dead_letters(plans: &[Plan]) -> Vec<(Position, HandlerName, String)> {
    let of_plan = |plan: &'_ Plan| -> Vec<(Position, HandlerName, String)> {
        let dead = plan.deliveries.iter().filter_map(|new| Some((new.handler.clone(), new.dead.clone()?)));
        dead.map(|(handler, reason)| (plan.position, handler, reason)).collect()
    };
    plans.iter().flat_map(of_plan).collect()
}

/// Decides on one event so that a panic is its own affair.
fn by_itself(event: &StoredEvent, consumers: &[Consumer], decide: fn(&StoredEvent, &[Consumer]) -> Plan) -> Plan {
    catch_unwind(AssertUnwindSafe(|| decide(event, consumers)))
        .unwrap_or_else(|_| unplannable(event, consumers, "planning it ended in a panic"))
}

/// Which handlers get an event, and why the others do not.
fn decide(event: &StoredEvent, consumers: &[Consumer]) -> Plan {
    let mut plan = Plan { position: event.position, deliveries: Vec::new(), not_routed: Vec::new() };
    for consumer in consumers {
        match consumer.route.judge(&event.name) {
            Ok(()) => plan.deliveries.push(delivery(event, consumer, None)),
            Err(clause) => plan.not_routed.push(NotRouted { handler: consumer.name.to_string(), clause }),
        }
    }
    plan
}

fn unplannable(event: &StoredEvent, consumers: &[Consumer], reason: &str) -> Plan {
    tracing::error!(event_id = %event.id, reason, "an event could not be planned");
    let dead = |consumer| delivery(event, consumer, Some(reason.to_owned()));
    Plan { position: event.position, deliveries: consumers.iter().map(dead).collect(), not_routed: Vec::new() }
}

fn delivery(event: &StoredEvent, consumer: &Consumer, dead: Option<String>) -> NewDelivery {
    let entity = event.entity.as_ref().filter(|_| consumer.policy.ordered);
    NewDelivery { handler: consumer.name.clone(), lane: entity.map(|entity| entity.as_str().to_owned()), dead }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;
    use crate::clock::Clock;
    use crate::contract::sample::accepted;
    use crate::dispatch::{Metrics, Policy, notices};
    use crate::handlers::log::LogHandler;
    use crate::health::Health;
    use crate::model::EventFilter;
    use crate::routes::Route;
    use crate::store::{EventQuery, SqliteSettings, SqliteStore, Store};
    use crate::telemetry::traces::Traces;
    use crate::wake::Wakes;
    use tokio::runtime::Handle;
    use tokio::sync::watch;

    fn consumer(name: &str) -> Consumer {
        let name = HandlerName::parse(name).unwrap();
        Consumer {
            name,
            route: Route::everything(),
            policy: Policy::default(),
            handler: Arc::new(LogHandler::default()),
        }
    }

    async fn planner(folder: &tempfile::TempDir, events: usize) -> Planner {
        let wakes = Wakes::default();
        let config =
            SqliteSettings { path: folder.path().join("workhook.db"), min_free: 0, ..SqliteSettings::default() };
        let store = SqliteStore::open(&config, &wakes).unwrap();
        for _ in 0..events {
            store.append(accepted("{}")).await.unwrap();
        }
        let store: Arc<dyn Store> = Arc::new(store);
        let (notices, told) = notices::open(Arc::clone(&store), CancellationToken::new());
        tokio::spawn(told);
        let house = House {
            store,
            clock: Clock::system(),
            chance: Chance::any(),
            wakes,
            health: Health::default(),
            handlers: Handle::current(),
            metrics: Metrics::default(),
            traces: Traces::default(),
        };
        Planner::new(house, watch::channel(Arc::new(vec![consumer("a"), consumer("b")])).1, notices)
    }

    #[tokio::test]
    async fn ruling_21_an_event_whose_planning_panics_is_dead_for_every_handler_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let planner = planner(&folder, 1).await;
        let event = planner.house.store.unplanned(1).await.unwrap().remove(0);
        let consumers = Arc::clone(&planner.consumers.borrow());
        let plan = by_itself(&event, &consumers, |_, _| panic!("a condition that cannot be"));
        assert_eq!(plan.deliveries.len(), 2);
        assert!(
            plan.deliveries.iter().all(|delivery| delivery.dead.as_deref() == Some("planning it ended in a panic"))
        );
        assert!(by_itself(&event, &consumers, decide).deliveries.iter().all(|delivery| delivery.dead.is_none()));
    }

    #[tokio::test]
    async fn ruling_21_after_three_crashes_in_a_row_the_first_event_is_dead_and_the_rest_is_planned() {
        let folder = tempfile::tempdir().unwrap();
        let mut planner = planner(&folder, 3).await;
        for _ in 0..CRASHES_MAX {
            // A start of planning that got no further, as a crash leaves it.
            planner.house.store.start_planning().await.unwrap();
        }
        while planner.step().await.unwrap() > 0 {}
        let deliveries =
            planner.house.store.deliveries(crate::store::DeliveryQuery { limit: 10, ..Default::default() });
        let dead: Vec<i64> = deliveries
            .await
            .unwrap()
            .items
            .iter()
            .filter(|one| one.reason.is_some())
            .map(|one| one.position.0)
            .collect();
        assert_eq!(dead, [1, 1]);
        let filter = EventFilter { name: Some("Workhook.DeadLetter".parse().unwrap()), ..EventFilter::default() };
        let query = EventQuery { limit: 10, filter, ..EventQuery::default() };
        let told = async {
            while planner.house.store.events(query.clone()).await.unwrap().items.len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), told).await.expect("each handler's dead letter is told");
    }
}
