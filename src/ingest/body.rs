//! Reading a body: under its limit, under the budget of all bodies, and by its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

/// The most that is set aside for a body because its head says so.
const SET_ASIDE_MAX: usize = 1 << 20;

/// How many bytes of bodies are held at this time. Copies share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

/// Bytes of the budget; they go back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    max: usize,
    bytes: usize,
}

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// It is over the limit.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// Too many bytes of other bodies are held.
    OverBudget,
    /// The connection ended, or its framing is broken.
    Cut,
}

impl Budget {
    /// A budget that is counted here.
    pub(super) fn new(used: Arc<AtomicUsize>) -> Budget {
        Budget(used)
    }

    /// Nothing yet, where so many bytes may be held in all.
    pub(super) fn share(&self, max: usize) -> Share {
        Share { budget: self.clone(), max, bytes: 0 }
    }
}

impl Share {
    fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let take = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.max);
        self.budget.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map_err(|_| BodyError::OverBudget)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Whether the head says that the body is over the limit.
pub(super) fn claims_more_than(headers: &HeaderMap, max: usize) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > max))
}

/// Whether the body is anything but plain.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    let encodings = headers.get_all(header::CONTENT_ENCODING);
    encodings.iter().any(|value| !value.is_empty() && !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Reads a body whole. When the future is dropped, what was read is gone.
pub(super) async fn read(
    body: &mut Body,
    max: usize,
    share: &mut Share,
    deadline: Instant,
) -> Result<Bytes, BodyError> {
    let claimed = usize::try_from(body.size_hint().lower()).unwrap_or(max).min(max);
    share.grow(claimed)?;
    let mut whole = BytesMut::new();
    let mut first: Option<Bytes> = None;
    loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Err(_) => return Err(BodyError::TooSlow),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(BodyError::Cut),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        let have = first.as_ref().map_or(whole.len(), Bytes::len) + data.len();
        if have > max {
            return Err(BodyError::TooLarge);
        }
        if have > share.bytes {
            share.grow(have - share.bytes)?;
        }
        // Most bodies come in one piece, which need not be copied.
        if whole.is_empty() && first.is_none() {
            first = Some(data);
            continue;
        }
        if let Some(first) = first.take() {
            whole.reserve(claimed.min(SET_ASIDE_MAX));
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&data);
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

/// Reads what is left of a body and throws it away, up to so many bytes and not beyond the deadline.
pub(super) async fn discard(mut body: Body, max: usize, deadline: Instant) {
    let mut bytes = 0;
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > max {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_budget_is_shared_and_given_back() {
        let budget = Budget::default();
        let mut one = budget.share(10);
        assert_eq!(one.grow(8), Ok(()));
        assert_eq!(budget.share(10).grow(3), Err(BodyError::OverBudget));
        assert_eq!(budget.share(10).grow(usize::MAX), Err(BodyError::OverBudget));
        drop(one);
        assert_eq!(budget.share(10).grow(10), Ok(()));
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_no_further() {
        let far = Instant::now() + std::time::Duration::from_secs(60);
        let budget = Budget::default();
        let read =
            async |text: &'static str, max| super::read(&mut Body::from(text), max, &mut budget.share(100), far).await;
        assert_eq!(read("12345", 5).await, Ok(Bytes::from("12345")));
        assert_eq!(read("123456", 5).await, Err(BodyError::TooLarge));
        assert_eq!(read("", 5).await, Ok(Bytes::new()));
        assert_eq!(
            super::read(&mut Body::from("12345"), 9, &mut budget.share(4), far).await,
            Err(BodyError::OverBudget)
        );
    }

    #[test]
    fn the_head_tells_of_a_large_or_encoded_body() {
        let headers = |name, value| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        assert!(claims_more_than(&headers(header::CONTENT_LENGTH, "11"), 10));
        assert!(!claims_more_than(&headers(header::CONTENT_LENGTH, "10"), 10));
        assert!(!claims_more_than(&HeaderMap::new(), 10));
        assert!(is_encoded(&headers(header::CONTENT_ENCODING, "gzip")));
        assert!(!is_encoded(&headers(header::CONTENT_ENCODING, "Identity")));
    }
}
