//! The `command` kind, and that no process outlives its attempt.

use std::time::Duration;

use tokio::time::Instant;
use workhook::admin::api::wire;
use workhook::contract::Brand;

use crate::support::hooks::{Hooks, ended, handler, numbers, runs};
use crate::support::{Post, TestApp, until};

/// One attempt only, and not much time.
const ONCE: &str = "timeout = \"300ms\"\nretry = { attempts = 1 }";

/// The only attempt at the only event.
async fn attempt(app: &TestApp) -> (String, wire::Attempt) {
    app.settled().await;
    let event = app.event(&app.events().await[0].id).await;
    assert_eq!(event.handlers[0].history.len(), 1, "{event:?}");
    (event.handlers[0].state.clone(), event.handlers[0].history[0].clone())
}

#[tokio::test]
async fn the_time_out_ends_the_program_and_what_it_has_started() {
    let hooks = Hooks::new();
    let text = "sh -c 'sleep 1000 & echo $$ $!; wait' & sleep 1000 & echo $$ $!; wait";
    let app = TestApp::with(&hooks.handler("hook", text, ONCE)).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let (state, attempt) = attempt(&app).await;
    assert_eq!((state.as_str(), attempt.ended.as_str(), attempt.status), ("dead", "failed", None));
    assert_eq!(attempt.message, "it did not end within 300ms, and was ended with all that it had started");
    assert!((300..2300).contains(&attempt.took_ms), "SIGTERM was enough: {attempt:?}");
    let processes = numbers(&attempt.response);
    assert_eq!(processes.len(), 4, "{attempt:?}");
    ended(&processes).await;
    app.stop().await;
}

#[tokio::test]
async fn what_does_not_heed_sigterm_is_killed_after_a_grace() {
    let hooks = Hooks::new();
    let text = "trap '' TERM; sleep 1000 & echo $$ $!; while :; do wait; done";
    let app = TestApp::with(&hooks.handler("hook", text, ONCE)).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let (state, attempt) = attempt(&app).await;
    assert_eq!((state.as_str(), attempt.status), ("dead", None));
    assert!(attempt.took_ms >= 2300 && attempt.message.starts_with("it did not end within 300ms"), "{attempt:?}");
    let processes = numbers(&attempt.response);
    assert_eq!(processes.len(), 2, "{attempt:?}");
    ended(&processes).await;
    app.stop().await;
}

#[tokio::test]
async fn a_program_may_tidy_up_when_its_time_is_over_and_has_failed_all_the_same() {
    let hooks = Hooks::new();
    let text = "trap 'echo tidied; exit 0' TERM; sleep 1000 & wait";
    let app = TestApp::with(&hooks.handler("hook", text, ONCE)).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let (state, attempt) = attempt(&app).await;
    assert_eq!((state.as_str(), attempt.status, attempt.response.as_str()), ("dead", Some(0), "tidied\n"));
    app.stop().await;
}

#[tokio::test]
async fn what_a_program_leaves_running_ends_with_it() {
    let hooks = Hooks::new();
    let app = TestApp::with(&hooks.handler("hook", "sleep 1000 & echo $$ $!", "")).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let (state, attempt) = attempt(&app).await;
    assert_eq!((state.as_str(), attempt.status), ("delivered", Some(0)));
    assert!(attempt.took_ms < 9000, "{attempt:?}");
    let processes = numbers(&attempt.response);
    assert_eq!(processes.len(), 2, "{attempt:?}");
    ended(&processes).await;
    app.stop().await;
}

#[tokio::test]
async fn a_process_in_another_group_that_holds_the_output_open_does_not_hold_up_the_attempt() {
    let hooks = Hooks::new();
    // It goes on only when it has a group of its own, and ends by itself when the folder is gone.
    let away = "setsid sh -c \"touch '$1/away'; while [ -e '$1' ]; do sleep 0.1; done\" &";
    let text = format!("{away}\nwhile [ ! -e \"$1/away\" ]; do sleep 0.01; done; echo done");
    let app = TestApp::with(&hooks.handler("hook", &text, "")).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let (state, attempt) = attempt(&app).await;
    assert_eq!((state.as_str(), attempt.response.as_str()), ("delivered", "done\n"));
    assert!((1000..9000).contains(&attempt.took_ms), "{attempt:?}");
    app.stop().await;
}

#[tokio::test]
async fn no_process_is_left_when_the_service_stops_while_one_runs() {
    let hooks = Hooks::new();
    let text =
        "trap '' TERM; sleep 1000 & echo $$ $! > \"$1/new\"; mv \"$1/new\" \"$1/processes\"; while :; do wait; done";
    let app = TestApp::with(&hooks.handler("hook", text, "timeout = \"1m\"")).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let written = || async { std::fs::read_to_string(hooks.file("processes")).ok() };
    let processes = numbers(&until("it runs", written).await);
    assert!(processes.len() == 2 && processes.iter().all(|process| runs(*process)), "{processes:?}");
    let told = Instant::now();
    let folder = app.stop().await;
    assert!(told.elapsed() < Duration::from_secs(9), "{:?}", told.elapsed());
    ended(&processes).await;
    let app = TestApp::with(&handler("hook", &["true"], "")).folder(folder).start().await;
    app.settled().await;
    let event = app.event(&app.events().await[0].id).await;
    assert_eq!((event.handlers[0].state.as_str(), event.handlers[0].attempts), ("delivered", 1), "it did not count");
    app.stop().await;
}
