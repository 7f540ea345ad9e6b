//! The store as dispatch has it in a run: it fails and stalls as the script says, and the judge hears every word.
//!
//! What was handed over is done in its order, and done though nobody waits for it any more, as a real store does it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;
use workhook::clock::Clock;
use workhook::contract::{Accepted, Rejected};
use workhook::model::{
    DeliveryId, DeliveryRecord, EventId, EventRecord, HandlerName, HandlerRecord, NewReplay, OpenBreaker, Plan,
    Position, RejectedId, Replay, ReplayId, ReplayState, ReplayStep, Settlement, StoredEvent,
};
use workhook::store::{
    Appended, ClaimRequest, Claims, Counts, DeliveryQuery, EventQuery, EventRow, ForgetStep, Forgotten, LongestWaits,
    Page, PlanStart, PruneRequest, Pruned, RefusalCount, RejectedQuery, RejectedRow, Settled, Space, Store, StoreError,
    TokenUse,
};

use crate::memory::MemoryStore;
use crate::world::{Inside, World, millis};

/// The store of one process.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    store: Arc<MemoryStore>,
    world: World,
    clock: Clock,
    /// Whose turn it is.
    turn: Arc<Mutex<()>>,
}

impl Watched {
    pub(crate) fn new(store: Arc<MemoryStore>, world: World, clock: Clock) -> Watched {
        Watched { store, world, clock, turn: Arc::default() }
    }

    fn at(&self) -> i64 {
        millis(self.clock.now())
    }

    /// Notes something in the books, and says it in the trace.
    fn note<T>(&self, line: impl FnOnce() -> String, note: impl FnOnce(&mut Inside, i64) -> T) -> T {
        let (at, mut inside) = (self.at(), self.world.inside());
        inside.trace.say(at, line);
        note(&mut inside, at)
    }

    /// Has something done by the store: at once, or in its turn when the store goes on, or not.
    async fn through<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (at, fails_until, stalls_until) = {
            let inside = self.world.inside();
            (self.at(), inside.fails_until, inside.stalls_until)
        };
        if at < fails_until {
            return Err(StoreError::Unavailable("nothing can be stored".into()));
        }
        if stalls_until <= at
            && let Ok(_turn) = self.turn.try_lock()
        {
            return work.await;
        }
        let turn = Arc::clone(&self.turn);
        let goes_on = Instant::now() + Duration::from_millis(u64::try_from(stalls_until - at).unwrap_or(0));
        let done = tokio::spawn(async move {
            let _turn = turn.lock_owned().await;
            tokio::time::sleep_until(goes_on).await;
            work.await
        });
        done.await.unwrap_or(Err(StoreError::Ended))
    }
}

#[async_trait]
impl Store for Watched {
    async fn append(&self, accepted: Accepted) -> Result<Appended, StoreError> {
        let own = self.clone();
        self.through(async move {
            let appended = own.store.append(accepted).await?;
            own.note(|| format!("appended: {appended:?}"), |inside, _| inside.judge.appended(&appended));
            Ok(appended)
        })
        .await
    }

    async fn start_planning(&self) -> Result<PlanStart, StoreError> {
        let store = Arc::clone(&self.store);
        self.through(async move { store.start_planning().await }).await
    }

    async fn end_planning(&self) -> Result<(), StoreError> {
        let store = Arc::clone(&self.store);
        self.through(async move { store.end_planning().await }).await
    }

    async fn unplanned(&self, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let store = Arc::clone(&self.store);
        self.through(async move { store.unplanned(limit).await }).await
    }

