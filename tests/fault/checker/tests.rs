//! The checker bites: a history in which nothing is wrong, and for each invariant one in which it does not hold.

use super::{Front, Rules, broken};
use crate::history::{Delivery, Did, Entry, Record, Told, Try};

/// A history; times are milliseconds.
#[derive(Clone, Default)]
struct Story(Vec<Entry>);

impl Story {
    fn at(mut self, at_ms: u64, record: Record) -> Story {
        self.0.push(Entry { at_us: at_ms * 1000, record });
        self
    }

    fn did(self, at_ms: u64, did: Did) -> Story {
        self.at(at_ms, Record::Process { replica: 0, did })
    }

    /// A request of an event of entity 1; the request has the number of the time.
    fn sent(self, at_ms: u64, id: &str) -> Story {
        self.at(at_ms, Record::Sent { request: at_ms, id: id.to_owned(), entity: 1, retry: 0 })
    }

    fn answered(self, sent_ms: u64, took_ms: u64, status: u16) -> Story {
        let errcode = Some(if status == 200 { 0 } else { i64::from(status) });
        self.at(sent_ms + took_ms, Record::Answered { request: sent_ms, status, errcode, took_ms })
    }

    fn unanswered(self, sent_ms: u64, took_ms: u64) -> Story {
        self.at(sent_ms + took_ms, Record::Unanswered { request: sent_ms, took_ms })
    }

    /// An attempt, which has the serial number of the time.
    fn began(self, at_ms: u64, id: &str, attempt: u32) -> Story {
        let (handler, id) = ("crm".to_owned(), id.to_owned());
        self.at(at_ms, Record::AttemptBegan { serial: at_ms, handler, id, attempt, replica: 0 })
    }

    fn ended(self, began_ms: u64, at_ms: u64, told: Told) -> Story {
        self.at(at_ms, Record::AttemptEnded { serial: began_ms, told })
    }

    fn stored(self, position: i64, id: &str) -> Story {
        self.at(9000, Record::Stored { position, id: Some(id.to_owned()), webhook_id: "77".to_owned() })
    }

    fn delivery(self, position: i64, state: &str, due_in_ms: Option<i64>, tries: &[&str]) -> Story {
        let tries = tries.iter().zip(1..).map(|(ended, number)| Try { number, ended: (*ended).to_owned() }).collect();
        let reason = (state == "dead").then(|| "refused".to_owned());
        let (handler, state) = ("crm".to_owned(), state.to_owned());
        self.at(9000, Record::Delivery(Delivery { position, handler, state, reason, due_in_ms, tries }))
    }

    /// Without what this is true of.
    fn without(mut self, is: impl Fn(&Record) -> bool) -> Story {
        self.0.retain(|entry| !is(&entry.record));
        self
    }

    #[track_caller]
    fn check(&self, settled: bool, expected: &[&str]) {
        let handlers = vec!["crm".to_owned()];
        let rules =
            Rules { handlers, back_off_max_ms: 2000, timeout_ms: 1000, settled, concurrency: None, front: None };
        self.holds_to(&rules, expected);
    }

    #[track_caller]
    fn holds_to(&self, rules: &Rules, expected: &[&str]) {
        let mut history = self.0.clone();
        history.sort_by_key(|entry| entry.at_us);
        assert_eq!(broken(&history, rules), expected);
    }

    /// As a run that was left to come to rest.
    #[track_caller]
    fn is(&self, expected: &[&str]) {
        self.check(true, expected);
    }
}

/// Two requests, and no more.
fn received() -> Story {
    let story = Story::default().did(1, Did::Started).sent(10, "a").answered(10, 5, 200);
    story.sent(20, "b").answered(20, 5, 200).stored(1, "a").stored(2, "b")
}

/// The first was handled.
fn first_handled() -> Story {
    received().began(30, "a", 1).ended(30, 31, Told::Taken).delivery(1, "delivered", None, &["delivered"])
}

/// Both were handled, one after the other.
fn good() -> Story {
    first_handled().began(40, "b", 1).ended(40, 41, Told::Taken).delivery(2, "delivered", None, &["delivered"])
}

fn is_stored(record: &Record, which: &str) -> bool {
    matches!(record, Record::Stored { id, .. } if id.as_deref() == Some(which))
}

