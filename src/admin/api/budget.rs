//! How much one request may do of a work that goes on over several.

use std::time::Duration;

use tokio::time::Instant;

/// The most entries that one request goes through.
const ENTRIES_MAX: usize = 5000;
/// How long it may go on before it says where it ended.
const TIME_MAX: Duration = Duration::from_secs(2);

/// What is left of it.
#[derive(Debug)]
pub(super) struct Budget {
    entries: usize,
    until: Instant,
}

impl Budget {
    /// All of it.
    pub(super) fn new() -> Budget {
        Budget { entries: ENTRIES_MAX, until: Instant::now() + TIME_MAX }
    }

    /// Takes away what was done.
    pub(super) fn spend(&mut self, entries: usize) {
        self.entries = self.entries.saturating_sub(entries);
    }

    /// Whether nothing is left.
    pub(super) fn is_spent(&self) -> bool {
        self.entries == 0 || Instant::now() >= self.until
    }
}
