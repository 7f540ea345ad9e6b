//! Changing the configuration while it runs: all of it or nothing (rulings 19 and 20).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Barrier;
use workhook::admin::api::wire;
use workhook::app::ReloadError;
use workhook::clock::Clock;
use workhook::contract::Brand;
use workhook::model::DeliveryId;
use workhook::{Any, Context, Event};

use crate::support::app::Builder;
use crate::support::receiver::Reply;
use crate::support::{Post, TOKEN, TestApp, TestReceiver, until};

const SOON: &str = "retry = { attempts = 1000, first = \"1ms\", max = \"20ms\" }";

fn post() -> Post {
    Post::new(Brand::Leiga, "Issue.Update")
}

fn product(tokens: &str) -> String {
    format!("[[webhook]]\nname = \"product\"\ntokens = [{tokens}]\n")
}

/// The lines of what is wrong with a configuration.
#[track_caller]
fn mistakes(error: ReloadError) -> Vec<String> {
    let ReloadError::Mistakes(errors) = error else { panic!("{error}") };
    errors.mistakes().iter().map(ToString::to_string).collect()
}

/// The handlers as the API tells them: name, and whether it is orphaned.
async fn handlers(app: &TestApp) -> Vec<(String, bool)> {
    let told: wire::Handlers = app.api("handlers").await;
    told.handlers.into_iter().map(|handler| (handler.name, handler.orphaned)).collect()
}

#[tokio::test]
async fn a_token_is_rotated_without_a_request_being_turned_away() {
    let app = TestApp::with("").start().await;
    let with = |token: &str| post().set("Token", token);
    app.send(with(TOKEN)).await;
    assert_eq!(with("new-token").send(app.public).await.status, 401);
    let changes = app.reloaded(&product(&format!("\"new-token\", \"{TOKEN}\""))).await;
    assert_eq!(changes.to_string(), "webhooks changed: product");
    app.send(with(TOKEN)).await;
    app.send(with("new-token")).await;
    app.reloaded(&product("\"new-token\"")).await;
    app.send(with("new-token")).await;
    assert_eq!(with(TOKEN).send(app.public).await.status, 401);
    assert_eq!(app.events().await.len(), 4);
}

#[tokio::test]
async fn webhooks_their_paths_and_what_requests_are_judged_by_are_changed() {
    let app = TestApp::with("").start().await;
    let open = || post().without("Token").target("/webhook/open");
    assert_eq!(open().send(app.public).await.status, 401);
    let config = "[ingest]\nmax_body = \"1KiB\"\n[[webhook]]\nname = \"open\"\ntokenless = true";
    let changes = app.reloaded(config).await;
    assert_eq!(changes.to_string(), "webhooks added: open; settings changed: ingest.max_body");
    app.send(open()).await;
    assert_eq!(post().body(vec![b' '; 1025]).send(app.public).await.status, 413);
    app.reloaded("").await;
    assert_eq!(open().send(app.public).await.status, 401);
    app.send(post().body(format!("{{{:1025}}}", ""))).await;
}

#[tokio::test]
async fn a_handler_that_is_added_gets_the_events_from_then_on() {
    let receiver = TestReceiver::start().await;
    let (old, new) = (receiver.handler("old", ""), receiver.handler("new", ""));
    let app = TestApp::with(&old).start().await;
    app.send(post()).await;
    app.settled().await;
    let changes = app.reloaded(&format!("{old}{new}")).await;
    assert_eq!(changes.to_string(), "handlers added: new");
    app.send(post()).await;
    app.settled().await;
    let events = app.events().await;
    let of = async |id: &str| -> Vec<String> {
        app.event(id).await.handlers.into_iter().map(|delivery| delivery.handler).collect()
    };
    assert_eq!(of(&events[0].id).await, ["old"]);
    assert_eq!(of(&events[1].id).await, ["old", "new"]);
    assert_eq!(receiver.received().len(), 3);
}

#[tokio::test]
async fn ruling_19_what_is_pending_keeps_its_verdict_and_goes_to_the_address_in_force() {
    let (old, new) = (TestReceiver::start().await, TestReceiver::start().await);
    old.answer_status(503);
    let app = TestApp::with(&old.handler("crm", SOON)).start().await;
    app.send(post()).await;
    until("it is being tried", || async { (old.received().len() > 1).then_some(()) }).await;
    // The route would not take the event any more.
    let more = format!("{SOON}\nevents = [\"Comment.*\"]\nheaders = {{ X-Key = \"new-key\" }}");
    app.reloaded(&new.handler("crm", &more)).await;
    app.settled().await;
    let [received] = &new.received()[..] else { panic!("{:?}", new.received()) };
    assert_eq!(received.header("x-key"), "new-key");
    app.send(post()).await;
    app.settled().await;
    assert_eq!(new.received().len(), 1, "the new event is not routed");
}