#[test]
fn a_good_history_is_good_and_so_is_one_with_a_kill_in_it() {
    good().is(&[]);
    let killed = first_handled().began(40, "b", 1).did(41, Did::Killed).ended(40, 42, Told::Taken);
    let killed = killed.did(50, Did::Started).began(60, "b", 2).ended(60, 61, Told::Taken);
    killed.delivery(2, "delivered", None, &["lost", "delivered"]).is(&[]);
}

#[test]
fn i1_an_acknowledged_event_that_is_not_stored_is_told() {
    let gone =
        |record: &Record| is_stored(record, "b") || matches!(record, Record::Delivery(Delivery { position: 2, .. }));
    good().without(gone).is(&["I1: b was acknowledged, and is not stored"]);
    let turned_away = good().sent(50, "c").answered(50, 5, 503);
    turned_away.is(&[]);
}

#[test]
fn i2_an_occurrence_that_is_stored_twice_and_one_that_nobody_sent_are_told() {
    let twice = good().stored(3, "b").delivery(3, "delivered", None, &["delivered"]);
    twice.is(&["I2: b is stored 2 times"]);
    received().stored(3, "z").check(false, &["I2: nobody sent Some(\"z\"), which is stored at 3"]);
}

#[test]
fn i3_what_is_neither_handled_nor_dead_nor_pending_in_time_is_told() {
    first_handled().is(&["I3: \"b\" at 2 for crm has no delivery"]);
    let pending = |due_in_ms| first_handled().delivery(2, "pending", due_in_ms, &[]);
    pending(Some(1)).is(&["I3: \"b\" at 2 for crm is still pending at the end"]);
    pending(Some(2000)).check(false, &[]);
    pending(Some(2001)).check(false, &["I3: \"b\" at 2 for crm is due only in 2001 ms"]);
    pending(None).check(false, &["I3: \"b\" at 2 for crm is pending, due never, and behind no other"]);
    let behind = received().delivery(1, "pending", Some(5), &[]).delivery(2, "pending", None, &[]);
    behind.check(false, &[]);
    let never_taken = first_handled().began(40, "b", 1).ended(40, 41, Told::Failed);
    let never_taken = never_taken.delivery(2, "delivered", None, &["delivered"]);
    never_taken.is(&["I3: \"b\" at 2 for crm is said to be delivered, and was never taken"]);
    first_handled().delivery(2, "dead", None, &["refused"]).is(&[]);
    first_handled().delivery(2, "lost", None, &[]).is(&["I3: \"b\" at 2 for crm is lost"]);
    let mut silent = first_handled().delivery(2, "dead", None, &[]);
    let Some(Entry { record: Record::Delivery(last), .. }) = silent.0.last_mut() else { panic!("it is the last") };
    last.reason = None;
    silent.is(&["I3: \"b\" at 2 for crm is dead without a reason"]);
    let doubled = good().delivery(2, "delivered", None, &["delivered"]);
    doubled.is(&["I3: \"b\" at 2 for crm has 2 deliveries"]);
}

#[test]
fn i4_an_order_that_is_not_kept_is_told() {
    let stored = Story::default().did(1, Did::Started).sent(10, "a").answered(10, 5, 200).sent(20, "b");
    let stored = stored.answered(20, 5, 200).stored(1, "b").stored(2, "a");
    stored.check(false, &["I4: a was acknowledged before b was sent, and is stored behind it"]);

    let before = received().began(30, "b", 1).ended(30, 31, Told::Taken).delivery(2, "delivered", None, &["delivered"]);
    let before = before.delivery(1, "pending", Some(1), &[]);
    before.check(false, &["I4: crm got b before a, which is before it in its lane"]);

    let again = good().began(50, "a", 2).ended(50, 51, Told::Taken);
    again.is(&["I4: crm got a again after b, which is behind it in its lane"]);

    let failed = received().began(30, "a", 1).ended(30, 31, Told::Refused).delivery(1, "dead", None, &["refused"]);
    failed.began(40, "b", 1).ended(40, 41, Told::Taken).delivery(2, "delivered", None, &["delivered"]).is(&[]);
}

#[test]
fn i4_the_next_of_a_lane_beside_an_attempt_of_the_one_before_it_is_told() {
    let beside = first_handled().began(35, "a", 2).began(40, "b", 1).ended(40, 41, Told::Taken);
    let beside = beside.ended(35, 45, Told::Failed).delivery(2, "delivered", None, &["delivered"]);
    beside.is(&["I4: crm got b while a of the same lane was under way"]);
    beside.did(37, Did::Killed).is(&[]);
}

