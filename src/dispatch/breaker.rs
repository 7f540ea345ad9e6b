//! The breaker: after repeated failures a handler is left alone, but for one probe at a time.
//!
//! A pure function of the policy, what came before, the time and chance. It knows no store and asks no clock. What
//! always holds: while it is open, at most one attempt is under way that began since it opened; and an attempt that
//! began before it opened or closed says nothing any more.

use std::time::Duration;

use jiff::Timestamp;

use super::BreakerPolicy;
use crate::clock::later;
use crate::model::OpenBreaker;

/// What came before, for one handler.
#[derive(Debug, Clone, Default)]
pub(super) struct Breaker {
    state: State,
    /// How often it opened or closed: what tells attempts of now from those of before.
    changes: u64,
}

#[derive(Debug, Clone)]
enum State {
    /// So many attempts failed in a row.
    Closed { failures: u32 },
    /// Whether a probe is under way.
    Open { open: OpenBreaker, probing: bool },
}

impl Default for State {
    fn default() -> State {
        State::Closed { failures: 0 }
    }
}

/// The leave to make one attempt. What comes of it has to be told.
#[derive(Debug)]
pub(super) struct Pass {
    changes: u64,
}

/// How many attempts may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// As many as anybody wants.
    Open,
    /// One probe.
    Probe,
    /// None until this time.
    Until(Timestamp),
    /// None until the probe that is under way has ended.
    Probing,
}

/// What came of an attempt, as far as it tells of the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came<'a> {
    /// The handler took the event.
    Delivered,
    /// It did not, for this reason: a failure, a refusal, a time-out or a panic.
    Failed(&'a str),
    /// The far end asked to wait: it is there, and yet not to be asked.
    Throttled,
    /// Nothing that tells of the far end: it was not asked after all, or nobody waited for the answer.
    Nothing,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// It opened.
    Opened,
    /// A probe failed, or was asked to wait.
    Prolonged,
    /// A probe was delivered.
    Closed,
}

impl Breaker {
    /// Goes on with what was kept, which is `None` where it was closed.
    pub(super) fn restored(policy: &BreakerPolicy, kept: Option<OpenBreaker>, now: Timestamp) -> Breaker {
        let state = kept.map_or_else(State::default, |open| State::Open { open, probing: false });
        let mut breaker = Breaker { state, changes: 0 };
        breaker.follow(policy, now);
        breaker
    }

    /// The same breaker in another state, which another process has kept: what began before says nothing any more.
    pub(super) fn taken_over(&self, kept: Option<OpenBreaker>) -> Breaker {
        let state = kept.map_or_else(State::default, |open| State::Open { open, probing: false });
        Breaker { state, changes: self.changes + 1 }
    }

    /// Keeps to a policy that may be another than before: where it has no breaker, this one closes; and no wait is longer
    /// than its longest, nor than that after the clock was set back. Whether something changed.
    pub(super) fn follow(&mut self, policy: &BreakerPolicy, now: Timestamp) -> bool {
        match &mut self.state {
            State::Open { .. } if policy.failures == 0 => {
                self.turn(State::default());
                true
            }
            State::Open { open, .. } => {
                let until = open.until.min(later(now, policy.max));
                std::mem::replace(&mut open.until, until) != until
            }
            State::Closed { .. } => false,
        }
    }

    /// What is to be kept of it: nothing while it is closed.
    pub(super) fn kept(&self) -> Option<&OpenBreaker> {
        match &self.state {
            State::Closed { .. } => None,
            State::Open { open, .. } => Some(open),
        }
    }

    /// How many attempts may begin now.
    pub(super) fn room(&self, now: Timestamp) -> Room {
        match &self.state {
            State::Closed { .. } => Room::Open,
            State::Open { probing: true, .. } => Room::Probing,
            State::Open { open, .. } if now < open.until => Room::Until(open.until),
            State::Open { .. } => Room::Probe,
        }
    }

    /// Begins an attempt, where one may begin.
    pub(super) fn begin(&mut self, now: Timestamp) -> Option<Pass> {
        match self.room(now) {
            Room::Open => {}
            Room::Probe => {
                if let State::Open { probing, .. } = &mut self.state {
                    *probing = true;
                }
            }
            Room::Until(_) | Room::Probing => return None,
        }
        Some(Pass { changes: self.changes })
    }

    /// Whether a probe is under way.
    pub(super) fn is_probing(&self) -> bool {
        matches!(self.state, State::Open { probing: true, .. })
    }

    /// Lets no other probe through before a time, while it is open.
    pub(super) fn wait_until(&mut self, until: Timestamp) {
        if let State::Open { open, .. } = &mut self.state {
            open.until = until;
        }
    }

    /// Takes a probe back that is not made after all.
    pub(super) fn give_up_probe(&mut self) {
        if let State::Open { probing, .. } = &mut self.state {
            *probing = false;
        }
    }

