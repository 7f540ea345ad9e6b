//! One pattern of event names: `Issue.Update`, `Issue.*`, `*.Create`, `*`, and each with `!` before it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::contract::{EventName, is_part, normal_object};

/// A pattern of event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    negative: bool,
    object: Part,
    action: Part,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Any,
    Is(String),
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a pattern of events: write Issue.Update, Issue.*, *.Create or *, and ! before it to leave out")]
pub struct PatternError(String);

impl Pattern {
    /// The pattern `*`.
    #[must_use]
    pub fn everything() -> Pattern {
        Pattern { negative: false, object: Part::Any, action: Part::Any }
    }

    /// The pattern `Webhook.Test`.
    #[must_use]
    pub fn test() -> Pattern {
        let part = |text: &str| Part::Is(text.to_owned());
        Pattern { negative: false, object: part("Webhook"), action: part("Test") }
    }

    /// Whether it leaves out what it matches.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// The pattern `Workhook.*`.
    #[must_use]
    pub fn own() -> Pattern {
        Pattern { negative: false, object: Part::Is("Workhook".to_owned()), action: Part::Any }
    }

    /// Whether it matches, `!` or not. The sender's test is matched by its whole name only (ruling 25), and what
    /// workhook itself has to say only by a pattern that names its object.
    #[must_use]
    pub fn matches(&self, name: &EventName) -> bool {
        let whole = matches!((&self.object, &self.action), (Part::Is(_), Part::Is(_)));
        let named = matches!(&self.object, Part::Is(_));
        (whole || !name.is_test())
            && (named || !name.is_own())
            && self.object.matches(name.object())
            && self.action.matches(name.action())
    }

    /// The one name that it matches, where it is a name.
    #[must_use]
    pub fn name(&self) -> Option<EventName> {
        match (&self.object, &self.action) {
            (Part::Is(object), Part::Is(action)) => EventName::parse(&format!("{object}.{action}")).ok(),
            _ => None,
        }
    }
}

impl Part {
    fn parse(text: &str) -> Option<Part> {
        match text {
            "*" => Some(Part::Any),
            text => is_part(text).then(|| Part::Is(text.to_owned())),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Part::Any => true,
            Part::Is(own) => own == text,
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Pattern, PatternError> {
        let positive = text.strip_prefix('!').unwrap_or(text);
        let (object, action) = if positive == "*" { ("*", "*") } else { positive.split_once('.').unwrap_or_default() };
        match (Part::parse(normal_object(object)), Part::parse(action)) {
            (Some(object), Some(action)) => Ok(Pattern { negative: positive.len() < text.len(), object, action }),
            _ => Err(PatternError(text.to_owned())),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part: &Part| match part {
            Part::Any => "*".to_owned(),
            Part::Is(text) => text.clone(),
        };
        if self.negative {
            f.write_str("!")?;
        }
        match (&self.object, &self.action) {
            (Part::Any, Part::Any) => f.write_str("*"),
            (object, action) => write!(f, "{}.{}", part(object), part(action)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::properties;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pattern_is_two_parts_or_a_star() {
        let display = |text: &str| text.parse::<Pattern>().map(|pattern| pattern.to_string()).ok();
        assert_eq!(display("Issue.*").as_deref(), Some("Issue.*"));
        assert_eq!(display("*.*").as_deref(), Some("*"));
        assert_eq!(display("!*.Create").as_deref(), Some("!*.Create"));
        assert_eq!(display("Phase.Start").as_deref(), Some("Sprint.Start"));
        for bad in ["", "!", "Issue", "Issue.", "Iss*.Create", "Issue.Up.date", "!!Issue.*", "Issue .*"] {
            assert_eq!(display(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_or_not_and_a_pattern_matches_what_it_spells(
            text in any::<String>(), near in "!?[*.A-Ca-c]{0,8}", name in "[A-Ca-c]{1,2}\\.[A-Ca-c]{1,2}",
        ) {
            properties::pattern(&text, &name);
            properties::pattern(&near, &name);
        }

        #[test]
        fn every_name_is_a_pattern_that_matches_it(object in "[A-Za-z0-9_-]{1,64}", action in "[A-Za-z0-9_-]{1,64}") {
            let name = EventName::parse(&format!("{object}.{action}")).unwrap();
            let pattern: Pattern = format!("{object}.{action}").parse().unwrap();
            prop_assert!(pattern.matches(&name));
            prop_assert_eq!(pattern.name(), Some(name));
        }
    }
}
