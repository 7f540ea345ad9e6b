//! What keeping within bounds takes: what is to be removed, and how much room there is.

use jiff::Timestamp;

use crate::model::{HandlerName, Position};

/// Which old events are to be removed. One that is not planned stays, and so does one with a delivery that is pending
/// for a handler that is known.
#[derive(Debug, Clone)]
pub struct PruneRequest {
    /// Those received before this time.
    pub received_before: Timestamp,
    /// Only those behind this one.
    pub after: Position,
    /// How many are looked at.
    pub limit: usize,
    /// The handlers that are configured; what is pending for another is cancelled by being removed (ruling 20).
    pub known_handlers: Vec<HandlerName>,
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// How many events.
    pub removed: u64,
    /// How many of their deliveries were pending for a handler that is not known.
    pub orphans: u64,
    /// The last event that was looked at; `None` where there is none left that is old enough.
    pub through: Option<Position>,
}

/// A step of forgetting.
#[derive(Debug, Clone)]
pub struct ForgetStep {
    /// Whom or what.
    pub about: ForgetAbout,
    /// Only in what was stored behind this one; rejected requests are looked at in the first step, from 0.
    pub after: Position,
    /// How many events are looked at.
    pub limit: usize,
    /// Only count.
    pub dry_run: bool,
}

/// Whom or what is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForgetAbout {
    /// A person, by id, e-mail address or whole name, wherever in a body they stand.
    Person(String),
    /// An entity, as `leiga/tenant:1/issue/100`, or `issue/100` in whatever brand and tenant.
    Entity(String),
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// How many events, each with its receipts, deliveries and attempts.
    pub events: u64,
    /// How many rejected requests.
    pub rejected: u64,
    /// How many bodies of duplicates, of events that are about another entity and stay; each is empty then.
    pub bodies: u64,
    /// The last event that was looked at; `None` at the end, when nothing is left to do.
    pub through: Option<Position>,
    /// Where something that was forgotten, now or before, may still be; said by dry runs, and behind the last event.
    pub left: Option<Left>,
}

/// Where something that was removed may still be in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// In what events are found by, and in the two others.
    Catalogue,
    /// In pages that are not in use, and in the log.
    FreePages,
    /// In the write-ahead log, which stays while somebody reads it.
    Log,
}

impl Left {
    /// Its name: `catalogue`, `free_pages`, `log`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Left::Catalogue => "catalogue",
            Left::FreePages => "free_pages",
            Left::Log => "log",
        }
    }
}

/// How much room the store takes, and how much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// What its files take, in bytes.
    pub files: u64,
    /// How much of that holds something, in bytes.
    pub used: u64,
    /// How much free room there is in the database itself, in bytes, which can be given back; the log has no part in it.
    pub free: u64,
    /// What the disk has left, in bytes; `None` where it does not say.
    pub disk_free: Option<u64>,
}
