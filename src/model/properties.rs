//! What holds for any person, any words and any body. For tests and fuzzing only.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::terms::is_spaceless;
use super::{Entity, EventFilter, EventId, Mention, NameFilter, Position, Receipt, StoredEvent, asked_terms, terms};
use crate::contract::{Brand, Envelope, EventName, KeptHeaders};

/// The keys under which a plain search looks for people: some of those that the real one knows.
const PEOPLE: &[&str] = &["user", "owner", "assignee", "createBy", "updateBy"];
/// The most terms of an event beside its people's: five of its own, and 64 words.
const TERMS_MAX: usize = 5 + 64;

/// A filter of names is a name or an object, displays as itself, and means what it spells.
pub(crate) fn name_filter(text: &str, name: &str) {
    let filter = text.parse::<NameFilter>();
    let whole = text.strip_suffix(".*").map_or_else(|| text.to_owned(), |object| format!("{object}.any"));
    let read = EventName::parse(&whole);
    assert_eq!(filter.is_ok(), read.is_ok(), "{text:?}");
    if let (Ok(filter), Ok(read)) = (filter, read) {
        assert_eq!(filter.to_string().parse(), Ok(filter.clone()));
        if let Ok(name) = EventName::parse(name) {
            let meant = read.object() == name.object() && (text.ends_with(".*") || read.action() == name.action());
            assert_eq!(filter.matches(&name), meant, "{text:?} {name}");
        }
    }
}

/// Who stands in a body is found, and who does not is not.
pub(crate) fn mention(person: &str, body: &[u8]) {
    let found = Mention::of(person).is_in(body);
    let wanted = person.trim().to_lowercase();
    let id: Option<i64> = wanted.parse().ok();
    if wanted.is_empty() {
        assert!(!found);
        return;
    }
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        assert!(found || !stands_in(&value, &wanted, id), "{person:?} is not found");
    }
    // An escape can spell anything; without one, what is found stands there as it is.
    if found && !body.contains(&b'\\') {
        let text = String::from_utf8_lossy(body).to_lowercase();
        let by_number = id.is_some_and(|id| text.contains(&id.to_string()));
        assert!(text.contains(&wanted) || by_number, "{person:?} is found where nobody is");
    }
    for entity in Entity::all_in(body, "leiga", "product") {
        assert!(entity.is_meant_by(entity.as_str()) && entity.is_meant_by(entity.short()));
    }
}

/// The plain search: through every text and key, letter by letter.
fn stands_in(value: &Value, wanted: &str, id: Option<i64>) -> bool {
    let text = |text: &str| {
        let lower = text.to_lowercase();
        lower.trim() == wanted || (id.is_none() && wanted.len() >= 4 && alone_in(lower.trim(), wanted))
    };
    let is_id = |value: Option<&Value>| id.is_some() && value.and_then(Value::as_i64) == id;
    match value {
        Value::String(found) => text(found),
        Value::Array(items) => items.iter().any(|item| stands_in(item, wanted, id)),
        Value::Object(object) => object.iter().any(|(key, value)| {
            let of_person = PEOPLE.contains(&key.as_str()) && (is_id(Some(value)) || is_id(value.get("id")));
            of_person || text(key) || stands_in(value, wanted, id)
        }),
        _ => false,
    }
}

fn alone_in(text: &str, wanted: &str) -> bool {
    let (text, wanted): (Vec<char>, Vec<char>) = (text.chars().collect(), wanted.chars().collect());
    let letter = |letter: Option<&char>| letter.is_some_and(|one| one.is_alphanumeric() && !is_spaceless(*one));
    (0..text.len()).any(|at| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        text[at..].starts_with(&wanted)
            && !(letter(before) && letter(wanted.first()))
            && !(letter(wanted.last()) && letter(text.get(at + wanted.len())))
    })
}

/// The terms of an event are few and plain, and whoever asks for what stands in it finds it.
pub(crate) fn terms_of(asked: &str, body: &[u8]) {
    let event = event(body);
    let terms = terms(&event);
    let looked_for = |filter: EventFilter| asked_terms(&filter);
    let words = looked_for(EventFilter { text: Some(asked.to_owned()), ..EventFilter::default() });
    for term in terms.iter().chain(&words) {
        assert!((1..=120).contains(&term.chars().count()), "{term:?}");
        let plain = |letter: char| {
            !letter.is_whitespace() && !letter.is_control() && (!letter.is_ascii() || letter.is_ascii_alphanumeric())
        };
        assert!(term.chars().all(plain), "{term:?} is no run of letters and digits");
        assert_eq!(*term, term.to_lowercase(), "lower case stays as it is");
    }
    let Ok((_, envelope, _)) = Envelope::parse(body) else {
        assert!(terms.len() <= TERMS_MAX);
        return;
    };
    let user = envelope.trigger.and_then(|trigger| trigger.user).unwrap_or_default();
    let name = [user.name, user.email, user.id.map(|id| id.to_string())].into_iter().flatten();
    for person in name.filter(|person| !person.trim().is_empty()) {
        let filter = EventFilter { person: Some(person.clone()), ..EventFilter::default() };
        assert!(looked_for(filter).is_subset(&terms), "{person:?} is not found");
    }
    let data = envelope.data.unwrap_or_default();
    let read = [data.issue.and_then(|issue| issue.summary), data.comment.and_then(|comment| comment.content)];
    // Where there may be more words than are kept, those that are not kept are not found.
    for text in read.into_iter().flatten().filter(|_| terms.len() < 64) {
        let filter = EventFilter { text: Some(text.clone()), ..EventFilter::default() };
        assert!(looked_for(filter).is_subset(&terms), "{text:?} is not found");
    }
}

fn event(body: &[u8]) -> StoredEvent {
    let first = Receipt {
        received_at: Timestamp::UNIX_EPOCH,
        retry_num: 0,
        sent_at: None,
        peer: None,
        matched_by_body: false,
        other_body_bytes: None,
    };
    StoredEvent {
        position: Position(1),
        id: EventId::from_bytes([1; 16]),
        webhook: "product".to_owned(),
        brand: Brand::Leiga,
        claimed_webhook_id: String::new(),
        name: EventName::known().next().expect("there are some"),
        original_name: None,
        occurrence_id: None,
        first,
        entity: Entity::all_in(body, "leiga", "product").into_iter().next(),
        notes: Vec::new(),
        headers: KeptHeaders::default(),
        body: Bytes::copy_from_slice(body),
    }
}
