//! The log: JSON where it is not read on a terminal, and no neighbour of secrets or of people's words (promise 8).

use std::sync::LazyLock;

use serde_json::Value;

use crate::support::{Echo, Place};

/// Marks that must not get where they do not belong.
const TOKEN: &str = "marked-token-0123456789";
const WRONG_TOKEN: &str = "marked-wrong-0123456789";
const CREDENTIAL: &str = "marked-credential-0123456789";
const AUTHORIZATION: &str = "Bearer marked-authorization-0123456789";
const SUMMARY: &str = "marked-summary-0123456789";
const GARBAGE: &str = "marked-garbage-0123456789";

/// The full run, made once for those who look at it.
static FULL_RUN: LazyLock<(String, String)> = LazyLock::new(full_run);

/// Every kind of request against every kind of handler; standard output and the log of it.
fn full_run() -> (String, String) {
    let (good, bad) = (Echo::start(Some(200)), Echo::start(Some(503)));
    let handler = |name: &str, address: &str| {
        format!(
            "
            [[handler]]
            name = \"{name}\"
            kind = \"http\"
            url = \"http://{address}/marked-address-0123456789\"
            headers = {{ Authorization = \"env:MARKED_AUTHORIZATION\" }}
            retry = {{ attempts = 2, first = \"1ms\", max = \"1ms\" }}
            breaker = {{ failures = 0 }}"
        )
    };
    let config = format!(
        "
        [ingest]
        drain_delay = \"0s\"
        [admin]
        token = \"env:MARKED_CREDENTIAL\"
        [[webhook]]
        name = \"product\"
        tokens = [\"env:MARKED_TOKEN\"]
        [[handler]]
        name = \"audit\"
        kind = \"log\"
        {} {} {}",
        handler("good", &good.address.to_string()),
        handler("bad", &bad.address.to_string()),
        handler("gone", "127.0.0.1:1"),
    );
    let place = Place::with(&config).set("MARKED_TOKEN", TOKEN).set("MARKED_CREDENTIAL", CREDENTIAL);
    let service = place.set("MARKED_AUTHORIZATION", AUTHORIZATION).serve(&[]);
    let summary = format!("data.issue.summary={SUMMARY}");
    for brand in ["leiga", "workzappy"] {
        service.run(&["send", "--all", "--brand", brand, "--set", &summary]).good();
    }
    service.run(&["send", "Issue.Update", "--set", &summary, "--token", WRONG_TOKEN]).failed(1);
    service.run(&["send", "Issue.Update", "--set", &summary, "--fault", "duplicate"]).good();
    service.run(&["send", "Issue.Update", "--set", &summary, "--fault", "cut"]).good();
    service.place.write("garbage.json", &format!("{{\"data\": {GARBAGE}"));
    service.run(&["send", "Issue.Update", "--file", "garbage.json"]).failed(1);
    service.run(&["events", "list", "--admin-token", WRONG_TOKEN]).failed(1);
    service.settled();
    // What is looked for did go that way.
    let received = good.received();
    assert!(received.iter().any(|request| request.contains(AUTHORIZATION) && request.contains(SUMMARY)));
    assert!(received.iter().all(|request| !request.contains(TOKEN)), "the token is handed on");
    let ended = service.stop("TERM");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    (ended.stdout, ended.stderr)
}

/// How often the most frequent key of a flat JSON object stands in it.
fn most_of_a_key(line: &str) -> usize {
    let object: Value = serde_json::from_str(line).unwrap();
    let times = |key: &String| line.matches(&format!("\"{key}\":")).count();
    object.as_object().unwrap().keys().map(times).max().unwrap_or(0)
}

#[test]
fn the_log_has_neither_secrets_nor_people_s_words_and_each_line_is_an_object() {
    let (stdout, log) = &*FULL_RUN;
    for secret in [TOKEN, WRONG_TOKEN, CREDENTIAL, AUTHORIZATION, "marked-address"] {
        let secret = secret.trim_start_matches("Bearer ");
        assert!(!log.contains(secret) && !stdout.contains(secret), "{secret} is told:\n{log}\n{stdout}");
    }
    assert!(stdout.contains(SUMMARY), "the handler's own line has the summary: {stdout}");
    for words in [SUMMARY, GARBAGE] {
        assert!(!log.contains(words), "{words} is in the log:\n{log}");
    }
    for message in ["receiving", "an attempt failed", "a dead letter", "requests were turned away", "stopped"] {
        assert!(log.contains(&format!("\"message\":\"{message}\"")), "{message}: {log}");
    }
    for line in log.lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let has = |key: &str| object[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(has("timestamp") && has("level") && has("message"), "{line}");
    }
}

#[test]
fn no_line_of_the_log_has_a_key_twice_of_which_a_reader_would_lose_one() {
    for line in FULL_RUN.1.lines() {
        assert_eq!(most_of_a_key(line), 1, "{line}");
    }
}

#[test]
fn a_key_that_stands_there_twice_is_noticed() {
    assert_eq!(most_of_a_key(r#"{"level":"INFO","message":"a"}"#), 1);
    assert_eq!(most_of_a_key(r#"{"message":"a","level":"INFO","message":"b"}"#), 2);
}

#[test]
fn the_log_is_as_readable_and_as_loud_as_it_is_told_to_be() {
    let place = Place::with("[ingest]\ndrain_delay = \"0s\"\n[log]\nlevel = \"info,workhook=debug\"");
    let service = place.serve(&[]);
    service.run(&["send", "Issue.Update"]).good();
    service.settled();
    let ended = service.stop("TERM");
    assert!(ended.stderr.contains("\"level\":\"DEBUG\""), "{}", ended.stderr);
}
