//! Wake-ups: a hint that there is something to do. The store is the truth; a lost hint costs only time.

use tokio::sync::watch;

/// A hint with one kind of meaning, for any number of those who wait.
#[derive(Debug, Clone)]
pub struct Wake(watch::Sender<()>);

/// One who waits. A hint that comes between two waits is not lost, and many hints are one.
#[derive(Debug)]
pub struct Sleeper(watch::Receiver<()>);

impl Wake {
    /// A hint that nobody waits for yet.
    #[must_use]
    pub fn new() -> Wake {
        Wake(watch::Sender::new(()))
    }

    /// Wakes everyone who waits, and whoever waits next.
    pub fn wake(&self) {
        self.0.send_replace(());
    }

    /// Registers: every hint from here on is seen.
    #[must_use]
    pub fn sleeper(&self) -> Sleeper {
        Sleeper(self.0.subscribe())
    }
}

impl Default for Wake {
    fn default() -> Wake {
        Wake::new()
    }
}

impl Sleeper {
    /// Waits for a hint. Cancel safe. For ever where nobody is left who could give one.
    pub async fn woken(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The hints that the rooms share.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// An event was stored.
    pub events: Wake,
    /// Deliveries were planned, or became due by other hands than the handler's own.
    pub deliveries: Wake,
    /// A replay began, stopped or goes on.
    pub replays: Wake,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hint_between_two_waits_is_not_lost_and_many_are_one() {
        let wake = Wake::new();
        let mut sleeper = wake.sleeper();
        wake.wake();
        wake.wake();
        sleeper.woken().await;
        let again = tokio::time::timeout(std::time::Duration::from_millis(1), sleeper.woken()).await;
        assert!(again.is_err(), "many hints are one");
    }
}
