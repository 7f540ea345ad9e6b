//! What becomes of requests while another process holds what they need, as one does that fell asleep in a transaction.

use tokio::time::timeout;
use tokio_postgres::Client;
use workhook::store::{Appended, StoreError};
use workhook::wake::Wakes;

use crate::bench::{Fixture, PATIENCE};
use crate::postgres_fixture::{PostgresFixture, connect};
use crate::request::Request;

/// Waits until somebody who stores something waits for a lock.
async fn waits(fixture: &PostgresFixture) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                   AND pid IN (SELECT pid FROM pg_locks WHERE relation = 'keys'::regclass)";
    let waiting = async {
        let own = connect(&fixture.url()).await;
        while own.query_typed_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("somebody waits");
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

#[tokio::test]
async fn who_waits_for_somebody_holds_up_nobody_who_counts() {
    let mut fixture = PostgresFixture::fresh();
    let store = fixture.open(&Wakes::default()).await;
    let request = Request::new();
    store.append(request.accepted()).await.unwrap();
    let counts = "SET LOCAL lock_timeout = '20ms'; UPDATE totals SET count = count";

    // As removing it does.
    let asleep = holding(&fixture, "SELECT FROM events FOR UPDATE").await;
    let (known, new, ()) = tokio::join!(
        store.append(request.accepted()),
        store.append(Request::new().body("{\"retried\":1}").retry(1).accepted()),
        async {
            waits(&fixture).await;
            asleep.batch_execute(counts).await.expect("no count is held by who waits for an event");
            asleep.batch_execute("ROLLBACK").await.unwrap();
        }
    );
    assert!(is_known(&known) && is_stored(&new), "{known:?} {new:?}");

    // As looking for a retry does.
    let asleep = holding(&fixture, "SELECT FROM keys WHERE daily FOR UPDATE").await;
    let (new, ()) = tokio::join!(store.append(Request::new().body("{\"retried\":1}").accepted()), async {
        waits(&fixture).await;
        asleep.batch_execute(counts).await.expect("no count is held by who waits for a key");
        asleep.batch_execute("ROLLBACK").await.unwrap();
    });
    assert!(is_stored(&new), "{new:?}");
    assert_eq!(store.counts().await.unwrap().events, 3);
    store.close().await;
}
