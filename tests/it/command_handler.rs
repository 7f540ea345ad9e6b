//! The `command` kind with real programs: what they get, and what their ends mean.

use std::collections::BTreeMap;

use workhook::admin::api::wire;
use workhook::contract::Brand;

use crate::support::hooks::{Hooks, handler};
use crate::support::{Post, TestApp, until};

/// Few attempts, in quick succession.
const QUICK: &str = "retry = { attempts = 2, first = \"1ms\", max = \"1ms\" }";

/// What became of the latest event, handler by handler.
async fn outcome(app: &TestApp) -> Vec<wire::Delivery> {
    app.settled().await;
    app.event(&app.events().await.last().unwrap().id).await.handlers
}

#[tokio::test]
async fn it_gets_the_bytes_as_they_came_and_nothing_of_them_is_ever_run() {
    let hooks = Hooks::new();
    let config = hooks.handler("hook", "cat > \"$1/body\"; echo \"$# $0\"; env > \"$1/env\"", "");
    let app = TestApp::with(&config).start().await;
    let folder = hooks.folder().display();
    let evil = format!("$(touch {folder}/a) `touch {folder}/b`; touch {folder}/c; \\\" ' | & \\n WORKHOOK_EVENT=x");
    let body = format!(
        "{{ \"date\":1,  \"n\": 1e400, \"tenant\":{{\"id\":\"{evil}\"}}, \
         \"data\":{{\"issue\":{{\"id\":1,\"summary\":\"{evil}\"}}}} }}\n\n"
    );
    app.send(Post::new(Brand::Leiga, "Issue.Update").set("Sign", &evil.replace("\\n", "")).body(body.clone())).await;
    let [told] = &outcome(&app).await[..] else { panic!("one handler") };
    assert_eq!((told.state.as_str(), told.attempts, told.history[0].status), ("delivered", 1, Some(0)));
    assert_eq!(std::fs::read(hooks.file("body")).unwrap(), body.into_bytes());
    assert_eq!(told.history[0].response, format!("1 {}\n", hooks.file("hook").display()));
    let mut left: Vec<_> = std::fs::read_dir(hooks.folder())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["body", "env", "hook"], "nothing was run");
    app.stop().await;
}

#[tokio::test]
async fn its_environment_is_exactly_the_documented_one() {
    let config = handler("hook", &["env"], "env = { CRM_KEY = \"a key\", LANG = \"C\" }\nfolder = \"/tmp\"");
    let app = TestApp::with(&config).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let [told] = &outcome(&app).await[..] else { panic!("one handler") };
    let event = &app.events().await[0];
    let mut env: BTreeMap<_, _> = told.history[0].response.lines().map(|line| line.split_once('=').unwrap()).collect();
    let trace = env.remove("TRACEPARENT").unwrap();
    assert!(trace.starts_with(&format!("00-{}-", event.id.replace('-', ""))) && trace.len() == 55, "{trace}");
    let key = format!("{}/hook", event.id);
    let expected = [
        ("CRM_KEY", "a key"),
        ("HOME", "/tmp"),
        ("LANG", "C"),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("WORKHOOK_ATTEMPT", "1"),
        ("WORKHOOK_BRAND", "leiga"),
        ("WORKHOOK_ENTITY", "leiga/tenant:1/issue/100"),
        ("WORKHOOK_EVENT", "Issue.Update"),
        ("WORKHOOK_EVENT_ID", &event.id),
        ("WORKHOOK_HANDLER", "hook"),
        ("WORKHOOK_IDEMPOTENCY_KEY", &key),
        ("WORKHOOK_REPLAY", "0"),
        ("WORKHOOK_WEBHOOK", "product"),
    ];
    assert!(std::env::vars_os().any(|(name, _)| name == "CARGO_MANIFEST_DIR"), "the service itself has more");
    assert_eq!(env, expected.into_iter().collect());
    app.stop().await;
}