    async fn plan(&self, plans: Vec<Plan>, now: Timestamp) -> Result<(), StoreError> {
        let own = self.clone();
        let line = || format!("plans {:?}", plans.iter().map(|plan| plan.position.0).collect::<Vec<_>>());
        self.note(line, |inside, at| inside.judge.plans(&plans, at));
        self.through(async move {
            own.store.plan(plans.clone(), now).await?;
            own.note(|| "planned".to_owned(), |inside, _| inside.judge.planned(&plans));
            Ok(())
        })
        .await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claims, StoreError> {
        let own = self.clone();
        let asked = {
            let (at, mut inside) = (self.at(), self.world.inside());
            inside.judge.leases(&request.handler, request.lease, at);
            inside.judge.asks(&request.handler, at)
        };
        self.through(async move {
            let handler = request.handler.clone();
            let claims = own.store.claim(request).await?;
            let ids = || claims.claimed.iter().map(|claimed| claimed.id.0).collect::<Vec<_>>();
            let line = || format!("{handler}: claims {:?}, the next at {:?}", ids(), claims.next_at.map(millis));
            own.note(line, |inside, at| inside.judge.claims(&handler, &claims.claimed, asked, at));
            Ok(claims)
        })
        .await
    }

    async fn shorten_waits(&self, longest: LongestWaits) -> Result<usize, StoreError> {
        let own = self.clone();
        self.through(async move {
            let shortened = own.store.shorten_waits(longest).await?;
            own.note(|| format!("{shortened} waits are shorter"), |_, _| {});
            Ok(shortened)
        })
        .await
    }

    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        let own = self.clone();
        let line = || format!("#{} is to be {:?}", settlement.id, settlement.next);
        self.note(line, |inside, _| inside.judge.settling(&settlement));
        self.through(async move {
            let settled = own.store.settle(settlement.clone()).await?;
            let line = || format!("#{}: {settled:?}", settlement.id);
            own.note(line, |inside, at| inside.judge.settled(&settlement, settled, at));
            Ok(settled)
        })
        .await
    }

    async fn release(&self, claims: Vec<(DeliveryId, i64)>) -> Result<(), StoreError> {
        let own = self.clone();
        self.through(async move {
            own.store.release(claims.clone()).await?;
            own.note(|| format!("given back: {claims:?}"), |inside, _| inside.judge.released(&claims));
            Ok(())
        })
        .await
    }

    async fn keep_breaker(&self, handler: HandlerName, breaker: Option<OpenBreaker>) -> Result<(), StoreError> {
        let (store, told) = (Arc::clone(&self.store), handler.clone());
        let line = || format!("{handler}: its breaker is {:?}", breaker.as_ref().map(|open| millis(open.until)));
        self.note(line, |inside, at| inside.judge.breaker(&handler, breaker.as_ref(), at));
        let kept = self.through(async move { store.keep_breaker(handler, breaker).await }).await;
        self.world.inside().judge.breaker_told(&told);
        kept
    }

    async fn replace_breaker(
        &self,
        handler: HandlerName,
        from: Option<OpenBreaker>,
        to: Option<OpenBreaker>,
    ) -> Result<bool, StoreError> {
        let store = Arc::clone(&self.store);
        self.through(async move { store.replace_breaker(handler, from, to).await }).await
    }

    async fn open_breakers(&self) -> Result<Vec<(HandlerName, OpenBreaker)>, StoreError> {
        let store = Arc::clone(&self.store);
        self.through(async move { store.open_breakers().await }).await
    }

    async fn handlers(&self) -> Result<Vec<HandlerRecord>, StoreError> {
        let store = Arc::clone(&self.store);
        self.through(async move { store.handlers().await }).await
    }

    async fn events(&self, query: EventQuery) -> Result<Page<EventRow>, StoreError> {
        let store = Arc::clone(&self.store);
        self.through(async move { store.events(query).await }).await
    }

    async fn running_replays(&self) -> Result<Vec<Replay>, StoreError> {
        let store = Arc::clone(&self.store);
        self.through(async move { store.running_replays().await }).await
    }

    async fn replay(&self, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        let store = Arc::clone(&self.store);
        self.through(async move { store.replay(id).await }).await
    }

