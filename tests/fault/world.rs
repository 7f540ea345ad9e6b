//! Everything that a run needs, and its end: the store is read, the history is checked, and what does not hold is told
//! with the seed that makes the same plan again.

use std::time::Duration;

use crate::checker::{Rules, broken};
use crate::database::Database;
use crate::driver::{Address, Process, Setup};
use crate::history::{Did, History, Record};
use crate::kept;
use crate::receiver::{Asked, Receiver};
use crate::senders::{Load, Senders};
use crate::stores::Kind;

/// The handler of most runs.
pub(crate) const CRM: &str = "crm";
/// How it is asked: again and again, soon; the breaker has tests of its own.
pub(crate) const PATIENT: &str = "concurrency = 8\ntimeout = \"1s\"\nbreaker = { failures = 0 }\n\
    retry = { attempts = 200, first = \"1ms\", max = \"2s\" }";
/// The longest back-off of that.
const BACK_OFF_MAX_MS: i64 = 2000;

/// A run.
pub(crate) struct World {
    name: &'static str,
    seed: u64,
    pub(crate) random: fastrand::Rng,
    pub(crate) history: History,
    pub(crate) receiver: Receiver,
    pub(crate) address: Address,
    pub(crate) setup: Setup,
    pub(crate) load: Load,
    rounds: u64,
    /// Where the store is, if it is on a server; it goes with the run.
    database: Option<Database>,
}

impl World {
    /// A run on a kind of store, with the handler `crm`.
    pub(crate) fn on(kind: Kind, name: &'static str) -> World {
        match kind {
            Kind::Sqlite => World::new(name),
            Kind::Postgres => {
                let (world, database) = (World::new(name), Database::new());
                let setup = world.setup.clone().server(&database.url());
                World { setup, database: Some(database), ..world }
            }
        }
    }

    /// A run with the handler `crm`, on SQLite. The seed is that of `WORKHOOK_FAULT_SEED`, or one of its own.
    pub(crate) fn new(name: &'static str) -> World {
        let seed = match std::env::var("WORKHOOK_FAULT_SEED") {
            Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("WORKHOOK_FAULT_SEED is {seed:?}, and not a number")),
            Err(_) => fastrand::u64(..1 << 32),
        };
        // Shown where the test fails, by whatever.
        eprintln!("{name}: WORKHOOK_FAULT_SEED={seed}");
        let history = History::begin();
        let receiver = Receiver::start(&history);
        let setup = Setup::new(&receiver.handler(CRM, PATIENT));
        let (random, address) = (fastrand::Rng::with_seed(seed), Address::default());
        World {
            name,
            seed,
            random,
            history,
            receiver,
            address,
            setup,
            load: Load::default(),
            rounds: 0,
            database: None,
        }
    }

    /// Starts the process.
    #[track_caller]
    pub(crate) fn start(&self) -> Process {
        Process::start(&self.setup, &self.history, &self.address)
    }

    /// Starts senders, who go on over any number of processes.
    pub(crate) fn senders(&mut self) -> Senders {
        self.rounds += 1;
        Senders::start(&self.history, &self.address, self.load, self.seed, self.rounds)
    }

    /// A number that depends on the seed and an attempt alone, below a bound.
    pub(crate) fn fate(seed: u64, asked: &Asked, bound: u64) -> u64 {
        let text = format!("{}/{}/{}", asked.handler, asked.id, asked.attempt);
        let hash = text.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        fastrand::Rng::with_seed(hash).u64(..bound)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Waits a random time, in milliseconds.
    pub(crate) fn pause(&mut self, from_ms: u64, to_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.random.u64(from_ms..=to_ms)));
    }

    /// How many rounds there are: as many as `WORKHOOK_FAULT_ROUNDS` says, or else these.
    pub(crate) fn rounds(&self, rounds: u64) -> u64 {
        let said = std::env::var("WORKHOOK_FAULT_ROUNDS");
        said.map_or(rounds, |said| said.parse().unwrap_or_else(|_| panic!("WORKHOOK_FAULT_ROUNDS is {said:?}")))
    }

    /// What must hold of it.
    pub(crate) fn rules(&self) -> Rules {
        let handlers = vec![CRM.to_owned()];
        Rules {
            handlers,
            back_off_max_ms: BACK_OFF_MAX_MS,
            timeout_ms: 1000,
            settled: true,
            concurrency: None,
            front: None,
        }
    }

    /// What must hold of `crm` while other handlers have more to do.
    pub(crate) fn rules_of_one(&self) -> Rules {
        Rules { settled: false, ..self.rules() }
    }

    /// Lets it come to rest in a process of its own, and checks everything.
    #[track_caller]
    pub(crate) fn settle_and_check(&self) {
        let process = self.start();
        process.settled();
        process.kill();
        self.check(&self.rules());
    }

    /// Reads the store, and checks everything.
    #[track_caller]
    pub(crate) fn check(&self, rules: &Rules) {
        kept::read(&self.setup.store_url(), 0, &self.history);
        self.judge(rules);
    }

    /// Checks the history as it is.
    #[track_caller]
    pub(crate) fn judge(&self, rules: &Rules) {
        self.sum_up();
        let broken = broken(&self.history.entries(), rules);
        if !broken.is_empty() {
            let file = self.history.keep(&format!("{}-{}", self.name, self.seed));
            let (count, first) = (broken.len(), broken.iter().take(20).cloned().collect::<Vec<_>>().join("\n"));
            panic!("{count} broken; WORKHOOK_FAULT_SEED={}; the history is in {}\n{first}", self.seed, file.display());
        }
    }

    /// Says how much happened, for whoever wants a figure.
    fn sum_up(&self) {
        let count = |is: fn(&Record) -> bool| self.history.count(is);
        let of = if self.database.is_some() { " on PostgreSQL" } else { "" };
        eprintln!(
            "{}{of}: {} requests, {} acknowledged, {} events, {} attempts, {} processes, {} of them killed",
            self.name,
            count(|record| matches!(record, Record::Sent { .. })),
            count(|record| matches!(record, Record::Answered { status: 200, .. })),
            count(|record| matches!(record, Record::Stored { .. })),
            count(|record| matches!(record, Record::AttemptBegan { .. })),
            count(|record| matches!(record, Record::Process { did: Did::Started, .. })),
            count(|record| matches!(record, Record::Process { did: Did::Killed, .. })),
        );
    }
}

/// How many seconds a variable says, or else these.
pub(crate) fn seconds(variable: &str, seconds: u64) -> u64 {
    let said = std::env::var(variable);
    said.map_or(seconds, |said| said.parse().unwrap_or_else(|_| panic!("{variable} is {said:?}, and not a number")))
}
