//! Tables and properties of `check`.

use super::*;
use crate::contract::properties;
use crate::contract::sample::{headers, webhook};
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

fn webhooks() -> Webhooks {
    let zappy = webhook("zappy", Some(Brand::WorkZappy), "zappy-token");
    Webhooks::new(vec![webhook("product", None, "token"), zappy]).unwrap()
}

fn raw<'a>(headers: &'a HeaderMap, body: &[u8]) -> RawRequest<'a> {
    let head = RawHead { path: None, headers, received_at: Timestamp::UNIX_EPOCH, peer: None };
    RawRequest { head, body: Bytes::copy_from_slice(body) }
}

#[test]
fn what_it_is_about_is_decided_by_the_object_and_not_by_what_is_in_data() {
    let body = br#"{"type":"Phase.Start","tenant":{"id":"t"},"data":{"issue":{"id":1},"sprint":{"id":"2"}}}"#;
    let subject = |event: &str, body: &[u8]| {
        let headers = headers(&[("x-leiga-event", event.as_bytes()), ("x-leiga-token", b"token")]);
        check(raw(&headers, body), &webhooks()).unwrap().subject().cloned()
    };
    assert_eq!(subject("Sprint.Start", body), Some(Subject::Sprint("2".to_owned())));
    assert_eq!(subject("Phase.Start", body), Some(Subject::Sprint("2".to_owned())));
    assert_eq!(subject("Issue.Update", body), Some(Subject::Issue("1".to_owned())));
    let relation = br#"{"data":{"relationIssue":{"fromIssue":{"fromIssueId":3}}}}"#;
    assert_eq!(subject("RelationIssue.Delete", relation), Some(Subject::Issue("3".to_owned())));
    assert_eq!(subject("Sprint.Start", relation), None);
    let half_a_pair = br#"{"data":{"\ud800":0,"issue":{"id":4,"\udc00":0}}}"#;
    assert_eq!(subject("Issue.Update", half_a_pair), Some(Subject::Issue("4".to_owned())), "what the views read");
    for odd in
        ["{}", r#"{"data":{"issue":{"id":null}}}"#, r#"{"data":{"issue":{"id":[1]}}}"#, r#"{"data":{"issue":""}}"#]
    {
        assert_eq!(subject("Issue.Update", odd.as_bytes()), None, "{odd}");
    }
}

#[test]
fn the_header_s_name_counts_and_a_difference_is_noted() {
    let notes = |event: &str, body: &str| {
        let headers = headers(&[("x-workzappy-event", event.as_bytes()), ("x-workzappy-token", b"zappy-token")]);
        let accepted = check(raw(&headers, body.as_bytes()), &webhooks()).unwrap();
        let codes: Vec<String> = accepted.notes().iter().map(|note| note.code.to_string()).collect();
        (accepted.name().to_string(), accepted.original_name().map(str::to_owned), codes)
    };
    let of = |name: &str, original: Option<&str>, codes: &[&str]| {
        (name.to_owned(), original.map(str::to_owned), codes.iter().map(|&code| code.to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(notes("Phase.Start", r#"{"type":"Sprint.Start"}"#), of("Sprint.Start", Some("Phase.Start"), &[]));
    assert_eq!(notes("Issue.Update", r#"{"type":"Issue.Create"}"#), of("Issue.Update", None, &["other-type"]));
    assert_eq!(notes("Issue.Update", r#"{"type":"nonsense"}"#), of("Issue.Update", None, &["other-type"]));
    assert_eq!(notes("Epic.Create", "{}"), of("Epic.Create", None, &["unknown-event"]));
}

#[test]
fn a_webhook_of_one_brand_takes_no_other() {
    let leiga = headers(&[("x-leiga-event", b"Issue.Update"), ("x-leiga-token", b"zappy-token")]);
    let refused = check(raw(&leiga, b"{}"), &webhooks()).unwrap_err();
    assert!(matches!(refused, NotAccepted::Refused(Refusal::WrongToken(Brand::Leiga))), "{refused:?}");
}

proptest! {
    #[test]
    fn whatever_comes_is_judged_the_same_each_time_and_kept_as_it_came(
        field in prop::sample::select(vec!["event", "id", "retry-num", "ts", "webhook-id", "type", "sign", "token"]),
        value in proptest::collection::vec(any::<u8>().prop_filter("a header's byte", |byte| *byte >= 32 && *byte != 127), 0..300),
        body in proptest::collection::vec(any::<u8>(), 0..200),
        json in "[\\[\\]{}\":,a0-9.eE\\\\ud8 -]{0,60}",
        path in proptest::option::of("[a-z]{1,8}"),
    ) {
        for body in [&body[..], json.as_bytes(), format!("{{\"data\":{json}}}").as_bytes()] {
            let mut headers = headers(&[("x-leiga-event", b"Issue.Update"), ("x-leiga-token", b"hush-product")]);
            let name: HeaderName = format!("x-leiga-{field}").parse().unwrap();
            headers.insert(name, HeaderValue::from_bytes(&value).unwrap());
            properties::request(path.as_deref(), &headers, body);
            properties::body(body);
        }
    }
}
