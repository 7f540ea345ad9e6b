//! What is read of a body before it is kept: that it is a JSON object, and the few fields that decide something.
//!
//! Everything else in the body is looked at by those who use it. A field that has an unexpected shape is as good as
//! missing here; the event is kept all the same.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use super::event_name::EventName;
use super::head::Note;
use super::json;

/// The longest id of an issue, a sprint or a tenant that is told apart from others, in bytes.
const ID_MAX_LEN: usize = 64;

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An issue, by `data.issue.id` or `data.relationIssue.fromIssue.fromIssueId`.
    Issue(String),
    /// A sprint, by `data.sprint.id`.
    Sprint(String),
}

/// Why a body is not taken.
#[derive(Debug, Error)]
pub(super) enum BodyFault {
    #[error("the body is empty; a JSON object is expected")]
    Empty,
    #[error("the body is not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    #[error("the body begins with a byte order mark; a JSON object is expected")]
    ByteOrderMark,
    #[error("the body is nested deeper than {max} levels", max = json::MAX_DEPTH)]
    TooDeep,
    #[error("the body is not a JSON object: it begins with {0}")]
    NotAnObject(&'static str),
    #[error("the body is not a JSON object: {0}")]
    Syntax(#[source] serde_json::Error),
}

/// The fields of a body that decide something.
#[derive(Debug, Default)]
pub(super) struct Skimmed {
    body_type: Option<String>,
    pub(super) has_date: bool,
    pub(super) tenant: Option<String>,
    issue: Option<String>,
    sprint: Option<String>,
    from_issue: Option<String>,
}

pub(super) fn skim(body: &[u8]) -> Result<Skimmed, BodyFault> {
    let text = std::str::from_utf8(body).map_err(|error| BodyFault::NotUtf8(error.valid_up_to()))?;
    if text.is_empty() {
        return Err(BodyFault::Empty);
    }
    if text.starts_with('\u{feff}') {
        return Err(BodyFault::ByteOrderMark);
    }
    // Said here, because the parser would repeat what it found, and that may be anybody's words.
    if let Some(found) = not_an_object(text) {
        return Err(BodyFault::NotAnObject(found));
    }
    if json::is_too_deep(text) {
        return Err(BodyFault::TooDeep);
    }
    skim_text(text)
        .or_else(|error| match json::mend(text) {
            std::borrow::Cow::Borrowed(_) => Err(error),
            std::borrow::Cow::Owned(mended) => skim_text(&mended),
        })
        .map_err(BodyFault::Syntax)
}

/// What a text begins with, where that is not an object.
fn not_an_object(text: &str) -> Option<&'static str> {
    match text.trim_ascii_start().bytes().next() {
        Some(b'{') => None,
        Some(b'[') => Some("an array"),
        Some(b'"') => Some("a string"),
        Some(b'-' | b'0'..=b'9') => Some("a number"),
        Some(b't' | b'f' | b'n') => Some("a word"),
        Some(_) => Some("what is no JSON"),
        None => Some("nothing but space"),
    }
}

fn skim_text(text: &str) -> Result<Skimmed, serde_json::Error> {
    let mut found = Found::default();
    let mut parser = serde_json::Deserializer::from_str(text);
    Within { found: &mut found, place: Place::Body }.deserialize(&mut parser)?;
    parser.end()?;
    Ok(Skimmed {
        body_type: found.body_type.and_then(|raw| serde_json::from_str(raw.get()).ok()),
        has_date: found.date.is_some_and(|raw| raw.get() != "null"),
        tenant: id(found.tenant),
        issue: id(found.issue),
        sprint: id(found.sprint),
        from_issue: id(found.from_issue),
    })
}

/// The values that were found, unparsed. Of a key that stands twice, the last value counts.
#[derive(Default)]
struct Found<'de> {
    body_type: Option<&'de RawValue>,
    date: Option<&'de RawValue>,
    tenant: Option<&'de RawValue>,
    issue: Option<&'de RawValue>,
    sprint: Option<&'de RawValue>,
    from_issue: Option<&'de RawValue>,
}

/// Where in the body an object stands.
#[derive(Clone, Copy)]
enum Place {
    Body,
    Tenant,
    Data,
    Issue,
    Sprint,
    Relation,
    FromIssue,
}

