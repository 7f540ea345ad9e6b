//! One process of a run: the real dispatch, on a clock that jumps, until the script ends it.
//!
//! It lives in a runtime of its own, so that whoever drops that kills it: nothing of it goes on, wherever it was.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use workhook::chance::Chance;
use workhook::clock::{Clock, later};
use workhook::dispatch::{self, Consumer, House, Metrics};
use workhook::health::Health;
use workhook::model::HandlerName;
use workhook::store::{DeliveryQuery, Store};
use workhook::telemetry::traces::Traces;
use workhook::wake::Wakes;

use crate::far_end::FarEnd;
use crate::memory::MemoryStore;
use crate::requests::start;
use crate::scene::{NAMES, Scene, Step};
use crate::watched::Watched;
use crate::world::{World, millis};

/// For how long events are known by their ids, in milliseconds.
const REMEMBER_MS: i64 = 7 * 24 * 3_600_000;
/// More than a run has of anything.
pub(crate) const ALL: usize = 100_000;
/// How long a process that was told to stop may take once its attempts were cut short.
const STOPS_WITHIN: Duration = Duration::from_secs(120);
/// How often it is looked whether everything has come to rest, and for how long at the most.
const LOOK: Duration = Duration::from_secs(5);
const REST_WITHIN_MS: i64 = 7 * 24 * 3_600_000;

/// What the processes of a run go through.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) world: World,
    pub(crate) scene: Scene,
    /// How much of the script is done.
    done: usize,
    /// Which handlers are in force, and with how many places.
    in_force: Vec<bool>,
    places: Vec<usize>,
}

/// A process that runs.
pub(crate) struct Process {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Clock,
    consumers: watch::Sender<Arc<Vec<Consumer>>>,
    stop: CancellationToken,
    cut: CancellationToken,
    dispatch: JoinHandle<()>,
}

/// The handler of this number.
pub(crate) fn name(handler: usize) -> HandlerName {
    HandlerName::parse(NAMES[handler]).unwrap()
}

impl Course {
    pub(crate) fn new(world: World, scene: Scene) -> Course {
        let places = scene.handlers.iter().map(|(_, policy)| policy.concurrency).collect();
        Course { in_force: vec![true; scene.handlers.len()], places, world, scene, done: 0 }
    }

    /// Runs process after process, until everything has come to rest or a promise was broken.
    pub(crate) fn run(&mut self, seed: u64) {
        let mut at = Some(0);
        while let Some(from) = at {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().start_paused(true).build().unwrap();
            at = runtime.block_on(self.live(from, seed));
            self.world.inside().alive = false;
        }
    }

    /// One process from this millisecond on; when the next one begins.
    async fn live(&mut self, from: i64, seed: u64) -> Option<i64> {
        let process = self.begin(from, seed).await;
        while let Some((at, step)) = self.scene.script.get(self.done).copied() {
            process.wait_until(at).await;
            if self.is_over(&process) {
                return None;
            }
            self.done += 1;
            let now = process.now();
            self.world.inside().trace.say(now, || format!("-- {step:?}"));
            match step {
                Step::Crash { down } => return Some(now + down),
                Step::Stop { patience, down } => {
                    process.end(&self.world, Duration::from_millis(patience)).await;
                    return Some(process.now() + down);
                }
                step => self.act(&process, step).await,
            }
            self.look(&process).await;
        }
        self.come_to_rest(process).await;
        None
    }

    async fn begin(&mut self, from: i64, seed: u64) -> Process {
        let clock = Clock::of_runtime(later(start(), Duration::from_millis(from.unsigned_abs())));
        let wakes = Wakes::default();
        let held = self.world.inside().judge.held();
        let store = Arc::new(self.world.memory.open(&wakes, REMEMBER_MS));
        let records = store.deliveries(DeliveryQuery { limit: ALL, ..DeliveryQuery::default() }).await.unwrap().items;
        let handlers = store.handlers().await.unwrap();
        {
            let mut inside = self.world.inside();
            inside.trace.say(from, || "== a process begins".to_owned());
            inside.judge.recovered(&records, &held, from);
            inside.judge.begins(from);
            inside.alive = true;
            for record in handlers {
                inside.judge.breaker_kept(&record.name, record.breaker.map(|open| open.until));
            }
        }
        let (consumers, receiver) = watch::channel(Arc::new(self.consumers(&clock)));
        let house = House {
            store: Arc::new(Watched::new(Arc::clone(&store), self.world.clone(), clock.clone())),
            clock: clock.clone(),
            chance: Chance::seeded(seed.wrapping_add(from.unsigned_abs())),
            wakes,
            health: Health::default(),
            handlers: tokio::runtime::Handle::current(),
            metrics: Metrics::default(),
            traces: Traces::default(),
        };
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let dispatch = tokio::spawn(dispatch::run(house, receiver, stop.clone(), cut.clone()));
        Process { store, clock, consumers, stop, cut, dispatch }
    }