    /// Whether what came of an attempt says something still.
    pub(super) fn counts(&self, pass: &Pass) -> bool {
        pass.changes == self.changes
    }

    /// Takes note of what came of an attempt. `chance` is from 0 to 1.
    #[expect(clippy::needless_pass_by_value, reason = "a pass is good for one attempt")]
    pub(super) fn end(
        &mut self,
        policy: &BreakerPolicy,
        pass: Pass,
        came: Came<'_>,
        now: Timestamp,
        chance: f64,
    ) -> Option<Change> {
        if !self.counts(&pass) {
            return None;
        }
        match (&mut self.state, came) {
            (State::Closed { .. }, Came::Throttled | Came::Nothing) => None,
            (State::Closed { failures }, Came::Delivered) => {
                *failures = 0;
                None
            }
            (State::Closed { failures }, Came::Failed(reason)) => {
                let failures = failures.saturating_add(1);
                if policy.failures == 0 || failures < policy.failures {
                    self.state = State::Closed { failures };
                    return None;
                }
                let until = later(now, wait(policy, 0, chance));
                let open = OpenBreaker { since: now, until, failures, probes: 0, reason: reason.to_owned() };
                self.turn(State::Open { open, probing: false });
                Some(Change::Opened)
            }
            (State::Open { probing, .. }, Came::Nothing) => {
                *probing = false;
                None
            }
            (State::Open { open, probing }, Came::Throttled) => {
                *probing = false;
                open.until = later(now, wait(policy, open.probes, chance));
                Some(Change::Prolonged)
            }
            (State::Open { open, probing }, Came::Failed(reason)) => {
                *probing = false;
                open.failures = open.failures.saturating_add(1);
                open.probes = open.probes.saturating_add(1);
                open.until = later(now, wait(policy, open.probes, chance));
                reason.clone_into(&mut open.reason);
                Some(Change::Prolonged)
            }
            (State::Open { .. }, Came::Delivered) => {
                self.turn(State::default());
                Some(Change::Closed)
            }
        }
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.changes += 1;
    }
}