#[tokio::test]
async fn an_id_that_no_variable_can_have_gets_into_none_and_the_event_is_handled_all_the_same() {
    let app = TestApp::with(&handler("hook", &["env"], "")).start().await;
    for tenant in ["a\\u0000b".to_owned(), "x".repeat(1 << 20)] {
        let body = format!("{{\"date\":1,\"tenant\":{{\"id\":\"{tenant}\"}},\"data\":{{\"issue\":{{\"id\":1}}}}}}");
        app.send(Post::new(Brand::Leiga, "Issue.Update").body(body)).await;
        let [told] = &outcome(&app).await[..] else { panic!("one handler") };
        assert_eq!((told.state.as_str(), told.attempts), ("delivered", 1), "{told:?}");
        assert!(told.history[0].response.contains("WORKHOOK_ENTITY=leiga/webhook:product/issue/1\n"), "{told:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn its_exit_code_says_what_becomes_of_the_event() {
    let strict = "exit_codes = { 3 = \"done\", 65 = \"dead\", 70 = \"retry\", other = \"dead\" }";
    let cases: &[(&str, &str, &str, Option<i32>, u32)] = &[
        ("exit 0", "", "delivered", Some(0), 1),
        ("exit 75", "", "dead", Some(75), 2),
        ("exit 1", "", "dead", Some(1), 2),
        ("kill -KILL $$", "", "dead", None, 2),
        ("exit 3", strict, "delivered", Some(3), 1),
        ("exit 65", strict, "dead", Some(65), 1),
        ("exit 1", strict, "dead", Some(1), 1),
        ("exit 70", strict, "dead", Some(70), 2),
        ("exit 75", strict, "dead", Some(75), 2),
        ("kill -KILL $$", strict, "dead", None, 2),
    ];
    let handlers = cases.iter().enumerate().map(|(index, (script, keys, ..))| {
        handler(&format!("hook-{index}"), &["sh", "-c", script], &format!("{QUICK}\n{keys}"))
    });
    let app = TestApp::with(&handlers.collect::<String>()).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let told = outcome(&app).await;
    assert_eq!(told.len(), cases.len());
    for (told, case) in told.iter().zip(cases) {
        let (_, _, state, status, attempts) = case;
        let last = told.history.last().unwrap();
        assert_eq!((told.state.as_str(), last.status, told.attempts), (*state, *status, *attempts), "{case:?}");
    }
    let reason = told[3].reason.as_deref();
    assert_eq!(reason, Some("all 2 attempts failed; the last: ended by signal 9"));
    assert_eq!(told[5].reason.as_deref(), Some("exit code 65"));
    app.stop().await;
}

#[tokio::test]
async fn of_what_it_writes_everything_is_read_and_the_beginning_kept() {
    let hooks = Hooks::new();
    let much =
        "echo out; echo err >&2; head -c 3000000 /dev/zero | tr '\\0' o; head -c 3000000 /dev/zero | tr '\\0' e >&2";
    let endless = "echo first; exec yes";
    let config = hooks.handler("much", much, "")
        + &hooks.handler("endless", endless, "timeout = \"300ms\"\nretry = { attempts = 1 }")
        + &handler(
            "failing",
            &["sh", "-c", "echo done half; echo no such table >&2; exit 65"],
            "exit_codes = { 65 = \"dead\" }",
        );
    let app = TestApp::with(&config).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let [much, endless, failing] = &outcome(&app).await[..] else { panic!("three handlers") };
    assert_eq!(much.state, "delivered", "{much:?}");
    let (out, err) = much.history[0].response.split_once("\n--- standard error ---\n").unwrap();
    assert!(out.starts_with("out\nooo") && err.starts_with("err\neee"), "{much:?}");
    assert!(much.history[0].response.len() <= 4096 && out.len() > 2000 && err.len() > 2000);
    assert_eq!((endless.state.as_str(), endless.history[0].response.len()), ("dead", 4096));
    assert!(endless.history[0].response.starts_with("first\ny\ny\n"));
    assert_eq!(failing.history[0].response, "done half\n\n--- standard error ---\nno such table\n");
    app.stop().await;
}

#[tokio::test]
async fn no_file_or_socket_of_the_service_is_open_in_it() {
    let app = TestApp::with(&handler("hook", &["sh", "-c", "ls -l /proc/$$/fd; :"], "")).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let [told] = &outcome(&app).await[..] else { panic!("one handler") };
    // What the service itself was started with may be open in it; what the service opens is a database and sockets.
    let open = &told.history[0].response;
    assert!(open.contains(" 0 -> pipe:") && !open.contains("workhook.db") && !open.contains("socket:"), "{open}");
    app.stop().await;
}

#[tokio::test]
async fn it_need_not_read_the_event() {
    let app = TestApp::with(&handler("hook", &["true"], QUICK)).start().await;
    let body = format!("{{\"date\":1,\"data\":{{\"issue\":{{\"id\":1,\"summary\":\"{}\"}}}}}}", "x".repeat(4 << 20));
    app.send(Post::new(Brand::Leiga, "Issue.Update").body(body)).await;
    let [told] = &outcome(&app).await[..] else { panic!("one handler") };
    assert_eq!((told.state.as_str(), told.attempts), ("delivered", 1), "{told:?}");
    app.stop().await;
}

#[tokio::test]
async fn it_runs_in_its_folder_and_otherwise_in_the_root() {
    let hooks = Hooks::new();
    let folder = hooks.folder().canonicalize().unwrap();
    let config = handler("there", &["sh", "-c", "pwd; echo $HOME"], &format!("folder = {folder:?}"))
        + &handler("root", &["sh", "-c", "pwd; echo $HOME"], "");
    let app = TestApp::with(&config).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let [there, root] = &outcome(&app).await[..] else { panic!("two handlers") };
    assert_eq!(there.history[0].response, format!("{0}\n{0}\n", folder.display()));
    assert_eq!(root.history[0].response, "/\n/\n");
    app.stop().await;
}

#[tokio::test]
async fn a_program_that_goes_away_is_a_failure_that_passes_when_it_is_there_again() {
    let hooks = Hooks::new();
    let file = hooks.script("hook", "exit 0");
    let config =
        handler("hook", &[file.to_str().unwrap()], "retry = { first = \"1ms\", max = \"20ms\", attempts = 1000 }");
    let app = TestApp::with(&config).start().await;
    let aside = hooks.file("aside");
    std::fs::rename(&file, &aside).unwrap();
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let id = app.events().await[0].id.clone();
    let failed =
        until("an attempt failed", || async { app.event(&id).await.handlers.first()?.history.first().cloned() }).await;
    assert_eq!((failed.ended.as_str(), failed.status), ("failed", None));
    assert_eq!(failed.message, "the program cannot be started: No such file or directory (os error 2)");
    std::fs::rename(&aside, &file).unwrap();
    let [told] = &outcome(&app).await[..] else { panic!("one handler") };
    assert_eq!(told.state, "delivered", "{told:?}");
    app.stop().await;
}

#[tokio::test]
async fn many_run_at_once_and_each_gets_its_own_event() {
    let hooks = Hooks::new();
    let config = hooks.handler("hook", "cat > \"$1/$WORKHOOK_EVENT_ID\"", "concurrency = 16");
    let app = TestApp::with(&config).start().await;
    for issue in 0..60 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(issue, 1)).await;
    }
    app.settled().await;
    let mut bodies = std::collections::HashSet::new();
    for event in app.events().await {
        bodies.insert(std::fs::read_to_string(hooks.file(&event.id)).unwrap());
        assert_eq!(app.event(&event.id).await.handlers[0].attempts, 1);
    }
    assert_eq!(bodies.len(), 60);
    app.stop().await;
}

#[tokio::test]
async fn the_script_of_the_readme_does_what_it_says() {
    let readme = include_str!("../../README.md");
    let (_, text) = readme.split_once("```sh\n#!/bin/sh\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    let hooks = Hooks::new();
    let out = hooks.folder().display();
    let app = TestApp::with(&hooks.handler("keep", text, &format!("env = {{ OUT = \"{out}\" }}"))).start().await;
    let post = Post::new(Brand::WorkZappy, "Sprint.Start");
    app.send(post.clone()).await;
    let [told] = &outcome(&app).await[..] else { panic!("one handler") };
    let file = hooks.file(&format!("{}.json", app.events().await[0].id));
    assert_eq!((told.state.as_str(), told.attempts), ("delivered", 1), "{told:?}");
    assert_eq!(told.history[0].response, format!("Sprint.Start is in {}\n", file.display()));
    assert_eq!(std::fs::read(file).unwrap(), post.body);
    app.stop().await;
}
