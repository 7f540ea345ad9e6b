//! What is kept of requests that are no events: the rejected ones whole, the refused ones as counts.

use std::sync::Arc;

use tokio::task::JoinSet;
use workhook::contract::Brand;
use workhook::model::RejectedId;
use workhook::store::{Appended, RefusalCount, RejectedQuery, RejectedRow, Start, TokenUse};

use crate::bench::{ALL, Bench, at};
use crate::request::{Request, judge_again};

fn refusal(code: &str, peer: &str, count: u64, last: i64) -> RefusalCount {
    let (code, peer) = (code.to_owned(), peer.to_owned());
    RefusalCount { code, peer, claimed_webhook_id: "77".to_owned(), count, last_at: at(last) }
}

async fn rejected(bench: &Bench, limit: usize) -> Vec<RejectedRow> {
    bench.store.rejected(RejectedQuery { limit, ..RejectedQuery::default() }).await.unwrap().items
}

/// The newest, with its body.
async fn newest(bench: &Bench) -> RejectedRow {
    bench.store.rejected_request(rejected(bench, 1).await[0].id).await.unwrap().unwrap()
}

pub(crate) async fn a_rejected_request_is_kept_whole(bench: &mut Bench) {
    let first = Request::new().without("Event").body("{}").header("x-odd", b"\xff").received_at(at(1));
    let second = Request::new().brand(Brand::WorkZappy).webhook("support").body(&b"\xff\x00"[..]).peer(None);
    let mut ids = Vec::new();
    for request in [&first, &second] {
        ids.push(bench.store.reject(request.rejected()).await.unwrap());
    }
    bench.kill().await;
    let rows = rejected(bench, ALL).await;
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [ids[1], ids[0]], "the newest first");
    for (listed, request) in rows.iter().zip([&second, &first]) {
        let row = bench.store.rejected_request(listed.id).await.unwrap().unwrap();
        let rejected = request.rejected();
        assert!(listed.body.is_empty() && listed.body_bytes == rejected.body().len() as u64);
        assert_eq!((row.webhook.as_str(), row.brand.as_str()), (rejected.webhook().as_str(), rejected.brand().slug()));
        assert_eq!((row.received_at, row.peer), (rejected.received_at(), rejected.peer()));
        assert_eq!((row.headers.as_bytes(), &row.body[..]), (rejected.headers().as_bytes(), &rejected.body()[..]));
        assert_eq!(row.reason, rejected.reason());
    }
    assert_eq!(rejected(bench, 1).await[0].id, ids[1]);
    let query = RejectedQuery { limit: 1, start: Start::Before(ids[1]), webhook: Some("product".to_owned()) };
    assert_eq!(bench.store.rejected(query.clone()).await.unwrap().items[0].id, ids[0]);
    let page = bench.store.rejected(RejectedQuery { webhook: Some("support".to_owned()), ..query }).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    assert!(bench.store.rejected_request(RejectedId(ids[1].0 + 1)).await.unwrap().is_none());
    let counts = bench.store.counts().await.unwrap();
    assert_eq!((counts.rejected, counts.events), (2, 0));
}

pub(crate) async fn ruling_11_a_rejected_request_can_be_judged_again_and_takes_its_place_when_it_is(bench: &mut Bench) {
    let good = Request::new();
    bench.store.reject(good.clone().set("Retry-Num", "often").rejected()).await.unwrap();
    let (_, before) = bench.stored(&Request::new()).await;
    let row = newest(bench).await;
    let mut headers = row.headers.to_map();
    headers.insert("x-leiga-retry-num", "0".parse().unwrap());
    let accepted = judge_again(headers, row.body.to_vec(), row.received_at);
    let Appended::Stored { id, position } = bench.store.append(accepted).await.unwrap() else { panic!("not stored") };
    assert!(position > before);
    assert_eq!(row.became, None);
    bench.store.rejected_became(row.id, id, at(9)).await.unwrap();
    assert_eq!(newest(bench).await.became, Some((id, at(9))));
    assert_eq!(bench.append(&good).await, Appended::Duplicate { id: Some(id), conflict: false });
}

