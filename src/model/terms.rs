//! What an event is found by: its name, webhook, entity and people as opaque terms, and the words that people read.
//!
//! Each term is one run of letters and digits in lower case, with the marks that some get by that, so that whatever
//! keeps them has only to tell them apart.
//! What always holds: what [`asked_terms`] makes of a filter is among the [`terms`] of every event that the filter
//! means; time and outcome are not a matter of terms.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::{EventFilter, NameFilter, StoredEvent};
use crate::contract::{Envelope, Issue, User};

/// The most words of an event; its opaque terms are not counted.
const WORDS_MAX: usize = 64;
/// The most characters of a word; the rest of it is left out.
const WORD_MAX: usize = 40;

/// Everything that an event is found by.
#[must_use]
pub fn terms(event: &StoredEvent) -> BTreeSet<String> {
    let mut terms = BTreeSet::from([
        opaque("name", &event.name.to_string()),
        opaque("object", event.name.object()),
        opaque("webhook", &event.webhook),
    ]);
    if let Some(entity) = &event.entity {
        terms.insert(opaque("entity", entity.as_str()));
        terms.insert(opaque("entity", entity.short()));
    }
    let mut read = vec![event.name.to_string()];
    if let Ok((_, envelope, _)) = Envelope::parse(&event.body) {
        for person in people(&envelope) {
            terms.insert(opaque("person", &person.to_lowercase()));
            read.push(person);
        }
        texts(&envelope, &mut read);
    }
    let mut left = WORDS_MAX;
    for word in read.iter().flat_map(|text| words(text)) {
        if left > 0 && terms.insert(word) {
            left -= 1;
        }
    }
    terms
}

/// The terms that an event must have for a filter to mean it; none where the filter asks for none.
#[must_use]
pub fn asked_terms(filter: &EventFilter) -> BTreeSet<String> {
    let mut terms = BTreeSet::new();
    terms.extend(filter.name.as_ref().map(|name| match name {
        NameFilter::Name(name) => opaque("name", &name.to_string()),
        NameFilter::Object(object) => opaque("object", object),
    }));
    terms.extend(filter.webhook.as_ref().map(|webhook| opaque("webhook", webhook)));
    terms.extend(filter.entity.as_ref().map(|entity| opaque("entity", entity)));
    terms.extend(filter.person.as_ref().map(|person| opaque("person", &person.trim().to_lowercase())));
    terms.extend(filter.text.iter().flat_map(|text| words(text)));
    terms
}

/// A value of a kind as a term that is no word.
fn opaque(kind: &str, value: &str) -> String {
    let hash = Sha256::digest(format!("{kind}\n{value}"));
    hash[..8].iter().fold("x".to_owned(), |term, byte| format!("{term}{byte:02x}"))
}

/// The ids, addresses and names of everyone who appears.
fn people(envelope: &Envelope) -> Vec<String> {
    let of_issue = |issue: &'_ Issue| -> Vec<User> {
        let single = [&issue.create_by, &issue.update_by, &issue.owner, &issue.assignee];
        single.into_iter().flatten().cloned().chain(issue.follows.iter().flatten().cloned()).collect()
    };
    let data = envelope.data.as_ref();
    let mut users: Vec<User> = data.and_then(|data| data.issue.as_ref()).map(of_issue).unwrap_or_default();
    users.extend(envelope.trigger.as_ref().and_then(|trigger| trigger.user.clone()));
    let mut people: Vec<String> = users
        .into_iter()
        .flat_map(|user| [user.id.map(|id| id.to_string()), user.email, user.name])
        .flatten()
        .collect();
    if let Some(sprint) = data.and_then(|data| data.sprint.as_ref()) {
        people.extend([sprint.assignee.map(|id| id.to_string()), sprint.assignee_name.clone()].into_iter().flatten());
    }
    if let Some(subtask) = data.and_then(|data| data.subtask.as_ref()) {
        people.extend(
            [subtask.assignee_id.map(|id| id.to_string()), subtask.assignee_name.clone()].into_iter().flatten(),
        );
    }
    people.iter().map(|person| person.trim().to_owned()).filter(|person| !person.is_empty()).collect()
}

/// What people read of an event.
fn texts(envelope: &Envelope, texts: &mut Vec<String>) {
    let Some(data) = &envelope.data else { return };
    if let Some(issue) = &data.issue {
        texts.extend(issue.number.map(|number| number.to_string()));
        texts.extend(issue.summary.clone());
        texts.extend(issue.status.as_ref().and_then(|status| status.name.clone()));
        texts.extend(issue.project.as_ref().and_then(|project| project.name.clone()));
    }
    texts.extend(data.sprint.as_ref().and_then(|sprint| sprint.name.clone()));
    texts.extend(data.subtask.as_ref().and_then(|subtask| subtask.summary.clone()));
    texts.extend(data.attachment.as_ref().and_then(|attachment| attachment.name.clone()));
    texts.extend(data.comment.as_ref().and_then(|comment| comment.content.clone()));
}

