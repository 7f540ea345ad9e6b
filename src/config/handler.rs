//! `[[handler]]`: who gets which events, and how.

use std::collections::BTreeMap;
use std::time::Duration;

use super::document::line;
use super::reader::Reader;
use super::section::Section;
use super::suggest;
use super::units::{duration, rate, shown_duration};
use super::value::{self, Value, boolean, one_of, whole};
use super::{ConfiguredHandler, KindConfig, command, http};
use crate::dispatch::{BreakerPolicy, Policy, RetryPolicy};
use crate::model::HandlerName;
use crate::routes::{Pattern, PatternError, Route};

/// The kinds that there are.
const KINDS: &[(&str, Kind)] =
    &[("command", Kind::Command), ("http", Kind::Http), ("log", Kind::Log), ("rust", Kind::Rust)];
/// The kinds that are planned, so that nobody looks for a slip of the pen.
const NOT_YET: &[&str] = &["chat", "nats"];
/// The least and the longest wait before a next attempt or probe.
const WAITS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(7 * 24 * 3600));

#[derive(Debug, Clone, Copy)]
enum Kind {
    Command,
    Http,
    Log,
    Rust,
}

/// The names of the kinds that there are.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(name, _)| *name)
}

pub(super) fn read_all(reader: &mut Reader<'_>) -> Vec<ConfiguredHandler> {
    let mut lines = BTreeMap::new();
    let handlers = reader.many("handler", |section| read(section, &mut lines));
    handlers.into_iter().flatten().collect()
}

fn read(section: &mut Section<'_, '_>, lines: &mut BTreeMap<HandlerName, usize>) -> Option<ConfiguredHandler> {
    let own_line = line(&section.place());
    let name = section.require("name", "\"crm\"", value::name(HandlerName::parse));
    if let Some(name) = &name {
        section.call(name.as_str());
        if let Some(first) = lines.insert(name.clone(), own_line) {
            section.blame(&["name"], format!("the handler in line {first} has this name already; give each its own"));
        }
    }
    let kind = section.require("kind", "\"http\"", kind);
    let route = section.list("events", "[\"Issue.*\"]", pattern);
    if route.as_ref().is_some_and(Vec::is_empty) {
        section.blame(&["events"], "is empty, and would take nothing; leave it out to take every event".to_owned());
    }
    let policy = policy(section);
    let kind = match kind {
        Some(kind) => {
            section.call_kind(kind.name());
            read_kind(section, kind)
        }
        None => {
            // Without a kind, a key of any kind may be right.
            section.quietly(|section| KINDS.iter().for_each(|(_, kind)| drop(read_kind(section, *kind))));
            None
        }
    };
    Some(ConfiguredHandler { name: name?, route: route.map(Route::new), policy, kind: kind?, line: own_line })
}

/// The keys that only this kind has.
fn read_kind(section: &mut Section<'_, '_>, kind: Kind) -> Option<KindConfig> {
    match kind {
        Kind::Command => command::read(section).map(KindConfig::Command),
        Kind::Http => http::read(section).map(|http| KindConfig::Http(Box::new(http))),
        Kind::Log => Some(KindConfig::Log),
        Kind::Rust => Some(KindConfig::Rust),
    }
}

fn policy(section: &mut Section<'_, '_>) -> Policy {
    let mut policy = Policy::default();
    section.set("ordered", &mut policy.ordered, boolean);
    section.set("concurrency", &mut policy.concurrency, whole(1..=1024));
    section.set("timeout", &mut policy.timeout, duration(Duration::from_millis(1)..=Duration::from_secs(600)));
    policy.retry = section.inner("retry", "{ attempts = 30, first = \"1s\", max = \"1h\" }", retry);
    policy.breaker = section.inner("breaker", "{ failures = 10, first = \"5s\", max = \"5m\" }", breaker);
    policy.rate = section.take("rate", rate);
    policy
}

fn retry(section: &mut Section<'_, '_>) -> RetryPolicy {
    let mut retry = RetryPolicy::default();
    section.set("attempts", &mut retry.attempts, whole(1..=1000));
    section.set("first", &mut retry.first, duration(WAITS.0..=WAITS.1));
    section.set("max", &mut retry.max, duration(WAITS.0..=WAITS.1));
    first_below_max(section, retry.first, retry.max);
    retry
}

fn breaker(section: &mut Section<'_, '_>) -> BreakerPolicy {
    let mut breaker = BreakerPolicy::default();
    section.set("failures", &mut breaker.failures, whole(0..=1000));
    section.set("first", &mut breaker.first, duration(WAITS.0..=WAITS.1));
    section.set("max", &mut breaker.max, duration(WAITS.0..=WAITS.1));
    first_below_max(section, breaker.first, breaker.max);
    breaker
}

