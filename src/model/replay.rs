//! A replay: events of the past, handled again (ruling 16).

use std::fmt;

use jiff::Timestamp;

use super::{EventFilter, EventId, HandlerName, Position};

/// A replay's id, in the order of beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplayId(pub i64);

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which events are to be handled again, by whom and how fast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReplay {
    /// Which events.
    pub events: ReplayedEvents,
    /// For which handlers.
    pub to: ReplayTo,
    /// Only for handlers to which the event has no delivery that is delivered or pending.
    pub undelivered: bool,
    /// How many events a second at the most; `None` is as fast as it goes.
    pub per_second: Option<u32>,
    /// When somebody asked for it. Events that come later are not replayed.
    pub at: Timestamp,
}

/// Which events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayedEvents {
    /// This one.
    One(EventId),
    /// All that are meant by a filter.
    Filter(EventFilter),
}

/// For which handlers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayTo {
    /// Those that the event was planned for.
    SameHandlers,
    /// This one, whatever its route says.
    Handler(HandlerName),
    /// Those whose routes take the event now.
    Rematch,
    /// This one, where its route takes the event now.
    RematchHandler(HandlerName),
}

/// Where a replay is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayState {
    /// It goes on, after a restart as well.
    Running,
    /// Somebody stopped it; it can go on.
    Stopped,
    /// All its deliveries are made.
    Done,
}

impl ReplayState {
    /// Every state.
    pub const ALL: [ReplayState; 3] = [ReplayState::Running, ReplayState::Stopped, ReplayState::Done];

    /// The state in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ReplayState::Running => "running",
            ReplayState::Stopped => "stopped",
            ReplayState::Done => "done",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<ReplayState> {
        ReplayState::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A replay as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// What was asked for.
    pub asked: NewReplay,
    /// Where it is in its life.
    pub state: ReplayState,
    /// The last event that it looked at; it goes on behind it.
    pub position: Position,
    /// The last event that there was when it began.
    pub last: Position,
    /// How many events it took; some of them may have come to no delivery, because nobody was left to get them.
    pub events: u64,
    /// How many deliveries it made.
    pub deliveries: u64,
    /// When it was done.
    pub done_at: Option<Timestamp>,
}

/// One step of a replay: some of its events, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayStep {
    /// The events, each with those of whom some may get it.
    pub events: Vec<(Position, Vec<Candidate>)>,
    /// Only candidates that have a delivery of the event already.
    pub asked_before: bool,
    /// Only candidates that have no delivery of the event that is delivered or pending.
    pub undelivered: bool,
}

/// A handler that may get an event again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The handler.
    pub handler: HandlerName,
    /// Whether the delivery waits in the lane of the event's entity.
    pub ordered: bool,
}
