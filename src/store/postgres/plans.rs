//! How PostgreSQL goes about each statement: by an index, never through a whole large table, and never sorting more than
//! a bounded number of rows.
//!
//! The statements are those that the store ran, whatever they are: a new look-up has to be asked for in
//! [`ask_everything`], and a new filter tried there. The tables are filled first, so that the server chooses as it would
//! choose in earnest.

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::Value as Json;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, NoTls};

use super::{PostgresStore, Settings};
use crate::model::{DeliveryId, EventFilter, HandlerName, NewReplay, Position, ReplayStep, ReplayTo, ReplayedEvents};
use crate::secret::Secret;
use crate::store::asked::ask_everything;
use crate::store::{ClaimRequest, Duty, LongestWaits, Metrics, PruneRequest, Store};
use crate::wake::Wakes;

/// What is wrong with each statement that was run, where somebody watches.
static WATCHED: Mutex<Option<BTreeMap<String, Vec<String>>>> = Mutex::new(None);

/// Asks the server how it goes about a statement that is about to be run, where somebody watches.
pub(super) async fn look_at(client: &Client, sql: &str, params: &[(&(dyn ToSql + Sync), Type)]) {
    let explained = ["SELECT", "UPDATE", "DELETE", "INSERT", "WITH"];
    let is_watched = WATCHED.lock().unwrap().is_some();
    if is_watched && explained.iter().any(|word| sql.trim_start().starts_with(word)) {
        let wrong = wrong_steps(client, sql, params).await;
        if let Some(watched) = &mut *WATCHED.lock().unwrap() {
            watched.entry(sql.to_owned()).or_default().extend(wrong);
        }
    }
}

/// Tables that stay small, by a bound or by their nature, or are as small as what nobody came to yet.
const SMALL: &[&str] = &[
    "tallies",
    "totals",
    "handlers",
    "rates",
    "marks",
    "rejected",
    "refusals",
    "token_uses",
    "replays",
    "verdicts",
    "duties",
    "processes",
    "copying",
    "unplanned",
    "uncatalogued",
];
/// What is read in whole though its table is large, and why that is little.
const LITTLE: &[(&str, &str)] = &[("deliveries_ready", "the lanes that have something pending, counted")];

/// A step of a plan, and where it stands in it.
#[derive(Debug, Clone, Copy)]
struct Step<'a> {
    json: &'a Json,
    /// Whether no more than so many of its rows are taken, in the order in which it finds them.
    limited: bool,
}

impl<'a> Step<'a> {
    fn text(self, field: &str) -> &'a str {
        self.json[field].as_str().unwrap_or_default()
    }

    fn steps(self) -> impl Iterator<Item = Step<'a>> {
        let kind = self.text("Node Type");
        // Of what another row is only looked for the first is taken.
        let first = ["Semi", "Anti"].contains(&self.text("Join Type"));
        let passes =
            ["LockRows", "Result", "Subquery Scan", "Nested Loop", "WindowAgg", "Append", "Unique"].contains(&kind);
        let steps = self.json["Plans"].as_array().map(Vec::as_slice).unwrap_or_default();
        steps.iter().enumerate().map(move |(place, json)| {
            let limited = kind == "Limit" || (passes && self.limited && place == 0) || (first && place == 1);
            Step { json, limited }
        })
    }

    /// Whether it finds a bounded number of rows, for each that is looked for; adds what is wrong.
    fn is_bounded(self, wrong: &mut Vec<String>) -> bool {
        let kind = self.text("Node Type");
        let below: Vec<bool> = self.steps().map(|step| step.is_bounded(wrong)).collect();
        let below = below.iter().all(|bounded| *bounded);
        if kind == "Sort" && !below {
            wrong.push(format!("sorts by {}", self.json["Sort Key"]));
        }
        if !kind.ends_with("Scan") || ["Function Scan", "Subquery Scan", "CTE Scan", "WorkTable Scan"].contains(&kind) {
            return below || kind == "Limit";
        }
        let (table, index) = (self.text("Relation Name"), self.text("Index Name"));
        let little = SMALL.contains(&table) || LITTLE.iter().any(|(own, _)| *own == index);
        if kind == "Bitmap Heap Scan" {
            return below || little;
        }
        let condition = self.text("Index Cond");
        let is_found = [" = ", " @> ", "= ANY"].iter().any(|sign| condition.contains(sign));
        let bounded =
            little || is_found || (self.limited && kind != "Seq Scan") || SMALL.iter().any(|t| index.starts_with(t));
        if !bounded {
            wrong.push(format!("{kind} of {table} {index} {condition}"));
        }
        bounded
    }
}

