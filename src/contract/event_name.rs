//! Event names: `object.action`, an open set.
//!
//! A name that is not in the vendor's list is a name like any other; only its shape can be wrong. Aliases are
//! normalised when a name is parsed, so that nothing behind this file has to know them.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

/// The events of the vendor's list (contract, section 3), as `(object, actions)`.
const KNOWN: &[(&str, &[&str])] = &[
    ("Issue", &["Create", "Update", "Delete"]),
    ("Comment", &["Create", "Update", "Delete"]),
    ("Attachment", &["Create", "Delete"]),
    ("Subtask", &["Create", "Update", "Delete"]),
    ("RelationIssue", &["Create", "Delete"]),
    ("Sprint", &["Create", "Start", "Complete", "Delete"]),
    ("LIA", &["Action"]),
    ("Webhook", &["Test"]),
];

/// The object of what workhook itself has to say.
const OWN: &str = "Workhook";

/// Other codes of the vendor for the same object: `(alias, object)`.
const ALIASES: &[(&str, &str)] = &[("Phase", "Sprint"), ("Relation", "RelationIssue")];

/// The longest object or action, in bytes.
const PART_MAX_LEN: usize = 64;

/// The name of an event, normalised: `Phase.Start` has become `Sprint.Start`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventName {
    object: Cow<'static, str>,
    action: Cow<'static, str>,
}

/// Why a text is not the name of an event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// There are not exactly two parts with a dot between them.
    #[error("is not of the form object.action, as in Issue.Update")]
    NotTwoParts,
    /// A part is empty, too long, or has a character that is not allowed.
    #[error("has a part that is not 1 to {PART_MAX_LEN} of the characters A-Z a-z 0-9 _ -")]
    BadPart,
}

impl EventName {
    /// Reads a name and normalises it.
    ///
    /// # Errors
    /// When it is not two parts of `[A-Za-z0-9_-]{1,64}` with a dot between them.
    pub fn parse(text: &str) -> Result<EventName, NameError> {
        let (object, action) = text.split_once('.').ok_or(NameError::NotTwoParts)?;
        if action.contains('.') {
            return Err(NameError::NotTwoParts);
        }
        if !is_part(object) || !is_part(action) {
            return Err(NameError::BadPart);
        }
        let object = normal_object(object);
        let known = KNOWN.iter().find(|(known, _)| *known == object);
        let known_action = known.and_then(|(_, actions)| actions.iter().find(|known| **known == action));
        Ok(EventName {
            object: known.map_or_else(|| Cow::Owned(object.to_owned()), |(known, _)| Cow::Borrowed(*known)),
            action: known_action.map_or_else(|| Cow::Owned(action.to_owned()), |known| Cow::Borrowed(*known)),
        })
    }

    /// What the event is about, for example `Issue`.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// What happened to it, for example `Update`.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The name of something that workhook itself has to say.
    pub(super) fn own(action: &'static str) -> EventName {
        EventName { object: Cow::Borrowed(OWN), action: Cow::Borrowed(action) }
    }

    /// Whether it is the name of something that workhook itself has to say.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.object == OWN
    }

    /// Whether the vendor's list has this name.
    #[must_use]
    pub fn is_known(&self) -> bool {
        KNOWN.iter().any(|(object, actions)| *object == self.object && actions.contains(&&*self.action))
    }

    /// Whether this is the event that the Test button in the webhook form sends.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.object == "Webhook" && self.action == "Test"
    }

    /// Every name of the vendor's list, in its order.
    pub fn known() -> impl Iterator<Item = EventName> {
        KNOWN.iter().flat_map(|(object, actions)| {
            actions.iter().map(|action| EventName { object: Cow::Borrowed(object), action: Cow::Borrowed(action) })
        })
    }
}

/// The object that a code stands for: an alias leads to the object, everything else to itself.
#[must_use]
pub fn normal_object(object: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == object).map_or(object, |(_, normal)| normal)
}

/// Whether a text can be an object or an action.
#[must_use]
pub fn is_part(text: &str) -> bool {
    (1..=PART_MAX_LEN).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.object, self.action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, NameError>) {
        assert_eq!(EventName::parse(text).map(|name| name.to_string()), expected.map(str::to_owned), "{text:?}");
    }

    #[test]
    fn names_are_two_parts_and_aliases_are_normalised() {
        check("Issue.Update", Ok("Issue.Update"));
        check("Phase.Start", Ok("Sprint.Start"));
        check("Relation.Create", Ok("RelationIssue.Create"));
        check("Epic.Re-open_2", Ok("Epic.Re-open_2"));
        check("Phase.Archive", Ok("Sprint.Archive"));
        check("issue.update", Ok("issue.update"));
        for text in ["", "Issue", "Issue.Update.Now", "..", "Issue.Update."] {
            check(text, Err(NameError::NotTwoParts));
        }
        let too_long = format!("{}.Update", "x".repeat(PART_MAX_LEN + 1));
        for text in [".", "Issue.", ".Update", "Issue.Upd ate", "Issüe.Update", "Issue.\"", too_long.as_str()] {
            check(text, Err(NameError::BadPart));
        }
        check(&format!("{}.Update", "x".repeat(PART_MAX_LEN)), Ok(&format!("{}.Update", "x".repeat(PART_MAX_LEN))));
    }

    #[test]
    fn the_vendor_s_list_has_nineteen_names_and_each_is_known() {
        assert_eq!(EventName::known().count(), 19);
        for name in EventName::known() {
            assert!(name.is_known());
            assert_eq!(EventName::parse(&name.to_string()), Ok(name));
        }
        assert!(!EventName::parse("Issue.Explode").unwrap().is_known());
        assert!(!EventName::parse("Epic.Create").unwrap().is_known());
        assert!(EventName::parse("Webhook.Test").unwrap().is_test());
    }
}
