//! What runs by itself: old events go, a full disk is said and passes, silence is told, uses of tokens are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use workhook::clock::Clock;
use workhook::contract::Brand;
use workhook::store::DiskFree;

use crate::support::{Post, TestApp, TestReceiver, exchange, until};

/// The beginnings of the SHA-256 hashes of `old-token` and `new-token`.
const OLD: &str = "9bdf10a6";
const NEW: &str = "348e9df2";
const HOUR: Duration = Duration::from_secs(3600);

fn clock() -> Clock {
    Clock::manual(Timestamp::from_second(1_800_000_000).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_goes_by_its_age_and_its_repetition_is_still_known() {
    let (clock, post) = (clock(), Post::new(Brand::Leiga, "Issue.Update"));
    let config = "[store]\nretention = \"1h\"";
    let app = TestApp::with(config).clock(&clock).start().await;
    let bytes = post.bytes();
    let send = async |app: &TestApp| exchange(app.public, &bytes).await.unwrap().status;
    assert_eq!(send(&app).await, 200);
    app.settled().await;
    let folder = app.stop().await;
    clock.advance(2 * HOUR);
    let app = TestApp::with(config).clock(&clock).folder(folder).start().await;
    until("the event is gone", || async { (app.health().await.events == 0).then_some(()) }).await;
    assert_eq!((send(&app).await, app.health().await.events), (200, 0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_keys_there_are_all_go_whose_time_is_over() {
    let clock = clock();
    let app = TestApp::with("").clock(&clock).start().await;
    app.settled().await;
    let other = rusqlite::Connection::open(app.database()).unwrap();
    let folder = app.stop().await;
    // 40 steps of keys that are over, and two of keys that are not.
    let fill = "INSERT INTO key_generations (number, expires_at, through) VALUES (1, 0, 0), (2, 4102444800000, 0);
                WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 42000)
                INSERT INTO old_keys SELECT iif(n <= 40000, 1, 2), randomblob(16), 1, 4102444800000 FROM n";
    other.execute_batch(fill).unwrap();
    let app = TestApp::with("").clock(&clock).folder(folder).start().await;
    until("the others are left", || async {
        let left: i64 = other.query_row("SELECT count(*) FROM old_keys", [], |row| row.get(0)).unwrap();
        (left <= 2000).then(|| assert_eq!(left, 2000))
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_becomes_an_event_that_a_handler_gets() {
    let (clock, receiver) = (clock(), TestReceiver::start().await);
    let handler = receiver.handler("people", "events = [\"Workhook.Silence\"]");
    let config = format!("[[webhook]]\nname = \"nightly\"\ntokens = [\"nightly-token\"]\nsilence = \"12h\"\n{handler}");
    let app = TestApp::with(&config).clock(&clock).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update").set("Token", "nightly-token")).await;
    until("the use is counted", || async { (!app.store.token_uses().await.unwrap().is_empty()).then_some(()) }).await;
    let folder = app.stop().await;
    clock.advance(13 * HOUR);
    let app = TestApp::with(&config).clock(&clock).folder(folder).start().await;
    let told = until("the notice", || async { receiver.received().first().cloned() }).await;
    let body: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["notice"]["webhook"]), (&"Workhook.Silence".into(), &"nightly".into()));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ruling_23_a_disk_that_is_nearly_full_is_503_and_not_ready_until_there_is_room() {
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let disk = DiskFree::told_by({
        let free = Arc::clone(&free);
        move |_| Some(free.load(Ordering::SeqCst))
    });
    let app = TestApp::with("").disk(disk).start().await;
    free.store(1 << 20, Ordering::SeqCst);
    let answer = until("a refusal", || async {
        let answer = Post::new(Brand::Leiga, "Issue.Update").send(app.public).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!((answer.status, answer.errmsg().as_str()), (503, "the disk is nearly full; retry later"));
    let ready = || async {
        let response = reqwest::get(format!("http://{}/readyz", app.public)).await.unwrap();
        response.text().await.unwrap()
    };
    until("it says so", || async { ready().await.contains(r#""because":"disk""#).then_some(()) }).await;
    free.store(1 << 40, Ordering::SeqCst);
    until("it takes requests again", || async {
        (Post::new(Brand::Leiga, "Issue.Update").send(app.public).await.status == 200).then_some(())
    })
    .await;
    until("it is ready again", || async { ready().await.contains(r#""ready""#).then_some(()) }).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_token_s_uses_are_counted_whatever_came_of_the_requests() {
    let config = "[[webhook]]\nname = \"rotating\"\ntokens = [\"new-token\", \"old-token\"]";
    let app = TestApp::with(config).start().await;
    let post = || Post::new(Brand::Leiga, "Issue.Update");
    app.send(post().set("Token", "new-token")).await;
    app.send(post().set("Token", "new-token").set("ID", "twice")).await;
    app.send(post().set("Token", "new-token").set("ID", "twice")).await;
    let rejected = post().set("Token", "old-token").body("no JSON").send(app.public).await;
    let refused = post().set("Token", "no-token-of-ours").send(app.public).await;
    assert_eq!((rejected.status, refused.status), (400, 401));
    let mut counts = until("all are counted", || async {
        let uses = app.store.token_uses().await.unwrap();
        (uses.iter().map(|used| used.count).sum::<u64>() == 4).then_some(uses)
    })
    .await;
    counts.sort_by_key(|used| used.count);
    let of = |index: usize| (counts[index].webhook.as_str(), counts[index].token.as_str(), counts[index].count);
    assert_eq!([of(0), of(1)], [("rotating", OLD, 1), ("rotating", NEW, 3)]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_becomes_an_event_that_a_handler_gets() {
    let receiver = TestReceiver::start().await;
    let handler = receiver.handler("people", "events = [\"Workhook.DiskFull\"]");
    let config = format!("[store]\nmin_free = \"100MiB\"\n{handler}");
    let app = TestApp::with(&config).disk(DiskFree::told_by(|_| Some(150 << 20))).start().await;
    let told = until("the notice", || async { receiver.received().first().cloned() }).await;
    let body: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    let free = &body["data"]["notice"]["disk_free_bytes"];
    assert_eq!((&body["type"], free), (&"Workhook.DiskFull".into(), &(150 << 20).into()));
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_tokens_become_an_event_that_a_handler_gets() {
    let receiver = TestReceiver::start().await;
    let config = receiver.handler("people", "events = [\"Workhook.RefusedTokens\"]");
    let app = TestApp::with(&config).clock(&clock()).start().await;
    let told = until("the notice", || async {
        for _ in 0..10 {
            let refused =
                Post::new(Brand::Leiga, "Issue.Update").set("Token", "no-token-of-ours").send(app.public).await;
            assert_eq!(refused.status, 401);
        }
        // It looks once more when the settings were read again.
        app.reloaded(&config).await;
        receiver.received().first().cloned()
    })
    .await;
    let body: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    let notice = &body["data"]["notice"];
    assert_eq!((&body["type"], &notice["addresses"][0]), (&"Workhook.RefusedTokens".into(), &"127.0.0.1".into()));
    assert!(notice["count"].as_u64().is_some_and(|count| count >= 25), "{notice}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_that_a_reload_sets_is_told() {
    let (clock, receiver) = (clock(), TestReceiver::start().await);
    let handler = receiver.handler("people", "events = [\"Workhook.Silence\"]");
    let with =
        |silence: &str| format!("[[webhook]]\nname = \"nightly\"\ntokens = [\"nightly-token\"]\n{silence}\n{handler}");
    let app = TestApp::with(&with("silence = \"30d\"")).clock(&clock).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update").set("Token", "nightly-token")).await;
    until("the use is counted", || async { (!app.store.token_uses().await.unwrap().is_empty()).then_some(()) }).await;
    clock.advance(13 * HOUR);
    let changes = app.reloaded(&with("silence = \"12h\"")).await;
    assert_eq!(changes.to_string(), "webhooks changed: nightly");
    let told = until("the notice", || async { receiver.received().first().cloned() }).await;
    let body: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(body["data"]["notice"]["webhook"], "nightly");
    app.stop().await;
}
