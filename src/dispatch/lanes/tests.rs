//! Lanes by hand: each step is taken by the test, and time passes only between steps.

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::super::bench::{Bench, FarEnd};
use super::super::gate::Gates;
use super::super::notices;
use super::super::{BreakerPolicy, Policy, Rate, RetryPolicy};
use super::*;
use crate::clock::Clock;
use crate::handlers::Failure;
use crate::model::DeliveryState;
use crate::store::EventQuery;

const HOUR: Duration = Duration::from_secs(3600);

/// The lanes of a handler, its far end, and what its loop holds.
struct Worker {
    lanes: Arc<Lanes>,
    far_end: Arc<FarEnd>,
    places: Mutex<Places>,
}

impl Worker {
    fn new(bench: &Bench, consumer: &Consumer, far_end: &Arc<FarEnd>, gates: &Gates) -> Worker {
        let house = bench.house.clone();
        let gate = gates.of(&consumer.name);
        gate.take_up(&consumer.policy, house.clock.now());
        let (notices, _) = notices::open(Arc::clone(&house.store), CancellationToken::new());
        let ends = Ends { stop: CancellationToken::new(), cut: CancellationToken::new() };
        let metrics = house.metrics.of(&consumer.name);
        let (places, consumer) = (Mutex::new(Places::none()), watch::channel(Arc::new(consumer.clone())).1);
        let (attempts, stock, crowded) = (TaskTracker::new(), Stock::default(), AtomicBool::new(false));
        let freed = Notify::new();
        let lanes = Lanes { house, consumer, gate, notices, ends, metrics, attempts, stock, crowded, freed };
        Worker { lanes: Arc::new(lanes), far_end: Arc::clone(far_end), places }
    }

    /// Takes steps until there is nothing to do now; how long to wait.
    async fn work(&self) -> Duration {
        loop {
            let before = self.far_end.asked();
            let wait = self.lanes.step(&mut *self.places.lock().await).await;
            self.settled().await;
            if self.far_end.asked() == before {
                return wait;
            }
        }
    }

    async fn settled(&self) {
        self.lanes.attempts.close();
        self.lanes.attempts.wait().await;
        self.lanes.attempts.reopen();
    }
}

/// Lets so much time pass.
async fn pass(bench: &Bench, workers: &[&Worker], time: Duration) {
    let clock = &bench.house.clock;
    let began = clock.now();
    while between(began, clock.now()) < time {
        let mut wait = POLL;
        for worker in workers {
            wait = wait.min(worker.work().await);
        }
        clock.advance(wait.max(Duration::from_millis(1)));
    }
}

#[tokio::test]
async fn what_was_planned_while_the_clock_was_ahead_is_due_though_nobody_saw_it_set_back() {
    let far_end = Arc::new(FarEnd::default());
    let consumer = far_end.consumer("crm", Policy::default());
    let mut bench = Bench::with_issues(1, std::slice::from_ref(&consumer)).await;
    bench.house.clock = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap() - HOUR * 10);
    let worker = Worker::new(&bench, &consumer, &far_end, &Gates::default());
    assert_eq!(worker.lanes.step(&mut *worker.places.lock().await).await, Duration::ZERO);
    worker.work().await;
    assert_eq!((far_end.asked(), bench.count(&consumer, DeliveryState::Delivered).await), (1, 1));
}

