//! Senders, as the product is one: each sends the events of its entities one after the other, goes on over a connection
//! that is open, sends again what was not acknowledged, and now and then something that was.
//!
//! What is sent depends on the seed alone; how much of it, on how long they are left to run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;

use crate::driver::{Address, TOKEN};
use crate::history::{History, Record};
use crate::http::Connection;

/// How often something is sent again, at the most, before the sender goes on to the next.
const RETRIES_MAX: u32 = 8;
/// How many entities each sender has.
const ENTITIES: u64 = 3;

/// What all requests are counted by.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// How they send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) senders: u64,
    /// The number of the first: each has issues of its own.
    pub(crate) first: u64,
    /// The longest pause between two requests of one sender, in milliseconds.
    pub(crate) pause_ms: u64,
    /// How many bytes a body has beside what it must have.
    pub(crate) ballast: usize,
}

impl Default for Load {
    fn default() -> Load {
        Load { senders: 6, first: 0, pause_ms: 6, ballast: 0 }
    }
}

/// Senders that are sending.
#[derive(Debug)]
pub(crate) struct Senders {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Acknowledged,
    /// An answer that acknowledges nothing.
    Declined,
    /// No answer.
    Nothing,
}

/// One sender.
#[derive(Debug)]
pub(crate) struct Sender {
    history: History,
    address: Address,
    random: fastrand::Rng,
    connection: Option<Connection>,
    load: Load,
    number: u64,
}

impl Senders {
    /// Starts them. `round` tells apart those that come one after another.
    pub(crate) fn start(history: &History, address: &Address, load: Load, seed: u64, round: u64) -> Senders {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (load.first..load.first + load.senders).map(|number| {
            let mut sender = Sender::new(history, address, load, seed.wrapping_add(round << 16), number);
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    sender.occurrence(&format!("{round}-{number}-{n}"), &stop);
                }
            })
        });
        let threads = threads.collect();
        Senders { stop, threads }
    }

    /// Tells them to stop, and waits until they have.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

impl Sender {
    pub(crate) fn new(history: &History, address: &Address, load: Load, seed: u64, number: u64) -> Sender {
        let random = fastrand::Rng::with_seed(seed.wrapping_add(number));
        Sender { history: history.clone(), address: address.clone(), random, connection: None, load, number }
    }

    /// Sends an event until it is acknowledged, or told to stop, or tired of it.
    fn occurrence(&mut self, id: &str, stop: &AtomicBool) {
        let entity = self.number * ENTITIES + self.random.u64(..ENTITIES);
        let again = self.random.u8(..8) == 0;
        let mut retry = 0;
        while retry <= RETRIES_MAX && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(self.random.u64(..=self.load.pause_ms)));
            match self.send(id, entity, retry) {
                // It runs no more, or not yet: nothing was sent.
                None => continue,
                // As if the answer had not come.
                Some(Came::Acknowledged) if again && retry == 0 => {}
                Some(Came::Acknowledged) => return,
                Some(Came::Declined | Came::Nothing) => {}
            }
            retry += 1;
        }
    }

    /// Sends one request; `None` where there is nobody to send it to.
    pub(crate) fn send(&mut self, id: &str, entity: u64, retry: u32) -> Option<Came> {
        let address = self.address.now()?;
        let kept = self.connection.take().filter(|open| {
            open.stream.peer_addr().is_ok_and(|peer| peer == address) && !is_closed(open) && self.random.u8(..10) > 0
        });
        let mut connection = kept.or_else(|| Connection::open(address))?;
        let request = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let bytes = bytes(id, entity, retry, self.load.ballast);
        self.history.add(Record::Sent { request, id: id.to_owned(), entity, retry });
        let began = Instant::now();
        // The other end may answer and close before all is sent.
        let _ = connection.write(&bytes);
        let answer = connection.read();
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Some((answer, status)) = answer.and_then(|answer| answer.status().map(|status| (answer, status))) else {
            self.history.add(Record::Unanswered { request, took_ms });
            return Some(Came::Nothing);
        };
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let errcode = json["errcode"].as_i64();
        self.history.add(Record::Answered { request, status, errcode, took_ms });
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Some(if (status, errcode) == (200, Some(0)) { Came::Acknowledged } else { Came::Declined })
    }
}

/// Whether the other end has closed a connection on which nothing is expected.
fn is_closed(connection: &Connection) -> bool {
    let _ = connection.stream.set_nonblocking(true);
    let closed =
        !matches!(connection.stream.peek(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
    let _ = connection.stream.set_nonblocking(false);
    closed
}

/// A request as the product sends it.
pub(crate) fn bytes(id: &str, entity: u64, retry: u32, ballast: usize) -> Vec<u8> {
    let ballast = "x".repeat(ballast);
    let body = format!(
        r#"{{"type":"Issue.Update","date":1676627206432,"tenant":{{"id":1}},"data":{{"issue":{{"id":{entity},"summary":"{id}{ballast}"}}}}}}"#
    );
    let head = format!(
        "POST /webhook HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\nx-leiga-event: Issue.Update\r\n\
         x-leiga-id: {id}\r\nx-leiga-token: {TOKEN}\r\nx-leiga-type: Leiga\r\nx-leiga-ts: 1676627206\r\n\
         x-leiga-retry-num: {retry}\r\nx-leiga-webhook-id: 77\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head, body].concat().into_bytes()
}
