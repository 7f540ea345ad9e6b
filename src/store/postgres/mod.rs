//! The store on PostgreSQL, which several processes share.
//!
//! It knows no session: nothing is prepared under a name, nothing is set but for one transaction. What always holds:
//! what a process believes to have is asked in the transaction in which it matters; and no transaction is open while
//! anything but the database is waited for.

mod attempts;
mod breakers;
mod catalogue;
mod claims;
mod counts;
mod database;
mod delivery_lists;
mod duties;
mod failure;
mod halving;
mod handlers;
mod hints;
mod holes;
mod ingest;
mod intervene;
mod keep;
mod keys;
mod lanes;
mod lists;
mod migrate;
mod open;
mod planning;
#[cfg(test)]
mod plans;
mod pool;
mod presence;
mod probe;
mod processes;
mod rates;
mod read;
mod replays;
mod replicas;
mod rows;
mod settings;
mod settling;
mod statement;
mod tallies;
mod tasks;
mod tls;
mod transfer;
mod turned_away;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use self::database::Database;
use self::ingest::Ingest;
use self::open::Server;
use self::pool::Pool;
pub use self::settings::Settings;
use self::settling::Settling;
use self::tasks::{Tasks, Work};
pub use self::transfer::PostgresCopy;
use super::{
    Appended, ClaimRequest, Claims, Counts, DeliveryQuery, Duty, EventQuery, EventRow, ForgetStep, Forgotten,
    LongestWaits, Metrics, OpenError, Page, PlanStart, PruneRequest, Pruned, RatedClaims, RefusalCount, RejectedQuery,
    RejectedRow, Replica, ServerFault, Settled, Space, Store, StoreError, TokenUse,
};
use crate::contract::{Accepted, Rejected};
use crate::model::{
    DeliveryId, DeliveryRecord, EventId, EventRecord, HandlerName, HandlerRecord, NewReplay, OpenBreaker, Plan,
    Position, Rate, RejectedId, Replay, ReplayId, ReplayState, ReplayStep, Settlement, StoredEvent,
};
use crate::wake::Wakes;

/// How many connections are not for the verbs: for storing events, for saying that this process is there, and for hints.
const OWN_CONNECTIONS: usize = 3;
/// The longest that a connection is waited for.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// The store on PostgreSQL.
pub struct PostgresStore {
    db: Arc<Database>,
    ingest: Arc<Ingest>,
    settling: Arc<Settling>,
    own_pool: Pool,
    tasks: Tasks,
}