#[tokio::test]
async fn a_dead_far_end_costs_few_attempts_and_nobody_else_s_time_and_is_caught_up_with_when_it_is_back() {
    let far_ends: [Arc<FarEnd>; 2] = std::array::from_fn(|_| Arc::default());
    let [crm, audit] = [("crm", &far_ends[0]), ("audit", &far_ends[1])]
        .map(|(name, far_end)| far_end.consumer(name, Policy::default()));
    let bench = Bench::with_issues(1000, &[crm.clone(), audit.clone()]).await;
    let gates = Gates::default();
    let dead = Worker::new(&bench, &crm, &far_ends[0], &gates);
    let good = Worker::new(&bench, &audit, &far_ends[1], &gates);
    dead.far_end.set(Some(Failure::transient("connection refused")));

    pass(&bench, &[&dead, &good], Duration::from_secs(1)).await;
    assert_eq!(bench.count(&audit, DeliveryState::Delivered).await, 1000);
    assert!(dead.far_end.asked() <= 17, "{} before it opened", dead.far_end.asked());
    pass(&bench, &[&dead, &good], HOUR).await;
    let cost = dead.far_end.asked();
    assert!((20..=50).contains(&cost), "{cost} attempts in an hour");
    assert_eq!(bench.count(&crm, DeliveryState::Pending).await, 1000);

    dead.far_end.set(None);
    pass(&bench, &[&dead, &good], Duration::from_secs(600)).await;
    assert_eq!(bench.count(&crm, DeliveryState::Delivered).await, 1000);
    assert_eq!(dead.far_end.asked(), cost + 1000);
    assert_eq!(bench.house.store.handlers().await.unwrap().iter().filter(|one| one.breaker.is_some()).count(), 0);
}

#[tokio::test]
async fn refusals_open_the_breaker_so_that_the_rest_does_not_become_dead_letters() {
    let far_end = Arc::new(FarEnd::default());
    let crm = far_end.consumer("crm", Policy::default());
    let bench = Bench::with_issues(200, std::slice::from_ref(&crm)).await;
    let worker = Worker::new(&bench, &crm, &far_end, &Gates::default());
    far_end.set(Some(Failure::permanent("answered 401 Unauthorized")));
    pass(&bench, &[&worker], HOUR).await;
    let dead = bench.count(&crm, DeliveryState::Dead).await;
    assert!((10..=50).contains(&dead), "{dead} dead letters in an hour");
    far_end.set(None);
    pass(&bench, &[&worker], Duration::from_secs(600)).await;
    assert_eq!(bench.count(&crm, DeliveryState::Delivered).await, 200 - dead);
}

#[tokio::test]
async fn a_restart_goes_on_with_an_open_breaker_as_it_was() {
    let far_end = Arc::new(FarEnd::default());
    let breaker = BreakerPolicy { failures: 3, first: HOUR, max: HOUR };
    let crm = far_end.consumer("crm", Policy { breaker, concurrency: 1, ..Policy::default() });
    let bench = Bench::with_issues(20, std::slice::from_ref(&crm)).await;
    far_end.set(Some(Failure::transient("connection refused")));
    Worker::new(&bench, &crm, &far_end, &Gates::default()).work().await;
    assert_eq!(far_end.asked(), 3);
    let kept = bench.house.store.handlers().await.unwrap();
    let open = kept[0].breaker.clone().expect("it is kept");
    assert_eq!((open.failures, open.probes, open.reason.as_str()), (3, 0, "connection refused"));

    bench.house.clock.advance(Duration::from_secs(60));
    let again = Worker::new(&bench, &crm, &far_end, &Gates::restored(kept.clone(), false));
    again.work().await;
    assert_eq!(far_end.asked(), 3, "nothing before its time");
    bench.house.clock.advance(HOUR);
    again.work().await;
    assert_eq!(far_end.asked(), 4, "one probe");

    let off = Policy { breaker: BreakerPolicy { failures: 0, ..BreakerPolicy::default() }, ..Policy::default() };
    let without = far_end.consumer("crm", off);
    Worker::new(&bench, &without, &far_end, &Gates::restored(kept, false)).work().await;
    assert_eq!(bench.house.store.handlers().await.unwrap()[0].breaker, None);
    assert!(far_end.asked() >= 20, "{}", far_end.asked());
}

