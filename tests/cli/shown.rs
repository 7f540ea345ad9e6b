//! Groups 45 and 46 of docs/reliability.md: what others wrote, on a terminal, in the log and in files that are run.

use std::path::Path;

use serde_json::Value;

use crate::support::http::{post, prepared};
use crate::support::place::ended;
use crate::support::{Place, Service, json_lines};

/// What a summary can have in it: the end of a line, a line of the log, colours, and what turns the order around.
const SUMMARY: &str = "first\\r\\n{\\\"level\\\":\\\"ERROR\\\",\\\"message\\\":\\\"forged\\\"}\\u001b[31m\\u001b]0;title\\u0007\\u202egnp.exe\\u2066\\u009b2J";

fn send(service: &Service, headers: &[(&str, &str)], body: &str) -> u16 {
    let token = service.place.read("workhook-data/webhook-token");
    let own = [("x-leiga-event", "Issue.Update"), ("x-leiga-token", token.trim())];
    post(service.public, "/webhook", &[&own, headers].concat(), body).unwrap().0
}

/// Characters that move, hide or reorder what stands around them.
fn is_hidden(character: char) -> bool {
    (character.is_control() && character != '\n')
        || ('\u{202a}'..='\u{202e}').contains(&character)
        || ('\u{2066}'..='\u{2069}').contains(&character)
}

#[test]
fn group_45_what_others_wrote_moves_nothing_on_a_terminal_and_forges_no_line() {
    let far = prepared(|_| (500, Value::from("\u{1b}[31m\r\nforged\u{202e}\u{7}")));
    let handler =
        format!("[[handler]]\nname = \"crm\"\nkind = \"http\"\nurl = \"http://{far}/\"\nretry = {{ attempts = 1 }}\n");
    let config = format!("[ingest]\ndrain_delay = \"0s\"\n[[handler]]\nname = \"audit\"\nkind = \"log\"\n{handler}");
    let service = Place::with(&config).serve(&[]);
    let body = format!(
        "{{\"date\":1,\"trigger\":{{\"user\":{{\"id\":1,\"name\":\"{SUMMARY}\"}}}},\"data\":{{\"issue\":{{\"id\":1,\"summary\":\"{SUMMARY}\",\"url\":\"{SUMMARY}\"}}}}}}"
    );
    assert_eq!(send(&service, &[("x-leiga-id", "one")], &body), 200);
    assert_eq!(
        send(
            &service,
            &[("x-leiga-id", "two"), ("x-leiga-type", "\u{9b}31m\u{202e}")],
            &format!("{{\"type\":\"{SUMMARY}\",\"data\":{{\"issue\":\"{SUMMARY}\"}}}}")
        ),
        200
    );
    assert_eq!(send(&service, &[("x-leiga-retry-num", "\u{9b}31m")], &format!("\"{SUMMARY}\"")), 400);
    service.settled();
    let id = service.newest("Issue.Update");
    let rejected: Value = service.run(&["rejected", "list", "--json"]).json();
    let rejected = rejected["rejected"][0]["id"].to_string();
    let commands: &[&[&str]] = &[
        &["events", "list"],
        &["events", "show", &id],
        &["deliveries", "list"],
        &["rejected", "list"],
        &["rejected", "show", &rejected],
        &["handlers", "list"],
        &["health"],
    ];
    for command in commands {
        let said = service.run(command).good();
        assert!(!said.contains(is_hidden), "{command:?}: {said:?}");
        assert!(
            !said.lines().any(|line| line.trim().starts_with("{\"level\"") || line.trim() == "forged"),
            "{command:?}: {said}"
        );
    }
    // JSON has them as escapes, and gives them back whole.
    let json = service.run(&["events", "list", "--json"]).good();
    assert!(!json.contains(|character: char| character.is_control() && character != '\n'), "{json:?}");
    assert!(json.contains("gnp.exe"), "{json}");
    let ended = service.stop("TERM");
    assert_eq!(ended.stdout.lines().count(), 2, "a line for each event: {}", ended.stdout);
    assert!(!ended.stdout.contains(is_hidden), "{:?}", ended.stdout);
    assert_eq!(json_lines(&ended.stderr).len(), ended.stderr.lines().count(), "{}", ended.stderr);
    assert!(!json_lines(&ended.stderr).iter().any(|line| line["message"] == "forged"), "{}", ended.stderr);
}

#[test]
fn group_46_a_script_that_was_exported_runs_nothing_of_what_others_wrote() {
    let config =
        "[ingest]\ndrain_delay = \"0s\"\n[[handler]]\nname = \"quiet\"\nkind = \"log\"\nevents = [\"No.Such\"]";
    let service = Place::with(config).serve(&[]);
    let words = "'; touch pwned; ' $(touch pwned) `touch pwned` \"; touch pwned; \\";
    let headers = [("x-leiga-id", "';touch$IFS'pwned';'"), ("x-leiga-sign", words), ("x-leiga-type", "@/etc/passwd")];
    assert_eq!(send(&service, &headers, "{\"date\":1,\"data\":{\"issue\":{\"id\":\"../../x\"}}}"), 200);
    assert_eq!(send(&service, &[("x-leiga-sign$`'|", words)], "{\"date\":2}"), 200);
    service.run(&["events", "export", "--to", "out"]).good();
    let folders: Vec<_> =
        std::fs::read_dir(service.place.path("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(folders.len(), 2);
    for folder in folders {
        let mut command = service.place.command(folder.join("send.sh").to_str().unwrap(), &[]);
        command.env("WORKHOOK_URL", format!("http://{}/webhook", service.public));
        command.env("WORKHOOK_TOKEN", service.place.read("workhook-data/webhook-token").trim());
        assert_eq!(ended(command).good(), r#"{"errcode":0}"#, "{folder:?}");
        assert!(![&folder, service.place.path("").as_path()].iter().any(|at: &&Path| at.join("pwned").exists()));
    }
    let list: Value = service.run(&["events", "list", "--json"]).json();
    let twice = list["events"].as_array().unwrap().iter().filter(|event| event["receipts"] == 2).count();
    assert_eq!(twice, 2, "{list}");
}