#[tokio::test]
async fn ruling_19_an_attempt_under_way_ends_with_what_was_in_force_when_it_began() {
    let (old, new) = (TestReceiver::start().await, TestReceiver::start().await);
    old.answer(|_| Reply { status: 200, after: Duration::from_millis(300), ..Reply::default() });
    let app = TestApp::with(&old.handler("crm", "")).start().await;
    app.send(post()).await;
    until("it is under way", || async { (old.received().len() == 1).then_some(()) }).await;
    app.reloaded(&new.handler("crm", "")).await;
    app.settled().await;
    assert_eq!((old.received().len(), new.received().len()), (1, 0));
    let event = app.event(&app.events().await[0].id).await;
    assert_eq!((event.handlers[0].state.as_str(), event.handlers[0].attempts), ("delivered", 1));
}

#[tokio::test]
async fn ruling_20_the_deliveries_of_a_handler_that_is_taken_out_wait_for_its_return() {
    let receiver = TestReceiver::start().await;
    receiver.answer_status(503);
    let (crm, other) = (receiver.handler("crm", SOON), "[[handler]]\nname = \"other\"\nkind = \"log\"\n");
    let app = TestApp::with(&format!("{crm}{other}")).start().await;
    app.send(post()).await;
    until("it is being tried", || async { (!receiver.received().is_empty()).then_some(()) }).await;
    assert_eq!(app.reloaded(other).await.to_string(), "handlers removed: crm");
    assert_eq!(handlers(&app).await, [("crm".to_owned(), true), ("other".to_owned(), false)]);
    let id = app.events().await.remove(0).id;
    let crm_s = async || app.event(&id).await.handlers.into_iter().find(|one| one.handler == "crm").unwrap();
    assert_eq!(crm_s().await.waits.as_deref(), Some("for its handler, which is not configured"));
    // What was under way ends, and from then on it is not attempted, though it could be delivered.
    let other_gets = async |n: usize| {
        app.send(post()).await;
        until("the other one goes on", || async {
            let health = app.health().await;
            let delivered = health.deliveries.iter().find(|count| count.state == "delivered")?.count;
            (delivered == n as u64).then_some(())
        })
        .await;
    };
    other_gets(2).await;
    let claimed = async || app.store.delivery(DeliveryId(crm_s().await.id)).await.unwrap().unwrap().claimed;
    until("nothing is under way", || async { (!claimed().await).then_some(()) }).await;
    receiver.answer_status(200);
    other_gets(3).await;
    assert_eq!(crm_s().await.state, "pending");

    app.reloaded(&format!("{crm}{other}")).await;
    app.settled().await;
    assert_eq!(crm_s().await.state, "delivered");
    for event in &app.events().await[1..] {
        assert_eq!(app.event(&event.id).await.handlers.len(), 1, "what came while it was out was not for it");
    }
}

#[tokio::test]
async fn a_handler_that_returns_while_its_old_loop_ends_has_one_loop_all_the_same() {
    let receiver = TestReceiver::start().await;
    receiver.answer(|_| Reply { status: 200, after: Duration::from_millis(400), ..Reply::default() });
    let crm = receiver.handler("crm", "concurrency = 1\nordered = false");
    let app = TestApp::with(&crm).start().await;
    app.send(post()).await;
    app.send(post()).await;
    until("the first is under way", || async { (receiver.received().len() == 1).then_some(()) }).await;
    app.reloaded("").await;
    app.reloaded(&crm).await;
    until("the second is under way", || async { (receiver.received().len() == 2).then_some(()) }).await;
    let first = app.event(&app.events().await[0].id).await;
    assert_eq!(first.handlers[0].state, "delivered", "two loops have a place each");
    app.settled().await;
    assert_eq!(receiver.received().len(), 2);
}

/// An app whose function waits until it has been asked three times at one time.
fn meeting() -> Builder {
    TestApp::with("[[handler]]\nname = \"meet\"\nkind = \"rust\"\nordered = false\nconcurrency = 1").functions(
        |registry| {
            let meeting = Arc::new(Barrier::new(3));
            registry.on_events("meet", &["*"], move |_: Event<Any>, _: Context| {
                let meeting = Arc::clone(&meeting);
                async move {
                    meeting.wait().await;
                    Ok(())
                }
            })
        },
    )
}

#[tokio::test]
async fn a_function_stays_registered_and_more_places_are_taken_at_once() {
    let app = meeting().start().await;
    for _ in 0..3 {
        app.send(post()).await;
    }
    // What is planned afterwards would wait in one lane (ruling 15).
    until("all are planned", || async { (app.health().await.unplanned == 0).then_some(()) }).await;
    // Without a table, it has the places that every handler has.
    app.reloaded("[[handler]]\nname = \"other\"\nkind = \"log\"\nevents = [\"No.Such\"]").await;
    let health = app.settled().await;
    assert_eq!(health.deliveries, [wire::StateCount { state: "delivered".to_owned(), count: 3 }]);
    let wrong =
        app.reload("[[handler]]\nname = \"none\"\nkind = \"rust\"\n[[handler]]\nname = \"meet\"\nkind = \"log\"");
    assert_eq!(
        mistakes(wrong.await.unwrap_err()),
        [
            "test.toml:3:8: handler.none.kind: handler \"none\" is of kind \"rust\", but this program registers no \
            function of that name",
            "test.toml:6:8: handler.meet.kind: handler \"meet\" is of another kind in the configuration than the \
            function that is registered under that name",
        ]
    );
}