impl PostgresStore {
    /// Connects, checks the server and its settings, makes the tables if they are not there, and starts the tasks.
    ///
    /// # Errors
    /// When the server cannot be reached or is not fit for this, each with what is wrong.
    pub async fn open(settings: &Settings, wakes: &Wakes, metrics: Metrics) -> Result<PostgresStore, OpenError> {
        let server = Server::new(settings)?;
        let schema = server.prepare().await?;
        let pool = server.pool(settings.connections.saturating_sub(OWN_CONNECTIONS).max(1), WAIT_MAX)?;
        let own_pool = server.pool(OWN_CONNECTIONS - 1, WAIT_MAX)?;
        let db = Arc::new(Database::new(pool, schema, wakes));
        let begin = async {
            processes::beat(&db, &own_pool).await?;
            // Looked at while others can see that this process is there, as a copy looks for processes once it has begun.
            if transfer::is_half_copied(&own_pool).await? {
                return processes::leave(&db, &own_pool).await.map(|()| true);
            }
            processes::recover(&db, &own_pool).await.map(|_| false)
        };
        if begin.await.map_err(|failure| server.failed(ServerFault::Other(Box::new(failure))))? {
            return Err(OpenError::HalfCopied { store: server.name().to_owned() });
        }
        let pools = [db.pool.clone(), own_pool.clone()];
        metrics.ask_for_connections(move || pools[0].count().and(pools[1].count()));
        let (ingest, settling) = (Arc::new(Ingest::new(metrics)), Arc::new(Settling::default()));
        let tasks = Tasks::start(Work {
            db: Arc::clone(&db),
            server,
            own_pool: own_pool.clone(),
            ingest: Arc::clone(&ingest),
            settling: Arc::clone(&settling),
            remember_ms: i64::try_from(settings.remember.as_millis()).unwrap_or(i64::MAX / 2).min(i64::MAX / 2),
            poll_only: settings.poll_only,
        });
        Ok(PostgresStore { db, ingest, settling, own_pool, tasks })
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn is_shared(&self) -> bool {
        true
    }

    async fn append(&self, accepted: Accepted) -> Result<Appended, StoreError> {
        self.ingest.append(accepted).await
    }

    async fn reject(&self, rejected: Rejected) -> Result<RejectedId, StoreError> {
        self.db.pool.unit(|| turned_away::reject(&self.db, &rejected)).await
    }

    async fn count_refusals(&self, counts: Vec<RefusalCount>) -> Result<(), StoreError> {
        self.db.pool.unit(|| turned_away::count_refusals(&self.db, &counts)).await
    }

    fn is_pressed(&self) -> bool {
        self.ingest.is_pressed()
    }

    async fn start_planning(&self) -> Result<PlanStart, StoreError> {
        self.db.pool.unit(|| planning::start(&self.db)).await
    }

    async fn end_planning(&self) -> Result<(), StoreError> {
        self.db.pool.unit(|| planning::end(&self.db)).await
    }

    async fn unplanned(&self, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.db.pool.unit(|| planning::unplanned(&self.db, limit)).await
    }

    async fn plan(&self, plans: Vec<Plan>, now: Timestamp) -> Result<(), StoreError> {
        let done = self.db.pool.unit(|| planning::plan(&self.db, &plans, now)).await?;
        self.db.hint(&self.db.wakes.deliveries);
        Ok(done)
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claims, StoreError> {
        self.db.pool.unit(|| claims::claim(&self.db, &request)).await
    }

    async fn claim_at_rate(&self, request: ClaimRequest, rate: Rate) -> Result<RatedClaims, StoreError> {
        self.db.pool.unit(|| rates::claim(&self.db, &request, rate)).await
    }

    async fn shorten_waits(&self, longest: LongestWaits) -> Result<usize, StoreError> {
        self.db.pool.unit(|| claims::shorten_waits(&self.db, &longest)).await
    }

    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        self.settling.settle(settlement).await
    }

    async fn release(&self, claims: Vec<(DeliveryId, i64)>) -> Result<(), StoreError> {
        self.db.pool.unit(|| claims::release(&self.db, &claims)).await?;
        // Others may have places for them.
        self.db.tell_others();
        Ok(())
    }

    async fn other_body(&self, id: EventId, number: u64) -> Result<Option<Bytes>, StoreError> {
        self.db.pool.unit(|| read::other_body(&self.db, id, number)).await
    }

    async fn event(&self, id: EventId) -> Result<Option<EventRecord>, StoreError> {
        self.db.pool.unit(|| read::event(&self.db, id)).await
    }

    async fn events(&self, query: EventQuery) -> Result<Page<EventRow>, StoreError> {
        self.db.pool.unit(|| lists::events(&self.db, &query)).await
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<DeliveryRecord>, StoreError> {
        self.db.pool.unit(|| delivery_lists::deliveries(&self.db, &query)).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        self.db.pool.unit(|| read::delivery(&self.db, id)).await
    }

    async fn rejected(&self, query: RejectedQuery) -> Result<Page<RejectedRow>, StoreError> {
        self.db.pool.unit(|| turned_away::rejected(&self.db, &query)).await
    }

    async fn rejected_request(&self, id: RejectedId) -> Result<Option<RejectedRow>, StoreError> {
        self.db.pool.unit(|| turned_away::rejected_request(&self.db, id)).await
    }

    async fn refusals(&self, limit: usize) -> Result<Vec<RefusalCount>, StoreError> {
        self.db.pool.unit(|| turned_away::refusals(&self.db, limit)).await
    }

    async fn token_uses(&self) -> Result<Vec<TokenUse>, StoreError> {
        self.db.pool.unit(|| turned_away::token_uses(&self.db)).await
    }

    async fn handlers(&self) -> Result<Vec<HandlerRecord>, StoreError> {
        self.db.pool.unit(|| delivery_lists::handlers(&self.db)).await
    }

    async fn replays(&self, limit: usize) -> Result<Vec<Replay>, StoreError> {
        self.db.pool.unit(|| replays::list(&self.db, limit)).await
    }

    async fn replay(&self, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        self.db.pool.unit(|| replays::find(&self.db, id)).await
    }

    async fn running_replays(&self) -> Result<Vec<Replay>, StoreError> {
        self.db.pool.unit(|| replays::running(&self.db)).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.db.pool.unit(|| counts::counts(&self.db)).await
    }

    async fn retry(&self, ids: Vec<DeliveryId>, now: Timestamp) -> Result<u64, StoreError> {
        let done = self.db.pool.unit(|| intervene::retry(&self.db, &ids, now)).await?;
        self.db.hint(&self.db.wakes.deliveries);
        Ok(done)
    }

    async fn cancel(&self, ids: Vec<DeliveryId>, reason: String, now: Timestamp) -> Result<u64, StoreError> {
        let done = self.db.pool.unit(|| intervene::cancel(&self.db, &ids, &reason, now)).await?;
        self.db.hint(&self.db.wakes.deliveries);
        Ok(done)
    }

    async fn set_paused(&self, handler: HandlerName, paused: bool, now: Timestamp) -> Result<(), StoreError> {
        let done = self.db.pool.unit(|| handlers::set_paused(&self.db, &handler, paused, now)).await?;
        self.db.hint(&self.db.wakes.deliveries);
        Ok(done)
    }

    async fn keep_breaker(&self, handler: HandlerName, breaker: Option<OpenBreaker>) -> Result<(), StoreError> {
        self.db.pool.unit(|| handlers::keep_breaker(&self.db, &handler, breaker.as_ref())).await
    }

    async fn replace_breaker(
        &self,
        handler: HandlerName,
        from: Option<OpenBreaker>,
        to: Option<OpenBreaker>,
    ) -> Result<bool, StoreError> {
        self.db.pool.unit(|| breakers::replace(&self.db, &handler, from.as_ref(), to.as_ref())).await
    }

    async fn open_breakers(&self) -> Result<Vec<(HandlerName, OpenBreaker)>, StoreError> {
        self.db.pool.unit(|| breakers::open(&self.db)).await
    }

    async fn start_replay(&self, new: NewReplay) -> Result<Option<Replay>, StoreError> {
        let done = self.db.pool.unit(|| replays::start(&self.db, &new)).await?;
        self.db.hint(&self.db.wakes.replays);
        Ok(done)
    }

    async fn step_replay(
        &self,
        id: ReplayId,
        step: ReplayStep,
        through: Position,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let done = self.db.pool.unit(|| replays::step(&self.db, id, &step, through, now)).await?;
        self.db.hint(&self.db.wakes.deliveries);
        Ok(done)
    }

    async fn preview_replay(&self, step: ReplayStep) -> Result<u64, StoreError> {
        self.db.pool.unit(|| replays::preview(&self.db, &step)).await
    }

    async fn set_replay(&self, id: ReplayId, state: ReplayState, now: Timestamp) -> Result<bool, StoreError> {
        let done = self.db.pool.unit(|| replays::set(&self.db, id, state, now)).await?;
        self.db.hint(&self.db.wakes.replays);
        Ok(done)
    }

    async fn rejected_became(&self, id: RejectedId, event: EventId, now: Timestamp) -> Result<(), StoreError> {
        self.db.pool.unit(|| turned_away::became(&self.db, id, event, now)).await
    }

    async fn count_uses(&self, uses: Vec<TokenUse>) -> Result<(), StoreError> {
        self.db.pool.unit(|| turned_away::count_uses(&self.db, &uses)).await
    }

    async fn catalogue(&self, limit: usize) -> Result<usize, StoreError> {
        self.db.pool.unit(|| catalogue::catalogue(&self.db, limit)).await
    }

    async fn prune(&self, request: PruneRequest) -> Result<Pruned, StoreError> {
        self.db.pool.unit(|| keep::prune(&self.db, &request)).await
    }

    async fn tidy_keys(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.db.pool.unit(|| keys::tidy(&self.db, now)).await
    }

    async fn forget(&self, step: ForgetStep) -> Result<Forgotten, StoreError> {
        self.db.pool.unit(|| keep::forget(&self.db, &step)).await
    }

    async fn space(&self) -> Result<Space, StoreError> {
        self.db.pool.unit(|| keep::space(&self.db)).await
    }

    async fn give_back(&self) -> Result<bool, StoreError> {
        Ok(keep::give_back())
    }

    async fn hold(&self, duty: Duty, lease: Duration) -> Result<bool, StoreError> {
        self.own_pool.unit(|| duties::hold(&self.db, &self.own_pool, duty, lease)).await
    }

    async fn let_go(&self, duty: Duty) -> Result<(), StoreError> {
        self.db.pool.unit(|| duties::let_go(&self.db, duty)).await
    }

    fn presence(&self) -> Option<u64> {
        self.db.presence.now(tokio::time::Instant::now())
    }

    async fn replicas(&self) -> Result<Vec<Replica>, StoreError> {
        self.db.pool.unit(|| replicas::list(&self.db)).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.db.pool.unit(|| probe::probe(&self.db)).await
    }

    async fn failed(&self) -> StoreError {
        std::future::pending().await
    }

    async fn close(&self) {
        self.ingest.close();
        self.settling.close();
        self.tasks.end().await;
        let left = self.own_pool.unit(|| processes::leave(&self.db, &self.own_pool)).await;
        if let Err(error) = left
            && !matches!(error, StoreError::Ended)
        {
            tracing::warn!(error = %error, "could not take leave of the other processes; they will notice");
        }
        self.db.pool.close();
        self.own_pool.close();
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}
