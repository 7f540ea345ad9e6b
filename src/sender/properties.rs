//! What holds for any edit, any answer and any export. For tests and fuzzing only.

use std::collections::BTreeSet;

use http::HeaderMap;
use serde_json::{Value, json};

use super::{Answer, Draft, Edit, Recorded, Redaction};
use crate::contract::Brand;

/// What an edit sets is there afterwards, and an edit that cannot be made is a sentence.
pub(crate) fn edit(edit: &str, body: &[u8]) {
    let Ok(parsed) = edit.parse::<Edit>() else { return };
    let (path, value) = edit.split_once('=').expect("it was parsed");
    let draft = Draft::of_body(Brand::Leiga, "Issue.Update", body.to_vec().into()).expect("it is a name");
    let Ok(edited) = draft.edited(&[parsed]) else { return };
    let edited: Value = serde_json::from_slice(&edited.body).expect("what was edited is JSON");
    let wanted = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    // The last digit of a long fraction is not kept.
    let wanted: Value = serde_json::from_str(&wanted.to_string()).expect("what is written is JSON");
    let pointer: String =
        path.split('.').map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect();
    assert_eq!(edited.pointer(&pointer), Some(&wanted), "{edit:?}");
}

/// An answer is a success by status and `errcode` alone, and what it says cannot steer a terminal.
pub(crate) fn answer(body: &[u8]) {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    for status in [200, 503] {
        let answer = Answer::read(status, body);
        assert_eq!(answer.is_success(), status == 200 && parsed["errcode"] == json!(0) && parsed["errcode"].is_i64());
        assert!(answer.errmsg.is_none_or(|said| said.chars().count() <= 300 && !said.contains(char::is_control)));
    }
}

/// Nobody whose address a body names is in what is exported of any, and a body without anybody is exported as it is.
pub(crate) fn redaction(bodies: &[&[u8]]) {
    let mut redaction = Redaction::default();
    bodies.iter().for_each(|body| redaction.learn(Brand::Leiga, body));
    let before: Vec<Option<Value>> = bodies.iter().map(|body| serde_json::from_slice(body).ok()).collect();
    let mut addresses = BTreeSet::new();
    before.iter().flatten().for_each(|body| collect_addresses(body, &mut addresses));
    let nobody = Redaction::default();
    for (bytes, before) in bodies.iter().zip(&before) {
        let after = redaction.body(Brand::Leiga, bytes);
        assert_eq!(after.is_some(), before.is_some(), "what can be read is exported, and nothing else");
        let Some(after) = after else { continue };
        let after: Value = serde_json::from_slice(&after).expect("what is exported is JSON");
        let mut texts = Vec::new();
        collect_texts(&after, &mut texts);
        for address in &addresses {
            assert!(!texts.iter().any(|text| stands_in(text, address)), "{address:?} is left in {after}");
        }
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(nobody.text(&text), text, "nobody is known");
    }
}

/// The addresses of people, but for those that could be of what stands for somebody.
fn collect_addresses(value: &Value, addresses: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_addresses(item, addresses)),
        Value::Object(object) => {
            let email = object.get("email").and_then(Value::as_str).map(|email| email.trim().to_ascii_lowercase());
            addresses.extend(email.filter(|email| {
                let (name, host) = email.split_once('@').unwrap_or_default();
                let letters = |text: &str| text.len() >= 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
                letters(name) && letters(host) && !["person", "phone", "redacted"].contains(&name)
            }));
            object.values().for_each(|value| collect_addresses(value, addresses));
        }
        _ => {}
    }
}

fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.to_ascii_lowercase()),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        Value::Object(object) => {
            texts.extend(object.keys().map(|key| key.to_ascii_lowercase()));
            object.values().for_each(|value| collect_texts(value, texts));
        }
        _ => {}
    }
}

fn stands_in(text: &str, address: &str) -> bool {
    let letter = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    text.match_indices(address)
        .any(|(at, _)| !letter(text[..at].chars().next_back()) && !letter(text[at + address.len()..].chars().next()))
}

/// A script says each header of the sender to curl as it came, and nothing else to the shell.
pub(crate) fn script(headers: &HeaderMap) {
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let recorded = Recorded {
        brand: Brand::Leiga,
        event: "Issue.Update".to_owned(),
        headers: headers.iter().map(pair).collect(),
        body: Vec::new(),
        recorded: json!({}),
    };
    let script = recorded.script();
    let (_, arguments) = script.split_once("--header @- \\\n").expect("the token comes first");
    let words = words(arguments).expect("every quote is closed");
    let sent = headers.iter().map(pair).filter(|(name, _)| name.starts_with("x-leiga-") || name == "content-type");
    let mut expected = Vec::new();
    for (name, value) in sent {
        let header = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        expected.extend(["--header".to_owned(), header]);
    }
    expected.extend(["--data-binary", "@body.json", "--url", "$WORKHOOK_URL"].map(str::to_owned));
    let same = |(one, other): (&String, &String)| {
        // The vendor spells the names of its headers in its own way.
        let name = one.find([':', ';']).unwrap_or(0);
        one.is_char_boundary(name)
            && other.is_char_boundary(name)
            && one[..name].eq_ignore_ascii_case(&other[..name])
            && one[name..] == other[name..]
    };
    assert!(words.len() == expected.len() && words.iter().zip(&expected).all(same), "{words:?}, not {expected:?}");
    let meta: Value = serde_json::from_str(&recorded.meta()).expect("it is JSON");
    assert_eq!(meta["headers"]["values"].as_array().map(Vec::len), Some(headers.len()));
}

/// The words of a shell's line; `None` where a quote is open. What a shell would do with a sign outside of quotes is
/// not known here, so that there must be none.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), None);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '"' => loop {
                let inside = letters.next()?;
                if inside == letter {
                    word.get_or_insert_default();
                    break;
                }
                word.get_or_insert_with(String::new).push(inside);
            },
            '\\' => match letters.next()? {
                '\n' => {}
                escaped => word.get_or_insert_with(String::new).push(escaped),
            },
            ' ' | '\n' => words.extend(word.take()),
            plain => {
                assert!(plain.is_ascii_alphanumeric() || "-@._$".contains(plain), "{plain:?} is said to the shell");
                word.get_or_insert_with(String::new).push(plain);
            }
        }
    }
    words.extend(word);
    Some(words)
}
