//! `/metrics`: what it tells agrees with what was done, and with the documents, and nothing of what was sent is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use workhook::contract::Brand;
use workhook::{Any, Event, Failure, Registry};

use crate::support::raw::read;
use crate::support::scrape::{Sample, Scrape};
use crate::support::{Post, TOKEN, TestApp, TestReceiver, until};

const OPERATIONS: &str = include_str!("../../docs/operations.md");
const ALERTS: &str = include_str!("../../docs/alerts.yml");
const ALERTS_TEST: &str = include_str!("../../docs/alerts_test.yml");

fn post() -> Post {
    Post::new(Brand::Leiga, "Issue.Update")
}

async fn get(app: &TestApp, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = reqwest::Client::new().get(format!("http://{}/metrics", app.private));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn scrape(app: &TestApp) -> Scrape {
    let response = get(app, &[]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    Scrape::read(&response.text().await.unwrap())
}

#[tokio::test]
async fn only_whoever_has_the_credential_is_told() {
    let app = TestApp::with("[admin]\ntoken = \"key\"").start().await;
    assert_eq!(get(&app, &[]).await.status(), 401);
    assert_eq!(get(&app, &[("authorization", "Bearer kex")]).await.status(), 401);
    assert_eq!(get(&app, &[("authorization", "Bearer key")]).await.status(), 200);
    let app = TestApp::with("").start().await;
    assert_eq!(get(&app, &[("host", "evil.example")]).await.status(), 403);
}

#[tokio::test]
async fn webhooks_and_handlers_are_told_for_as_long_as_they_are_configured() {
    let receiver = TestReceiver::start().await;
    let with = |name: &str| {
        let webhook = format!("[[webhook]]\nname = \"{name}\"\ntokens = [\"token-of-{name}\"]\n");
        format!("{webhook}{}", receiver.handler(name, ""))
    };
    let app = TestApp::with(&with("old")).start().await;
    app.reloaded(&with("new")).await;
    let of = async |family: &str, label: &str| -> Vec<(String, f64)> {
        let samples = scrape(&app).await.samples.into_iter().filter(|sample| sample.name == family);
        samples.map(|sample| (sample.labels[label].clone(), sample.value)).collect()
    };
    let mut last = of("workhook_last_event_timestamp_seconds", "webhook").await;
    last.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(last.iter().map(|(webhook, _)| webhook.as_str()).collect::<Vec<_>>(), ["new", "product"]);
    assert!(last.iter().all(|(_, at)| *at > 1_700_000_000.0), "{last:?}");
    until("the old handler's loop has ended", || async {
        let running = of("workhook_attempts_running", "handler").await;
        running.iter().map(|(handler, _)| handler.as_str()).eq(["new"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_counted_is_what_was_sent() {
    let app = TestApp::with("").start().await;
    for n in 1..=3 {
        app.send(post().set("ID", &format!("id-{n}")).issue(n, n)).await;
    }
    app.send(post().set("ID", "id-1").set("Retry-Num", "1").issue(1, 1)).await;
    app.send(post().set("ID", "id-1").issue(1, 2)).await;
    let others = [
        (post().body("[]"), 400),
        (post().set("Token", "wrong"), 401),
        (post().set("Token", "wrong as well"), 401),
        (post().header("content-encoding", "gzip"), 415),
        (post().set("Retry-Num", "2").set("ID", "id-4").body("{"), 400),
    ];
    for (post, status) in others {
        assert_eq!(post.send(app.public).await.status, status);
    }
    let told = app.settled().await;
    let scrape = scrape(&app).await;
    let requests = |outcome| scrape.sum("workhook_requests_total", &[("outcome", outcome)]);
    assert_eq!(["accepted", "duplicate", "conflict", "rejected"].map(requests), [3.0, 1.0, 1.0, 2.0]);
    assert_eq!(["turned-away", "unavailable"].map(requests), [3.0, 0.0]);
    assert_eq!(scrape.sum("workhook_requests_total", &[("code", "wrong-token")]), 2.0);
    assert_eq!(scrape.sum("workhook_requests_total", &[("code", "encoded")]), 1.0);
    assert_eq!(scrape.sum("workhook_refused_tokens_total", &[]), 2.0);
    assert_eq!(scrape.sum("workhook_sender_retries_total", &[("webhook", "product")]), 1.0);
    assert_eq!(scrape.sum("workhook_acknowledgement_seconds_count", &[]), 5.0);
    assert_eq!(scrape.sum("workhook_commit_requests_sum", &[]), 5.0);
    assert_eq!(scrape.sum("workhook_in_flight_bytes", &[]), 0.0);
    assert_eq!(scrape.sum("workhook_waiting_requests", &[]), 0.0);
    let stored = [("webhook", "product"), ("event", "Issue.Update")];
    assert_eq!(scrape.sum("workhook_events_stored_total", &stored), 3.0);
    assert_eq!(scrape.sum("workhook_events_kept", &[]), 3.0);
    assert_eq!(told.events, 3);
    assert_eq!((scrape.sum("workhook_rejected_kept", &[]), told.rejected), (2.0, 2));
    assert_eq!(scrape.sum("workhook_events_planned_total", &[]), 3.0);
    let age = scrape.sum("workhook_last_event_timestamp_seconds", &[]) - scrape.sum("workhook_start_time_seconds", &[]);
    assert!((0.0..60.0).contains(&age), "{age}");
    assert!(scrape.sum("workhook_database_bytes", &[]) > 0.0, "{}", scrape.text);
    assert!(scrape.sum("workhook_write_ahead_log_bytes", &[]) > 0.0, "{}", scrape.text);
}

#[tokio::test]
async fn what_is_shed_is_counted_with_its_reason() {
    let config = "[ingest]\nmax_body = \"64KiB\"\nmax_in_flight = \"64KiB\"\nmax_connections = 2";
    let app = TestApp::with(config).start().await;
    let mut slow = TcpStream::connect(app.public).await.unwrap();
    slow.write_all(post().header("Expect", "100-continue").head(60_000).as_bytes()).await.unwrap();
    assert_eq!(read(&mut slow).await.unwrap().status, 100, "its share is set aside");
    assert_eq!(scrape(&app).await.sum("workhook_in_flight_bytes", &[]), 60_000.0);
    let big = post().body("x".repeat(20_000));
    assert_eq!(big.send(app.public).await.status, 503);
    let mut another = TcpStream::connect(app.public).await.unwrap();
    another.write_all(post().header("Expect", "100-continue").head(100).as_bytes()).await.unwrap();
    assert_eq!(read(&mut another).await.unwrap().status, 100);
    assert_eq!(post().send(app.public).await.status, 503);
    let scrape = scrape(&app).await;
    let shed = |code| scrape.sum("workhook_requests_total", &[("outcome", "unavailable"), ("code", code)]);
    assert_eq!(["over-budget", "connections", "busy", "late"].map(shed), [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(scrape.sum("workhook_connections", &[]), 2.0);
}

#[tokio::test]
async fn attempts_and_dead_letters_agree_with_what_the_api_tells() {
    let receiver = TestReceiver::start().await;
    receiver.answer(|received| crate::support::receiver::Reply {
        status: match (received.header("workhook-attempt"), received.header("x-leiga-id")) {
            (_, "gone") => 410,
            ("1", "again") => 500,
            _ => 200,
        },
        ..Default::default()
    });
    let app = TestApp::with(&receiver.handler("crm", "retry = { first = \"1ms\" }")).start().await;
    for (issue, id) in ["gone", "again", "good"].into_iter().enumerate() {
        app.send(post().set("ID", id).issue(issue as u64, 1)).await;
    }
    let told = app.settled().await;
    let scrape = scrape(&app).await;
    let crm = ("handler", "crm");
    let attempts = |outcome| scrape.sum("workhook_attempts_total", &[crm, ("outcome", outcome)]);
    assert_eq!(
        ["delivered", "failed", "refused", "throttled", "lost"].map(attempts),
        [2.0, 1.0, 1.0, 0.0, 0.0],
        "{}",
        scrape.text
    );
    assert_eq!(scrape.sum("workhook_attempt_seconds_count", &[crm]), 4.0);
    assert_eq!(scrape.sum("workhook_dead_letters_total", &[crm]), 1.0);
    for state in ["pending", "delivered", "dead", "cancelled"] {
        let known = told.deliveries.iter().find(|count| count.state == state).map_or(0, |count| count.count);
        assert_eq!(scrape.sum("workhook_deliveries", &[crm, ("state", state)]), known as f64, "{state}");
    }
}

#[tokio::test]
async fn what_waits_is_told_by_handler_and_those_that_nobody_knows_together() {
    let end = CancellationToken::new();
    let slow = |registry: Registry| {
        let end = end.clone();
        registry.on_events("slow", &["*"], move |_: Event<Any>, _| {
            let end = end.clone();
            async move {
                end.cancelled().await;
                Err::<(), _>(Failure::transient("held"))
            }
        })
    };
    let app = TestApp::with("").functions(slow).start().await;
    for n in 0..5 {
        app.send(post().issue(n / 3, n)).await;
    }
    let slow = ("handler", "slow");
    let found = until("all are planned, and both lanes have an attempt", || async {
        let scrape = scrape(&app).await;
        let pending = scrape.sum("workhook_deliveries", &[slow, ("state", "pending")]);
        (pending == 5.0 && scrape.sum("workhook_attempts_running", &[]) == 2.0).then_some(scrape)
    })
    .await;
    assert_eq!(found.sum("workhook_lanes", &[slow]), 2.0);
    assert!(found.sum("workhook_oldest_pending_seconds", &[slow]) > 0.0);
    assert_eq!(found.sum("workhook_deliveries", &[("handler", "quiet")]), 0.0);
    end.cancel();
    let app = app.restarted("").await;
    let scrape = scrape(&app).await;
    assert!(!scrape.text.contains("\"slow\""), "{}", scrape.text);
    assert_eq!(scrape.sum("workhook_deliveries", &[("handler", "(orphaned)"), ("state", "pending")]), 5.0);
}

#[tokio::test]
async fn nothing_of_what_was_sent_is_told() {
    let app = TestApp::with("").start().await;
    let hostile = "x\\\"}\\nworkhook_hostile 1\\n# EOF";
    let body = format!("{{\"date\":1,\"data\":{{\"issue\":{{\"id\":\"{hostile}\",\"summary\":\"{hostile}\"}}}}}}");
    app.send(Post::new(Brand::Leiga, "Hostile.Unknown").body(body.clone())).await;
    app.send(Post::new(Brand::WorkZappy, "Phase.Start").body(body.clone())).await;
    let odd = [
        post().set("Token", "hostile-token"),
        post().set("ID", "hostile\"id{}"),
        post().set("Event", "hostile"),
        post().body("hostile"),
        post().set("WebHook-ID", "hostile\"webhook"),
        post().target("/webhook/hostile"),
        post().header("user-agent", "hostile"),
    ];
    for post in odd {
        post.send(app.public).await;
    }
    app.settled().await;
    for accept in ["text/plain", "application/openmetrics-text; version=1.0.0"] {
        let text = get(&app, &[("accept", accept)]).await.text().await.unwrap();
        assert!(!text.to_lowercase().contains("hostile") && !text.contains(TOKEN), "{text}");
        assert!(text.contains(r#"workhook_events_stored_total{webhook="product",event="other"} 1"#), "{text}");
        assert!(text.contains(r#"workhook_events_stored_total{webhook="product",event="Sprint.Start"} 1"#), "{text}");
        assert_eq!(text.ends_with("# EOF\n"), accept != "text/plain");
    }
}

#[tokio::test]
async fn a_scrape_is_as_prometheus_wants_it() {
    let app = TestApp::with("").start().await;
    app.send(post()).await;
    app.settled().await;
    let scrape = scrape(&app).await;
    let histograms = scrape.families.values().filter(|(kind, _)| kind == "histogram").count();
    let last = |sample: &&Sample| sample.labels.get("le").is_some_and(|le| le == "+Inf");
    assert_eq!((histograms, scrape.samples.iter().filter(last).count()), (4, 4), "one handler has one of each");
    for bucket in scrape.samples.iter().filter(last) {
        let name = bucket.name.strip_suffix("_bucket").unwrap();
        let labels: Vec<_> = bucket.labels.iter().filter(|(key, _)| *key != "le").collect();
        let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(scrape.sum(&format!("{name}_count"), &labels), bucket.value, "{name}");
    }
    let bounds: BTreeSet<_> = scrape.samples.iter().filter_map(|sample| sample.labels.get("le")).collect();
    assert!(bounds.iter().all(|bound| bound.len() <= "0.0005".len()), "{bounds:?}");
    // Where promtool is at hand, it judges as well; tests/run sees to that.
    let Some(promtool) = std::env::var_os("PROMTOOL").filter(|path| !path.is_empty()) else { return };
    let mut check = Command::new(promtool);
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().unwrap();
    check.stdin.take().unwrap().write_all(scrape.text.as_bytes()).unwrap();
    let judged = check.wait_with_output().unwrap();
    assert!(judged.status.success() && judged.stderr.is_empty(), "{judged:?}");
}

/// The table of metrics: name to type, labels and what it is.
fn documented(operations: &str) -> BTreeMap<String, (String, BTreeSet<String>, String)> {
    // What there is only where processes share a store is told in a table of its own.
    let operations = operations.split("\n### On PostgreSQL\n").next().unwrap_or_default();
    let rows = operations.lines().filter_map(|line| line.strip_prefix("| `workhook_")?.strip_suffix(" |"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let [name, kind, labels, what] = cells[..] else { panic!("{row}") };
        let labels =
            labels.split(", ").map(|label| label.trim_matches('`').to_owned()).filter(|label| !label.is_empty());
        (format!("workhook_{}", name.trim_matches('`')), (kind.to_owned(), labels.collect(), what.to_owned()))
    })
    .collect()
}

#[tokio::test]
async fn the_table_in_the_document_is_what_is_told() {
    let app = TestApp::with("").start().await;
    let scrape = scrape(&app).await;
    let mut told: BTreeMap<_, _> = BTreeMap::new();
    for (name, (kind, help)) in &scrape.families {
        told.insert(name.clone(), (kind.clone(), BTreeSet::new(), help.trim_end_matches('.').to_owned()));
    }
    for sample in &scrape.samples {
        let labels = sample.labels.keys().filter(|label| *label != "le").cloned();
        told.get_mut(scrape.family(sample).0).unwrap().1.extend(labels);
    }
    let documented = documented(OPERATIONS);
    for (name, row) in &told {
        assert_eq!(documented.get(name), Some(row), "{name}");
    }
    assert_eq!(documented.keys().collect::<Vec<_>>(), told.keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn what_alerts_speak_of_is_told() {
    let app = TestApp::with("").start().await;
    let scrape = scrape(&app).await;
    for text in [ALERTS, ALERTS_TEST] {
        let words: BTreeSet<&str> = text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("workhook_"))
            .collect();
        assert!(words.len() > 10, "{words:?}");
        for name in words {
            assert!(scrape.has(name), "{name} is in no scrape");
        }
    }
}

#[test]
fn every_alert_is_tried_to_fire_and_not_to_fire_and_is_explained() {
    let alerts: Vec<&str> = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        let quiet = format!("alertname: {alert}, exp_alerts: []");
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels:");
        assert!(ALERTS_TEST.contains(&quiet), "{alert} is not tried with a healthy service");
        assert!(ALERTS_TEST.contains(&fires), "{alert} is not tried to fire");
        assert!(OPERATIONS.contains(&format!("| `{alert}` |")), "{alert} is not explained");
    }
}