/// The words of a text: runs of letters and digits, and of scripts without spaces each two neighbours.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in text.split(|character: char| !character.is_alphanumeric()).filter(|run| !run.is_empty()) {
        let letters: Vec<char> = run.to_lowercase().chars().collect();
        for part in letters.chunk_by(|one, other| is_spaceless(*one) == is_spaceless(*other)) {
            if is_spaceless(part[0]) && part.len() > 1 {
                words.extend(part.windows(2).map(|pair| pair.iter().collect::<String>()));
            } else {
                words.push(part.iter().take(WORD_MAX).collect());
            }
        }
    }
    words
}

/// Whether a letter is of a script that writes words without spaces between them: Chinese, Japanese.
pub(super) fn is_spaceless(letter: char) -> bool {
    matches!(letter, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Brand, EventName, KeptHeaders};
    use crate::model::{Entity, EventId, Position, Receipt};
    use jiff::Timestamp;

    const BODY: &str = r#"{"trigger":{"user":{"id":7,"name":"Jane Doe","email":"Jane@Example.com"}},
        "data":{"issue":{"number":21,"summary":"Login fails: 修复登录 (urgent)","follows":[{"id":9,"name":"Max"}]},
        "comment":{"content":"see PR-4"}}}"#;

    fn event(body: &'static str) -> StoredEvent {
        StoredEvent {
            position: Position(1),
            id: EventId::from_bytes([1; 16]),
            webhook: "product".to_owned(),
            brand: Brand::Leiga,
            claimed_webhook_id: String::new(),
            name: EventName::parse("Issue.Update").unwrap(),
            original_name: None,
            occurrence_id: None,
            first: Receipt {
                received_at: Timestamp::UNIX_EPOCH,
                retry_num: 0,
                sent_at: None,
                peer: None,
                matched_by_body: false,
                other_body_bytes: None,
            },
            entity: Some(Entity::from_stored("leiga/tenant:1/issue/100".to_owned())),
            notes: Vec::new(),
            headers: KeptHeaders::default(),
            body: body.into(),
        }
    }

    #[track_caller]
    fn check(filter: &EventFilter, expected: bool) {
        let (asked, terms) = (asked_terms(filter), terms(&event(BODY)));
        assert!(!asked.is_empty());
        assert_eq!(asked.is_subset(&terms), expected, "{filter:?}");
    }

    #[test]
    fn an_event_is_found_by_what_it_has_and_by_nothing_else() {
        let base = EventFilter::default;
        for (name, expected) in
            [("Issue.Update", true), ("Issue.*", true), ("Issue.Delete", false), ("Sprint.*", false)]
        {
            check(&EventFilter { name: Some(name.parse().unwrap()), ..base() }, expected);
        }
        for (entity, expected) in
            [("leiga/tenant:1/issue/100", true), ("issue/100", true), ("issue/10", false), ("100", false)]
        {
            check(&EventFilter { entity: Some(entity.to_owned()), ..base() }, expected);
        }
        for (person, expected) in
            [("jane doe", true), ("JANE@example.com", true), ("7", true), ("9", true), ("jane", false), ("21", false)]
        {
            check(&EventFilter { person: Some(person.to_owned()), ..base() }, expected);
        }
        for (text, expected) in [
            ("login FAILS", true),
            ("#21", true),
            ("jane urgent", true),
            ("登录", true),
            ("录登", false),
            ("pr 4", true),
            ("log", false),
        ] {
            check(&EventFilter { text: Some(text.to_owned()), ..base() }, expected);
        }
        check(&EventFilter { webhook: Some("product".to_owned()), text: Some("login".to_owned()), ..base() }, true);
        check(&EventFilter { webhook: Some("produce".to_owned()), text: Some("login".to_owned()), ..base() }, false);
        assert!(asked_terms(&EventFilter { since: Some(Timestamp::UNIX_EPOCH), ..base() }).is_empty());
    }

    #[test]
    fn a_body_that_cannot_be_read_is_found_by_the_rest_and_a_long_one_has_its_bounds() {
        assert_eq!(terms(&event("no JSON")).len(), 7);
        let many: String = (0..1000).map(|n| format!("word{n} ")).collect();
        let body = format!(r#"{{"data":{{"issue":{{"summary":"{many}{}"}}}}}}"#, "y".repeat(1000));
        let terms = terms(&event(Box::leak(body.into_boxed_str())));
        assert_eq!(terms.len(), 5 + WORDS_MAX);
        assert!(terms.iter().all(|term| term.chars().count() <= WORD_MAX && term.chars().all(char::is_alphanumeric)));
    }
}
