//! Whether somebody stands in a body: by id, e-mail address or whole name, wherever in it.
//!
//! It is asked before people are forgotten, so in doubt it says yes: a text that happens to be the same is one.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::EventFilter;
use super::terms::is_spaceless;
use crate::contract::Envelope;

/// The fewest bytes that are looked for inside a longer text: a name of four letters, or of two Chinese ones.
const INSIDE_MIN: usize = 4;

/// What the keys of people are called, less `id` at their end.
const PEOPLE: &[&str] = &[
    "user",
    "owner",
    "assignee",
    "createby",
    "updateby",
    "creator",
    "updater",
    "reporter",
    "author",
    "operator",
    "follow",
    "follows",
    "follower",
    "followers",
    "member",
    "members",
    "participant",
    "participants",
];

/// Somebody who is looked for.
#[derive(Debug, Clone)]
pub struct Mention {
    /// In lower case, without spaces around it.
    wanted: String,
    /// The same as a number, where it is one.
    id: Option<i64>,
}

impl Mention {
    /// Somebody by id, e-mail address or whole name; case does not matter.
    #[must_use]
    pub fn of(person: &str) -> Mention {
        let wanted = person.trim().to_lowercase();
        Mention { id: wanted.parse().ok(), wanted }
    }

    /// Whether they stand in a body: as a text of its own, inside a text where it is no bare number, or as the id of a
    /// person. A body that is not JSON is searched as it came.
    #[must_use]
    pub fn is_in(&self, body: &[u8]) -> bool {
        if self.wanted.is_empty() {
            return false;
        }
        let mut parser = serde_json::Deserializer::from_slice(body);
        let whole = self.seek(false).deserialize(&mut parser).and_then(|found| parser.end().map(|()| found));
        whole.map_or_else(
            |_| {
                // What Rust's numbers and texts cannot hold is mended by the views.
                let mended = Envelope::parse(body).is_ok_and(|(value, _, _)| {
                    self.seek(false).deserialize(&value).is_ok_and(|found: Found| found.certain)
                });
                mended || self.is_in_raw(&String::from_utf8_lossy(body).to_lowercase())
            },
            |found| found.certain,
        )
    }

    /// Whether somebody asks for them who asks for these events.
    #[must_use]
    pub fn is_asked_for(&self, filter: &EventFilter) -> bool {
        let is_the_person = filter.person.as_ref().is_some_and(|person| self.is_in_text(person));
        let is_in_words = filter.text.as_ref().is_some_and(|text| self.is_inside(&text.to_lowercase()));
        is_the_person || is_in_words
    }

    fn seek(&self, of_person: bool) -> Seek<'_> {
        Seek { mention: self, of_person }
    }

    fn is_in_text(&self, text: &str) -> bool {
        let text = text.trim().to_lowercase();
        text == self.wanted || self.is_inside(&text)
    }

    fn is_inside(&self, text: &str) -> bool {
        self.id.is_none() && self.wanted.len() >= INSIDE_MIN && stands_alone_in(text, &self.wanted)
    }

    fn is_in_raw(&self, text: &str) -> bool {
        let as_id = |at: usize| {
            let before = text[..at].trim_end().trim_end_matches('"').trim_end();
            let key = before.strip_suffix(':').and_then(|rest| rest.trim_end().strip_suffix('"')?.rsplit('"').next());
            key.is_some_and(|key| key == "id" || is_of_person(key))
        };
        match self.id {
            Some(_) => places(text, &self.wanted).any(as_id),
            None => self.wanted.len() >= INSIDE_MIN && stands_alone_in(text, &self.wanted),
        }
    }
}

/// Where a text stands in another without being a part of a longer word.
fn places<'t>(text: &'t str, wanted: &'t str) -> impl Iterator<Item = usize> + 't {
    let joined = |one: Option<char>, other: Option<char>| {
        let letter = |letter: char| letter.is_alphanumeric() && !is_spaceless(letter);
        one.is_some_and(letter) && other.is_some_and(letter)
    };
    text.match_indices(wanted).map(|(at, _)| at).filter(move |at| {
        let (before, after) = (&text[..*at], &text[at + wanted.len()..]);
        !joined(before.chars().next_back(), wanted.chars().next())
            && !joined(wanted.chars().next_back(), after.chars().next())
    })
}

fn stands_alone_in(text: &str, wanted: &str) -> bool {
    places(text, wanted).next().is_some()
}