#[tokio::test]
async fn what_was_claimed_while_the_breaker_opened_is_given_back_and_does_not_count() {
    let far_end = Arc::new(FarEnd::default());
    let breaker = BreakerPolicy { failures: 1, ..BreakerPolicy::default() };
    let crm = far_end.consumer("crm", Policy { breaker, ..Policy::default() });
    let bench = Bench::with_issues(8, std::slice::from_ref(&crm)).await;
    let worker = Worker::new(&bench, &crm, &far_end, &Gates::default());
    let (gate, now) = (&worker.lanes.gate, bench.house.clock.now());
    let pass = gate.begin(&crm.policy, now).unwrap();
    let query = EventQuery { limit: 1, ..EventQuery::default() };
    let event = bench.house.store.events(query).await.unwrap().items.remove(0).event;
    assert!(gate.end(&crm.policy, pass, &event, Came::Failed("503"), now, 0.5).is_some());
    // The loop had asked for leave just before.
    let places = worker.places.lock().await.take(8);
    worker.lanes.claim(&worker.lanes.consumer(), 8, places).await;
    worker.settled().await;
    assert_eq!(far_end.asked(), 0);
    let untouched = |one: &crate::model::DeliveryRecord| !one.claimed && one.attempts == 0 && one.due_at.is_some();
    let deliveries = bench.deliveries(&crm).await;
    assert!(deliveries.len() == 8 && deliveries.iter().all(untouched), "{deliveries:?}");
    assert_eq!(worker.places.lock().await.take(8).len(), 8);
}

/// What is claimed and waits for a place, where attempts are as fast as claims.
async fn with_stock(bench: &Bench, worker: &Worker) -> usize {
    let stock = &worker.lanes.stock;
    stock.attempted(Duration::from_millis(1));
    stock.put([], Duration::from_millis(1));
    let places = worker.places.lock().await.take(worker.lanes.consumer().policy.concurrency);
    drop(places);
    worker.lanes.claim(&worker.lanes.consumer(), 5, Vec::new()).await;
    let claimed = bench.deliveries(&worker.lanes.consumer()).await.iter().filter(|one| one.claimed).count();
    assert_eq!((claimed, worker.far_end.asked()), (5, 0));
    claimed
}

#[tokio::test]
async fn what_was_claimed_ahead_is_attempted_before_anything_else_and_each_once() {
    let far_end = Arc::new(FarEnd::default());
    let crm = far_end.consumer("crm", Policy { concurrency: 2, ..Policy::default() });
    let bench = Bench::with_issues(20, std::slice::from_ref(&crm)).await;
    let worker = Worker::new(&bench, &crm, &far_end, &Gates::default());
    with_stock(&bench, &worker).await;
    worker.work().await;
    assert_eq!((far_end.asked(), bench.count(&crm, DeliveryState::Delivered).await), (20, 20));
}

#[tokio::test]
async fn what_was_claimed_ahead_is_given_back_when_the_breaker_opens() {
    let far_end = Arc::new(FarEnd::default());
    let breaker = BreakerPolicy { failures: 1, ..BreakerPolicy::default() };
    let crm = far_end.consumer("crm", Policy { concurrency: 1, breaker, ..Policy::default() });
    let bench = Bench::with_issues(20, std::slice::from_ref(&crm)).await;
    let worker = Worker::new(&bench, &crm, &far_end, &Gates::default());
    with_stock(&bench, &worker).await;
    far_end.set(Some(Failure::transient("connection refused")));
    worker.work().await;
    let deliveries = bench.deliveries(&crm).await;
    assert_eq!((far_end.asked(), deliveries.iter().filter(|one| one.claimed).count()), (1, 0));
    assert_eq!(deliveries.iter().filter(|one| one.attempts > 0).count(), 1, "none of the others counts");
}

