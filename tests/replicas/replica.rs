//! One of several processes: the real dispatch and upkeep on a store in memory that others share.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use workhook::chance::Chance;
use workhook::clock::Clock;
use workhook::contract::{Accepted, RawHead, RawRequest, Token, Webhook, WebhookName, Webhooks, check};
use workhook::dispatch::{self, House, Metrics, Policy};
use workhook::health::{Health, Holder};
use workhook::model::{DeliveryRecord, Position};
use workhook::store::{Appended, DeliveryQuery, Store};
use workhook::telemetry::traces::Traces;
use workhook::upkeep::{Settings, Upkeep};
use workhook::wake::Wakes;

use crate::far_end::FarEnd;
use crate::memory::{Memory, MemoryStore};

/// More than a test has of anything.
const ALL: usize = 10_000;
/// How long something that must come is waited for, on virtual time.
const PATIENCE: Duration = Duration::from_secs(600);

/// What replicas share.
pub(crate) struct Cluster {
    pub(crate) memory: Memory,
    pub(crate) far_end: FarEnd,
    pub(crate) policy: Policy,
    clock: Clock,
    started: usize,
}

/// A process that runs.
pub(crate) struct Replica {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) health: Health,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Cluster {
    pub(crate) fn new(far_end: FarEnd, policy: Policy) -> Cluster {
        let clock = Clock::of_runtime(Timestamp::from_second(1_700_000_000).unwrap());
        Cluster { memory: Memory::default(), far_end, policy, clock, started: 0 }
    }

    /// Starts one more, with a number of its own.
    pub(crate) fn start(&mut self) -> Replica {
        let wakes = Wakes::default();
        let store = Arc::new(self.memory.join(&wakes, 7 * 24 * 3_600_000));
        let (health, stop) = (Health::default(), CancellationToken::new());
        health.set_store_writable(true);
        let consumer = self.far_end.consumer(self.started, &self.policy);
        let house = House {
            store: Arc::<MemoryStore>::clone(&store),
            clock: self.clock.clone(),
            chance: Chance::seeded(self.started as u64),
            wakes: wakes.clone(),
            health: health.clone(),
            handlers: tokio::runtime::Handle::current(),
            metrics: Metrics::default(),
            traces: Traces::default(),
        };
        self.started += 1;
        let shared: Arc<dyn Store> = Arc::<MemoryStore>::clone(&store);
        let upkeep = Upkeep::new(shared, self.clock.clone(), wakes, health.clone(), Settings::default());
        let (in_force, consumers) = watch::channel(Arc::new(vec![consumer]));
        let dispatched = dispatch::run(house, consumers, stop.clone(), CancellationToken::new());
        let dispatch = async move {
            dispatched.await;
            // What the configuration says lives as long as the process does.
            drop(in_force);
        };
        let tasks = vec![tokio::spawn(upkeep.run(stop.clone())), tokio::spawn(dispatch)];
        Replica { store, health, stop, tasks }
    }

    /// Every delivery, the oldest first.
    pub(crate) async fn deliveries(&self, replica: &Replica) -> Vec<DeliveryRecord> {
        let query = DeliveryQuery { limit: ALL, ..DeliveryQuery::default() };
        let mut deliveries = replica.store.deliveries(query).await.unwrap().items;
        deliveries.reverse();
        deliveries
    }
}

impl Replica {
    /// Stores an event about an issue; others are not woken by it.
    pub(crate) async fn append(&self, issue: usize) -> Position {
        match self.store.append(event(issue)).await.unwrap() {
            Appended::Stored { position, .. } => position,
            duplicate @ Appended::Duplicate { .. } => panic!("{duplicate:?}"),
        }
    }

    /// Who has a duty, as this one knows it.
    pub(crate) fn holder(&self, duty: &str) -> Holder {
        self.health.duties().get(duty).copied().unwrap_or(Holder::Unknown)
    }

    /// Ends it without any order.
    pub(crate) fn kill(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Waits until something is so, on virtual time; how long that took.
#[track_caller]
pub(crate) fn until<F, Fut>(what: &str, is_so: F) -> impl Future<Output = Duration>
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let (what, caller) = (what.to_owned(), std::panic::Location::caller());
    async move {
        let began = Instant::now();
        while !is_so().await {
            assert!(began.elapsed() < PATIENCE, "{caller}: never came: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }
}

/// An event about an issue.
pub(crate) fn event(issue: usize) -> Accepted {
    let webhook = Webhook {
        name: WebhookName::parse("product").unwrap(),
        brand: None,
        ids: Vec::new(),
        tokens: vec![Token::parse("token").unwrap()],
        tokenless: false,
    };
    let fields = [("x-leiga-event", "Issue.Update"), ("x-leiga-token", "token")];
    let field = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let headers: HeaderMap = fields.into_iter().map(field).collect();
    let received_at = Timestamp::from_second(1_700_000_000).unwrap();
    let head = RawHead { path: None, headers: &headers, received_at, peer: None };
    let body = format!(r#"{{"data":{{"issue":{{"id":{issue}}}}}}}"#).into();
    check(RawRequest { head, body }, &Webhooks::new(vec![webhook]).unwrap()).unwrap()
}
