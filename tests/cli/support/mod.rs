//! What the tests share: a working folder, the running program, and waiting for what it says.

pub(crate) mod heard;
pub(crate) mod http;
pub(crate) mod place;
pub(crate) mod service;

use std::time::Duration;

pub(crate) use heard::Heard;
pub(crate) use http::{Echo, get, prepared};
pub(crate) use place::{Place, Run};
pub(crate) use service::Service;

/// How long something that must come is waited for; far more than it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long lies between two looks at what cannot tell by itself.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until a condition gives something, and fails with what was waited for when it never does.
#[track_caller]
pub(crate) fn until<T>(what: &str, condition: impl Fn() -> Option<T>) -> T {
    let looks = PATIENCE.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        if let Some(found) = condition() {
            return found;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    panic!("never came: {what}")
}

/// The lines that are JSON objects, in order.
pub(crate) fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Every subcommand, as the help of its parent lists it; each has a help of its own.
#[track_caller]
pub(crate) fn subcommands(place: &Place) -> Vec<Vec<String>> {
    let (mut open, mut found) = (vec![Vec::<String>::new()], Vec::new());
    while let Some(path) = open.pop() {
        let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let help = place.run(&args).good();
        assert!(help.contains("\nUsage: workhook"), "{path:?}: {help}");
        for name in listed(&help) {
            open.push(path.iter().cloned().chain([name]).collect());
        }
        found.push(path);
    }
    found
}

/// The subcommands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let (_, commands) = help.split_once("\nCommands:\n").unwrap_or_default();
    let lines = commands.lines().take_while(|line| line.starts_with("  "));
    let names = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}
