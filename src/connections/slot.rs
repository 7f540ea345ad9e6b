//! A connection's place under the cap, and what it is doing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a head may take before its connection can be closed for another. One that is in earnest comes in one piece.
const HEAD_GRACE: Duration = Duration::from_millis(100);

/// One connection: idle since when, or busy with a request that began when.
#[derive(Debug)]
pub(super) struct Slot {
    number: u64,
    opened: Instant,
    /// Nanoseconds since `opened`, shifted left by two; the low bits are one of the states below.
    state: AtomicU64,
    close: Notify,
    /// Whether it is to be closed in the middle of its head.
    cut: AtomicBool,
}

const IDLE: u64 = 0;
const HEAD: u64 = 1;
const BUSY: u64 = 2;

impl Slot {
    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(u64::MAX >> 2) << 2
    }

    fn get(&self) -> (u64, Instant) {
        let state = self.state.load(Ordering::Relaxed);
        (state & 3, self.opened + Duration::from_nanos(state >> 2))
    }

    /// Bytes came in. The first one of a request starts its clock.
    pub(super) fn read_something(&self) {
        if self.get().0 == IDLE {
            self.state.store(self.now() | HEAD, Ordering::Relaxed);
        }
    }

    /// When the head that is coming in began; `None` where none is.
    pub(super) fn head_began(&self) -> Option<Instant> {
        let (state, since) = self.get();
        (state == HEAD).then_some(since)
    }

    /// The head is there. Tells when it began; now, where it came in together with the request before it.
    pub(super) fn head_is_complete(&self) -> Instant {
        let began = self.head_began().unwrap_or_else(Instant::now);
        let nanos = u64::try_from(began.saturating_duration_since(self.opened).as_nanos()).unwrap_or(0) << 2;
        self.state.store(nanos | BUSY, Ordering::Relaxed);
        began
    }

    /// The request is done.
    pub(super) fn answered(&self) {
        self.state.store(self.now() | IDLE, Ordering::Relaxed);
    }

    /// Waits until the connection is to be closed.
    pub(super) async fn told_to_close(&self) {
        self.close.notified().await;
    }

    /// Whether it is to be closed at once, since its head takes too long for so full a door.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed) && self.head_began().is_some()
    }
}

/// All connections of a door.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    slots: HashMap<u64, Arc<Slot>>,
    next: u64,
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().slots.len()
    }

    pub(super) fn open(&self) -> Arc<Slot> {
        let mut open = self.lock();
        open.next += 1;
        let number = open.next;
        let slot = Slot {
            number,
            opened: Instant::now(),
            state: AtomicU64::new(IDLE),
            close: Notify::new(),
            cut: AtomicBool::new(false),
        };
        let slot = Arc::new(slot);
        open.slots.insert(number, Arc::clone(&slot));
        slot
    }

    pub(super) fn close(&self, slot: &Slot) {
        self.lock().slots.remove(&slot.number);
    }

    /// Tells the connection to close that has waited for a whole head for longest, be it idle or be its head on its way;
    /// whether there was one.
    ///
    /// It looks at all of them, which happens only at the cap.
    pub(super) fn close_idlest(&self) -> bool {
        let mut open = self.lock();
        let now = Instant::now();
        let without_request = open.slots.values().filter_map(|slot| match slot.get() {
            (state @ IDLE, since) => Some((since, slot.number, state)),
            (state @ HEAD, since) if since + HEAD_GRACE <= now => Some((since, slot.number, state)),
            _ => None,
        });
        let Some((_, number, state)) = without_request.min() else { return false };
        if let Some(slot) = open.slots.remove(&number) {
            slot.cut.store(state == HEAD, Ordering::Relaxed);
            slot.close.notify_one();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_is_idle_for_longest_goes_first_and_a_busy_one_never() {
        let slots = Slots::default();
        let (first, second, third) = (slots.open(), slots.open(), slots.open());
        tokio::time::advance(Duration::from_secs(1)).await;
        first.read_something();
        assert!(first.head_began().is_some());
        second.read_something();
        second.head_is_complete();
        second.answered();
        assert!(slots.close_idlest());
        third.told_to_close().await;
        assert!(slots.close_idlest());
        second.told_to_close().await;
        assert!(!slots.close_idlest(), "a head may take a moment");
        assert_eq!(slots.len(), 1);
        tokio::time::advance(HEAD_GRACE).await;
        let busy = slots.open();
        busy.read_something();
        busy.head_is_complete();
        assert!(!first.is_cut() && slots.close_idlest());
        first.told_to_close().await;
        assert!(first.is_cut(), "its head does not come");
        tokio::time::advance(HEAD_GRACE).await;
        assert!(!slots.close_idlest(), "only a busy one is left");
        assert_eq!(slots.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_idle_when_it_was_told_may_finish_the_request_that_began_since() {
        let slots = Slots::default();
        let slot = slots.open();
        assert!(slots.close_idlest());
        slot.read_something();
        assert!(!slot.is_cut());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_s_clock_starts_with_its_first_byte() {
        let slots = Slots::default();
        let slot = slots.open();
        tokio::time::advance(Duration::from_secs(5)).await;
        let first_byte = Instant::now();
        slot.read_something();
        tokio::time::advance(Duration::from_millis(700)).await;
        slot.read_something();
        assert_eq!(slot.head_is_complete(), first_byte);
        slot.read_something();
        assert_eq!(slot.head_began(), None, "bytes of the body start nothing");
        slot.answered();
        assert_eq!(slot.head_is_complete(), Instant::now(), "a pipelined request has no first byte of its own");
    }
}
