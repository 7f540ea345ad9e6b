//! The whole way: every event of both brands, from the fixtures, to a Rust function, an HTTP receiver and the log.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use workhook::contract::{Brand, EventName};
use workhook::handlers::log;
use workhook::sender::Fixture;
use workhook::{
    Any, AttachmentCreate, AttachmentDelete, CommentCreate, CommentDelete, CommentUpdate, Event, IssueCreate,
    IssueDelete, IssueUpdate, LiaAction, Registry, RelationIssueCreate, RelationIssueDelete, SprintComplete,
    SprintCreate, SprintDelete, SprintStart, SubtaskCreate, SubtaskDelete, SubtaskUpdate, View, WebhookTest,
};

use crate::support::{Post, TestApp, TestReceiver};

/// What a function got: the name of its view, the event's, the brand, and whether anything could not be read.
type Got = Arc<Mutex<BTreeSet<(String, String, Brand)>>>;

fn record<T: View + Debug>(got: &Got, event: &Event<T>) {
    assert_eq!(event.misfits, [], "{}", event.stored.name);
    let view = T::EVENT.unwrap_or("any").to_owned();
    got.lock().unwrap().insert((view, event.stored.name.to_string(), event.stored.brand));
}

macro_rules! record_all {
    ($registry:expr, $got:expr, $($view:ident),*) => {{
        let mut registry: Registry = $registry;
        $(
            let got = Arc::clone($got);
            let name = stringify!($view).to_lowercase();
            registry = registry.on(&name, move |event: Event<$view>, _| {
                let got = Arc::clone(&got);
                async move {
                    record(&got, &event);
                    Ok(())
                }
            });
        )*
        registry
    }};
}

fn post(fixture: &Fixture) -> Post {
    let mut post = Post::new(fixture.brand, &fixture.event.to_string()).body(fixture.body);
    for field in ["ID", "WebHook-ID", "Ts"] {
        post = post.set(field, fixture.header(field).unwrap());
    }
    post
}

#[tokio::test]
async fn all_nineteen_events_of_both_brands_go_through_to_every_kind_of_handler() {
    let got = Got::default();
    let receiver = TestReceiver::start().await;
    let everything = "events = [\"*\", \"Webhook.Test\"]";
    let config = format!(
        "{}\n[[handler]]\nname = \"log\"\nkind = \"log\"\n{everything}",
        receiver.handler("crm", &format!("{everything}\nconcurrency = 1"))
    );
    let register = |registry| {
        record_all!(
            registry,
            &got,
            IssueCreate,
            IssueUpdate,
            IssueDelete,
            CommentCreate,
            CommentUpdate,
            CommentDelete,
            AttachmentCreate,
            AttachmentDelete,
            SubtaskCreate,
            SubtaskUpdate,
            SubtaskDelete,
            RelationIssueCreate,
            RelationIssueDelete,
            SprintCreate,
            SprintStart,
            SprintComplete,
            SprintDelete,
            LiaAction,
            WebhookTest
        )
    };
    let app = TestApp::with(&config).functions(register).start().await;
    for fixture in Fixture::all() {
        app.send(post(fixture)).await;
    }
    let health = app.settled().await;
    assert_eq!(health.events, 38);
    assert_eq!(health.deliveries.len(), 1, "all are delivered: {:?}", health.deliveries);
    assert_eq!(health.deliveries[0].count, 3 * 38);

    let names = EventName::known().map(|name| name.to_string());
    let expected: BTreeSet<_> =
        names.flat_map(|name| Brand::ALL.iter().map(move |&brand| (name.clone(), name.clone(), brand))).collect();
    assert_eq!(*got.lock().unwrap(), expected);

    let received = receiver.received();
    let bodies: BTreeSet<Bytes> = received.iter().map(|received| received.body.clone()).collect();
    assert_eq!(bodies, Fixture::all().iter().map(|fixture| Bytes::from_static(fixture.body)).collect());
    for received in &received {
        let (brand, other) = if received.headers.contains_key("x-leiga-event") {
            ("leiga", "workzappy")
        } else {
            ("workzappy", "leiga")
        };
        assert!(!received.header(&format!("x-{brand}-id")).is_empty());
        assert!(received.headers.keys().all(|name| !name.as_str().contains("token") && !name.as_str().contains(other)));
    }
    for summary in app.events().await {
        let stored = app.store.event(summary.id.parse().unwrap()).await.unwrap().unwrap().event;
        let line = log::line(&stored);
        assert!(line.contains(&summary.name) && line.contains(&summary.brand), "{line}");
        assert!(summary.title.is_none_or(|title| line.contains(&title)), "{line}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_function_by_pattern_gets_what_matches_and_the_story_says_why_it_got_no_other() {
    let got = Got::default();
    let register = |registry: Registry| {
        let got = Arc::clone(&got);
        registry.on_events("issues", &["Issue.*", "!Issue.Delete"], move |event: Event<Any>, _| {
            let got = Arc::clone(&got);
            async move {
                record(&got, &event);
                Ok(())
            }
        })
    };
    let app = TestApp::with("").functions(register).start().await;
    for name in ["Issue.Create", "Issue.Delete", "Issue.Reopen", "Comment.Create", "Webhook.Test"] {
        app.send(Post::new(Brand::Leiga, name)).await;
    }
    app.settled().await;
    let names: Vec<String> = got.lock().unwrap().iter().map(|(_, name, _)| name.clone()).collect();
    assert_eq!(names, ["Issue.Create", "Issue.Reopen"]);
    let clause = async |index: usize| {
        let event = app.event(&app.events().await[index].id).await;
        let not = event.not_routed.iter().find(|not| not.handler == "issues").map(|not| not.clause.clone());
        not.unwrap_or_default()
    };
    assert_eq!(clause(0).await, "");
    assert_eq!(clause(1).await, "events: !Issue.Delete leaves it out");
    assert_eq!(clause(3).await, "events: none of Issue.* matches");
    assert!(clause(4).await.contains("by its name only"));
    app.stop().await;
}

#[tokio::test]
async fn a_test_of_the_sender_with_a_body_that_cannot_be_read_is_marked_and_delivered_as_it_came() {
    let receiver = TestReceiver::start().await;
    let app = TestApp::with(&receiver.handler("crm", "events = [\"Webhook.Test\"]")).start().await;
    app.send(Post::new(Brand::Leiga, "Webhook.Test").body("ping")).await;
    app.settled().await;
    assert_eq!(receiver.received()[0].body, "ping");
    assert_eq!(app.events().await[0].notes, ["unreadable-body"]);
    app.stop().await;
}

#[tokio::test]
async fn the_configuration_sets_things_about_a_function_by_its_name() {
    let got = Got::default();
    let register = |registry: Registry| {
        let got = Arc::clone(&got);
        registry.on("reindex", move |event: Event<IssueUpdate>, _| {
            let got = Arc::clone(&got);
            async move {
                record(&got, &event);
                Ok(())
            }
        })
    };
    let config = "[[handler]]\nname = \"reindex\"\nkind = \"rust\"\nevents = [\"Issue.Create\"]\nordered = false";
    let app = TestApp::with(config).functions(register).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Create")).await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.settled().await;
    assert_eq!(got.lock().unwrap().iter().map(|(_, name, _)| name.as_str()).collect::<Vec<_>>(), ["Issue.Create"]);
    let event = app.event(&app.events().await[0].id).await;
    assert_eq!(event.handlers[0].lane, None, "it is not ordered");
    app.stop().await;
}
