//! The driver: the real binary as a process of its own, with a folder and free ports of its own, and all that is done
//! to it.
//!
//! A [`Setup`] says how it is started: `Setup::new(handlers)` has a new folder; `.env(name, value)` adds a variable
//! (`LD_PRELOAD`, say), `.limit("-n 64")` a limit as `ulimit` takes it, `.folder(path)` keeps the database elsewhere.
//! `Process::start(&setup, &history, &address)` starts it and waits until it receives; it can be started again and again
//! on one folder. `kill`, `stop`, `hold` and `resume` do what their names say, and write it into the history. A process
//! that is dropped is killed.
//!
//! [`world::World`](crate::world::World) puts it together with senders, a receiver and the checker; most tests begin
//! there.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;
use tokio::time::Instant;
use workhook::admin::api::wire;

use crate::history::{Did, History};
use crate::http;
use crate::wait::{PATIENCE, patiently, until, within};

/// The token of the webhook `product`.
pub(crate) const TOKEN: &str = "test-token-0123456789";
/// How long the end may take after the order to stop (ruling 22), and a little for the machine.
const END_WITHIN: Duration = Duration::from_millis(8500);
/// How many lines of its log are kept for whoever looks at a failure.
const LINES_KEPT: usize = 200;

/// How it is started.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    folder: Arc<TempDir>,
    /// Where the database is.
    data: PathBuf,
    /// Where the store is instead, if it is on a server.
    server: Option<String>,
    config: String,
    env: Vec<(String, String)>,
    limits: Vec<String>,
    /// Which of several processes it is, in the history.
    replica: u32,
}

impl Setup {
    /// In a new folder, with these lines of configuration beside the doors, the store and the webhook `product`.
    pub(crate) fn new(config: &str) -> Setup {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let data = folder.path().to_owned();
        let (server, config) = (None, config.to_owned());
        Setup { folder, data, server, config, env: Vec::new(), limits: Vec::new(), replica: 0 }
    }

    /// With the store on a server, at this address.
    pub(crate) fn server(mut self, url: &str) -> Setup {
        self.server = Some(url.to_owned());
        self
    }

    /// As one of several processes, in a folder of its own.
    pub(crate) fn replica(mut self, replica: u32) -> Setup {
        self.folder = Arc::new(tempfile::tempdir().unwrap());
        self.replica = replica;
        self
    }

    /// With other lines of configuration.
    pub(crate) fn config(mut self, config: &str) -> Setup {
        config.clone_into(&mut self.config);
        self
    }

    /// With the database in another folder.
    pub(crate) fn folder(mut self, data: &Path) -> Setup {
        data.clone_into(&mut self.data);
        self
    }

    /// With a variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Setup {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a limit, as `ulimit` takes it.
    pub(crate) fn limit(mut self, limit: &str) -> Setup {
        self.limits.push(limit.to_owned());
        self
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.data.join("workhook.db")
    }

    /// The address of the store.
    pub(crate) fn store_url(&self) -> String {
        self.server.clone().unwrap_or_else(|| format!("sqlite:{}", self.database().display()))
    }

    /// A folder for whatever belongs to the run.
    pub(crate) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self) -> Command {
        let file = self.folder.path().join("workhook.toml");
        let webhook = format!("[[webhook]]\nname = \"product\"\ntokens = [\"{TOKEN}\"]\n");
        std::fs::write(&file, webhook + &self.config).unwrap();
        let limits: String = self.limits.iter().map(|limit| format!("ulimit {limit} && ")).collect();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{limits}exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_workhook")]);
        command.args(["serve", "--config"]).arg(file).env_clear();
        command.env("WORKHOOK__INGEST__LISTEN", "127.0.0.1:0").env("WORKHOOK__ADMIN__LISTEN", "127.0.0.1:0");
        command.env("WORKHOOK__STORE__URL", self.store_url());
        if self.server.is_none() {
            // Whatever room the machine has; who tests a full disk says otherwise.
            command.env("WORKHOOK__STORE__MIN_FREE", "0B");
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// Where it receives now; nowhere while it does not run. Copies are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Address(Arc<Mutex<Option<SocketAddr>>>);

impl Address {
    pub(crate) fn now(&self) -> Option<SocketAddr> {
        *self.0.lock().unwrap()
    }

    /// Somewhere that does not change.
    pub(crate) fn of(address: SocketAddr) -> Address {
        Address(Arc::new(Mutex::new(Some(address))))
    }

    fn set(&self, address: Option<SocketAddr>) {
        *self.0.lock().unwrap() = address;
    }
}

/// The running process; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) public: SocketAddr,
    pub(crate) private: SocketAddr,
    child: Child,
    replica: u32,
    history: History,
    address: Address,
    log: Arc<Mutex<Vec<String>>>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) took: Duration,
}

