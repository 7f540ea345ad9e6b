//! A duty as one process has it: asked for, renewed and given up beside the work that needs it.
//!
//! The store decides who has a duty; what a process knows of that is a hint, and what only the holder may do is refused
//! to everybody else by the store itself. What always holds: a process never takes itself for the holder for longer
//! than the lease, counted from before it asked; and a store that belongs to one process is asked nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{Duty, Store, StoreError};
use crate::health::{Health, Holder};
use crate::telemetry::with_causes;

/// For how long a duty is taken. Another process takes it over within this and [`EVERY`].
const LEASE: Duration = Duration::from_secs(6);
/// How often it is asked for or renewed.
const EVERY: Duration = Duration::from_secs(2);
/// How long the store may take to answer.
const WITHIN: Duration = Duration::from_secs(2);

/// A duty that one process asks for.
#[derive(Debug, Clone)]
pub struct Tenure {
    store: Arc<dyn Store>,
    duty: Duty,
    health: Health,
    known: watch::Sender<Known>,
}

/// What is known of who has it.
#[derive(Debug, Clone, Copy)]
struct Known {
    holder: Holder,
    /// Until when that counts; `None` is for ever.
    until: Option<Instant>,
    /// How often this process has got it.
    term: u64,
}

/// One who waits for a change.
#[derive(Debug)]
pub struct Seen(watch::Receiver<Known>);

impl Tenure {
    /// A duty that is not asked for yet; where the store belongs to this process, it has it.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, duty: Duty, health: Health) -> Tenure {
        let holder = if store.is_shared() { Holder::Unknown } else { Holder::Here };
        let known = watch::Sender::new(Known { holder, until: None, term: 1 });
        Tenure { store, duty, health, known }
    }

    /// Which of its terms it is, while this process has the duty. Each time it gets it anew is another term.
    #[must_use]
    pub fn term(&self) -> Option<u64> {
        let known = *self.known.borrow();
        (known.now() == Holder::Here).then_some(known.term)
    }

    /// Whether this process has it.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.term().is_some()
    }

    /// Whether a process that lives has it, and not this one.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.known.borrow().now() == Holder::Elsewhere
    }

    /// Registers: every change from here on is seen.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen(self.known.subscribe())
    }

    /// Waits until this process has it. Cancel safe.
    pub async fn wait(&self) {
        let mut seen = self.seen();
        while !self.is_here() {
            seen.changed().await;
        }
    }

    /// Takes note that the store has refused something because another process has the duty.
    pub fn lost(&self) {
        self.know(Holder::Unknown, None);
    }

    /// Whether an error says that another process has the duty, which is taken note of then.
    #[must_use]
    pub fn is_lost_by(&self, error: &StoreError) -> bool {
        let superseded = matches!(error, StoreError::Superseded);
        if superseded {
            self.lost();
        }
        superseded
    }

    /// Does some work, and asks for the duty or renews it meanwhile; gives it up when the work has ended, so that another
    /// process has it at once.
    pub async fn during(&self, work: impl Future<Output = ()>) {
        if !self.store.is_shared() {
            return work.await;
        }
        self.tell();
        let done = CancellationToken::new();
        let work = async {
            work.await;
            done.cancel();
        };
        tokio::join!(work, self.keep(&done));
        if self.is_here() && !matches!(timeout(WITHIN, self.store.let_go(self.duty)).await, Ok(Ok(()))) {
            tracing::warn!(
                duty = self.duty.as_str(),
                "a duty could not be given up; another process takes it over when its lease ends"
            );
        }
        self.know(Holder::Unknown, None);
    }

    /// Asks until it is done; what the store is asked for is waited for, so that nothing is taken after it was given up.
    async fn keep(&self, done: &CancellationToken) {
        loop {
            let asked_at = Instant::now();
            let answer = timeout(WITHIN, self.store.hold(self.duty, LEASE)).await;
            self.hear(
                asked_at,
                answer.unwrap_or_else(|_| Err(StoreError::Unavailable("it did not answer in time".into()))),
            );
            tokio::select! {
                biased;
                () = done.cancelled() => return,
                () = sleep_until(asked_at + EVERY) => {}
            }
        }
    }

    fn hear(&self, asked_at: Instant, answer: Result<bool, StoreError>) {
        let until = Some(asked_at + LEASE);
        match answer {
            Ok(true) => self.know(Holder::Here, until),
            Ok(false) => self.know(Holder::Elsewhere, until),
            Err(error) => {
                let known = *self.known.borrow();
                if known.holder != Holder::Unknown && known.now() == Holder::Unknown {
                    tracing::warn!(
                        duty = self.duty.as_str(),
                        error = with_causes(&error),
                        "who has this duty is not known until the store is available"
                    );
                    self.know(Holder::Unknown, None);
                }
            }
        }
    }

    fn know(&self, holder: Holder, until: Option<Instant>) {
        let mut news = None;
        self.known.send_if_modified(|known| {
            let before = known.now();
            // One that lapsed and came back is another term as well.
            known.term += u64::from(holder == Holder::Here && before != Holder::Here);
            let changed = holder != before || holder != known.holder;
            (known.holder, known.until) = (holder, until);
            news = changed.then_some(before);
            changed
        });
        match (news, holder) {
            (None, _) => return,
            (_, Holder::Here) => tracing::info!(duty = self.duty.as_str(), "this process has a duty"),
            (Some(Holder::Here), _) => {
                tracing::info!(duty = self.duty.as_str(), "this process does not have a duty any more");
            }
            _ => {}
        }
        self.tell();
    }

    fn tell(&self) {
        self.health.set_duty(self.duty.as_str(), self.known.borrow().holder);
    }
}

impl Known {
    fn now(&self) -> Holder {
        if self.until.is_none_or(|until| Instant::now() < until) { self.holder } else { Holder::Unknown }
    }
}

impl Seen {
    /// Waits for a change. Cancel safe. For ever where there can be none.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
