//! What PostgreSQL promises of lists beyond the trait: whoever follows the newest misses nothing, though positions are
//! given before they are committed.

use std::time::Duration;

use workhook::clock::Clock;
use workhook::model::Position;
use workhook::store::{EventQuery, Start, Store};
use workhook::wake::Wakes;

use crate::bench::{ALL, Fixture, PATIENCE};
use crate::postgres_fixture::{PostgresFixture, connect};
use crate::request::Request;

const STORE: &str = "INSERT INTO events (id, webhook, brand, claimed_webhook_id, name, received_at, retry_num, headers,
        body)
    VALUES (gen_random_uuid(), 'product', 'leiga', '', 'Issue.Update', 0, 0, '', '{}')";

async fn behind(store: &dyn Store, after: i64) -> Vec<Position> {
    let query = EventQuery { limit: ALL, start: Start::After(Position(after)), ..EventQuery::default() };
    store.events(query).await.unwrap().items.iter().map(|row| row.event.position).collect()
}

#[tokio::test]
async fn a_page_towards_the_newest_waits_for_what_is_being_stored_before_its_last() {
    let mut fixture = PostgresFixture::fresh();
    let store = fixture.open(&Wakes::default()).await;
    let other = connect(&fixture.url()).await;
    for (end, expected) in [("COMMIT", &[1, 2][..]), ("ROLLBACK", &[1, 2, 4])] {
        other.batch_execute(&format!("BEGIN; {STORE}")).await.unwrap();
        store.append(Request::new().received_at(Clock::system().now()).accepted()).await.unwrap();
        let expected: Vec<Position> = expected.iter().copied().map(Position).collect();
        let last = expected.last().unwrap().0;
        assert_eq!(behind(&*store, last - 1).await, [Position(last)], "nothing is missing behind it");
        let mut reading = std::pin::pin!(behind(&*store, 0));
        let waits = tokio::time::timeout(Duration::from_millis(100), &mut reading).await;
        assert!(waits.is_err(), "{waits:?}");
        other.batch_execute(end).await.unwrap();
        let read = tokio::time::timeout(PATIENCE, reading).await.expect("it waits no longer than that takes");
        assert_eq!(read, expected, "{end}");
    }
    store.close().await;
}
