//! Waiting for what must come.

use std::time::Duration;

use tokio::time::Instant;

/// How long something that must come is waited for; far more than it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long lies between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until a condition gives something, and fails with what was waited for when it never does.
#[track_caller]
pub(crate) fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, condition)
}

/// The same with a patience of its own.
#[track_caller]
pub(crate) fn within<T>(patience: Duration, what: &str, condition: impl FnMut() -> Option<T>) -> T {
    patiently(patience, condition).unwrap_or_else(|| panic!("never came within {patience:?}: {what}"))
}

/// Waits until a condition gives something; `None` when it never does.
pub(crate) fn patiently<T>(patience: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        let found = condition();
        if found.is_some() || began.elapsed() >= patience {
            return found;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