#[tokio::test]
async fn a_mistake_leaves_everything_as_it_was_and_is_shown() {
    let receiver = TestReceiver::start().await;
    let app = TestApp::with(&receiver.handler("crm", "")).start().await;
    assert!(app.health().await.reload.is_none());
    let good_and_bad = format!(
        "{}{}[[handler]]\nname = \"slip\"\nkind = \"http\"\nurl = \"http://a/\"\nheaders = {{ A = \"env:NOT_SET\" }}\n",
        product("\"new-token\""),
        receiver.handler("new", "")
    );
    let told = mistakes(app.reload(&good_and_bad).await.unwrap_err());
    assert_eq!(told, ["test.toml:13:13: handler.slip.headers: \"A\": the environment variable NOT_SET is not set"]);
    let health = app.health().await;
    assert!(health.ready);
    let shown = health.reload.unwrap();
    assert_eq!((shown.ok, shown.mistakes), (false, told));
    assert_eq!(handlers(&app).await, [("crm".to_owned(), false)]);
    assert_eq!(post().set("Token", "new-token").send(app.public).await.status, 401);
    app.send(post()).await;
    app.settled().await;
    assert_eq!(receiver.received().len(), 1);

    app.reloaded("").await;
    let shown = app.health().await.reload.unwrap();
    assert_eq!((shown.ok, shown.mistakes), (true, Vec::new()));
}

#[tokio::test]
async fn a_key_that_needs_a_restart_is_a_mistake_like_any_other() {
    let app = TestApp::with("").start().await;
    let config = format!("[ingest]\npath = \"/in\"\nmax_connections = 7\n{}", product("\"new-token\""));
    assert_eq!(
        mistakes(app.reload(&config).await.unwrap_err()),
        [
            "test.toml:2:8: ingest.path: cannot be changed while it runs; restart",
            "test.toml:3:19: ingest.max_connections: cannot be changed while it runs; restart",
        ]
    );
    assert_eq!(post().set("Token", "new-token").send(app.public).await.status, 401);
    app.send(post()).await;
}

#[tokio::test]
async fn the_settings_that_the_api_tells_and_its_credential_follow() {
    let app = TestApp::with("").start().await;
    let get = async |token: &str| {
        let url = format!("http://{}/api/v1/settings", app.private);
        let response = reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.text().await.unwrap())
    };
    assert_eq!(get("any").await.0, 200, "without a credential it is for this machine");
    let changes = app.reloaded("[admin]\ntoken = \"new-key\"\n[ingest]\ndrain_delay = \"0s\"").await;
    assert_eq!(changes.settings, ["admin.token"]);
    assert_eq!(get("any").await.0, 401);
    let (status, text) = get("new-key").await;
    assert!(status == 200 && text.contains("test.toml:2:9") && !text.contains("new-key"), "{status} {text}");
    app.reloaded("").await;
    assert_eq!(get("any").await.0, 200);
}

#[tokio::test]
async fn of_two_reloads_the_last_one_wins_and_none_is_made_while_it_stops() {
    let app = TestApp::with("").start().await;
    let (first, second) = (product("\"first\""), product("\"second\""));
    let (one, two) = tokio::join!(app.reload(&first), app.reload(&second));
    assert!(one.is_ok() && two.is_ok());
    app.send(post().set("Token", "second")).await;
    assert_eq!(post().set("Token", "first").send(app.public).await.status, 401);
    let (reload, config) = (app.reload.clone(), app.read("").unwrap());
    app.stop().await;
    assert!(matches!(reload.apply(config).await, Err(ReloadError::Stopping)));
}

#[tokio::test]
async fn another_rate_is_in_force_at_once() {
    let clock = Clock::manual(Timestamp::from_second(1_800_000_000).unwrap());
    let receiver = TestReceiver::start().await;
    let with = |rate: &str| receiver.handler("crm", &format!("ordered = false\nrate = \"{rate}\""));
    let app = TestApp::with(&with("1/h")).clock(&clock).start().await;
    for _ in 0..3 {
        app.send(post()).await;
    }
    until("one is delivered", || async { (receiver.received().len() == 1).then_some(()) }).await;
    app.reloaded(&with("1000/s")).await;
    clock.advance(Duration::from_secs(1));
    app.settled().await;
    assert_eq!(receiver.received().len(), 3);
}