fn first_below_max(section: &mut Section<'_, '_>, first: Duration, max: Duration) {
    if first > max {
        let (first, max) = (shown_duration(first), shown_duration(max));
        section.blame(&["first", "max"], format!("first is {first}, and can be at most max, {max}"));
    }
}

fn kind(value: Value<'_>) -> Result<Kind, String> {
    match value.text("\"http\"")? {
        text if NOT_YET.contains(&text) => {
            let known: Vec<_> = kinds().collect();
            Err(format!("kind `{text}` is not in this version; known are {}", suggest::listed(&known)))
        }
        _ => one_of("kind", KINDS)(value),
    }
}

fn pattern(value: Value<'_>) -> Result<Pattern, String> {
    let text = value.text("\"Issue.*\"")?;
    text.parse().map_err(|error: PatternError| error.to_string())
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Command => "command",
            Kind::Http => "http",
            Kind::Log => "log",
            Kind::Rust => "rust",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, wrong};
    use super::*;
    use crate::dispatch::Rate;

    #[test]
    fn everything_can_be_set() {
        let text = r#"
            [[handler]]
            name = "audit"
            kind = "log"

            [[handler]]
            name = "crm"
            kind = "rust"
            events = ["Issue.*", "!Issue.Delete"]
            ordered = false
            concurrency = 1
            timeout = "1m"
            retry = { attempts = 3, first = "10ms", max = "7d" }
            breaker = { failures = 0, first = "1s", max = "1m" }
            rate = "100/m"
        "#;
        let handlers = parse(text).handlers;
        let [audit, crm] = handlers.as_slice() else { panic!("{handlers:?}") };
        assert_eq!((audit.name.as_str(), audit.line, &audit.route), ("audit", 2, &None));
        assert!(matches!(audit.kind, KindConfig::Log));
        assert_eq!(audit.policy, Policy::default());
        assert_eq!((crm.name.as_str(), crm.line), ("crm", 6));
        assert!(matches!(crm.kind, KindConfig::Rust));
        assert_eq!(crm.route.as_ref().unwrap().patterns().len(), 2);
        let retry = RetryPolicy { attempts: 3, first: WAITS.0 * 10, max: WAITS.1 };
        let minute = Duration::from_secs(60);
        let breaker = BreakerPolicy { failures: 0, first: Duration::from_secs(1), max: minute };
        let rate = Some(Rate { count: 100, per: minute });
        let policy = Policy { ordered: false, concurrency: 1, timeout: minute, retry, breaker, rate };
        assert_eq!(crm.policy, policy);
    }

    #[track_caller]
    fn check(keys: &str, expected: &[&str]) {
        assert_eq!(wrong(&format!("[[handler]]\n{keys}")), expected, "{keys}");
    }

    #[test]
    fn a_wrong_name_or_kind_is_said_with_what_would_be_right() {
        check(
            "",
            &[
                r#"1:1: handler: `kind` is missing; add for example kind = "http""#,
                r#"1:1: handler: `name` is missing; add for example name = "crm""#,
            ],
        );
        check(
            "name = \"C R M\"\nkind = \"log\"",
            &["2:8: handler.name: \"C R M\" cannot be a name; use 1 to 63 of a-z 0-9 - _, and begin with a \
                letter or a digit"],
        );
        for kind in ["chat", "nats"] {
            let not_yet =
                format!("kind `{kind}` is not in this version; known are `command`, `http`, `log` and `rust`");
            check(&format!("name = \"a\"\nkind = \"{kind}\""), &[&format!("3:8: handler.a.kind: {not_yet}")]);
        }
        check(
            "name = \"a\"\nkind = \"htpp\"\nurl = 5\nulr = 5",
            &[
                r#"3:8: handler.a.kind: unknown kind "htpp"; did you mean `http`?"#,
                "5:1: handler.a: unknown key `ulr`; did you mean `url`?",
            ],
        );
        check(
            "name = \"a\"\nkind = \"log\"\nurl = \"http://localhost/\"",
            &["4:1: handler.a: unknown key `url`; known for kind `log` are `name`, `kind`, `events`, \
                `ordered`, `concurrency`, `timeout`, `retry`, `breaker` and `rate`"],
        );
    }

    #[test]
    fn a_wrong_value_is_said_with_what_would_be_right() {
        let check = |keys: &str, expected: &[&str]| check(&format!("name = \"a\"\nkind = \"log\"\n{keys}"), expected);
        check(
            "events = []",
            &["4:10: handler.a.events: is empty, and would take nothing; leave it out to take every event"],
        );
        check("events = \"Issue.*\"", &[r#"4:10: handler.a.events: expected a list, as in ["Issue.*"], found a text"#]);
        check(
            "events = [\"Issue\", \"Issue.*\", 1]",
            &[
                "4:11: handler.a.events: \"Issue\" is not a pattern of events: write Issue.Update, Issue.*, \
                *.Create or *, and ! before it to leave out",
                r#"4:31: handler.a.events: expected a text in quotes, as in "Issue.*", found a number"#,
            ],
        );
        check("ordered = \"yes\"", &["4:11: handler.a.ordered: expected true or false, without quotes, found a text"]);
        check("concurrency = 0", &["4:15: handler.a.concurrency: 0 is out of bounds; it can be from 1 to 1024"]);
        check("concurrency = 1025", &["4:15: handler.a.concurrency: 1025 is out of bounds; it can be from 1 to 1024"]);
        check("timeout = 10", &[r#"4:11: handler.a.timeout: 10 has no unit; write for example "10s" or "500ms""#]);
        check("timeout = \"0s\"", &[r#"4:11: handler.a.timeout: "0s" is out of bounds; it can be from 1ms to 10m"#]);
        check("timeout = \"11m\"", &[r#"4:11: handler.a.timeout: "11m" is out of bounds; it can be from 1ms to 10m"#]);
        check(
            "retry = 5",
            &["4:9: handler.a.retry: expected a table, as in { attempts = 30, first = \"1s\", max = \"1h\" \
                }, found a number"],
        );
        check(
            "retry = { attempts = 0, frist = \"1s\" }",
            &[
                "4:22: handler.a.retry.attempts: 0 is out of bounds; it can be from 1 to 1000",
                "4:25: handler.a.retry: unknown key `frist`; did you mean `first`?",
            ],
        );
        check(
            "retry.attempts = 1001",
            &["4:18: handler.a.retry.attempts: 1001 is out of bounds; it can be from 1 to 1000"],
        );
        check(
            "retry = { first = \"0s\", max = \"8d\" }",
            &[
                r#"4:19: handler.a.retry.first: "0s" is out of bounds; it can be from 1ms to 7d"#,
                r#"4:31: handler.a.retry.max: "8d" is out of bounds; it can be from 1ms to 7d"#,
            ],
        );
        check(
            "retry = { max = \"999ms\" }",
            &["4:17: handler.a.retry.max: first is 1s, and can be at most max, 999ms"],
        );
        check(
            "retry = { first = \"2s\", max = \"1s\" }",
            &["4:19: handler.a.retry.first: first is 2s, and can be at most max, 1s"],
        );
        check(
            "breaker = { failures = -1, first = \"1m\", max = \"1s\" }",
            &[
                "4:24: handler.a.breaker.failures: -1 is out of bounds; it can be from 0 to 1000",
                "4:36: handler.a.breaker.first: first is 1m, and can be at most max, 1s",
            ],
        );
        check(
            "breaker = false",
            &["4:11: handler.a.breaker: expected a table, as in { failures = 10, first = \"5s\", max = \"5m\" \
                }, found true or false"],
        );
        check(
            "rate = 10",
            &[r#"4:8: handler.a.rate: 10 says nothing of the time; write for example "10/s" or "100/m""#],
        );
        for wrong in ["10", "10/d", "/s", "1.5/s", "10 / s", "-1/s"] {
            let right = r#"is not a number for each `s`, `m` or `h`; write for example "10/s" or "100/m""#;
            check(&format!("rate = \"{wrong}\""), &[&format!("4:8: handler.a.rate: \"{wrong}\" {right}")]);
        }
        for wrong in ["0/s", "100001/h", "99999999999/m"] {
            let right = "is out of bounds; the number can be from 1 to 100000";
            check(&format!("rate = \"{wrong}\""), &[&format!("4:8: handler.a.rate: \"{wrong}\" {right}")]);
        }
        check("concurency = 5", &["4:1: handler.a: unknown key `concurency`; did you mean `concurrency`?"]);
        check(
            "when = \"changes.status is defined\"",
            &["4:1: handler.a: unknown key `when`; known for kind `log` are `name`, `kind`, `events`, \
                `ordered`, `concurrency`, `timeout`, `retry`, `breaker` and `rate`"],
        );
    }

    #[test]
    fn two_handlers_of_one_name_are_said_at_the_later_one() {
        let text = "[[handler]]\nname = \"a\"\nkind = \"log\"\n\n[[handler]]\nkind = \"log\"\nname = \"a\"";
        assert_eq!(
            wrong(text),
            ["7:8: handler.a.name: the handler in line 1 has this name already; give each its own"]
        );
    }
}
