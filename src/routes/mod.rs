//! Routes: which events a handler takes.
//!
//! Pure: it knows no store, no handler and no clock. What always holds: a route that says no names the clause that did.

mod pattern;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod replay;

pub use pattern::{Pattern, PatternError};
pub use replay::candidates;

use crate::contract::EventName;

/// Which events a handler takes.
///
/// An event is taken when a pattern matches it and no pattern with `!` does. Where all patterns have a `!`, every
/// other event is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    patterns: Vec<Pattern>,
}

impl Route {
    /// A route by these patterns.
    #[must_use]
    pub fn new(patterns: Vec<Pattern>) -> Route {
        Route { patterns }
    }

    /// A route that takes everything but the sender's test and our own notices.
    #[must_use]
    pub fn everything() -> Route {
        Route { patterns: vec![Pattern::everything()] }
    }

    /// A route that takes everything, the sender's test and our own notices as well.
    #[must_use]
    pub fn really_everything() -> Route {
        Route { patterns: vec![Pattern::everything(), Pattern::test(), Pattern::own()] }
    }

    /// Its patterns.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Whether it takes an event of this name.
    ///
    /// # Errors
    /// With the clause that said no.
    pub fn judge(&self, name: &EventName) -> Result<(), String> {
        let (not, only): (Vec<_>, Vec<_>) = self.patterns.iter().partition(|pattern| pattern.is_negative());
        if let Some(pattern) = not.iter().find(|pattern| pattern.matches(name)) {
            return Err(format!("events: {pattern} leaves it out"));
        }
        let by_default = only.is_empty() && !name.is_test() && !name.is_own();
        if by_default || only.iter().any(|pattern| pattern.matches(name)) {
            return Ok(());
        }
        if name.is_test() {
            return Err("events: the sender's test is taken by its name only, Webhook.Test".to_owned());
        }
        if name.is_own() {
            return Err("events: what workhook itself has to say is taken by its object only, Workhook.*".to_owned());
        }
        let patterns: Vec<_> = only.iter().map(ToString::to_string).collect();
        Err(format!("events: none of {} matches", patterns.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &[&str], name: &str, expected: Result<(), &str>) {
        let route = Route::new(patterns.iter().map(|pattern| pattern.parse().unwrap()).collect());
        assert_eq!(
            route.judge(&EventName::parse(name).unwrap()),
            expected.map_err(str::to_owned),
            "{patterns:?} {name}"
        );
    }

    #[test]
    fn an_event_is_taken_by_a_pattern_unless_one_leaves_it_out() {
        check(&["Issue.*", "Comment.Create"], "Issue.Update", Ok(()));
        check(&["Issue.*", "Comment.Create"], "Comment.Create", Ok(()));
        check(&["Issue.*", "Comment.Create"], "Comment.Update", Err("events: none of Issue.*, Comment.Create matches"));
        check(&["Issue.*", "!Issue.Delete"], "Issue.Delete", Err("events: !Issue.Delete leaves it out"));
        check(&["!Issue.Delete", "Issue.*"], "Issue.Delete", Err("events: !Issue.Delete leaves it out"));
        check(&["!Comment.*"], "Issue.Delete", Ok(()));
        check(&["!Comment.*"], "Comment.Create", Err("events: !Comment.* leaves it out"));
        check(&["Phase.*"], "Sprint.Start", Ok(()));
        check(&["*.Create"], "Epic.Create", Ok(()));
        check(&["*"], "Epic.Whatever", Ok(()));
    }

    #[test]
    fn ruling_25_only_its_name_matches_the_sender_s_test() {
        let by_name_only = Err("events: the sender's test is taken by its name only, Webhook.Test");
        for pattern in ["*", "*.*", "Webhook.*", "*.Test", "!Issue.*"] {
            check(&[pattern], "Webhook.Test", by_name_only);
        }
        check(&["Webhook.Test"], "Webhook.Test", Ok(()));
        check(&["*", "Webhook.Test"], "Webhook.Test", Ok(()));
    }

    #[test]
    fn what_workhook_itself_has_to_say_is_taken_by_its_object_only() {
        let by_object_only = Err("events: what workhook itself has to say is taken by its object only, Workhook.*");
        for pattern in ["*", "*.*", "*.Silence", "!Issue.*", "Issue.*"] {
            check(&[pattern], "Workhook.Silence", by_object_only);
        }
        for pattern in ["Workhook.*", "Workhook.Silence"] {
            check(&[pattern], "Workhook.Silence", Ok(()));
        }
        check(&["Workhook.*", "!*.Silence"], "Workhook.Silence", Ok(()));
        check(&["Workhook.*", "!Workhook.Silence"], "Workhook.Silence", Err("events: !Workhook.Silence leaves it out"));
    }
}