    async fn step_replay(
        &self,
        id: ReplayId,
        step: ReplayStep,
        through: Position,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let own = self.clone();
        self.through(async move {
            own.store.step_replay(id, step, through, now).await?;
            own.note(|| format!("replay {id} is at {through}"), |_, _| ());
            Ok(())
        })
        .await
    }

    async fn failed(&self) -> StoreError {
        self.store.failed().await
    }

    async fn close(&self) {
        self.store.close().await;
    }

    // What follows is not for dispatch, and goes straight to the store.

    async fn other_body(&self, id: EventId, number: u64) -> Result<Option<Bytes>, StoreError> {
        self.store.other_body(id, number).await
    }

    async fn event(&self, id: EventId) -> Result<Option<EventRecord>, StoreError> {
        self.store.event(id).await
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<DeliveryRecord>, StoreError> {
        self.store.deliveries(query).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        self.store.delivery(id).await
    }

    async fn replays(&self, limit: usize) -> Result<Vec<Replay>, StoreError> {
        self.store.replays(limit).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.store.counts().await
    }

    async fn retry(&self, ids: Vec<DeliveryId>, now: Timestamp) -> Result<u64, StoreError> {
        self.store.retry(ids, now).await
    }

    async fn cancel(&self, ids: Vec<DeliveryId>, reason: String, now: Timestamp) -> Result<u64, StoreError> {
        self.store.cancel(ids, reason, now).await
    }

    async fn set_paused(&self, handler: HandlerName, paused: bool, now: Timestamp) -> Result<(), StoreError> {
        self.store.set_paused(handler, paused, now).await
    }

    async fn start_replay(&self, new: NewReplay) -> Result<Option<Replay>, StoreError> {
        self.store.start_replay(new).await
    }

    async fn preview_replay(&self, step: ReplayStep) -> Result<u64, StoreError> {
        self.store.preview_replay(step).await
    }

    async fn set_replay(&self, id: ReplayId, state: ReplayState, now: Timestamp) -> Result<bool, StoreError> {
        self.store.set_replay(id, state, now).await
    }

    async fn catalogue(&self, limit: usize) -> Result<usize, StoreError> {
        self.store.catalogue(limit).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.store.probe().await
    }

    async fn reject(&self, rejected: Rejected) -> Result<RejectedId, StoreError> {
        self.store.reject(rejected).await
    }

    async fn count_refusals(&self, counts: Vec<RefusalCount>) -> Result<(), StoreError> {
        self.store.count_refusals(counts).await
    }

    async fn rejected(&self, query: RejectedQuery) -> Result<Page<RejectedRow>, StoreError> {
        self.store.rejected(query).await
    }

    async fn rejected_request(&self, id: RejectedId) -> Result<Option<RejectedRow>, StoreError> {
        self.store.rejected_request(id).await
    }

    async fn refusals(&self, limit: usize) -> Result<Vec<RefusalCount>, StoreError> {
        self.store.refusals(limit).await
    }

    async fn token_uses(&self) -> Result<Vec<TokenUse>, StoreError> {
        self.store.token_uses().await
    }

    async fn rejected_became(&self, id: RejectedId, event: EventId, now: Timestamp) -> Result<(), StoreError> {
        self.store.rejected_became(id, event, now).await
    }

    async fn count_uses(&self, uses: Vec<TokenUse>) -> Result<(), StoreError> {
        self.store.count_uses(uses).await
    }

    async fn prune(&self, request: PruneRequest) -> Result<Pruned, StoreError> {
        self.store.prune(request).await
    }

    async fn tidy_keys(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.store.tidy_keys(now).await
    }

    async fn forget(&self, step: ForgetStep) -> Result<Forgotten, StoreError> {
        self.store.forget(step).await
    }

    async fn space(&self) -> Result<Space, StoreError> {
        self.store.space().await
    }

    async fn give_back(&self) -> Result<bool, StoreError> {
        self.store.give_back().await
    }
}
