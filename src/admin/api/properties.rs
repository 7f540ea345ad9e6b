//! What holds for any query and any body of a request to the API. For tests and fuzzing only.

use std::fmt::Debug;

use axum::extract::Query;
use http::Uri;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{LIMIT_MAX, deliveries, events, filters, rejected, wire};
use crate::store::Start;

/// A query asks for a bounded number of entries in one direction, or is refused.
pub(crate) fn query(text: &str) {
    let Ok(uri) = format!("/api/v1/x?{text}").parse::<Uri>() else { return };
    if let Ok(Query(asked)) = Query::<events::ListEvents>::try_from_uri(&uri) {
        let wait = asked.wait().map(|wait| wait.is_some());
        if let Ok(query) = asked.query() {
            assert!((1..=LIMIT_MAX).contains(&query.limit));
            assert!(!wait.is_ok_and(|waits| waits) || matches!(query.start, Start::After(_)));
            let told = filters::told(&query.filter);
            same(&told);
            assert_eq!(filters::events(told).ok(), Some(query.filter), "a filter comes back");
        }
    }
    if let Ok(Query(asked)) = Query::<deliveries::ListDeliveries>::try_from_uri(&uri) {
        assert!(asked.query().is_ok_and(|query| (1..=LIMIT_MAX).contains(&query.limit)) || uri.query().is_some());
    }
    let _ = Query::<rejected::ListRejected>::try_from_uri(&uri);
}

/// A body is read into its shape or not at all, and a shape is written as what it is read from.
pub(crate) fn body(body: &[u8]) {
    read::<wire::EventFilter>(body);
    read::<wire::DeliveryFilter>(body);
    read::<wire::ChangeDeliveries>(body);
    read::<wire::NewReplay>(body);
    read::<wire::RetryRejected>(body);
    read::<wire::Forget>(body);
    if let Ok(filter) = serde_json::from_slice::<wire::EventFilter>(body)
        && let Ok(known) = filters::events(filter)
    {
        assert_eq!(filters::events(filters::told(&known)).ok(), Some(known));
    }
    if let Ok(filter) = serde_json::from_slice::<wire::DeliveryFilter>(body) {
        let _ = filters::deliveries(filter);
    }
}

fn read<T: Serialize + DeserializeOwned + Debug>(body: &[u8]) {
    if let Ok(shape) = serde_json::from_slice::<T>(body) {
        same(&shape);
    }
}

fn same<T: Serialize + DeserializeOwned + Debug>(shape: &T) {
    let written = serde_json::to_string(shape).expect("every shape can be written");
    let read: T = serde_json::from_str(&written).expect("what is written can be read");
    assert_eq!(format!("{read:?}"), format!("{shape:?}"));
}