/// JSON as the server writes it.
struct Told(Json);

impl<'a> FromSql<'a> for Told {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Told, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Told(serde_json::from_slice(raw)?))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }
}

/// What is wrong with how a statement is run with these parameters.
async fn wrong_steps(client: &Client, sql: &str, params: &[(&(dyn ToSql + Sync), Type)]) -> Vec<String> {
    let explained = client.query_typed(&format!("EXPLAIN (FORMAT JSON) {sql}"), params).await;
    let rows = explained.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    let Told(plan) = rows[0].get(0);
    let mut wrong = Vec::new();
    Step { json: &plan[0]["Plan"], limited: false }.is_bounded(&mut wrong);
    wrong
}

/// A schema that is filled, and a client in it.
struct Bench {
    client: Client,
    settings: Settings,
    schema: String,
}

impl Bench {
    /// Makes the tables by opening a store, or by hand where nobody may be watched.
    async fn filled(schema: &str, by_hand: bool) -> Bench {
        let url = std::env::var("WORKHOOK_TEST_POSTGRES").expect("tests/run starts a server and says where it is");
        let schema = format!("{schema}_{}", std::process::id());
        let connect = async |url: &str| {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        };
        connect(&url).await.batch_execute(&format!("CREATE SCHEMA {schema}")).await.unwrap();
        let sign = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{sign}options=-csearch_path%3D{schema}");
        let client = connect(&url).await;
        // Large as they are, these tables are still small enough to be read through for a page of a thousand.
        let settings = Settings::new(Secret::new(format!("{url}%20-cenable_seqscan%3Doff")));
        if by_hand {
            client.batch_execute(include_str!("migrations/V1__first.sql")).await.unwrap();
        } else {
            open(&settings).await.close().await;
        }
        client.batch_execute(FILL).await.unwrap();
        Bench { client, settings, schema }
    }

    async fn end(self) {
        self.client.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.schema)).await.unwrap();
    }
}

async fn open(settings: &Settings) -> PostgresStore {
    PostgresStore::open(settings, &Wakes::default(), Metrics::default()).await.unwrap()
}

/// Many events, each with two deliveries, of which few are not delivered.
const FILL: &str = r#"
    INSERT INTO events (id, webhook, brand, claimed_webhook_id, name, entity, received_at, retry_num, headers, body)
        SELECT gen_random_uuid(), 'product', 'leiga', '', 'Issue.Update', 'leiga/tenant:1/issue/' || n % 500, n, 0, '', '{}'
        FROM generate_series(1, 20000) AS n;
    INSERT INTO unplanned SELECT position FROM events WHERE position > 19990;
    INSERT INTO uncatalogued SELECT position FROM events WHERE position > 19980;
    INSERT INTO terms SELECT position, ARRAY[position, position % 10, 0] FROM events WHERE position <= 19980;
    INSERT INTO verdicts (hash, not_routed) VALUES ('a', '[]');
    INSERT INTO plans SELECT position, position, 0, 1 FROM events WHERE position <= 19990;
    INSERT INTO deliveries (position, handler, number, lane, lane_hash, state, ready_at, planned_at)
        SELECT position, handler, 0, entity, decode(md5(entity), 'hex'),
            CASE position % 100 WHEN 0 THEN 'dead' WHEN 1 THEN 'pending' ELSE 'delivered' END,
            CASE position % 200 WHEN 1 THEN position END, position
        FROM events CROSS JOIN (VALUES ('crm'), ('log')) AS h (handler) WHERE position <= 19990 ORDER BY position;
    INSERT INTO attempts SELECT id, 1, 1, 'delivered', 0, 0, NULL, '', '' FROM deliveries;
    INSERT INTO tallies SELECT handler, state, 0, count(*) FROM deliveries GROUP BY handler, state;
    INSERT INTO keys SELECT decode(md5(position::text), 'hex'), false, position, position FROM events;
    INSERT INTO duplicates SELECT position, 1 FROM events WHERE position % 10 = 0;
    INSERT INTO receipts SELECT position, 1, 0, 0, NULL, NULL, false, NULL FROM duplicates;
    ANALYZE events, unplanned, uncatalogued, terms, plans, deliveries, attempts, keys, duplicates, receipts;
