//! Which events and which deliveries somebody means.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::{DeliveryState, Entity, EventId, HandlerName};
use crate::contract::{EventName, is_part, normal_object};

/// Which events. What is not said is not asked for; what is said must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventFilter {
    /// Those of this name, or of any name of this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<NameFilter>,
    /// Those of this configured webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// Those about this entity: `leiga/tenant:1/issue/100`, or `issue/100` in whatever brand and tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Those in which this person appears, by id, e-mail address or whole name; case does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Those in which every one of these words appears, in what people read of them: titles, comments, names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Those received at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Those received before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Those that came to this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<EventOutcome>,
}

impl EventFilter {
    /// Whether it asks for an entity that somebody names, whichever of the two names says more.
    #[must_use]
    pub fn names_entity(&self, asked: &str) -> bool {
        self.entity.as_deref().map(str::trim).is_some_and(|entity| {
            Entity::from_stored(entity.to_owned()).is_meant_by(asked)
                || Entity::from_stored(asked.to_owned()).is_meant_by(entity)
        })
    }
}

/// A name, or every name of an object: `Issue.Update`, `Issue.*`. Aliases are normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameFilter {
    /// This name.
    Name(EventName),
    /// Every name of this object.
    Object(String),
}

/// Why a text names no events.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} names no events; write Issue.Update, or Issue.* for all of an object")]
pub struct NameFilterError(String);

/// What an event came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    /// A delivery of it is in this state.
    Has(DeliveryState),
    /// It is planned, and no handler took it.
    NotRouted,
    /// It waits to be planned.
    Unplanned,
}

/// Which deliveries. What is not said is not asked for; what is said must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Those of this handler.
    pub handler: Option<HandlerName>,
    /// Those in this state.
    pub state: Option<DeliveryState>,
    /// Those of this event.
    pub event: Option<EventId>,
    /// Those of events of this name, or of any name of this object.
    pub name: Option<NameFilter>,
    /// Those planned at this time or later.
    pub since: Option<Timestamp>,
    /// Those planned before this time.
    pub until: Option<Timestamp>,
    /// Those whose reason has this text in it; case does not matter.
    pub reason: Option<String>,
}

impl NameFilter {
    /// Whether it means this name.
    #[must_use]
    pub fn matches(&self, name: &EventName) -> bool {
        match self {
            NameFilter::Name(own) => own == name,
            NameFilter::Object(object) => object == name.object(),
        }
    }
}

impl FromStr for NameFilter {
    type Err = NameFilterError;

    fn from_str(text: &str) -> Result<NameFilter, NameFilterError> {
        let wrong = || NameFilterError(text.to_owned());
        match text.strip_suffix(".*").map(normal_object) {
            Some(object) if is_part(object) => Ok(NameFilter::Object(object.to_owned())),
            Some(_) => Err(wrong()),
            None => EventName::parse(text).map(NameFilter::Name).map_err(|_| wrong()),
        }
    }
}

impl fmt::Display for NameFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameFilter::Name(name) => write!(f, "{name}"),
            NameFilter::Object(object) => write!(f, "{object}.*"),
        }
    }
}

impl EventOutcome {
    /// Every outcome.
    pub const ALL: [EventOutcome; 6] = [
        EventOutcome::Has(DeliveryState::Pending),
        EventOutcome::Has(DeliveryState::Delivered),
        EventOutcome::Has(DeliveryState::Dead),
        EventOutcome::Has(DeliveryState::Cancelled),
        EventOutcome::NotRouted,
        EventOutcome::Unplanned,
    ];

    /// The outcome in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EventOutcome::Has(state) => state.as_str(),
            EventOutcome::NotRouted => "not-routed",
            EventOutcome::Unplanned => "unplanned",
        }
    }

    /// The outcome of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<EventOutcome> {
        EventOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

impl Serialize for NameFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NameFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NameFilter, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for EventOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventOutcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventOutcome, D::Error> {
        let word = String::deserialize(deserializer)?;
        let known = || EventOutcome::ALL.map(EventOutcome::as_str).join(", ");
        EventOutcome::parse(&word)
            .ok_or_else(|| serde::de::Error::custom(format!("{word:?} is no outcome; they are {}", known())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_filter_is_a_name_or_an_object_and_displays_as_itself() {
        let shown = |text: &str| text.parse::<NameFilter>().map(|filter| filter.to_string()).ok();
        assert_eq!(shown("Issue.Update").as_deref(), Some("Issue.Update"));
        assert_eq!(shown("Phase.*").as_deref(), Some("Sprint.*"));
        for bad in ["", "*", "*.*", "Issue", "*.Create", "Issue.*.*", ".*"] {
            assert_eq!(shown(bad), None, "{bad:?}");
        }
        let matches =
            |filter: &str, name: &str| filter.parse::<NameFilter>().unwrap().matches(&EventName::parse(name).unwrap());
        assert!(matches("Issue.*", "Issue.Delete") && matches("Phase.Start", "Sprint.Start"));
        assert!(!matches("Issue.*", "Comment.Create") && !matches("Issue.Update", "Issue.Delete"));
    }

    #[test]
    fn a_filter_says_only_what_was_asked_for_and_comes_back() {
        let text = r#"{"name":"Issue.*","person":"Jane","since":"2026-11-01T00:00:00Z","outcome":"dead"}"#;
        let filter: EventFilter = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&filter).unwrap(), text);
        assert_eq!(serde_json::to_string(&EventFilter::default()).unwrap(), "{}");
        for bad in [r#"{"nam":"x"}"#, r#"{"outcome":"gone"}"#, r#"{"name":"*"}"#] {
            assert!(serde_json::from_str::<EventFilter>(bad).is_err(), "{bad}");
        }
    }
}
