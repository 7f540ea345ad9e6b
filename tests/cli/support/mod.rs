//! What the tests share: a working folder, the running program, and waiting for what it says.

pub(crate) mod heard;
pub(crate) mod http;
pub(crate) mod place;
pub(crate) mod service;

use std::time::Duration;

pub(crate) use heard::Heard;
pub(crate) use http::{Echo, get};
pub(crate) use place::{Place, Run};
pub(crate) use service::Service;

/// How long something that must come is waited for; far more than it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long lies between two looks at what cannot tell by itself.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until a condition gives something, and fails with what was waited for when it never does.
#[track_caller]
pub(crate) fn until<T>(what: &str, condition: impl Fn() -> Option<T>) -> T {
    let looks = PATIENCE.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        if let Some(found) = condition() {
            return found;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    panic!("never came: {what}")
}

/// The lines that are JSON objects, in order.
pub(crate) fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