#[test]
fn i5_an_attempt_before_its_time_is_told() {
    let early = |again_ms: u64| {
        let story = received().began(30, "a", 1).ended(30, 31, Told::FailedForSeconds(1));
        let story = story.began(again_ms, "a", 2).ended(again_ms, again_ms + 1, Told::Taken);
        story.delivery(1, "delivered", None, &["failed", "delivered"])
    };
    early(1031).check(false, &[]);
    early(531).check(false, &["I5: crm got a again 500 ms before its time"]);
    early(531).did(400, Did::Killed).check(false, &[]);
}

#[test]
fn i7_a_result_of_a_lost_lease_that_was_taken_is_told() {
    let superseded = |ended: &str| {
        let story = received().began(30, "a", 1).began(40, "a", 2).ended(30, 45, Told::Taken);
        story.ended(40, 46, Told::Taken).delivery(1, "delivered", None, &[ended, "delivered"])
    };
    superseded("lost").check(false, &[]);
    superseded("delivered").check(false, &["I7: attempt 1 of a for crm lost its lease, and is kept as delivered"]);
    superseded("delivered").did(35, Did::Killed).check(false, &[]);
    let timed_out = received().began(30, "a", 1).began(1020, "a", 2).ended(30, 1045, Told::TakenAfter(1015));
    let timed_out = timed_out.ended(1020, 1046, Told::Taken).delivery(1, "delivered", None, &["failed", "delivered"]);
    timed_out.check(false, &[]);
}

#[test]
fn an_answer_that_is_late_or_wrong_or_missing_is_told() {
    let answer = |took_ms, status| received().sent(50, "c").answered(50, took_ms, status);
    answer(2200, 503).check(false, &[]);
    answer(2201, 503).check(false, &["A: request 50 of c was over only after 2201 ms"]);
    answer(2201, 503).did(100, Did::Held).check(false, &[]);
    answer(5, 500).check(false, &["A: request 50 of c was answered 500 with errcode Some(500)"]);
    answer(5, 408).check(false, &["A: request 50 of c was answered 408 with errcode Some(408)"]);
    answer(5, 408).did(45, Did::Starved).check(false, &[]);
    let nothing = received().sent(50, "c").unanswered(50, 5);
    nothing.check(false, &["A: request 50 of c got no answer, and nothing had happened"]);
    for did in [Did::Killed, Did::ToldToStop, Did::Ended(Some(0)), Did::Held, Did::Starved] {
        nothing.clone().did(52, did).check(false, &[]);
        nothing.clone().did(45, did).check(false, &[]);
    }
    nothing.did(45, Did::ClockMoved(1)).check(false, &["A: request 50 of c got no answer, and nothing had happened"]);
}

/// As several processes behind a proxy, each with one attempt at a time.
fn of_several() -> Rules {
    let front = Some(Front { adds_ms: 100, minds_for_ms: 1000 });
    let handlers = vec!["crm".to_owned()];
    Rules { handlers, back_off_max_ms: 2000, timeout_ms: 1000, settled: true, concurrency: Some(1), front }
}

#[test]
fn i8_an_attempt_under_a_claim_that_was_lost_is_told() {
    let stale = received().began(30, "a", 2).ended(30, 31, Told::Taken).began(35, "a", 1).ended(35, 36, Told::Failed);
    let stale = stale.delivery(1, "delivered", None, &["lost", "delivered"]);
    let stale = stale.began(40, "b", 1).ended(40, 41, Told::Taken).delivery(2, "delivered", None, &["delivered"]);
    stale.is(&["I8: crm got attempt 1 of a from replica 0 after attempt 2 from replica 0"]);
}

#[test]
fn r_what_is_taken_again_though_nothing_was_done_to_anybody_is_told() {
    let again = good().began(50, "b", 2).ended(50, 51, Told::Taken);
    again.holds_to(&of_several(), &["R: crm took 1 again, and at most 0 attempts were lost"]);
    again.did(45, Did::CutOff).holds_to(&of_several(), &[]);
}

#[test]
fn a_a_proxy_may_say_that_nobody_is_there_only_for_a_while_after_somebody_was_not() {
    let gateway = |at_ms| {
        let story = good().sent(at_ms, "c");
        story.at(at_ms + 5, Record::Answered { request: at_ms, status: 502, errcode: None, took_ms: 5 })
    };
    gateway(500).holds_to(&of_several(), &[]);
    gateway(5000).holds_to(&of_several(), &["A: request 5000 of c was answered 502 with errcode None"]);
    gateway(500).is(&["A: request 500 of c was answered 502 with errcode None"]);
}
