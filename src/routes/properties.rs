//! What holds for any pattern and any name, held against the plainest way to say it. For tests and fuzzing only.

use super::{Pattern, Route};
use crate::contract::EventName;

/// A pattern is what the documents say one is, displays as itself, and matches what it spells.
pub(crate) fn pattern(text: &str, name: &str) {
    let (negative, positive) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    let parts: Vec<&str> = if positive == "*" { vec!["*", "*"] } else { positive.split('.').collect() };
    let spelled = |part: &str| {
        (1..=64).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    let good = parts.len() == 2 && parts.iter().all(|part| *part == "*" || spelled(part));
    let parsed = text.parse::<Pattern>();
    assert_eq!(parsed.is_ok(), good, "{text:?}");
    let Ok(pattern) = parsed else { return };
    assert_eq!(pattern.to_string().parse(), Ok(pattern.clone()), "{text:?} displays as another");
    assert_eq!(pattern.is_negative(), negative, "{text:?}");
    if let Ok(name) = EventName::parse(name) {
        let matches = spells(parts[0], parts[1], &name);
        assert_eq!(pattern.matches(&name), matches, "{text:?} {name}");
        let by_name_only = (name.is_test() || name.is_own()) && negative;
        let taken = if negative { !matches && !by_name_only } else { matches };
        assert_eq!(Route::new(vec![pattern]).judge(&name).is_ok(), taken, "{text:?} {name}");
    }
}

fn spells(object: &str, action: &str, name: &EventName) -> bool {
    let object = match object {
        "Phase" => "Sprint",
        "Relation" => "RelationIssue",
        object => object,
    };
    let fits = object == "*" || object == name.object();
    match (name.object(), name.action()) {
        // Ruling 25, and the like for what workhook itself has to say.
        ("Webhook", "Test") => (object, action) == ("Webhook", "Test"),
        ("Workhook", own) => object == "Workhook" && (action == "*" || action == own),
        (_, own) => fits && (action == "*" || action == own),
    }
}