impl Process {
    /// Starts it, and waits until it receives.
    #[track_caller]
    pub(crate) fn start(setup: &Setup, history: &History, address: &Address) -> Process {
        let process = Process::try_start(setup, history, address);
        process.unwrap_or_else(|log| panic!("it ended before it received: {log:#?}"))
    }

    /// Starts it, and waits until it receives, or has ended; what it said then.
    pub(crate) fn try_start(setup: &Setup, history: &History, address: &Address) -> Result<Process, Vec<String>> {
        let mut child = setup.command().spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let doors = loop {
            let Some(line) = lines.next() else {
                let _ = child.wait();
                return Err(said);
            };
            let json: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            said.push(line);
            if json["message"] == "receiving" {
                break ["public", "private"].map(|door| json[door].as_str().unwrap().parse().unwrap());
            }
        };
        let log = Arc::new(Mutex::new(said));
        let kept = Arc::clone(&log);
        // What it says further on is read, so that it never waits for a reader.
        std::thread::spawn(move || {
            for line in lines {
                let mut kept = kept.lock().unwrap();
                if kept.len() == LINES_KEPT {
                    kept.remove(0);
                }
                kept.push(line);
            }
        });
        history.replica(setup.replica, Did::Started);
        let [public, private] = doors;
        address.set(Some(public));
        let (replica, history, address) = (setup.replica, history.clone(), address.clone());
        Ok(Process { public, private, child, replica, history, address, log })
    }

    /// `kill -9`.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Tells it to stop, and waits until it has.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Ended {
        let began = Instant::now();
        self.tell_to_stop();
        let status = within(END_WITHIN, "it has ended", || self.child.try_wait().unwrap());
        let ended = Ended { code: status.code(), took: began.elapsed() };
        self.address.set(None);
        self.history.replica(self.replica, Did::Ended(ended.code));
        ended
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn ended(mut self) -> Option<i32> {
        let status = until("it has ended by itself", || self.child.try_wait().unwrap());
        self.address.set(None);
        self.history.replica(self.replica, Did::Ended(status.code()));
        status.code()
    }

    /// Kills it, where it runs; how it had ended before, where it had.
    pub(crate) fn end_now(mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap();
        if status.is_some() {
            self.address.set(None);
            self.history.replica(self.replica, Did::Ended(status.and_then(|status| status.code())));
        }
        status
    }

    /// SIGTERM, without waiting for what comes of it.
    pub(crate) fn tell_to_stop(&self) {
        self.history.replica(self.replica, Did::ToldToStop);
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: it does nothing any more, and knows nothing of it.
    pub(crate) fn hold(&self) {
        self.history.replica(self.replica, Did::Held);
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
        self.history.replica(self.replica, Did::Resumed);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// A number of its memory in KiB, as the system counts it: `VmHWM` is the most that it ever held, `VmData` what is
    /// its own. 0 where it has ended.
    pub(crate) fn memory_kib(&self, which: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'));
        line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse().unwrap())
    }

    /// Lets it have so much more memory of its own than it has now, in KiB; how much in all.
    pub(crate) fn limit_memory(&self, more_kib: u64) -> u64 {
        let all_kib = self.memory_kib("VmData") + more_kib;
        let limit = Rlimit { current: Some(all_kib << 10), maximum: None };
        prlimit(Some(self.pid()), Resource::Data, limit).unwrap();
        all_kib
    }

    /// How long it has used the processor.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = self.proc("stat");
        // Behind the name, which is in parentheses: user and system time are the 12th and the 13th.
        let fields = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
        // Linux counts hundredths of a second here, on every machine that this is built for.
        Duration::from_millis(ticks * 10)
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.pid().as_raw_nonzero())).unwrap()
    }

    /// The last lines of its log.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// How it is going; `None` where it does not say.
    pub(crate) fn health(&self) -> Option<wire::Health> {
        let (status, body) = http::get(self.private, "/api/v1/health")?;
        (status == 200).then(|| serde_json::from_str(&body).unwrap())
    }

    /// Waits until every event is planned and no delivery is pending.
    #[track_caller]
    pub(crate) fn settled(&self) {
        let settled = || {
            let health = self.health()?;
            let pending = health.deliveries.iter().any(|count| count.state == "pending");
            (health.unplanned == 0 && !pending).then_some(())
        };
        if patiently(PATIENCE, settled).is_none() {
            panic!("still pending: {:?}\n{}", self.health().map(|health| health.deliveries), self.log().join("\n"));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.address.set(None);
            self.history.replica(self.replica, Did::Killed);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
