//! What the tests of dispatch share: a store with planned events, a clock that is moved by hand, and a far end that
//! can be told what to do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::{Consumer, House, Metrics, Policy};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::contract::sample::accepted;
use crate::handlers::{Failure, Handler, Success};
use crate::health::Health;
use crate::model::{Claimed, DeliveryRecord, DeliveryState, HandlerName, NewDelivery, Plan, StoredEvent};
use crate::routes::Route;
use crate::store::{DeliveryQuery, SqliteSettings, SqliteStore};
use crate::telemetry::traces::Traces;
use crate::wake::Wakes;

/// A house of its own.
pub(super) struct Bench {
    pub(super) house: House,
    _folder: TempDir,
}

/// The far end of a handler.
#[derive(Debug, Default)]
pub(super) struct FarEnd {
    failure: Mutex<Option<Failure>>,
    asked: AtomicUsize,
}

impl Bench {
    /// With one event of each of so many issues, each planned for all of these, if any.
    pub(super) async fn with_issues(issues: usize, consumers: &[Consumer]) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let wakes = Wakes::default();
        let config = SqliteSettings { path: folder.path().join("workhook.db"), ..SqliteSettings::default() };
        let house = House {
            store: Arc::new(SqliteStore::open(&config, &wakes).unwrap()),
            clock: Clock::manual(Timestamp::from_second(1_700_000_000).unwrap()),
            chance: Chance::any(),
            wakes,
            health: Health::default(),
            handlers: Handle::current(),
            metrics: Metrics::default(),
            traces: Traces::default(),
        };
        let mut appends = tokio::task::JoinSet::new();
        for issue in 0..issues {
            let store = Arc::clone(&house.store);
            appends.spawn(async move {
                store.append(accepted(format!(r#"{{"data":{{"issue":{{"id":{issue}}}}}}}"#))).await
            });
        }
        assert!(appends.join_all().await.iter().all(Result::is_ok));
        let bench = Bench { house, _folder: folder };
        bench.plan(consumers).await;
        bench
    }

    async fn plan(&self, consumers: &[Consumer]) {
        loop {
            let events = self.house.store.unplanned(1000).await.unwrap();
            if events.is_empty() {
                return;
            }
            let plan = |event: &StoredEvent| {
                let lane = event.entity.as_ref().map(ToString::to_string);
                let to = |consumer: &Consumer| NewDelivery {
                    handler: consumer.name.clone(),
                    lane: lane.clone(),
                    dead: None,
                };
                Plan {
                    position: event.position,
                    deliveries: consumers.iter().map(to).collect(),
                    not_routed: Vec::new(),
                }
            };
            let plans = events.iter().map(plan).collect();
            self.house.store.plan(plans, self.house.clock.now()).await.unwrap();
        }
    }

    /// The deliveries of a handler.
    pub(super) async fn deliveries(&self, consumer: &Consumer) -> Vec<DeliveryRecord> {
        let query = DeliveryQuery { limit: 100_000, ..DeliveryQuery::default() };
        let mut deliveries = self.house.store.deliveries(query).await.unwrap().items;
        deliveries.retain(|delivery| delivery.handler == consumer.name);
        deliveries
    }

    /// How many of a handler's deliveries are in a state.
    pub(super) async fn count(&self, consumer: &Consumer, state: DeliveryState) -> usize {
        self.deliveries(consumer).await.iter().filter(|delivery| delivery.state == state).count()
    }
}

impl FarEnd {
    /// A handler with this at its far end.
    pub(super) fn consumer(self: &Arc<Self>, name: &str, policy: Policy) -> Consumer {
        let name = HandlerName::parse(name).unwrap();
        Consumer { name, route: Route::everything(), policy, handler: Arc::<FarEnd>::clone(self) }
    }

    /// Fails from here on, or takes everything.
    pub(super) fn set(&self, failure: Option<Failure>) {
        *self.failure.lock().unwrap() = failure;
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Handler for FarEnd {
    fn kind(&self) -> &'static str {
        "rust"
    }

    async fn handle(&self, _: &Claimed) -> Result<Success, Failure> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.failure.lock().unwrap().clone().map_or_else(|| Ok(Success::default()), Err)
    }
}