/// Looks through what stands at a place, once for all that is looked for in it. What is no object has nothing.
struct Within<'f, 'de> {
    found: &'f mut Found<'de>,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Within<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Within { found, place } = self;
        while let Some(key) = map.next_key_seed(AKey)? {
            let (inner, slot) = match (place, key) {
                (Place::Body, Key::Type) => (None, &mut found.body_type),
                (Place::Body, Key::Date) => (None, &mut found.date),
                (Place::Body, Key::Tenant) => (Some(Place::Tenant), &mut found.tenant),
                (Place::Body, Key::Data) => {
                    *found = Found { issue: None, sprint: None, from_issue: None, ..*found };
                    map.next_value_seed(Within { found, place: Place::Data })?;
                    continue;
                }
                (Place::Data, Key::Issue) => (Some(Place::Issue), &mut found.issue),
                (Place::Data, Key::Sprint) => (Some(Place::Sprint), &mut found.sprint),
                (Place::Data, Key::Relation) => (Some(Place::Relation), &mut found.from_issue),
                (Place::Relation, Key::FromIssue) => (Some(Place::FromIssue), &mut found.from_issue),
                (Place::Tenant, Key::Id) => (None, &mut found.tenant),
                (Place::Issue, Key::Id) => (None, &mut found.issue),
                (Place::Sprint, Key::Id) => (None, &mut found.sprint),
                (Place::FromIssue, Key::FromIssueId) => (None, &mut found.from_issue),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *slot = None;
            match inner {
                Some(place) => map.next_value_seed(Within { found, place })?,
                None => *slot = Some(map.next_value()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// A key that is looked for somewhere.
enum Key {
    Type,
    Date,
    Tenant,
    Data,
    Issue,
    Sprint,
    Relation,
    FromIssue,
    FromIssueId,
    Id,
    Other,
}

/// Reads a key without keeping its text.
struct AKey;

impl<'de> DeserializeSeed<'de> for AKey {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for AKey {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            "type" => Key::Type,
            "date" => Key::Date,
            "tenant" => Key::Tenant,
            "data" => Key::Data,
            "issue" => Key::Issue,
            "sprint" => Key::Sprint,
            "relationIssue" => Key::Relation,
            "fromIssue" => Key::FromIssue,
            "fromIssueId" => Key::FromIssueId,
            "id" => Key::Id,
            _ => Key::Other,
        })
    }
}

/// An id as text: a number, or the same in a string.
fn id(raw: Option<&RawValue>) -> Option<String> {
    let raw = raw?.get();
    let text = if raw.starts_with('"') { serde_json::from_str(raw).ok()? } else { raw.to_owned() };
    let good = (1..=ID_MAX_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    (good && !raw.starts_with(['{', '[', 'n', 't', 'f'])).then_some(text)
}

impl Skimmed {
    /// What the event is about, decided by its object and not by what happens to be in `data` (ruling 13).
    pub(super) fn subject(&self, name: &EventName) -> Option<Subject> {
        if name.object() == "Sprint" {
            return self.sprint.clone().map(Subject::Sprint);
        }
        self.issue.clone().or_else(|| self.from_issue.clone()).map(Subject::Issue)
    }

    /// The difference between the header's name and the body's, if there is one after normalising.
    pub(super) fn type_note(&self, name: &EventName) -> Option<Note> {
        let body_type = self.body_type.as_deref()?;
        match EventName::parse(body_type) {
            Ok(in_body) if in_body == *name => None,
            Ok(in_body) => Some(format!("the body's type says {in_body}, the header {name}; the header counts")),
            Err(error) => Some(format!("the body's type {error}; the header says {name}")),
        }
        .map(|text| Note::new("other-type", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, issue: Option<&str>, from_issue: Option<&str>, tenant: Option<&str>) {
        let found = skim(body.as_bytes()).unwrap();
        let found = [found.issue, found.from_issue, found.tenant];
        assert_eq!(found.each_ref().map(Option::as_deref), [issue, from_issue, tenant], "{body}");
    }

    #[test]
    fn of_a_doubled_key_the_last_value_counts_at_every_depth() {
        check(r#"{"data":{"issue":{"id":1,"id":2}}}"#, Some("2"), None, None);
        check(r#"{"data":{"issue":{"id":1},"issue":{"id":2}}}"#, Some("2"), None, None);
        check(r#"{"data":{"issue":{"id":1},"issue":null}}"#, None, None, None);
        check(r#"{"data":{"issue":{"id":1}},"data":{}}"#, None, None, None);
        check(r#"{"tenant":{"id":7},"tenant":[{"id":8}]}"#, None, None, None);
        check(r#"{"data":{"relationIssue":{"fromIssue":{"fromIssueId":3},"fromIssue":4}}}"#, None, None, None);
    }

    #[test]
    fn what_is_looked_for_is_found_whatever_stands_beside_it() {
        check(r#"{"\u0064ata":{"issu\u0065":{"id":"5"}},"tenant":{"id":6}}"#, Some("5"), None, Some("6"));
        check(r#"{"id":1,"issue":{"id":2},"data":{"id":3,"tenant":{"id":4}}}"#, None, None, None);
        check(
            r#"{"data":{"relationIssue":{"fromIssue":{"fromIssueId":9,"id":8}},"x":[1.5,true,null,"a"]}}"#,
            None,
            Some("9"),
            None,
        );
        check(r#"{"data":"\ud800","tenant":1e999}"#, None, None, None);
        check(r#"{"data":[{"issue":{"id":1}}],"tenant":{"id":-2}}"#, None, None, Some("-2"));
    }
}
