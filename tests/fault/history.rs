//! The history of a run: what happened, in the order in which it happened; one JSON object a line in a file.
//!
//! It only writes down. What must hold of it is in checker.rs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// One line: when, in microseconds since the run began, and what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) at_us: u64,
    #[serde(flatten)]
    pub(crate) record: Record,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(crate) enum Record {
    /// A request is about to be sent on an open connection. `id` is the event's, `retry` its `Retry-Num`.
    Sent { request: u64, id: String, entity: u64, retry: u32 },
    /// It was answered, so long after it was sent.
    Answered { request: u64, status: u16, errcode: Option<i64>, took_ms: u64 },
    /// Its connection ended, or the sender's patience, before there was an answer.
    Unanswered { request: u64, took_ms: u64 },
    /// A handler's far end has read an attempt in whole, which this replica made.
    AttemptBegan { serial: u64, handler: String, id: String, attempt: u32, replica: u32 },
    /// It is about to do this with it, or has done all that it will.
    AttemptEnded { serial: u64, told: Told },
    /// Something was done to a process, or by it; or to what it stands on.
    Process { replica: u32, did: Did },
    /// An event as the store has it at the end.
    Stored { position: i64, id: Option<String>, webhook_id: String },
    /// A delivery as the store has it at the end.
    Delivery(Delivery),
}

/// What the far end of a handler does with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Told {
    /// 200.
    Taken,
    /// 200 after so many milliseconds.
    TakenAfter(u64),
    /// 200, and a body that never ends.
    TakenEndlessly,
    /// 200, and a body of which there is a byte now and then.
    TakenInDrips,
    /// 200, and the connection is closed in the middle of the body.
    TakenHalfWay,
    /// 503.
    Failed,
    /// 503, and to be asked again after so many seconds.
    FailedForSeconds(u64),
    /// 400.
    Refused,
    /// Nothing, for as long as the other end waits.
    Nothing,
    /// Something that is no HTTP.
    Garbage,
    /// A head that never ends.
    EndlessHead,
    /// The connection is closed without a word.
    Closed,
}

impl Told {
    /// Whether by this the far end has taken the event.
    pub(crate) fn is_taken(self) -> bool {
        use Told::{Taken, TakenAfter, TakenEndlessly, TakenHalfWay, TakenInDrips};
        matches!(self, Taken | TakenAfter(_) | TakenEndlessly | TakenInDrips | TakenHalfWay)
    }

    /// Whether it is the service that ends the attempt, and not the far end.
    pub(crate) fn hangs(self) -> bool {
        matches!(self, Told::Nothing | Told::EndlessHead | Told::TakenEndlessly | Told::TakenInDrips)
    }
}

/// What was done to the process, or by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Did {
    /// It receives.
    Started,
    /// `kill -9`, or what comes to the same.
    Killed,
    /// It was told to stop.
    ToldToStop,
    /// It ended by itself, with this exit code.
    Ended(Option<i32>),
    /// SIGSTOP.
    Held,
    /// SIGCONT.
    Resumed,
    /// It is so short of something that it cannot be expected to answer.
    Starved,
    /// It is no longer.
    Relieved,
    /// Its clock is moved by so many milliseconds.
    ClockMoved(i64),
    /// Its connections to the store were cut, or it was kept from what comes on them.
    CutOff,
    /// The server that it has its store on was stopped.
    StoreStopped,
}

/// A delivery as the store has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) position: i64,
    pub(crate) handler: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    /// How long until it may be attempted; negative where it may already be. `None` behind another of its lane, and at
    /// the end.
    pub(crate) due_in_ms: Option<i64>,
    pub(crate) tries: Vec<Try>,
}

/// An attempt as the store has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Try {
    pub(crate) number: u32,
    pub(crate) ended: String,
}

/// A history that is being written; copies are the same one.
#[derive(Debug, Clone)]
pub(crate) struct History {
    began: Instant,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl History {
    pub(crate) fn begin() -> History {
        History { began: Instant::now(), entries: Arc::default() }
    }

    /// Writes down what happens now.
    pub(crate) fn add(&self, record: Record) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that the times are in the order of the lines.
        let at_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        entries.push(Entry { at_us, record });
    }

    /// Something was done to the only process that there is.
    pub(crate) fn process(&self, did: Did) {
        self.replica(0, did);
    }

    /// Something was done to one of several processes.
    pub(crate) fn replica(&self, replica: u32, did: Did) {
        self.add(Record::Process { replica, did });
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many lines there are of which this is true.
    pub(crate) fn count(&self, is: impl Fn(&Record) -> bool) -> usize {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().filter(|entry| is(&entry.record)).count()
    }

    /// Writes the file of it, in the folder for what tests leave behind.
    pub(crate) fn keep(&self, name: &str) -> PathBuf {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fault-{name}.jsonl"));
        let lines = self.entries().iter().map(|entry| serde_json::to_string(entry).unwrap() + "\n").collect::<String>();
        std::fs::write(&file, lines).unwrap();
        file
    }
}

#[test]
fn a_line_is_read_as_what_was_written() {
    let delivery = Delivery {
        position: 1,
        handler: "crm".to_owned(),
        state: "pending".to_owned(),
        reason: None,
        due_in_ms: Some(-3),
        tries: vec![Try { number: 1, ended: "failed".to_owned() }],
    };
    let records = [
        Record::Sent { request: 1, id: "a".to_owned(), entity: 2, retry: 0 },
        Record::AttemptEnded { serial: 1, told: Told::FailedForSeconds(1) },
        Record::Process { replica: 0, did: Did::Ended(Some(0)) },
        Record::Delivery(delivery),
    ];
    for record in records {
        let entry = Entry { at_us: 7, record };
        let line = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry, "{line}");
    }
}
