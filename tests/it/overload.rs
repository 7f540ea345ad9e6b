//! More than can be stored, open loop: an answer in time for everyone, and what is stored is for the most part
//! acknowledged (promise 3).

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use workhook::contract::Brand;

use crate::support::raw::read;
use crate::support::{Post, TOKEN, alone, exchange};

/// How long each sync of the disk takes. With at most 512 requests in a commit, less than 1,024 a second can be stored.
const SYNC: Duration = Duration::from_millis(500);
/// How many requests come in a second, whatever becomes of those before: twice as many; and for how long.
const RATE: usize = 2000;
const SECONDS: usize = 4;
/// By when every answer is there, where the machine has time for it.
const IN_TIME: Duration = Duration::from_millis(2200);
/// How often it is looked how much time the machine has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The binary on a slow disk; killed when it is dropped.
struct Slow {
    child: Child,
    public: SocketAddr,
}

impl Slow {
    fn start(folder: &Path) -> Slow {
        let shim = folder.join("slow_sync.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/overload/slow_sync.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).args([source, "-ldl"]).status();
        assert!(built.expect("a C compiler is there; tests/run installs it").success());
        let config = format!(
            "[ingest]\nlisten = \"127.0.0.1:0\"\nmax_connections = 20000\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [store]\nurl = \"sqlite:{}/workhook.db\"\n[[webhook]]\nname = \"product\"\ntokens = [\"{TOKEN}\"]\n",
            folder.display()
        );
        std::fs::write(folder.join("workhook.toml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_workhook"))
            .args(["serve", "--config", "workhook.toml"])
            .current_dir(folder)
            .env_clear()
            .env("LD_PRELOAD", &shim)
            .env("SLOW_SYNC_MS", SYNC.as_millis().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let said = log.find(|line| line.contains("\"receiving\"")).expect("it ended before it was there");
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        // What it says further on is read, so that it never waits for a reader.
        std::thread::spawn(move || log.for_each(drop));
        Slow { child, public: said["public"].as_str().unwrap().parse().unwrap() }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends one request; its id, the status, and how long the answer took.
async fn send(to: SocketAddr) -> (String, u16, Duration) {
    let post = Post::new(Brand::Leiga, "Issue.Update");
    let began = Instant::now();
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(&post.bytes()).await.unwrap();
    let answer = read(&mut stream).await.expect("an answer");
    (post.get("ID").to_owned(), answer.status, began.elapsed())
}

/// How long what needs no store takes at the worst, while something else goes on: that is the machine's own doing.
async fn worst_of_the_machine(to: SocketAddr, meanwhile: impl Future<Output = ()>) -> Duration {
    let mut worst = Duration::ZERO;
    let look = async {
        loop {
            let began = Instant::now();
            let answer = exchange(to, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            assert_eq!(answer.status, 200);
            worst = worst.max(began.elapsed());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        () = look => {}
        () = meanwhile => {}
    }
    worst
}

/// As many files as this process may have; there is a connection for each request that waits.
fn allow_many_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "the figures of docs/reliability.md")]
async fn at_twice_what_can_be_stored_everyone_is_answered_in_time_and_what_is_stored_is_acknowledged() {
    let _alone = alone().await;
    allow_many_files();
    let folder = tempfile::tempdir().unwrap();
    let service = Slow::start(folder.path());
    let to = service.public;
    let mut answers = Vec::new();
    let worst = worst_of_the_machine(to, async {
        let mut sending = JoinSet::new();
        let mut ticks = interval(Duration::from_millis(10));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for _ in 0..SECONDS * 100 {
            ticks.tick().await;
            for _ in 0..RATE / 100 {
                sending.spawn(send(to));
            }
        }
        answers = sending.join_all().await;
    })
    .await;
    let in_time = IN_TIME + worst;
    let (late, odd): (Vec<_>, Vec<_>) = (
        answers.iter().filter(|(_, _, took)| *took > in_time).collect(),
        answers.iter().filter(|(_, status, _)| ![200, 503].contains(status)).collect(),
    );
    assert!(late.is_empty() && odd.is_empty(), "after {in_time:?}: {late:?}, odd: {odd:?}");
    let acknowledged: HashSet<&str> =
        answers.iter().filter(|(_, status, _)| *status == 200).map(|(id, ..)| &**id).collect();
    assert!(answers.len() - acknowledged.len() > answers.len() / 5, "it was not too much: {}", acknowledged.len());
    // It is over at once when the load is.
    assert_eq!(send(to).await.1, 200);

    drop(service);
    let database = rusqlite::Connection::open(folder.path().join("workhook.db")).unwrap();
    let mut ids = database.prepare("SELECT occurrence_id FROM events WHERE occurrence_id IS NOT NULL").unwrap();
    let stored: HashSet<String> = ids.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|id| !stored.contains(**id)).collect();
    assert!(lost.is_empty(), "acknowledged and not stored: {lost:?}");
    // Otherwise the store would work for those who were told that it did not.
    let (acknowledged, stored) = (acknowledged.len(), stored.len());
    let slowest = answers.iter().map(|(_, _, took)| *took).max().unwrap_or_default();
    eprintln!(
        "{} requests, the slowest answer after {slowest:?} beside {worst:?} of the machine's; of {stored} stored \
         {acknowledged} acknowledged",
        answers.len()
    );
    assert!(acknowledged * 10 >= stored * 7, "of {stored} that were stored {acknowledged} were acknowledged");
}