    /// The handlers in force, of which the judge is told.
    fn consumers(&self, clock: &Clock) -> Vec<Consumer> {
        let mut consumers = Vec::new();
        for (handler, (route, policy)) in self.scene.handlers.iter().enumerate() {
            let (name, mut policy) = (name(handler), policy.clone());
            policy.concurrency = self.places[handler];
            let in_force = self.in_force[handler];
            self.world.inside().judge.configure(&name, in_force.then_some(&policy));
            if in_force {
                let (timeout, longest) = (policy.timeout, policy.retry.max);
                let far_end = FarEnd { world: self.world.clone(), clock: clock.clone(), timeout, longest };
                consumers.push(Consumer { name, route: route.clone(), policy, handler: Arc::new(far_end) });
            }
        }
        consumers
    }

    /// Puts the handlers in force that are to be.
    pub(crate) fn put_in_force(&self, process: &Process) {
        process.consumers.send_replace(Arc::new(self.consumers(&process.clock)));
    }

    pub(crate) fn set_in_force(&mut self, handler: usize, in_force: bool) {
        self.in_force[handler] = in_force;
    }

    pub(crate) fn set_places(&mut self, handler: usize, places: usize) {
        self.places[handler] = places;
    }

    /// Whether there is nothing more to see: a promise was broken, or dispatch has ended by itself.
    fn is_over(&self, process: &Process) -> bool {
        let mut inside = self.world.inside();
        if process.dispatch.is_finished() {
            inside.judge.blame(process.now(), || "dispatch has ended by itself".to_owned());
        }
        inside.judge.broken.is_some()
    }

    /// Has the judge look at what is kept.
    async fn look(&self, process: &Process) {
        let query = DeliveryQuery { limit: ALL, ..DeliveryQuery::default() };
        let mut records = process.store.deliveries(query).await.unwrap().items;
        records.reverse();
        self.world.inside().judge.looks(&records, process.now());
    }

    /// Makes everything well, waits until everything has come to rest, and ends the process.
    async fn come_to_rest(&mut self, process: Process) {
        self.make_well(&process).await;
        let until = process.now() + REST_WITHIN_MS;
        let mut rested = 0;
        while rested < 2 && !self.is_over(&process) {
            if process.now() >= until {
                self.world.inside().judge.blame(until, || "it does not come to rest".to_owned());
            }
            tokio::time::sleep(LOOK).await;
            rested = if self.has_rested(&process).await { rested + 1 } else { 0 };
        }
        self.look(&process).await;
        let now = process.now();
        // A notice that is still on its way to a store that stalls may come in while it ends, and waits for the next start.
        let events = process.store.counts().await.unwrap().events;
        self.world.inside().judge.rests_with(events, now);
        process.end(&self.world, Duration::from_secs(1)).await;
        self.account(&process, now).await;
    }

    async fn account(&self, process: &Process, now: i64) {
        let query = DeliveryQuery { limit: ALL, ..DeliveryQuery::default() };
        let mut records = process.store.deliveries(query).await.unwrap().items;
        records.reverse();
        let handlers = process.store.handlers().await.unwrap();
        let replays = process.store.replays(ALL).await.unwrap();
        let mut inside = self.world.inside();
        inside.judge.rests(&records, &handlers, now);
        inside.judge.replayed(&replays, &records, now);
        inside.judge.done.virtual_ms = now.unsigned_abs();
    }
}

impl Process {
    pub(crate) fn now(&self) -> i64 {
        millis(self.clock.now())
    }

    async fn wait_until(&self, at: i64) {
        let wait = u64::try_from(at - self.now()).unwrap_or(0);
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    /// Tells it to stop, and cuts its attempts short after so long.
    async fn end(&self, world: &World, patience: Duration) {
        self.stop.cancel();
        let finished = async {
            while !self.dispatch.is_finished() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let mut finished = std::pin::pin!(finished);
        if timeout(patience, &mut finished).await.is_ok() {
            return;
        }
        self.cut.cancel();
        if timeout(STOPS_WITHIN, finished).await.is_err() {
            world.inside().judge.blame(self.now(), || "it does not stop".to_owned());
        }
    }
}
