//! The far end of `http` handlers: it records every attempt, and misbehaves by plan.
//!
//! The plan is a function of the attempt, so that what it does depends on no thread's turn. An attempt has begun when
//! it was read in whole; it has ended, for the history, just before the far end says the word that decides it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::history::{History, Record, Told};
use crate::http::{Connection, Message};

/// How long lies between two drips of what never ends.
const DRIP: Duration = Duration::from_millis(50);

/// An attempt, as the plan sees it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) handler: String,
    /// The event's id, as the sender gave it.
    pub(crate) id: String,
    pub(crate) attempt: u32,
    /// Which of several processes asks, where they say so.
    pub(crate) replica: u32,
}

type Plan = Arc<dyn Fn(&Asked) -> Told + Send + Sync>;

/// A receiver; copies are the same one.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    history: History,
    plan: Arc<Mutex<Plan>>,
    serial: Arc<AtomicU64>,
}

impl Receiver {
    /// One that takes everything.
    pub(crate) fn start(history: &History) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let plan: Plan = Arc::new(|_| Told::Taken);
        let plan = Arc::new(Mutex::new(plan));
        let receiver = Receiver { address, history: history.clone(), plan, serial: Arc::default() };
        let serving = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let receiver = serving.clone();
                std::thread::spawn(move || receiver.serve(Connection::new(stream)));
            }
        });
        receiver
    }

    /// Decides from here on what is done with an attempt.
    pub(crate) fn plan(&self, plan: impl Fn(&Asked) -> Told + Send + Sync + 'static) {
        *self.plan.lock().unwrap() = Arc::new(plan);
    }

    /// The configuration of a handler that sends here.
    pub(crate) fn handler(&self, name: &str, more: &str) -> String {
        format!("[[handler]]\nname = \"{name}\"\nkind = \"http\"\nurl = \"http://{}/{name}\"\n{more}\n", self.address)
    }

    /// Serves a connection until either end has enough of it.
    fn serve(&self, mut connection: Connection) {
        while let Some(request) = connection.read() {
            let asked = asked(&request);
            let serial = self.serial.fetch_add(1, Ordering::Relaxed);
            let Asked { handler, id, attempt, replica } = asked.clone();
            self.history.add(Record::AttemptBegan { serial, handler, id, attempt, replica });
            let plan = Arc::clone(&self.plan.lock().unwrap());
            let told = plan(&asked);
            if let Told::TakenAfter(ms) = told {
                std::thread::sleep(Duration::from_millis(ms));
            }
            let ended = || self.history.add(Record::AttemptEnded { serial, told });
            if told == Told::Nothing {
                while connection.stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
                return ended();
            }
            ended();
            if !tell(&mut connection, told) {
                return;
            }
        }
    }
}

fn asked(request: &Message) -> Asked {
    let path = request.head.split(' ').nth(1).unwrap_or_default();
    let header = |name| request.header(name).unwrap_or_default();
    Asked {
        handler: path.trim_start_matches('/').to_owned(),
        id: header("x-leiga-id").to_owned(),
        attempt: header("workhook-attempt").parse().unwrap_or_default(),
        replica: header("replica").parse().unwrap_or_default(),
    }
}

/// Says it; whether the connection can be used again.
fn tell(connection: &mut Connection, told: Told) -> bool {
    let status = |line: &str, more: &str| format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n{more}\r\n");
    let whole = match told {
        Told::Taken | Told::TakenAfter(_) => status("200 OK", ""),
        Told::Failed => status("503 Service Unavailable", ""),
        Told::FailedForSeconds(seconds) => status("503 Service Unavailable", &format!("retry-after: {seconds}\r\n")),
        Told::Refused => status("400 Bad Request", ""),
        Told::Nothing | Told::Closed => return false,
        Told::Garbage => {
            connection.write(b"\x16\x03\x01\x00\xff this is no answer\r\n\r\n");
            return false;
        }
        Told::TakenHalfWay => {
            connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nnot a hundred");
            return false;
        }
        Told::TakenEndlessly => return endlessly(connection, "HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 64 << 10], None),
        Told::TakenInDrips => return endlessly(connection, "HTTP/1.1 200 OK\r\n\r\n", b"x", Some(DRIP)),
        Told::EndlessHead => return endlessly(connection, "HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n", None),
    };
    connection.write(whole.as_bytes())
}

/// Says something again and again until the other end has enough.
fn endlessly(connection: &mut Connection, first: &str, piece: &[u8], pause: Option<Duration>) -> bool {
    if connection.write(first.as_bytes()) {
        while connection.stream.write_all(piece).is_ok() {
            pause.into_iter().for_each(std::thread::sleep);
        }
    }
    false
}