/// Whether what stands at a key is a person.
fn is_of_person(key: &str) -> bool {
    let bare: String = key.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let bare = bare.strip_suffix("ids").or(bare.strip_suffix("id")).unwrap_or(&bare);
    PEOPLE.contains(&bare)
}

/// Walks through a value; nothing of it is kept, and a key that stands twice is looked at twice.
struct Seek<'m> {
    mention: &'m Mention,
    /// Whether the value stands for a person.
    of_person: bool,
}

/// What a value says.
#[derive(Default)]
struct Found {
    /// They stand in it.
    certain: bool,
    /// It is their number, if it is one of a person.
    number: bool,
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        Ok(Found { certain: self.mention.is_in_text(text), number: false })
    }

    fn visit_i64<E>(self, number: i64) -> Result<Found, E> {
        Ok(Found { certain: false, number: self.mention.id == Some(number) })
    }

    fn visit_u64<E>(self, number: u64) -> Result<Found, E> {
        Ok(Found { certain: false, number: self.mention.id.is_some_and(|id| u64::try_from(id) == Ok(number)) })
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Found, A::Error> {
        let mut found = Found::default();
        while let Some(item) = items.next_element_seed(self.mention.seek(self.of_person))? {
            found.certain |= item.certain;
            found.number |= item.number;
        }
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let (mut certain, mut own_id, mut is_person) = (false, false, self.of_person);
        while let Some(key) = map.next_key::<String>()? {
            let of_person = is_of_person(&key);
            let value = map.next_value_seed(self.mention.seek(of_person))?;
            certain |= value.certain || (of_person && value.number) || self.mention.is_in_text(&key);
            own_id |= key == "id" && value.number;
            is_person |= key == "email" || key == "phone";
        }
        Ok(Found { certain: certain || (own_id && is_person), number: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(person: &str, body: &str, expected: bool) {
        assert_eq!(Mention::of(person).is_in(body.as_bytes()), expected, "{person} in {body}");
    }

    #[test]
    fn a_person_is_found_by_address_or_name_wherever_it_stands() {
        for body in [
            r#"{"a":[{"b":"Jane Doe"}]}"#,
            r#"{"a":" JANE DOE "}"#,
            r#"{"a":"<p>@jane doe, please look</p>"}"#,
            r#"{"Jane Doe":1}"#,
            r#"{"a":"\u004aane Doe"}"#,
            r#"{"a":"Jane Doe","a":"Max"}"#,
            r#"{"a":1e400,"b":"\u004aane Doe"}"#,
            r#"{"a":"cut off here, Jane Doe"#,
            "no JSON, but of Jane Doe.",
        ] {
            check("Jane Doe", body, true);
        }
        check("jane@example.com", r#"{"a":"write to Jane@Example.com."}"#, true);
        check("王小明", r#"{"a":"请王小明看看"}"#, true);
        check("Zoë", r#"{"a":"zoë"}"#, true);
        for body in [r#"{"a":"Jane Doering"}"#, r#"{"a":"Mary-Jane"}"#, r#"{"a":"Max"}"#, "", "{}"] {
            check("Jane Doe", body, false);
        }
        check("Max", r#"{"a":"Max is here"}"#, false);
        check(" ", r#"{"a":" "}"#, false);
    }

    #[test]
    fn a_number_is_a_person_only_where_a_person_stands() {
        for body in [
            r#"{"trigger":{"user":{"id":7,"name":"Jane"}}}"#,
            r#"{"data":{"issue":{"follows":[{"id":1},{"id":7}]}}}"#,
            r#"{"data":{"sprint":{"assignee":7}}}"#,
            r#"{"data":{"subtask":{"assigneeId":7}}}"#,
            r#"{"x":{"create_by":7},"y":[]}"#,
            r#"{"somebody":{"id":7,"email":"j@example.com"}}"#,
            r#"{"memberIds":[1,7]}"#,
            r#"{"a":"7"}"#,
            r#"{"user":{"id": 7,"name":"cut off"#,
        ] {
            check("7", body, true);
        }
        for body in [
            r#"{"data":{"issue":{"id":7,"number":7}}}"#,
            r#"{"user":{"id":77}}"#,
            r#"{"a":"7 of 9"}"#,
            r#"{"date":7}"#,
            r#"{"date": 7, "cut off"#,
        ] {
            check("7", body, false);
        }
    }
}
