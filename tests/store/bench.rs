//! Where a case takes place: a store of some kind, and the few things that every case does with one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::task::JoinSet;
use workhook::model::{
    Claimed, DeliveryFilter, DeliveryId, DeliveryRecord, DeliveryState, Ended, EventId, EventRecord, HandlerName,
    HandlerRecord, NewDelivery, NextStep, Outcome, Plan, Position, Settlement,
};
use workhook::store::{Appended, ClaimRequest, Claims, DeliveryQuery, Duty, Settled, Store};
use workhook::wake::Wakes;

use crate::request::Request;

/// For how long the stores of these tests remember an event's id.
pub(crate) const REMEMBER: Duration = Duration::from_secs(10 * 24 * 3600);
/// For how long claims are held, in seconds.
pub(crate) const LEASE: i64 = 60;
/// For how long the process of a case has its duties; longer than any case takes.
const DUTY: Duration = Duration::from_secs(3600);
/// How long something that must come is waited for; far more than it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// More than any case has of anything.
pub(crate) const ALL: usize = 20_000;

/// A kind of store: where one lives, and how it comes and goes. What an implementation writes to be tested.
#[async_trait]
pub(crate) trait Fixture: Send + Sync {
    /// A place where there is no store yet.
    fn fresh() -> Self
    where
        Self: Sized;

    /// The kind of store, in a word.
    fn kind(&self) -> &'static str;

    /// Opens the store of this place, which remembers ids for [`REMEMBER`]; makes it the first time.
    async fn open(&mut self, wakes: &Wakes) -> Arc<dyn Store>;

    /// Ends a store that does nothing at the moment as a kill would: nothing is finished and nothing is closed.
    async fn kill(&mut self, store: Arc<dyn Store>);
}

/// A store with its place.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) wakes: Wakes,
    fixture: Box<dyn Fixture>,
    fresh: fn() -> Box<dyn Fixture>,
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bench").field(&self.fixture.kind()).finish()
    }
}

/// So many seconds after the beginning of a case.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

pub(crate) fn handler(name: &str) -> HandlerName {
    HandlerName::parse(name).unwrap()
}

/// A delivery to be planned.
pub(crate) fn to(name: &str, lane: Option<&str>) -> NewDelivery {
    NewDelivery { handler: handler(name), lane: lane.map(str::to_owned), dead: None }
}

/// A plan for an event that goes to these handlers only.
pub(crate) fn plan(position: Position, deliveries: &[NewDelivery]) -> Plan {
    Plan { position, deliveries: deliveries.to_vec(), not_routed: Vec::new() }
}

/// A handler's wish for deliveries, under a lease of [`LEASE`].
pub(crate) fn claim_request(name: &str, limit: usize, now: Timestamp) -> ClaimRequest {
    ClaimRequest { handler: handler(name), limit, now, lease: Duration::from_secs(LEASE.unsigned_abs()) }
}

pub(crate) fn positions(claimed: &[Claimed]) -> Vec<Position> {
    claimed.iter().map(|claimed| claimed.event.position).collect()
}

/// What comes of an attempt whose delivery goes on like this.
pub(crate) fn settlement(claimed: &Claimed, next: NextStep, at: Timestamp) -> Settlement {
    let ended = match next {
        NextStep::Delivered => Ended::Delivered,
        NextStep::RetryAt(_) => Ended::Failed,
        NextStep::WaitUntil(_) => Ended::Throttled,
        NextStep::Dead(_) => Ended::Refused,
    };
    let outcome = Outcome {
        ended,
        started_at: at,
        took: Duration::from_millis(7),
        status: None,
        message: format!("it ended as {}", ended.as_str()),
        response: Bytes::new(),
    };
    Settlement { id: claimed.id, epoch: claimed.epoch, attempt: claimed.attempt, outcome: Some(outcome), next, at }
}

