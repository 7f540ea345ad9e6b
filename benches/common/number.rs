//! The number of a request, read out of the body that became an event.

use serde::Deserialize;

use super::request::FIRST_DATE;

/// The number of the request that became the event with this body.
pub(crate) fn number(body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Body {
        date: u64,
    }
    serde_json::from_slice::<Body>(body).ok()?.date.checked_sub(FIRST_DATE)
}
