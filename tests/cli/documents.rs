//! The examples of the documents are run, and print what the documents say.
//!
//! A block of `console` is a talk with a shell: `$ ` begins a command, and the lines below are what it prints. There `…`
//! stands for any text, and alone on a line for any lines; how many spaces there are does not matter; nothing below a
//! command is any output. Each command has to end
//! with exit code 0. They are run in order against one service for each document, which [`service`] prepares; `$EVENT`
//! is an event with a dead letter, `$DELIVERY` that dead letter, `$REJECTED` a rejected request, `$REPLAY` the newest
//! replay.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use workhook::admin::api::wire;

use crate::support::place::ended;
use crate::support::{Echo, Place, Service, subcommands};

/// Those that no example can show: the service that the examples are run against, and what is done while none runs.
const NO_EXAMPLE: &[&str] = &["serve", "store copy"];

/// A command of an example, with what it prints.
#[derive(Debug, PartialEq)]
struct Example {
    line: usize,
    command: String,
    prints: Vec<String>,
}

/// Every command of a document, in order.
fn examples(text: &str) -> Vec<Example> {
    let (mut examples, mut inside, mut goes_on) = (Vec::<Example>::new(), false, false);
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            (inside, goes_on) = (line == "```console", false);
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            goes_on = command.ends_with('\\');
            examples.push(Example { line: index + 1, command: command.to_owned(), prints: Vec::new() });
        } else if let Some(example) = examples.last_mut().filter(|_| inside) {
            if goes_on {
                example.command.push_str(&format!("\n{line}"));
                goes_on = line.ends_with('\\');
            } else {
                example.prints.push(line.to_owned());
            }
        }
    }
    examples
}

/// Whether what was printed is what a document says.
fn is_told(told: &[String], printed: &[&str]) -> bool {
    match (told.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((line, rest)), _) if line == "…" => (0..=printed.len()).any(|skip| is_told(rest, &printed[skip..])),
        (Some((line, told)), Some((other, printed))) => {
            is_line(&spaced(line), &spaced(other)) && is_told(told, printed)
        }
        _ => false,
    }
}

/// A line with one space where there are some.
fn spaced(line: &str) -> String {
    let indented = if line.starts_with(' ') { " " } else { "" };
    format!("{indented}{}", line.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn is_line(told: &str, printed: &str) -> bool {
    let Some((start, rest)) = told.split_once('…') else { return told == printed };
    let Some(printed) = printed.strip_prefix(start) else { return false };
    let mut ends = printed.char_indices().map(|(at, _)| at).chain([printed.len()]);
    ends.any(|at| is_line(rest, &printed[at..]))
}

/// A service that has every known event of both brands, a dead letter, and a rejected request.
fn service() -> (Service, Echo) {
    let crm = Echo::start(Some(422));
    let config = format!(
        "[[handler]]\nname = \"crm\"\nkind = \"http\"\nurl = \"http://{}/\"\nevents = [\"Issue.*\"]\n
         [[handler]]\nname = \"sprints\"\nkind = \"log\"\nevents = [\"Sprint.*\", \"Comment.*\"]\n",
        crm.address
    );
    let mut service = Place::with(&config).serve(&[]);
    service.run(&["send", "--all"]).good();
    service.run(&["send", "--all", "--brand", "workzappy"]).good();
    service.run(&["send", "Issue.Update", "--fault", "garbage"]);
    service.settled();
    let dead: wire::Deliveries = service.run(&["deliveries", "list", "--state", "dead", "--json"]).json();
    let rejected: Value = service.run(&["rejected", "list", "--json"]).json();
    let bin = Path::new(env!("CARGO_BIN_EXE_workhook")).parent().unwrap().to_str().unwrap();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    for (name, value) in [
        ("PATH", &*path),
        ("EVENT", &dead.deliveries[0].event),
        ("DELIVERY", &dead.deliveries[0].id.to_string()),
        ("REJECTED", &rejected["rejected"][0]["id"].to_string()),
        ("TZ", "UTC"),
    ] {
        service.place.set_to(name, value);
    }
    (service, crm)
}

/// What is wrong with the examples of a document.
fn hold(document: &str) -> Vec<String> {
    let (mut service, _crm) = service();
    let mut wrong = Vec::new();
    for Example { line, command, prints } in examples(&read(document)) {
        if command.contains("$REPLAY") {
            let replays: wire::Replays = service.run(&["replay", "list", "--json"]).json();
            service.place.set_to("REPLAY", &replays.replays[0].id.to_string());
        }
        let run = ended(service.place.command("sh", &["-c", &command]));
        let printed: Vec<&str> = run.stdout.lines().collect();
        if run.code != Some(0) || !(prints.is_empty() || is_told(&prints, &printed)) {
            wrong.push(format!("{document}:{line}: {command}\n{:?}\n{}{}", run.code, run.stdout, run.stderr));
        }
    }
    wrong
}

fn read(document: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap()
}

#[test]
fn the_examples_of_the_operations_page_do_what_it_says() {
    let wrong = hold("docs/operations.md");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_examples_of_the_readme_do_what_it_says() {
    let wrong = hold("README.md");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_subcommand_has_an_example_that_is_run() {
    let run: String = ["docs/operations.md", "README.md"]
        .iter()
        .flat_map(|document| examples(&read(document)))
        .map(|example| format!("{}\n", example.command))
        .collect();
    let all: BTreeSet<String> = subcommands(&Place::new()).into_iter().map(|path| path.join(" ")).collect();
    let leaf = |path: &&String| !path.is_empty() && !all.iter().any(|other| other.starts_with(&format!("{path} ")));
    let shown = |path: &&String| NO_EXAMPLE.contains(&path.as_str()) || run.contains(&format!("workhook {path}"));
    let without: Vec<_> = all.iter().filter(leaf).filter(|path| !shown(path)).collect();
    assert!(without.is_empty(), "no document has an example of: {without:?}");
}

#[test]
fn an_example_is_read_with_what_it_prints_and_a_difference_is_told() {
    let text = "```console\n$ a \\\n    b\none\n$ c\n```\n```\n$ no\n```\n$ no\n";
    let found: Vec<_> = examples(text).into_iter().map(|example| (example.command, example.prints)).collect();
    assert_eq!(found, [("a \\\n    b".to_owned(), vec!["one".to_owned()]), ("c".to_owned(), Vec::new())]);
    let check = |told: &[&str], printed: &[&str], expected: bool| {
        let told: Vec<String> = told.iter().map(|&line| line.to_owned()).collect();
        assert_eq!(is_told(&told, printed), expected, "{told:?} {printed:?}");
    };
    check(&["a", "…", "d"], &["a", "b", "c", "d"], true);
    check(&["a…c d…"], &["abbbc d"], true);
    check(&["…"], &[], true);
    check(&["a"], &["a", "b"], false);
    check(&["a", "b"], &["a"], false);
    check(&["a…z"], &["abc"], false);
    check(&["a  b …"], &["a      b  c"], true);
    check(&["a"], &["  a"], false);
}
