//! What holds for whatever a far end answers, and for any address of a proxy. For tests and fuzzing only.

use http::{HeaderMap, header};

use super::{Proxy, judge};

/// A far end can ask for a time to wait in seconds or as a date, and what it asks for is read or left out.
pub(crate) fn retry_after(headers: &HeaderMap) {
    let asked = super::retry_after(headers);
    let text = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds: Option<u64> = text.and_then(|text| text.parse().ok());
    assert!(seconds.is_none_or(|seconds| asked.is_some_and(|asked| asked.as_secs() == seconds)));
    assert!(asked.is_none() || seconds.is_some() || headers.contains_key(header::DATE), "{asked:?} of nothing");
    for status in [200, 302, 404, 429, 503].map(http::StatusCode::from_u16).into_iter().flatten() {
        assert_eq!(judge(status, asked, bytes::Bytes::new()).is_ok(), status.is_success());
    }
}

/// What is wrong with an address is said without it.
pub(crate) fn proxy(text: &str) {
    match Proxy::parse(text) {
        Ok(proxy) => assert_eq!(format!("{proxy:?}"), "Proxy(…)"),
        Err(error) => assert!(!text.contains('%') || !error.to_string().contains(text)),
    }
}
