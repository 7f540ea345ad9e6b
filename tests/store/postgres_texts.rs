//! Texts that PostgreSQL cannot have, and names that an index cannot have.

use workhook::model::{Entity, NextStep};

use crate::bench::{Bench, at, plan, settlement, to};
use crate::postgres_fixture::PostgresFixture;
use crate::request::Request;

/// A text with what PostgreSQL has no place for, and with what stands for it.
const ODD: &str = "a\0b\u{1a}0c\u{1a}\u{1a}";

#[tokio::test]
async fn a_text_with_nul_comes_back_as_it_went_in() {
    let bench = Bench::fresh::<PostgresFixture>().await;
    let body = r#"{"tenant":{"id":"t\u0000\u001a0"},"data":{"issue":{"id":"i\u0000d"}},"n\u0000":"\u0000"}"#;
    let request = Request::new().event("Issue.Update").body(body);
    let (id, position) = bench.stored(&request).await;
    let record = bench.record(id).await;
    assert_eq!(record.event.body, body);
    let entity = record.event.entity.map(|entity| entity.as_str().to_owned());
    assert_eq!(entity.as_deref(), Entity::of(&request.accepted()).as_ref().map(Entity::as_str));

    bench.store.plan(vec![plan(position, &[to("crm", Some(ODD))])], at(0)).await.unwrap();
    bench.planned(&[to("crm", Some(ODD))]).await;
    let claimed = bench.claim_one("crm", at(0)).await;
    let mut result = settlement(&claimed, NextStep::RetryAt(at(1)), at(0));
    result.outcome.as_mut().unwrap().message = ODD.to_owned();
    bench.store.settle(result).await.unwrap();
    let delivery = bench.delivery(claimed.id).await;
    assert_eq!((delivery.lane.as_deref(), delivery.reason.as_deref()), (Some(ODD), Some(ODD)));
    assert_eq!(delivery.history[0].outcome.message, ODD);
    let claimed = bench.claim_one("crm", at(1)).await;
    bench.settle(&claimed, NextStep::Dead(ODD.to_owned()), at(1)).await;
    assert_eq!(bench.delivery(claimed.id).await.reason.as_deref(), Some(ODD));
    bench.claim_one("crm", at(1)).await;
    bench.store.close().await;
}

#[tokio::test]
async fn a_lane_may_have_a_name_of_any_length() {
    let bench = Bench::fresh::<PostgresFixture>().await;
    // Not one that could be compressed.
    let mut hash = 7_u32;
    let next = |_| {
        hash = hash.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from((hash >> 16) % 26).unwrap())
    };
    let name: String = (0..20_000).map(next).collect();
    let (_, position) = bench.stored(&Request::new()).await;
    bench.store.plan(vec![plan(position, &[to("crm", Some(&name))])], at(0)).await.unwrap();
    bench.planned(&[to("crm", Some(&name))]).await;
    let head = bench.claim_one("crm", at(0)).await;
    bench.settle(&head, NextStep::Delivered, at(0)).await;
    assert_eq!(bench.delivery(bench.claim_one("crm", at(0)).await.id).await.lane, Some(name));
    bench.store.close().await;
}
