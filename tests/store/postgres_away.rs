//! What a store does while its server is away, slow, or of another mind, and how it goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use workhook::model::{DeliveryId, NextStep};
use workhook::store::{Appended, Duty, Settled, Store, StoreError};
use workhook::wake::Wakes;

use crate::bench::{Fixture, PATIENCE, at, claim_request, plan, settlement, to};
use crate::postgres_fixture::{PostgresFixture, connect, server};
use crate::postgres_server::{OwnServer, Pooler, Proxy, Way, open};
use crate::request::Request;

/// Within which a request must be answered, and a little more.
const DEADLINE: Duration = Duration::from_millis(2500);

/// Appends a request until the store takes it.
async fn append_when_it_is_back(store: &dyn Store, request: &Request) -> Appended {
    let again = async {
        loop {
            match store.append(request.accepted()).await {
                Ok(appended) => return appended,
                Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}"),
            }
        }
    };
    timeout(PATIENCE, again).await.expect("it goes on by itself")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_and_comes_back_is_used_again_and_nothing_acknowledged_is_lost() {
    let server = OwnServer::start();
    let store = open(server.url(), false).await;
    for _ in 0..20 {
        store.append(Request::new().accepted()).await.unwrap();
    }
    for _ in 0..2 {
        server.halt();
        let began = Instant::now();
        let away = [
            store.append(Request::new().accepted()).await.map(drop),
            store.probe().await,
            store.claim(claim_request("crm", 1, at(0))).await.map(drop),
        ];
        assert!(away.iter().all(|away| matches!(away, Err(StoreError::Unavailable(_)))), "{away:?}");
        assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
        server.resume();
        append_when_it_is_back(&store, &Request::new()).await;
        store.probe().await.unwrap();
    }
    assert_eq!(store.counts().await.unwrap().events, 22);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_given_up_in_time_and_used_again_when_it_answers() {
    let mut fixture = PostgresFixture::fresh();
    fixture.open(&Wakes::default()).await.close().await;
    let proxy = Proxy::start(&fixture.url()).await;
    let store = open(&proxy.url, true).await;
    store.append(Request::new().accepted()).await.unwrap();
    proxy.set(Way::Blocked);
    let began = Instant::now();
    let away = store.append(Request::new().accepted()).await;
    assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    proxy.set(Way::Open);
    append_when_it_is_back(&store, &Request::new()).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ruling_07_where_the_answer_of_a_commit_was_lost_a_retry_is_a_duplicate() {
    let mut fixture = PostgresFixture::fresh();
    fixture.open(&Wakes::default()).await.close().await;
    let proxy = Proxy::start(&fixture.url()).await;
    let store = open(&proxy.url, true).await;
    store.append(Request::new().accepted()).await.unwrap();
    let request = Request::new();
    proxy.set(Way::NoAnswers);
    let lost = store.append(request.accepted()).await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    proxy.set(Way::Cut);
    proxy.set(Way::Open);
    let again = append_when_it_is_back(&store, &request).await;
    assert!(matches!(again, Appended::Duplicate { id: Some(_), conflict: false }), "{again:?}");
    assert_eq!(store.counts().await.unwrap().events, 2);
    store.close().await;
}

/// What is kept of a delivery, and how much there is of what.
async fn kept(store: &dyn Store, id: DeliveryId) -> String {
    let record = store.delivery(id).await.unwrap().unwrap();
    let (next_of_lane, counts) = (store.delivery(DeliveryId(id.0 + 1)).await.unwrap(), store.counts().await.unwrap());
    format!("{record:?} {:?} {:?}", next_of_lane.and_then(|next| next.due_at), counts.deliveries)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_whose_commit_was_not_heard_of_is_kept_once_and_not_refused_when_it_comes_again() {
    let mut fixture = PostgresFixture::fresh();
    fixture.open(&Wakes::default()).await.close().await;
    let proxy = Proxy::start(&fixture.url()).await;
    let (near, far) = (fixture.open(&Wakes::default()).await, open(&proxy.url, true).await);
    assert!(near.hold(Duty::Planning, PATIENCE).await.unwrap());
    let later = || at(90);
    let cases = [
        (NextStep::Delivered, true),
        (NextStep::Dead("no".to_owned()), true),
        (NextStep::RetryAt(later()), true),
        (NextStep::WaitUntil(later()), true),
        (NextStep::Dead("used up".to_owned()), false),
    ];
    for (case, (next, tried)) in cases.into_iter().enumerate() {
        let lane = format!("lane-{case}");
        for _ in 0..2 {
            let Appended::Stored { position, .. } = near.append(Request::new().accepted()).await.unwrap() else {
                panic!("it is new")
            };
            near.plan(vec![plan(position, &[to("crm", Some(&lane))])], at(0)).await.unwrap();
        }
        let claimed = near.claim(claim_request("crm", 1, at(0))).await.unwrap().claimed.remove(0);
        let mut result = settlement(&claimed, next.clone(), at(1));
        result.outcome = result.outcome.filter(|_| tried);
        proxy.set(Way::CommitsUnheard);
        let unheard = far.settle(result.clone()).await;
        assert!(matches!(unheard, Err(StoreError::Unavailable(_))), "{next:?}: {unheard:?}");
        proxy.set(Way::Open);
        let before = kept(&*near, claimed.id).await;
        assert_eq!(far.settle(result.clone()).await.unwrap(), Settled::Kept, "{next:?}");
        let other = settlement(&claimed, NextStep::Delivered, at(2));
        assert_eq!(far.settle(other).await.unwrap(), Settled::LostLease, "another result is refused, {next:?}");
        assert_eq!(kept(&*near, claimed.id).await, before, "nothing is done twice, {next:?}");
        near.cancel(vec![claimed.id, DeliveryId(claimed.id.0 + 1)], "away".to_owned(), at(3)).await.unwrap();
        let again = far.settle(result).await.unwrap();
        assert_eq!(again, Settled::Kept, "though it was cancelled afterwards, {next:?}");
    }
    far.close().await;
    near.close().await;
}

#[tokio::test]
async fn what_the_database_gives_up_because_of_another_is_done_again_and_a_full_disk_is_told() {
    let mut fixture = PostgresFixture::fresh();
    let store = fixture.open(&Wakes::default()).await;
    fixture
        .execute(
            "CREATE SEQUENCE tries;
             CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.name = 'Disk.Full' THEN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END IF;
                 CASE nextval('tries') WHEN 1 THEN RAISE EXCEPTION 'in a ring' USING ERRCODE = '40P01';
                     WHEN 2 THEN RAISE EXCEPTION 'not in order' USING ERRCODE = '40001'; ELSE RETURN NEW; END CASE;
             END $$;
             CREATE TRIGGER give_up BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION give_up()",
        )
        .await;
    let appended = store.append(Request::new().accepted()).await.unwrap();
    assert!(matches!(appended, Appended::Stored { .. }), "{appended:?}");
    assert_eq!(fixture.number("SELECT last_value FROM tries").await, 3);
    let full = store.append(Request::new().event("Disk.Full").accepted()).await;
    assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
    assert_eq!(store.counts().await.unwrap().events, 1);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_may_give_every_transaction_another_connection() {
    let database = format!("pooled_{}", std::process::id());
    let own = connect(&server()).await;
    own.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
    let pooler = Pooler::start(&server(), &database).await;
    let stores = [open(&pooler.url, true).await, open(&pooler.url, true).await].map(Arc::new);
    let mut working = JoinSet::new();
    for n in 0..200 {
        let store = Arc::clone(&stores[n % 2]);
        working.spawn(async move { store.append(Request::new().accepted()).await.unwrap() });
    }
    working.join_all().await;
    assert!(stores[0].hold(Duty::Planning, PATIENCE).await.unwrap());
    let events = stores[0].unplanned(300).await.unwrap();
    let plans = events.iter().map(|event| plan(event.position, &[to("crm", Some("a")), to("log", None)])).collect();
    stores[0].plan(plans, at(0)).await.unwrap();
    let mut settling = JoinSet::new();
    for claimed in stores[1].claim(claim_request("log", 300, at(0))).await.unwrap().claimed {
        let store = Arc::clone(&stores[1]);
        settling.spawn(async move {
            let delivered = settlement(&claimed, NextStep::Delivered, at(1));
            store.settle(delivered).await.unwrap();
            store.event(claimed.event.id).await.unwrap().unwrap().deliveries.len()
        });
    }
    let deliveries = settling.join_all().await;
    assert_eq!((deliveries.len(), deliveries.iter().all(|count| *count == 2)), (200, true));
    for store in &stores {
        store.close().await;
    }
    drop(pooler);
    own.batch_execute(&format!("DROP DATABASE {database} WITH (FORCE)")).await.unwrap();
}
