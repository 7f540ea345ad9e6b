//! Deliveries: tried again, dead with a reason, and never lost over a restart (promises 2 and 6).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use workhook::clock::Clock;
use workhook::contract::Brand;
use workhook::{Context, Event, Failure, IssueUpdate, Registry};

use crate::support::{Post, TestApp, TestReceiver, until};

#[tokio::test]
async fn an_error_a_panic_and_a_permanent_failure_of_a_function_are_what_they_say() {
    let register = |registry: Registry| {
        registry.on("odd", |event: Event<IssueUpdate>, cx: Context| async move {
            match (event.data.issue.id, cx.attempt()) {
                (Some(1), 1) => Err(std::io::Error::other("the disk is full"))?,
                (Some(2), 1) => panic!("a bug"),
                (Some(3), _) => return Err(Failure::permanent("no such project")),
                _ => {}
            }
            Ok(())
        })
    };
    let config =
        "[[handler]]\nname = \"odd\"\nkind = \"rust\"\nretry = { attempts = 3, first = \"1ms\", max = \"1ms\" }";
    let app = TestApp::with(config).functions(register).start().await;
    for issue in 1..=3 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(issue, 1)).await;
    }
    app.settled().await;
    let mut told = Vec::new();
    for event in app.events().await {
        let delivery = app.event(&event.id).await.handlers[0].clone();
        told.push((delivery.state, delivery.history[0].message.clone()));
    }
    let expected = [
        ("delivered", "the disk is full"),
        ("delivered", "the handler ended in a panic: a bug"),
        ("dead", "no such project"),
    ];
    assert_eq!(told, expected.map(|(state, message)| (state.to_owned(), message.to_owned())));
    app.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_retry_waits_over_a_restart_and_no_attempt_is_made_before_its_time() {
    let clock = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
    let receiver = TestReceiver::start().await;
    receiver.answer_status(503);
    let config = receiver.handler("crm", "retry = { attempts = 9, first = \"1h\", max = \"1h\" }");
    let app = TestApp::with(&config).clock(&clock).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let id = app.events().await[0].id.clone();
    let due = until("the first attempt failed", || async {
        app.event(&id).await.handlers.first()?.due_at.filter(|due| *due > clock.now())
    })
    .await;
    let app = TestApp::with(&config).clock(&clock).folder(app.stop().await).start().await;
    let delivery = app.event(&id).await.handlers[0].clone();
    assert_eq!(
        (delivery.due_at, delivery.attempts, delivery.waits.as_deref()),
        (Some(due), 1, Some("until it is due again"))
    );
    assert_eq!(receiver.received().len(), 1);
    receiver.answer_status(200);
    clock.advance(Duration::from_secs(3600));
    // Another event makes the handler look again, as the poll would after a while.
    app.send(Post::new(Brand::Leiga, "Issue.Update").issue(2, 1)).await;
    app.settled().await;
    assert_eq!(receiver.received().len(), 3);
    app.stop().await;
}

#[tokio::test]
async fn ruling_17_an_attempt_that_a_stop_cut_short_does_not_count_and_is_made_again() {
    let (started, hang) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let register = || {
        let (started, hang) = (Arc::clone(&started), Arc::clone(&hang));
        move |registry: Registry| {
            registry.on("slow", move |_: Event<IssueUpdate>, _| {
                started.fetch_add(1, Ordering::SeqCst);
                let hang = hang.load(Ordering::SeqCst);
                async move {
                    if hang {
                        std::future::pending::<()>().await;
                    }
                    Ok(())
                }
            })
        }
    };
    let config = "[[handler]]\nname = \"slow\"\nkind = \"rust\"\ntimeout = \"1m\"\nretry = { attempts = 1 }";
    let app = TestApp::with(config).functions(register()).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    until("the attempt is under way", || async { (started.load(Ordering::SeqCst) == 1).then_some(()) }).await;
    let began = tokio::time::Instant::now();
    let folder = app.stop().await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?} (ruling 22)", began.elapsed());
    hang.store(false, Ordering::SeqCst);
    let app = TestApp::with(config).functions(register()).folder(folder).start().await;
    app.settled().await;
    let event = app.event(&app.events().await[0].id).await;
    assert_eq!((event.handlers[0].state.as_str(), event.handlers[0].attempts), ("delivered", 1));
    app.stop().await;
}

#[tokio::test]
async fn ruling_20_deliveries_of_a_handler_that_is_gone_go_on_when_it_returns() {
    let receiver = TestReceiver::start().await;
    receiver.answer_status(503);
    let config = receiver
        .handler("crm", "retry = { attempts = 99, first = \"1ms\", max = \"10ms\" }\nbreaker = { failures = 0 }");
    let app = TestApp::with(&config).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    until("it was tried", || async { (!receiver.received().is_empty()).then_some(()) }).await;
    let app = app.restarted("").await;
    let event = app.event(&app.events().await[0].id).await;
    assert_eq!(event.handlers[0].state, "pending");
    assert_eq!(event.handlers[0].waits.as_deref(), Some("for its handler, which is not configured"));
    receiver.answer_status(200);
    let app = app.restarted(&config).await;
    app.settled().await;
    assert_eq!(app.event(&event.summary.id).await.handlers[0].state, "delivered");
    app.stop().await;
}

#[tokio::test]
async fn ruling_19_the_address_in_force_is_the_one_at_the_time_of_the_attempt() {
    let (old, new) = (TestReceiver::start().await, TestReceiver::start().await);
    old.answer_status(503);
    let retry = "retry = { attempts = 99, first = \"1ms\", max = \"10ms\" }\nbreaker = { failures = 0 }";
    let app = TestApp::with(&old.handler("crm", retry)).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    until("it was tried", || async { (!old.received().is_empty()).then_some(()) }).await;
    let app = app.restarted(&new.handler("crm", &format!("events = [\"No.Such\"]\n{retry}"))).await;
    app.settled().await;
    assert_eq!(new.received().len(), 1, "the verdict stands, the address is the new one");
    app.stop().await;
}

#[tokio::test]
async fn concurrency_is_a_bound_for_each_handler() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let register = |registry: Registry| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        registry.on("bounded", move |_: Event<IssueUpdate>, _| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        })
    };
    let config = "[[handler]]\nname = \"bounded\"\nkind = \"rust\"\nconcurrency = 3";
    let app = TestApp::with(config).functions(register).start().await;
    for issue in 0..60 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(issue, 1)).await;
    }
    app.settled().await;
    assert!((2..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    app.stop().await;
}

#[tokio::test]
async fn a_function_that_blocks_its_thread_holds_up_no_answer_to_the_sender() {
    let blocked = Arc::new(AtomicUsize::new(0));
    let register = |registry: Registry| {
        let blocked = Arc::clone(&blocked);
        registry.on("blocks", move |_: Event<IssueUpdate>, _| {
            blocked.fetch_add(1, Ordering::SeqCst);
            async {
                std::thread::sleep(Duration::from_secs(3));
                Ok(())
            }
        })
    };
    let app = TestApp::with("").functions(register).start().await;
    for issue in 0..8 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(issue, 1)).await;
    }
    until("threads are blocked", || async { (blocked.load(Ordering::SeqCst) >= 4).then_some(()) }).await;
    let began = tokio::time::Instant::now();
    for issue in 0..20 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(issue, 2)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    app.stop().await;
}
