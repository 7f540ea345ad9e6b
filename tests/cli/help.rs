//! What the program says of itself, and what it says to wrong use.

use crate::support::place::ended;
use crate::support::{Place, subcommands};

/// What can be asked for today; what is added later is found by its parent's help.
const SUBCOMMANDS: &[&[&str]] = &[
    &["serve"],
    &["check"],
    &["send"],
    &["events"],
    &["events", "list"],
    &["events", "show"],
    &["events", "tail"],
    &["events", "export"],
    &["events", "forget"],
    &["rejected"],
    &["rejected", "list"],
    &["rejected", "show"],
    &["rejected", "retry"],
    &["deliveries"],
    &["deliveries", "list"],
    &["deliveries", "retry"],
    &["deliveries", "cancel"],
    &["replay"],
    &["replay", "list"],
    &["replay", "follow"],
    &["replay", "stop"],
    &["replay", "resume"],
    &["handlers"],
    &["handlers", "list"],
    &["handlers", "pause"],
    &["handlers", "resume"],
    &["handlers", "test"],
    &["store"],
    &["store", "copy"],
    &["health"],
    &["completions"],
];

#[test]
fn every_subcommand_is_in_the_help_of_its_parent_and_has_a_help_of_its_own() {
    let place = Place::new();
    let found = subcommands(&place);
    for wanted in SUBCOMMANDS {
        assert!(found.iter().any(|path| path == wanted), "{wanted:?} is in no help: {found:?}");
    }
}

#[test]
fn the_version_is_told() {
    let version = Place::new().run(&["--version"]).good();
    assert_eq!(version, format!("workhook {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_use_is_exit_code_2_with_what_would_be_right_and_nothing_on_standard_output() {
    let place = Place::new();
    for (args, hint) in [
        (&[][..], "Usage: workhook"),
        (&["serv"], "'serve'"),
        (&["events"], "Usage: workhook events"),
        (&["events", "lst"], "'list'"),
        (&["events", "show"], "<ID>"),
        (&["serve", "--demmo"], "'--demo'"),
        (&["serve", "now"], "Usage: workhook serve"),
        (&["serve", "--role", "planner"], "all, ingest, dispatch"),
        (&["serve", "--role", "ingest"], "set store.url to postgres://"),
        (&["serve", "--role=dispatch"], "leave the role out"),
        (&["send"], "<EVENT>"),
        (&["deliveries", "list", "--state", "lost"], "pending, delivered, dead, cancelled"),
        (&["completions", "tcsh"], "bash"),
    ] {
        let run = place.run(args);
        assert_eq!(run.stdout, "", "{args:?}");
        let said = run.failed(2);
        assert!(said.contains(hint), "{args:?}: {said}");
    }
}

#[test]
fn completions_are_printed_for_each_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completions", shell]).good();
        for name in ["serve", "check", "deliveries", "admin-url"] {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
    let bash = ["-c", "source <(\"$0\" completions bash) && complete -p workhook", env!("CARGO_BIN_EXE_workhook")];
    assert!(ended(place.command("bash", &bash)).good().contains("workhook"));
}

#[test]
fn nobody_reading_is_no_reason_to_panic() {
    let place = Place::new();
    for args in [&["--help"][..], &["completions", "bash"], &["check"], &["check", "--json"]] {
        assert_eq!(place.run_unread(args), "", "{args:?}");
    }
}
