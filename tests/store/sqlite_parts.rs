//! What SQLite promises of a catalogue that is larger than one part: everything is found through all of them, and each
//! goes with its events.

use std::collections::BTreeSet;

use rusqlite::Connection;
use workhook::model::{EventFilter, Position};
use workhook::store::{EventQuery, ForgetAbout, ForgetStep, PruneRequest, SqliteSettings, Start};

use crate::bench::{ALL, Bench, Fixture, PATIENCE, at, plan};
use crate::request::Request;
use crate::sqlite_fixture::SqliteFixture;

/// How many positions a part is about.
const POSITIONS: i64 = 65_536;

fn by(name: &str) -> Request {
    Request::new().body(format!(r#"{{"date":1,"trigger":{{"user":{{"id":7,"name":"{name}"}}}}}}"#))
}

/// A store, the path of whose database is told.
async fn fresh() -> (Bench, SqliteSettings) {
    let fixture = SqliteFixture::fresh();
    let config = fixture.config();
    (Bench::of(fixture).await, config)
}

/// Has the next event stored at a position, as though there had been others.
fn go_to(config: &SqliteSettings, position: i64) {
    let connection = Connection::open(&config.path).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection
        .execute_batch(&format!(
            "DELETE FROM sqlite_sequence WHERE name = 'events';
             INSERT INTO sqlite_sequence (name, seq) VALUES ('events', {})",
            position - 1
        ))
        .unwrap();
}

/// The parts that there are, by the names of their tables.
fn parts(config: &SqliteSettings) -> BTreeSet<String> {
    let connection = Connection::open(&config.path).unwrap();
    let mut names = connection
        .prepare("SELECT name FROM sqlite_schema WHERE name GLOB 'terms*' AND sql LIKE 'CREATE VIRTUAL%'")
        .unwrap();
    names.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn tables(numbers: impl IntoIterator<Item = i64>) -> BTreeSet<String> {
    numbers.into_iter().map(|number| format!("terms_{number}")).collect()
}

/// All events of a person, page by page, and how many pages those were.
async fn pages(bench: &Bench, person: &str, forward: bool, limit: usize) -> (Vec<i64>, usize) {
    let filter = EventFilter { person: Some(person.to_owned()), ..EventFilter::default() };
    let mut start = if forward { Start::After(Position(0)) } else { Start::Newest };
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = bench.store.events(EventQuery { limit, start, filter: filter.clone() }).await.unwrap();
        found.extend(page.items.iter().map(|row| row.event.position.0));
        pages += 1;
        let Some(next) = page.next.map(Position) else { return (found, pages) };
        start = if forward { Start::After(next) } else { Start::Before(next) };
    }
}

async fn prune(bench: &Bench, limit: usize) -> u64 {
    let unplanned = bench.store.unplanned(ALL).await.unwrap();
    bench.store.plan(unplanned.iter().map(|event| plan(event.position, &[])).collect(), at(0)).await.unwrap();
    let received_before = jiff::Timestamp::MAX;
    let request = PruneRequest { received_before, after: Position(0), limit, known_handlers: Vec::new() };
    bench.store.prune(request).await.unwrap().removed
}

#[tokio::test]
async fn a_list_goes_from_part_to_part_in_both_directions() {
    let (bench, config) = fresh().await;
    go_to(&config, POSITIONS - 3);
    for name in ["Jane", "Max", "Jane", "Jane", "Max", "Jane"] {
        bench.stored(&by(name)).await;
    }
    while bench.store.catalogue(4).await.unwrap() > 0 {}
    assert_eq!(parts(&config), tables([0, 1]));
    let of_jane = [POSITIONS - 3, POSITIONS - 1, POSITIONS, POSITIONS + 2];
    for limit in [1, 2, 3, ALL] {
        assert_eq!(pages(&bench, "Jane", true, limit).await.0, of_jane);
        let newest_first: Vec<i64> = of_jane.into_iter().rev().collect();
        assert_eq!(pages(&bench, "Jane", false, limit).await.0, newest_first);
    }
    bench.store.close().await;
}

#[tokio::test]
async fn a_page_searches_so_many_parts_and_the_next_one_goes_on() {
    let (bench, config) = fresh().await;
    for part in 0..150 {
        go_to(&config, part * POSITIONS + 1);
        bench.stored(&by(if part % 149 == 0 { "Jane" } else { "Max" })).await;
    }
    bench.store.catalogue(ALL).await.unwrap();
    assert_eq!(parts(&config), tables(0..150));
    let (first, last) = (1, 149 * POSITIONS + 1);
    assert_eq!(pages(&bench, "Jane", true, ALL).await, (vec![first, last], 3));
    assert_eq!(pages(&bench, "Jane", false, ALL).await, (vec![last, first], 3));
    assert_eq!(pages(&bench, "Nobody", false, ALL).await, (vec![], 3));
    bench.store.close().await;
}

#[tokio::test]
async fn a_part_goes_when_none_of_its_events_is_left_and_is_made_again_when_one_comes() {
    let (bench, config) = fresh().await;
    go_to(&config, POSITIONS - 2);
    for _ in 0..4 {
        bench.stored(&by("Jane")).await;
    }
    bench.store.catalogue(ALL).await.unwrap();
    assert_eq!((prune(&bench, 1).await, parts(&config)), (1, tables([0, 1])));
    assert_eq!(pages(&bench, "Jane", true, ALL).await.0, [POSITIONS - 1, POSITIONS, POSITIONS + 1]);
    assert_eq!((prune(&bench, 1).await, parts(&config)), (1, tables([1])));
    assert_eq!(pages(&bench, "Jane", true, ALL).await.0, [POSITIONS, POSITIONS + 1]);
    assert_eq!((prune(&bench, ALL).await, parts(&config)), (2, tables([])));
    bench.stored(&by("Jane")).await;
    bench.store.catalogue(ALL).await.unwrap();
    assert_eq!(parts(&config), tables([1]));
    assert_eq!(pages(&bench, "Jane", true, ALL).await.0, [POSITIONS + 2]);
    bench.store.close().await;
}

#[tokio::test]
async fn forgetting_cleans_every_part_of_what_was_removed_by_whomever() {
    let (bench, config) = fresh().await;
    go_to(&config, POSITIONS - 2);
    // The first goes by its age, and the last ones are forgotten; each has a word that stands nowhere else.
    for name in ["Zanzibarcelona", "Max", "Timbuktulane", "Timbuktulane"] {
        bench.stored(&by(name)).await;
    }
    bench.store.catalogue(ALL).await.unwrap();
    assert_eq!(prune(&bench, 1).await, 1);
    assert!(is_in_a_part(&config, "zanzibarcelona"), "its part has other events");
    let about = ForgetAbout::Person("Timbuktulane".to_owned());
    let mut step = ForgetStep { about, after: Position(0), limit: ALL, dry_run: false };
    while let Some(through) = bench.store.forget(step.clone()).await.unwrap().through {
        step.after = through;
    }
    for gone in ["zanzibarcelona", "timbuktulane"] {
        assert!(!is_in_a_part(&config, gone), "{gone}");
    }
    assert_eq!(pages(&bench, "Max", true, ALL).await.0, [POSITIONS - 1]);
    assert!(is_in_a_part(&config, "max"));
    bench.store.close().await;
}

/// Whether a term stands in what the parts keep.
fn is_in_a_part(config: &SqliteSettings, term: &str) -> bool {
    let connection = Connection::open(&config.path).unwrap();
    parts(config).iter().any(|part| {
        let mut blocks = connection.prepare(&format!("SELECT block FROM {part}_data")).unwrap();
        let mut blocks = blocks.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap().map(Result::unwrap);
        blocks.any(|block| block.windows(term.len()).any(|window| window == term.as_bytes()))
    })
}
