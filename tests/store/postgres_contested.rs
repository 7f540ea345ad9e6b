//! What becomes of requests while another process holds what they need, as one does that fell asleep in a transaction.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_postgres::Client;
use workhook::store::{Appended, Config, Metrics, Place, PostgresStore, Store, StoreError};
use workhook::telemetry::metrics::Registry;
use workhook::wake::Wakes;

use crate::bench::{Fixture, PATIENCE};
use crate::postgres_fixture::{PostgresFixture, connect};
use crate::request::Request;

/// Within which a request must be answered, and far more, for a busy machine; less than somebody asleep holds something.
const DEADLINE: Duration = Duration::from_secs(8);

/// Who stores something and waits for a lock now, and since when their transactions have been under way.
async fn waiting(own: &Client) -> Vec<String> {
    let sql = "SELECT pid || ' since ' || xact_start FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                   AND pid IN (SELECT pid FROM pg_locks WHERE relation = 'keys'::regclass)";
    own.query_typed(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Makes sure that somebody waits for what is held, and holds no count meanwhile.
async fn assert_counts_are_free(fixture: &PostgresFixture, asleep: &Client) {
    let looked = async {
        let own = connect(&fixture.url()).await;
        loop {
            let before = waiting(&own).await;
            let free = asleep.batch_execute("SAVEPOINT look; SELECT FROM totals FOR UPDATE NOWAIT").await;
            asleep.batch_execute("ROLLBACK TO look; RELEASE look").await.unwrap();
            // Who gave up in between may have made way for somebody who counts.
            if waiting(&own).await.iter().any(|waits| before.contains(waits)) {
                return free;
            }
        }
    };
    timeout(PATIENCE, looked).await.expect("somebody waits").expect("no count is held by who waits");
}

/// Begins a transaction, and holds something in it until it is rolled back, or for ten seconds.
async fn holding(fixture: &PostgresFixture, sql: &str) -> Client {
    let asleep = connect(&fixture.url()).await;
    let begin = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s'";
    asleep.batch_execute(&format!("{begin}; {sql}")).await.unwrap();
    asleep
}

fn is_stored(appended: &Result<Appended, StoreError>) -> bool {
    matches!(appended, Ok(Appended::Stored { .. }))
}

fn is_known(appended: &Result<Appended, StoreError>) -> bool {
    matches!(appended, Ok(Appended::Duplicate { .. }))
}

// One thread, so that what is handed over together is one batch.
#[tokio::test]
async fn what_somebody_asleep_holds_fails_nobody_beside_it_and_is_stored_when_it_is_let_go() {
    let mut fixture = PostgresFixture::fresh();
    let store = fixture.open(&Wakes::default()).await;
    let request = Request::new();
    store.append(request.accepted()).await.unwrap();
    for lets_go in [true, false] {
        let asleep = holding(&fixture, "DELETE FROM keys WHERE NOT daily").await;
        let began = Instant::now();
        let contested = {
            let (store, accepted) = (Arc::clone(&store), request.accepted());
            tokio::spawn(async move { store.append(accepted).await })
        };
        let mut others = JoinSet::new();
        for n in 0..40 {
            // Some of those that need a look first.
            let other = if n % 4 == 0 { Request::new().retry(1) } else { Request::new() };
            let (store, other) = (Arc::clone(&store), other.body(format!("{{\"n\":{n},\"at\":\"{lets_go}\"}}")));
            others.spawn(async move { store.append(other.accepted()).await });
        }
        let others = others.join_all().await;
        assert!(others.iter().all(is_stored), "{others:?}");
        for _ in 0..5 {
            assert!(is_stored(&store.append(Request::new().accepted()).await), "nor anybody who comes later");
        }
        if lets_go {
            asleep.batch_execute("ROLLBACK").await.unwrap();
            let known = contested.await.unwrap();
            assert!(is_known(&known), "{known:?}");
        } else {
            let late = contested.await.unwrap();
            assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
            asleep.batch_execute("ROLLBACK").await.unwrap();
        }
        assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    }
    assert!(is_known(&store.append(request.accepted()).await));
    assert_eq!(store.counts().await.unwrap().events, 91);
    store.close().await;
}

/// Hands requests over together, in this order.
fn hand_over(store: &Arc<dyn Store>, requests: &[Request]) -> Vec<JoinHandle<Result<Appended, StoreError>>> {
    let append = |request: &Request| {
        let (store, accepted) = (Arc::clone(store), request.accepted());
        tokio::spawn(async move { store.append(accepted).await })
    };
    requests.iter().map(append).collect()
}

#[tokio::test]
async fn however_many_keys_somebody_asleep_holds_all_that_came_behind_them_is_stored_meanwhile() {
    let mut fixture = PostgresFixture::fresh();
    let store = fixture.open(&Wakes::default()).await;
    let requests: Vec<Request> = (0..512).map(|_| Request::new()).collect();
    let (held, others) = requests.split_at(32);
    for held in hand_over(&store, held) {
        assert!(is_stored(&held.await.unwrap()));
    }
    let asleep = holding(&fixture, "DELETE FROM keys WHERE NOT daily").await;
    let (contested, others) = (hand_over(&store, held), hand_over(&store, others));
    for other in others {
        let told = other.await.unwrap();
        assert!(is_stored(&told), "{told:?}");
    }
    asleep.batch_execute("ROLLBACK").await.unwrap();
    for contested in contested {
        let told = contested.await.unwrap();
        assert!(!is_stored(&told), "it is known, or was told in time that it waited for too long: {told:?}");
    }
    for held in held {
        assert!(is_known(&store.append(held.accepted()).await));
    }
    assert_eq!(store.counts().await.unwrap().events, 512);
    store.close().await;
}

#[tokio::test]
async fn while_many_wait_behind_a_batch_that_is_under_way_the_store_is_pressed() {
    let mut fixture = PostgresFixture::fresh();
    let store = fixture.open(&Wakes::default()).await;
    let (request, own) = (Request::new(), connect(&fixture.url()).await);
    store.append(request.accepted()).await.unwrap();
    let asleep = holding(&fixture, "DELETE FROM keys WHERE NOT daily").await;
    let mut told = hand_over(&store, &[request]);
    let under_way = async { while waiting(&own).await.is_empty() {} };
    timeout(PATIENCE, under_way).await.expect("it waits");
    assert!(!store.is_pressed(), "nobody waits but for what is under way");
    // More than one batch takes, so that some wait at any rate.
    told.extend(hand_over(&store, &(0..600).map(|_| Request::new()).collect::<Vec<_>>()));
    let pressed = async {
        while !store.is_pressed() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, pressed).await.expect("it is pressed");
    asleep.batch_execute("ROLLBACK").await.unwrap();
    for told in told {
        // Whatever it is: of so many some may be turned away on a slow disk.
        let _ = told.await.unwrap();
    }
    assert!(!store.is_pressed());
    store.close().await;
}

#[tokio::test]
async fn what_was_contested_for_too_long_counts_as_a_commit_that_failed() {
    let mut fixture = PostgresFixture::fresh();
    fixture.open(&Wakes::default()).await.close().await;
    let (settings, mut registry) = (fixture.settings(), Registry::default());
    let config = Config { place: Place::Postgres(Box::new(settings.clone())), retention: None, max_size: None };
    let metrics = Metrics::new(&mut registry, &config);
    let store = PostgresStore::open(&settings, &Wakes::default(), metrics).await.unwrap();
    let request = Request::new();
    store.append(request.accepted()).await.unwrap();
    let asleep = holding(&fixture, "DELETE FROM keys WHERE NOT daily").await;
    let late = store.append(request.accepted()).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    asleep.batch_execute("ROLLBACK").await.unwrap();
    // What is told comes before what is counted, and closing comes after both.
    store.close().await;
    let told = registry.open_metrics();
    assert!(told.lines().any(|line| line == "workhook_commits_failed_total 1"), "{told}");
}

#[tokio::test]
async fn what_is_contested_when_the_store_is_closed_is_told() {
    let mut fixture = PostgresFixture::fresh();
    let store = fixture.open(&Wakes::default()).await;
    let request = Request::new();
    store.append(request.accepted()).await.unwrap();
    let asleep = holding(&fixture, "DELETE FROM keys WHERE NOT daily").await;
    // Handed over first, and then closed.
    let (told, closed) = tokio::join!(store.append(request.accepted()), timeout(DEADLINE, store.close()));
    assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");
    assert!(closed.is_ok(), "it ends");
    asleep.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn who_waits_for_somebody_holds_up_nobody_who_counts() {
    let mut fixture = PostgresFixture::fresh();
    let store = fixture.open(&Wakes::default()).await;
    let request = Request::new();
    store.append(request.accepted()).await.unwrap();
    // So that whoever counts finds a count that can be held.
    let counts =
        "INSERT INTO totals (name, shard, count) SELECT 'events', shard, 0 FROM generate_series(0, 63) AS shard
                  ON CONFLICT DO NOTHING";
    fixture.execute(counts).await;

    // As removing it does.
    let asleep = holding(&fixture, "SELECT FROM events FOR UPDATE").await;
    let (known, new, ()) = tokio::join!(
        store.append(request.accepted()),
        store.append(Request::new().body("{\"retried\":1}").retry(1).accepted()),
        async {
            assert_counts_are_free(&fixture, &asleep).await;
            asleep.batch_execute("ROLLBACK").await.unwrap();
        }
    );
    assert!(is_known(&known) && is_stored(&new), "{known:?} {new:?}");

    // As looking for a retry does.
    let asleep = holding(&fixture, "SELECT FROM keys WHERE daily FOR UPDATE").await;
    let (new, ()) = tokio::join!(store.append(Request::new().body("{\"retried\":1}").accepted()), async {
        assert_counts_are_free(&fixture, &asleep).await;
        asleep.batch_execute("ROLLBACK").await.unwrap();
    });
    assert!(is_stored(&new), "{new:?}");
    assert_eq!(store.counts().await.unwrap().events, 3);
    store.close().await;
}