fn counts_of(states: &BTreeMap<DeliveryState, Vec<DeliveryId>>) -> impl Iterator<Item = (DeliveryState, u64)> {
    states.iter().map(|(state, ids)| (*state, ids.len() as u64))
}

/// Opens the store of a place for a process that does everything.
async fn open(fixture: &mut dyn Fixture, wakes: &Wakes) -> Arc<dyn Store> {
    let store = fixture.open(wakes).await;
    for duty in [Duty::Planning, Duty::Replaying, Duty::Upkeep] {
        assert!(store.hold(duty, DUTY).await.unwrap(), "somebody else has {}", duty.as_str());
    }
    store
}

impl Bench {
    /// A new store in a place of its own.
    pub(crate) async fn fresh<F: Fixture + 'static>() -> Bench {
        Bench::of(F::fresh()).await
    }

    /// A new store in this place.
    pub(crate) async fn of<F: Fixture + 'static>(fixture: F) -> Bench {
        Bench::new(Box::new(fixture), || Box::new(F::fresh())).await
    }

    /// One more of the same kind, in another place.
    pub(crate) async fn another(&self) -> Bench {
        Bench::new((self.fresh)(), self.fresh).await
    }

    async fn new(mut fixture: Box<dyn Fixture>, fresh: fn() -> Box<dyn Fixture>) -> Bench {
        let wakes = Wakes::default();
        Bench { store: open(&mut *fixture, &wakes).await, wakes, fixture, fresh }
    }

    /// Closes the store and opens it again.
    pub(crate) async fn reopen(&mut self) {
        self.store.close().await;
        self.store = open(&mut *self.fixture, &self.wakes).await;
    }

    /// Ends the store as a kill would, and opens it again.
    pub(crate) async fn kill(&mut self) {
        self.fixture.kill(Arc::clone(&self.store)).await;
        self.store = open(&mut *self.fixture, &self.wakes).await;
    }

    /// Ends the store tidily or not, and opens it again.
    pub(crate) async fn restart(&mut self, untidy: bool) {
        if untidy {
            self.kill().await;
        } else {
            self.reopen().await;
        }
    }

    pub(crate) async fn append(&self, request: &Request) -> Appended {
        self.store.append(request.accepted()).await.unwrap()
    }

    /// Appends a request that must be a new event.
    #[track_caller]
    pub(crate) fn stored(&self, request: &Request) -> impl Future<Output = (EventId, Position)> {
        let caller = std::panic::Location::caller();
        async move {
            match self.append(request).await {
                Appended::Stored { id, position } => (id, position),
                duplicate @ Appended::Duplicate { .. } => panic!("{caller}: not a new event but {duplicate:?}"),
            }
        }
    }

    /// Appends many at once; what became of each, in their order.
    pub(crate) async fn append_at_once(&self, requests: &[Request]) -> Vec<Appended> {
        let mut appends = JoinSet::new();
        for (index, request) in requests.iter().enumerate() {
            let (store, accepted) = (Arc::clone(&self.store), request.accepted());
            appends.spawn(async move { (index, store.append(accepted).await.unwrap()) });
        }
        let mut appended = appends.join_all().await;
        appended.sort_by_key(|(index, _)| *index);
        appended.into_iter().map(|(_, appended)| appended).collect()
    }

    pub(crate) async fn record(&self, id: EventId) -> EventRecord {
        self.store.event(id).await.unwrap().unwrap_or_else(|| panic!("no event {id}"))
    }

    /// Stores a new event and plans it for these handlers and lanes, at second 0.
    pub(crate) async fn planned(&self, deliveries: &[NewDelivery]) -> Position {
        let (_, position) = self.stored(&Request::new()).await;
        self.store.plan(vec![plan(position, deliveries)], at(0)).await.unwrap();
        position
    }

    /// Claims up to a limit.
    pub(crate) async fn claim(&self, name: &str, limit: usize, now: Timestamp) -> Claims {
        self.store.claim(claim_request(name, limit, now)).await.unwrap()
    }

    /// Claims everything that can be claimed.
    pub(crate) async fn claim_all(&self, name: &str, now: Timestamp) -> Vec<Claimed> {
        self.claim(name, ALL, now).await.claimed
    }

    /// Claims everything that can be claimed, which must be one.
    #[track_caller]
    pub(crate) fn claim_one(&self, name: &str, now: Timestamp) -> impl Future<Output = Claimed> {
        let caller = std::panic::Location::caller();
        async move {
            let claimed = self.claim_all(name, now).await;
            let [one] = &claimed[..] else { panic!("{caller}: not one but {:?}", positions(&claimed)) };
            one.clone()
        }
    }

    pub(crate) async fn settle(&self, claimed: &Claimed, next: NextStep, at: Timestamp) -> Settled {
        self.store.settle(settlement(claimed, next, at)).await.unwrap()
    }

    pub(crate) async fn release(&self, claimed: &Claimed) {
        self.store.release(vec![(claimed.id, claimed.epoch)]).await.unwrap();
    }

    /// Every delivery, the first planned first.
    pub(crate) async fn deliveries(&self) -> Vec<DeliveryRecord> {
        let query = DeliveryQuery { limit: ALL, ..DeliveryQuery::default() };
        let mut deliveries = self.store.deliveries(query).await.unwrap().items;
        deliveries.reverse();
        deliveries
    }

    /// A delivery with its attempts.
    pub(crate) async fn delivery(&self, id: DeliveryId) -> DeliveryRecord {
        let event = self.deliveries().await.iter().find(|delivery| delivery.id == id).unwrap().event;
        self.record(event).await.deliveries.into_iter().find(|delivery| delivery.id == id).unwrap()
    }

    /// What is known of a handler.
    pub(crate) async fn handler(&self, name: &str) -> HandlerRecord {
        let handlers = self.store.handlers().await.unwrap();
        handlers.into_iter().find(|handler| handler.name.as_str() == name).unwrap()
    }

    /// What is counted as it goes is what there is: by handler and state, of all, and in the lists of each.
    pub(crate) async fn assert_tallies(&self) {
        let mut expected: BTreeMap<HandlerName, BTreeMap<DeliveryState, Vec<DeliveryId>>> = BTreeMap::new();
        for delivery in self.deliveries().await.into_iter().rev() {
            expected.entry(delivery.handler).or_default().entry(delivery.state).or_default().push(delivery.id);
        }
        let mut of_all: BTreeMap<DeliveryState, u64> = BTreeMap::new();
        for record in self.store.handlers().await.unwrap() {
            let states = expected.remove(&record.name).unwrap_or_default();
            for (state, ids) in &states {
                *of_all.entry(*state).or_default() += ids.len() as u64;
                let filter = DeliveryFilter {
                    handler: Some(record.name.clone()),
                    state: Some(*state),
                    ..DeliveryFilter::default()
                };
                let query = DeliveryQuery { limit: ALL, filter, ..DeliveryQuery::default() };
                let listed = self.store.deliveries(query).await.unwrap().items;
                assert!(listed.iter().map(|delivery| delivery.id).eq(ids.iter().copied()), "{}: {state}", record.name);
            }
            let counted: BTreeMap<DeliveryState, u64> = record.deliveries.into_iter().collect();
            assert!(
                counted.iter().map(|(state, count)| (*state, *count)).eq(counts_of(&states)),
                "{counted:?} {states:?}"
            );
        }
        assert!(expected.is_empty(), "handlers that are not told of: {expected:?}");
        let counts = self.store.counts().await.unwrap();
        assert_eq!(counts.deliveries.into_iter().collect::<BTreeMap<_, _>>(), of_all);
    }

    /// How many deliveries are in a state.
    pub(crate) async fn count(&self, state: DeliveryState) -> u64 {
        let counts = self.store.counts().await.unwrap();
        counts.deliveries.iter().find(|(counted, _)| *counted == state).map_or(0, |(_, count)| *count)
    }
}
