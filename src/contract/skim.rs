//! What is read of a body before it is kept: that it is a JSON object, and the few fields that decide something.
//!
//! Everything else in the body is looked at by those who use it. A field that has an unexpected shape is as good as
//! missing here; the event is kept all the same.

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
    let [body_type, date, tenant, data] = json::pick(text, ["type", "date", "tenant", "data"])?;
    let [issue, sprint, relation] = inside(data, ["issue", "sprint", "relationIssue"])?;
    let [from] = inside(relation, ["fromIssue"])?;
    Ok(Skimmed {
        body_type: body_type.and_then(|raw| serde_json::from_str(raw.get()).ok()),
        has_date: date.is_some_and(|raw| raw.get() != "null"),
        tenant: id(inside(tenant, ["id"])?),
        issue: id(inside(issue, ["id"])?),
        sprint: id(inside(sprint, ["id"])?),
        from_issue: id(inside(from, ["fromIssueId"])?),
    })
}

/// The values of some keys of what may be an object. One with a key that has to be mended is an error, so that it is.
fn inside<'a, const N: usize>(
    raw: Option<&'a RawValue>,
    keys: [&str; N],
) -> Result<[Option<&'a RawValue>; N], serde_json::Error> {
    match raw.map(RawValue::get) {
        Some(object) if object.starts_with('{') => json::pick(object, keys),
        _ => Ok([None; N]),
    }
}

/// An id as text: a number, or the same in a string.
fn id([raw]: [Option<&RawValue>; 1]) -> Option<String> {
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