pub(crate) async fn of_more_than_ten_thousand_rejected_requests_the_oldest_go(bench: &mut Bench) {
    let mut rejects = JoinSet::new();
    let mut ids: Vec<RejectedId> = Vec::new();
    let request = Request::new().body("x");
    for _ in 0..10_050 {
        let (store, rejected) = (Arc::clone(&bench.store), request.rejected());
        rejects.spawn(async move { store.reject(rejected).await.unwrap() });
        // No more at one time than one connection to a busy server serves in the time that each may wait.
        if rejects.len() == 64 {
            ids.extend(std::mem::take(&mut rejects).join_all().await);
        }
    }
    ids.extend(rejects.join_all().await);
    ids.sort();
    let kept: Vec<RejectedId> = rejected(bench, ALL).await.iter().rev().map(|row| row.id).collect();
    assert!(kept == ids[50..], "{} are kept, from {:?} on", kept.len(), kept.first());
    assert_eq!(bench.store.counts().await.unwrap().rejected, 10_000);
}

pub(crate) async fn of_more_than_64_mib_of_rejected_requests_the_oldest_go_and_the_newest_stays(bench: &mut Bench) {
    let mut ids = Vec::new();
    for n in 0..70 {
        if n == 66 {
            bench.kill().await;
        }
        ids.push(bench.store.reject(Request::new().body(vec![0xff; 1 << 20]).rejected()).await.unwrap());
    }
    let kept: Vec<RejectedId> = rejected(bench, ALL).await.iter().rev().map(|row| row.id).collect();
    assert!((62..=64).contains(&kept.len()), "{} MiB are kept", kept.len());
    assert_eq!(kept, ids[70 - kept.len()..]);

    let huge = bench.store.reject(Request::new().body(vec![0xff; 65 << 20]).rejected()).await.unwrap();
    let rows = rejected(bench, ALL).await;
    assert_eq!(rows.iter().map(|row| (row.id, row.body_bytes)).collect::<Vec<_>>(), [(huge, 65 << 20)]);
    let small = bench.store.reject(Request::new().body("x").rejected()).await.unwrap();
    let kept: Vec<RejectedId> = rejected(bench, ALL).await.iter().map(|row| row.id).collect();
    assert_eq!(kept, [small], "the huge one goes as soon as it is not the newest");
}

pub(crate) async fn counts_of_those_not_let_in_add_up(bench: &mut Bench) {
    let store = &bench.store;
    store.count_refusals(vec![refusal("no-token", "192.0.2.1", 3, 5), refusal("no-token", "::1", 1, 6)]).await.unwrap();
    let earlier = refusal("no-token", "192.0.2.1", 4, 2);
    let other_id = RefusalCount { claimed_webhook_id: String::new(), ..refusal("no-token", "192.0.2.1", 1, 7) };
    store.count_refusals(vec![earlier, refusal("wrong-token", "192.0.2.1", 1, 8), other_id.clone()]).await.unwrap();
    store.count_refusals(Vec::new()).await.unwrap();
    bench.kill().await;
    let expected = [
        refusal("wrong-token", "192.0.2.1", 1, 8),
        other_id,
        refusal("no-token", "::1", 1, 6),
        refusal("no-token", "192.0.2.1", 7, 5),
    ];
    assert_eq!(bench.store.refusals(ALL).await.unwrap(), expected, "the latest first");
    assert_eq!(bench.store.refusals(2).await.unwrap(), expected[..2]);
}

pub(crate) async fn of_more_than_ten_thousand_counts_the_oldest_go(bench: &mut Bench) {
    let counts: Vec<RefusalCount> =
        (0..10_050).map(|n| refusal("no-token", &format!("2001:db8::{n:x}"), 1, n)).collect();
    for some in counts.chunks(1000) {
        bench.store.count_refusals(some.to_vec()).await.unwrap();
    }
    let kept = bench.store.refusals(ALL).await.unwrap();
    assert!(kept.iter().eq(counts[50..].iter().rev()), "{} are kept", kept.len());
}

pub(crate) async fn the_uses_of_tokens_add_up(bench: &mut Bench) {
    let used = |webhook: &str, token: &str, count, last| TokenUse {
        webhook: webhook.to_owned(),
        token: token.to_owned(),
        count,
        last_at: at(last),
    };
    let old = used("product", "0a1b", 2, 5);
    bench.store.count_uses(vec![old.clone(), used("support", "", 1, 1)]).await.unwrap();
    bench
        .store
        .count_uses(vec![TokenUse { count: 3, last_at: at(4), ..old }, used("product", "ffff", 1, 9)])
        .await
        .unwrap();
    bench.kill().await;
    let expected = [used("product", "ffff", 1, 9), used("product", "0a1b", 5, 5), used("support", "", 1, 1)];
    assert_eq!(bench.store.token_uses().await.unwrap(), expected);
}
