//! Notices of dispatch: the first dead letter of a cause, and a handler whose breaker opened.
//!
//! They are appended like any event, by a task of their own. What always holds: whoever has something to say waits for
//! nothing; and where nothing but deliveries of notices fails, no notice is made of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::contract::{Notice, NoticeKind};
use crate::model::{Claimed, EventId, HandlerName, OpenBreaker, Outcome, StoredEvent};
use crate::store::Store;
use crate::telemetry::with_causes;

/// How many notices wait to be appended; what comes on top is only logged.
const WAITING_MAX: usize = 64;
/// How many causes of dead letters are remembered; the oldest make room, and are then told once more to the store.
const CAUSES_MAX: usize = 1000;
/// How long to wait after the store failed.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest reason that a notice repeats, in characters.
const REASON_MAX: usize = 200;

/// Where notices are left.
#[derive(Debug, Clone)]
pub(super) struct Notices {
    waiting: mpsc::Sender<Notice>,
    told: Arc<Mutex<HashMap<Cause, Date>>>,
}

/// What dead letters have in common that are one matter.
type Cause = (HandlerName, [u8; 8]);

/// Notices, and the work of appending them: until every copy of the former is gone, or until `cut`.
pub(super) fn open(
    store: Arc<dyn Store>,
    cut: CancellationToken,
) -> (Notices, impl Future<Output = ()> + Send + 'static) {
    let (waiting, notices) = mpsc::channel(WAITING_MAX);
    (Notices { waiting, told: Arc::default() }, append(store, notices, cut))
}