"#;

/// Does what changes something.
async fn do_everything(store: &PostgresStore) {
    for duty in [Duty::Planning, Duty::Replaying, Duty::Upkeep] {
        assert!(store.hold(duty, std::time::Duration::from_secs(600)).await.unwrap());
    }
    let (crm, now) = (HandlerName::parse("crm").unwrap(), Timestamp::UNIX_EPOCH);
    let lease = std::time::Duration::from_secs(60);
    store.start_planning().await.unwrap();
    store.claim(ClaimRequest { handler: crm.clone(), limit: 3, now, lease }).await.unwrap();
    store.shorten_waits(LongestWaits { handler: crm.clone(), now, retry: lease, lease }).await.unwrap();
    let events = ReplayedEvents::Filter(EventFilter::default());
    let new = NewReplay { events, to: ReplayTo::SameHandlers, undelivered: true, per_second: None, at: now };
    let replay = store.start_replay(new).await.unwrap().unwrap();
    let step = ReplayStep { events: vec![(Position(7), Vec::new())], asked_before: true, undelivered: true };
    store.preview_replay(step.clone()).await.unwrap();
    store.step_replay(replay.id, step, Position(9), now).await.unwrap();
    let ids: Vec<DeliveryId> = (200..210).map(DeliveryId).collect();
    store.retry(ids.clone(), now).await.unwrap();
    store.cancel(ids, "enough".to_owned(), now).await.unwrap();
    let request =
        PruneRequest { received_before: Timestamp::MAX, after: Position(0), limit: 20, known_handlers: vec![crm] };
    assert!(store.prune(request).await.unwrap().removed > 0);
    store.tidy_keys(Timestamp::from_millisecond(5).unwrap()).await.unwrap();
}

#[tokio::test]
async fn every_statement_goes_by_an_index_and_sorts_little() {
    let bench = Bench::filled("plans", false).await;
    let store = open(&bench.settings).await;
    *WATCHED.lock().unwrap() = Some(BTreeMap::new());
    do_everything(&store).await;
    ask_everything(&store).await;
    let watched = WATCHED.lock().unwrap().take().unwrap();
    store.close().await;
    bench.end().await;
    assert!(watched.len() > 60, "{} statements", watched.len());
    let wrong: Vec<_> = watched.iter().filter(|(_, wrong)| !wrong.is_empty()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_statement_through_a_whole_table_or_with_a_sort_is_told() {
    let bench = Bench::filled("wrong_plans", true).await;
    let check = async |sql: &str, expected: usize| {
        let wrong = wrong_steps(&bench.client, sql, &[(&7_i64, Type::INT8)]).await;
        assert_eq!(wrong.len(), expected, "{sql}: {wrong:?}");
    };
    check("SELECT id FROM events WHERE received_at = $1", 1).await;
    check("SELECT id FROM events WHERE position > $1", 1).await;
    check("SELECT count(*) FROM deliveries WHERE epoch = $1", 1).await;
    check("SELECT id FROM events WHERE position > $1 ORDER BY received_at LIMIT 5", 2).await;
    check("SELECT id FROM events WHERE position > $1 ORDER BY position LIMIT 5", 0).await;
    check("SELECT id FROM deliveries WHERE position = $1 ORDER BY id DESC", 0).await;
    check("SELECT count FROM tallies WHERE count > $1", 0).await;
    bench.end().await;
}