/// How long to wait after so many probes: a random part, at least half, of `first` doubled for each, up to `max`.
fn wait(policy: &BreakerPolicy, probes: u32, chance: f64) -> Duration {
    let longest = policy.first.saturating_mul(1 << probes.min(31)).min(policy.max);
    longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::between;

    const POLICY: BreakerPolicy =
        BreakerPolicy { failures: 3, first: Duration::from_secs(4), max: Duration::from_secs(20) };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    /// A breaker with a time of its own; chance always says the longest wait.
    #[derive(Default)]
    struct Tried {
        breaker: Breaker,
        now: i64,
    }

    impl Tried {
        /// One that has just opened.
        fn open() -> Tried {
            let mut tried = Tried::default();
            let changes: Vec<_> = (0..3).map(|_| tried.attempt(Came::Failed("503"))).collect();
            assert_eq!(changes, [None, None, Some(Change::Opened)]);
            tried
        }

        fn begin(&mut self) -> Pass {
            self.breaker.begin(at(self.now)).expect("an attempt may begin")
        }

        fn end(&mut self, pass: Pass, came: Came<'_>) -> Option<Change> {
            self.breaker.end(&POLICY, pass, came, at(self.now), 1.0)
        }

        fn attempt(&mut self, came: Came<'_>) -> Option<Change> {
            let pass = self.begin();
            self.end(pass, came)
        }

        fn room(&self) -> Room {
            self.breaker.room(at(self.now))
        }
    }

    #[test]
    fn it_opens_after_so_many_failures_in_a_row_and_success_begins_anew() {
        let mut tried = Tried::default();
        for came in [Came::Failed("a"), Came::Failed("b"), Came::Delivered, Came::Failed("c"), Came::Failed("d")] {
            assert_eq!((tried.attempt(came), tried.room()), (None, Room::Open));
        }
        assert_eq!(tried.attempt(Came::Failed("e")), Some(Change::Opened));
        let expected = OpenBreaker { since: at(0), until: at(4), failures: 3, probes: 0, reason: "e".to_owned() };
        assert_eq!(tried.breaker.kept(), Some(&expected));
        assert_eq!(tried.room(), Room::Until(at(4)));
    }

    #[test]
    fn one_probe_at_a_time_and_the_wait_doubles_until_one_is_delivered() {
        let mut tried = Tried::open();
        let mut waits = Vec::new();
        for _ in 0..4 {
            let Room::Until(until) = tried.room() else { panic!("{:?}", tried.room()) };
            waits.push(between(at(tried.now), until).as_secs());
            assert!(tried.breaker.begin(at(tried.now)).is_none());
            tried.now = until.as_second() - at(0).as_second();
            assert_eq!(tried.room(), Room::Probe);
            let probe = tried.begin();
            assert_eq!(tried.room(), Room::Probing);
            assert!(tried.breaker.begin(at(tried.now + 1000)).is_none(), "a second probe");
            assert_eq!(tried.end(probe, Came::Failed("still")), Some(Change::Prolonged));
        }
        assert_eq!(waits, [4, 8, 16, 20]);
        let kept = tried.breaker.kept().unwrap().clone();
        assert_eq!((kept.since, kept.failures, kept.probes, kept.reason.as_str()), (at(0), 7, 4, "still"));
        tried.now += 20;
        assert_eq!(tried.attempt(Came::Delivered), Some(Change::Closed));
        assert_eq!((tried.room(), tried.breaker.kept()), (Room::Open, None));
        assert_eq!(tried.attempt(Came::Failed("once")), None, "it counts from nothing");
    }

    #[test]
    fn what_began_before_it_opened_neither_closes_nor_prolongs_it() {
        let mut tried = Tried::default();
        let [slow, late]: [Pass; 2] = std::array::from_fn(|_| tried.begin());
        for _ in 0..3 {
            tried.attempt(Came::Failed("503"));
        }
        let opened = tried.breaker.kept().cloned();
        tried.now = 4;
        let probe = tried.begin();
        assert_eq!(tried.end(slow, Came::Delivered), None);
        assert_eq!((tried.room(), tried.breaker.kept().cloned()), (Room::Probing, opened.clone()));
        assert_eq!(tried.end(late, Came::Failed("503")), None);
        assert_eq!((tried.room(), tried.breaker.kept().cloned()), (Room::Probing, opened));
        assert_eq!(tried.end(probe, Came::Delivered), Some(Change::Closed));
    }

    #[test]
    fn what_began_before_it_closed_does_not_count_towards_the_next_opening() {
        let mut tried = Tried::default();
        let before: [Pass; 3] = std::array::from_fn(|_| tried.begin());
        for _ in 0..3 {
            tried.attempt(Came::Failed("503"));
        }
        tried.now = 4;
        assert_eq!(tried.attempt(Came::Delivered), Some(Change::Closed));
        for pass in before {
            assert_eq!(tried.end(pass, Came::Failed("503")), None);
        }
        assert_eq!(tried.room(), Room::Open);
    }

    #[test]
    fn being_asked_to_wait_neither_counts_nor_begins_anew() {
        let mut tried = Tried::default();
        for came in [Came::Failed("a"), Came::Throttled, Came::Nothing, Came::Failed("b"), Came::Throttled] {
            assert_eq!(tried.attempt(came), None);
        }
        assert_eq!(tried.attempt(Came::Failed("c")), Some(Change::Opened));
        tried.now = 4;
        assert_eq!(tried.attempt(Came::Throttled), Some(Change::Prolonged));
        assert_eq!(tried.room(), Room::Until(at(8)), "as long as before, and not twice");
        tried.now = 8;
        assert_eq!(tried.attempt(Came::Nothing), None);
        assert_eq!(tried.room(), Room::Probe, "the next one may go at once");
    }

    #[test]
    fn without_a_policy_it_never_opens_and_what_was_kept_counts_for_nothing() {
        let off = BreakerPolicy { failures: 0, ..POLICY };
        let mut tried = Tried::default();
        for _ in 0..100 {
            let pass = tried.begin();
            assert_eq!(tried.breaker.end(&off, pass, Came::Failed("503"), at(0), 1.0), None);
        }
        let kept = Tried::open().breaker.kept().cloned();
        assert_eq!(Breaker::restored(&off, kept, at(0)).room(at(0)), Room::Open);
    }

    #[test]
    fn what_was_kept_goes_on_and_a_clock_that_was_set_back_prolongs_it_by_no_more_than_the_longest_wait() {
        let kept = Tried::open().breaker.kept().cloned();
        let restored = Breaker::restored(&POLICY, kept.clone(), at(1));
        assert_eq!((restored.room(at(1)), restored.room(at(4))), (Room::Until(at(4)), Room::Probe));
        assert_eq!(restored.kept(), kept.as_ref());
        assert_eq!(Breaker::restored(&POLICY, kept, at(-3600)).room(at(-3600)), Room::Until(at(-3580)));
        assert_eq!(Breaker::restored(&POLICY, None, at(0)).room(at(0)), Room::Open);
    }

    #[test]
    fn the_wait_is_between_half_and_all_of_what_is_due() {
        let seconds = |chance: f64| wait(&POLICY, 1, chance).as_secs_f64();
        assert_eq!([seconds(0.0), seconds(0.5), seconds(1.0), seconds(7.0)], [4.0, 6.0, 8.0, 8.0]);
        assert_eq!(wait(&POLICY, u32::MAX, 1.0), POLICY.max);
    }
}