/// When the future is dropped, the notice under way is stored or not as a whole, and those that wait are lost.
async fn append(store: Arc<dyn Store>, mut notices: mpsc::Receiver<Notice>, cut: CancellationToken) {
    while let Some(notice) = notices.recv().await {
        while let Err(error) = store.append(notice.clone().into()).await {
            let (error, notice) = (with_causes(&error), &notice.title);
            if cut.is_cancelled() {
                tracing::warn!(notice, error, "a notice was not stored");
                break;
            }
            tracing::warn!(notice, error, "a notice waits until the store is available");
            tokio::select! {
                biased;
                () = cut.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

impl Notices {
    /// Says that an attempt made a dead letter.
    pub(super) fn dead_letter(&self, claimed: &Claimed, outcome: Option<&Outcome>, reason: &str, at: Timestamp) {
        let status = outcome.and_then(|outcome| outcome.status);
        let made = [("delivery", json!(claimed.id.0)), ("attempts", json!(claimed.attempt)), ("status", json!(status))];
        self.say_dead(&claimed.event, &claimed.handler, status, reason, made.into(), at);
    }

    /// Says that an event could not be planned (ruling 21).
    pub(super) fn unplannable(&self, event: &StoredEvent, handler: &HandlerName, reason: &str, at: Timestamp) {
        self.say_dead(event, handler, None, reason, Vec::new(), at);
    }

    /// Says that a breaker opened after failures, that of this event among them, which is not a notice itself.
    pub(super) fn breaker_open(&self, event: EventId, handler: &HandlerName, open: &OpenBreaker) {
        let reason = cut_short(&open.reason);
        self.say(Notice {
            kind: NoticeKind::BreakerOpen,
            occurrence: format!("{handler}/{}", open.since),
            title: format!(
                "Handler {handler} failed {} times in a row and is only probed now, the last time because: {reason}",
                open.failures
            ),
            particulars: particulars([
                ("handler", json!(handler.as_str())),
                ("event", json!(event.to_string())),
                ("reason", json!(reason)),
                ("attempts", json!(open.failures)),
            ]),
            at: open.since,
        });
    }

    fn say_dead(
        &self,
        event: &StoredEvent,
        handler: &HandlerName,
        status: Option<i32>,
        reason: &str,
        more: Vec<(&'static str, Value)>,
        at: Timestamp,
    ) {
        let day = TimeZone::UTC.to_datetime(at).date();
        let cause = cause(status, reason);
        if event.name.is_own() || !self.is_first((handler.clone(), cause), day) {
            return;
        }
        let cause: String = cause.iter().map(|byte| format!("{byte:02x}")).collect();
        let reason = cut_short(reason);
        let own = [
            ("handler", json!(handler.as_str())),
            ("event", json!(event.id.to_string())),
            ("event_name", json!(event.name.to_string())),
            ("reason", json!(reason)),
        ];
        self.say(Notice {
            kind: NoticeKind::DeadLetter,
            occurrence: format!("{handler}/{cause}/{day}"),
            title: format!("Handler {handler} has a dead letter, {}: {reason}", event.name),
            particulars: particulars(own.into_iter().chain(more)),
            at,
        });
    }

    /// Whether nobody spoke of this cause on this day.
    fn is_first(&self, cause: Cause, day: Date) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(&cause) == Some(&day) {
            return false;
        }
        if told.len() >= CAUSES_MAX {
            told.retain(|_, told_on| *told_on == day);
        }
        if told.len() >= CAUSES_MAX {
            // The store knows them still: who comes again is a duplicate there.
            told.clear();
        }
        told.insert(cause, day);
        true
    }

    fn say(&self, notice: Notice) {
        if let Err(error) = self.waiting.try_send(notice) {
            let notice = match &error {
                mpsc::error::TrySendError::Full(notice) | mpsc::error::TrySendError::Closed(notice) => notice,
            };
            tracing::warn!(notice = notice.title, "a notice was not stored: too many wait");
        }
    }
}

fn particulars(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Map<String, Value> {
    pairs.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.to_owned(), value)).collect()
}

fn cut_short(reason: &str) -> String {
    reason.chars().take(REASON_MAX).collect()
}

/// What a dead letter's reason comes to without what differs from one to the next: the words with a digit in them. A
/// status is no such word.
fn cause(status: Option<i32>, reason: &str) -> [u8; 8] {
    let words = reason.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.filter(|word| !word.contains(|c: char| c.is_ascii_digit()) && !is_hex(word)).collect();
    let hash = Sha256::digest(format!("{status:?} {}", words.join(" ")));
    std::array::from_fn(|at| hash[at])
}

/// Whether a word is more likely a piece of an id.
fn is_hex(word: &str) -> bool {
    word.len() >= 4 && word.chars().all(|c| matches!(c, 'a'..='f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: (Option<i32>, &str), other: (Option<i32>, &str), same: bool) {
        assert_eq!(cause(one.0, one.1) == cause(other.0, other.1), same, "{one:?} {other:?}");
    }

    #[test]
    fn dead_letters_that_differ_in_numbers_and_ids_only_have_one_cause() {
        check((None, "no issue 17 in project 3"), (None, "no issue 18 in project 900"), true);
        check((None, "timeout of 019c-4fbd-abcd"), (None, "timeout of 0c1d-feed-9999"), true);
        check((None, "after 1.5s"), (None, "after 2s"), true);
        check((None, "no such project"), (None, "no such issue"), false);
        check((Some(404), "answered 404 Not Found"), (Some(410), "answered 410 Gone"), false);
        check((Some(404), "answered 404"), (Some(410), "answered 410"), false);
        check((Some(404), "answered 404"), (None, "answered 404"), false);
    }

    #[tokio::test]
    async fn a_cause_is_told_once_a_day_and_what_is_remembered_is_bounded() {
        let notices = Notices { waiting: mpsc::channel(1).0, told: Arc::default() };
        let handler = HandlerName::parse("crm").unwrap();
        let (monday, tuesday) = (jiff::civil::date(2026, 11, 23), jiff::civil::date(2026, 11, 24));
        let first = |n: usize, day| notices.is_first((handler.clone(), n.to_be_bytes()), day);
        assert_eq!(
            [first(1, monday), first(1, monday), first(2, monday), first(1, tuesday)],
            [true, false, true, true]
        );
        for n in 0..3 * CAUSES_MAX {
            first(n, tuesday);
            assert!(notices.told.lock().unwrap().len() <= CAUSES_MAX);
        }
    }
}