#[tokio::test]
async fn what_waited_for_too_long_is_given_back_and_does_not_count() {
    let far_end = Arc::new(FarEnd::default());
    let crm = far_end.consumer("crm", Policy { concurrency: 1, ..Policy::default() });
    let bench = Bench::with_issues(20, std::slice::from_ref(&crm)).await;
    let worker = Worker::new(&bench, &crm, &far_end, &Gates::default());
    with_stock(&bench, &worker).await;
    tokio::time::pause();
    tokio::time::advance(KEEPS + Duration::from_millis(1)).await;
    tokio::time::resume();
    assert_eq!(worker.lanes.fill(&mut *worker.places.lock().await, &crm.policy).len(), 1);
    worker.settled().await;
    let deliveries = bench.deliveries(&crm).await;
    assert_eq!((far_end.asked(), deliveries.iter().filter(|one| one.claimed || one.attempts > 0).count()), (0, 0));
}

#[tokio::test]
async fn where_one_attempt_is_all_that_there_is_nothing_is_claimed_ahead() {
    let far_end = Arc::new(FarEnd::default());
    let retry = RetryPolicy { attempts: 1, ..Policy::default().retry };
    let crm = far_end.consumer("crm", Policy { concurrency: 1, retry, ..Policy::default() });
    let bench = Bench::with_issues(20, std::slice::from_ref(&crm)).await;
    let worker = Worker::new(&bench, &crm, &far_end, &Gates::default());
    worker.lanes.stock.attempted(Duration::from_millis(1));
    worker.lanes.stock.put([], Duration::from_millis(9));
    worker.lanes.step(&mut *worker.places.lock().await).await;
    assert_eq!(bench.deliveries(&crm).await.iter().filter(|one| one.attempts > 0).count(), 1);
    worker.settled().await;
}

#[tokio::test]
async fn where_there_are_to_be_fewer_places_none_is_passed_on() {
    let far_end = Arc::new(FarEnd::default());
    let crm = far_end.consumer("crm", Policy { concurrency: 2, ..Policy::default() });
    let bench = Bench::with_issues(20, std::slice::from_ref(&crm)).await;
    let worker = Worker::new(&bench, &crm, &far_end, &Gates::default());
    with_stock(&bench, &worker).await;
    let mut places = worker.places.lock().await;
    let mut taken = places.take(2);
    let fewer = Policy { concurrency: 1, ..Policy::default() };
    assert!(worker.lanes.fill(&mut places, &fewer).is_empty(), "both are taken");
    worker.lanes.pass_on(taken.remove(0));
    assert_eq!(worker.lanes.fill(&mut places, &fewer).len(), 0);
    worker.lanes.pass_on(taken.remove(0));
    worker.settled().await;
    assert_eq!(far_end.asked(), 5, "the place that is left is enough for all in stock");
    assert_eq!(places.take(1).len(), 1);
}

#[tokio::test]
async fn a_rate_bounds_how_often_a_handler_is_asked_and_claims_nothing_early() {
    let far_end = Arc::new(FarEnd::default());
    let rate = Some(Rate { count: 10, per: Duration::from_secs(1) });
    let crm = far_end.consumer("crm", Policy { rate, ..Policy::default() });
    let bench = Bench::with_issues(100, std::slice::from_ref(&crm)).await;
    let worker = Worker::new(&bench, &crm, &far_end, &Gates::default());
    worker.work().await;
    assert_eq!(far_end.asked(), 10, "a second's worth at once");
    assert!(!bench.deliveries(&crm).await.iter().any(|one| one.claimed), "what waits is not held");
    pass(&bench, &[&worker], Duration::from_secs(5)).await;
    assert!((55..=60).contains(&far_end.asked()), "{} in five seconds", far_end.asked());
    pass(&bench, &[&worker], Duration::from_secs(5)).await;
    assert_eq!(bench.count(&crm, DeliveryState::Delivered).await, 100);
    let slow = far_end.consumer("crm", Policy { rate: Some(Rate { count: 1, per: HOUR }), ..Policy::default() });
    let idle = Worker::new(&bench, &slow, &far_end, &Gates::default());
    assert_eq!(idle.work().await, POLL, "who has nothing to do does not ask for more leave");
}
