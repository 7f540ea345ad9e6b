//! Bodies without the people in them: each person becomes a number, the same wherever they appear.
//!
//! People are learned first, from every body, and then replaced: where a user stands, and wherever their name, address,
//! telephone number or long id stands in another text. What no user object names is not known, and stays.

use std::collections::HashMap;

use serde_json::Value;

use crate::contract::Brand;

/// The keys under which users stand: as an object, as several, or by id with `Id` behind it or without.
const USERS: &[&str] =
    &["user", "createBy", "updateBy", "owner", "assignee", "follows", "creator", "operator", "member"];
/// The keys that an object has only where it is a user.
const OF_USERS: &[&str] = &["email", "phone", "mobile"];
/// The shortest id that is replaced in texts: a shorter one is mostly something else there.
const ID_LEAST: usize = 6;
/// The shortest telephone number that is replaced in texts.
const PHONE_LEAST: usize = 5;

/// The people of some bodies, each with a number.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    people: usize,
    /// The number of a person by something that is theirs alone, or by their name.
    known: HashMap<Key, usize>,
    /// What is replaced in texts, the longest first: in lower case, whose, and as what.
    texts: Vec<(Vec<char>, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Id(Brand, String),
    Email(String),
    Name(String),
}

impl Redaction {
    /// Learns who is in a body. One that is no JSON names nobody.
    pub fn learn(&mut self, brand: Brand, body: &[u8]) {
        if let Ok(value) = serde_json::from_slice(body) {
            self.learn_value(brand, "", &value);
            self.texts.sort_by(|(one, _), (other, _)| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
            self.texts.dedup_by(|(one, _), (other, _)| one == other);
        }
    }

    /// A body without its people; `None` where it is no JSON.
    #[must_use]
    pub fn body(&self, brand: Brand, body: &[u8]) -> Option<Vec<u8>> {
        let mut value: Value = serde_json::from_slice(body).ok()?;
        self.replace(brand, "", &mut value);
        serde_json::to_vec_pretty(&value).ok()
    }

    /// A text without the people that are known.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let letters: Vec<char> = text.chars().collect();
        let (mut replaced, mut at) = (String::with_capacity(text.len()), 0);
        while let Some(letter) = letters.get(at) {
            match self.texts.iter().find(|(found, _)| stands_at(found, &letters, at)) {
                Some((found, with)) => {
                    replaced.push_str(with);
                    at += found.len();
                }
                None => {
                    replaced.push(*letter);
                    at += 1;
                }
            }
        }
        replaced
    }

    fn learn_value(&mut self, brand: Brand, key: &str, value: &Value) {
        match value {
            Value::Object(object) if is_user(key, value) => {
                let text = |key: &str| object.get(key).and_then(scalar).filter(|text| !text.trim().is_empty());
                self.learn_person(brand, text("id"), text("name"), text("email"));
                for phone in ["phone", "mobile"].into_iter().filter_map(text) {
                    let number = self.number(brand, text("id"), text("email"), text("name"));
                    if let Some(number) = number.filter(|_| phone.chars().count() >= PHONE_LEAST) {
                        self.texts.push((lower(&phone), format!("phone-{number}")));
                    }
                }
                // Whoever stands within a user, as a manager does, is known by it elsewhere.
                let within = object.iter().filter(|(_, value)| value.is_object() || value.is_array());
                within.for_each(|(key, value)| self.learn_value(brand, key, value));
            }
            Value::Object(object) => {
                for (key, value) in object {
                    if let Some(user) = of_user_name(key) {
                        let id = [user, &format!("{user}Id")].into_iter().find_map(|id| scalar(object.get(id)?));
                        self.learn_person(brand, id, scalar(value), None);
                    }
                    self.learn_value(brand, key, value);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.learn_value(brand, key, value)),
            _ if of_user_id(key) => {
                if let Some(id) = scalar(value).filter(|id| !id.is_empty()) {
                    self.learn_person(brand, Some(id), None, None);
                }
            }
            _ => {}
        }
    }

    fn learn_person(&mut self, brand: Brand, id: Option<String>, name: Option<String>, email: Option<String>) {
        let known = self.number(brand, id.clone(), email.clone(), name.clone());
        let number = known.unwrap_or_else(|| {
            self.people += 1;
            self.people
        });
        if let Some(id) = id {
            if id.len() >= ID_LEAST {
                self.texts.push((lower(&id), number.to_string()));
            }
            self.known.entry(Key::Id(brand, id)).or_insert(number);
        }
        if let Some(email) = email {
            self.texts.push((lower(&email), address(number)));
            self.known.entry(Key::Email(email.to_lowercase())).or_insert(number);
        }
        if let Some(name) = name.filter(|name| !name.trim().is_empty()) {
            let first = *self.known.entry(Key::Name(name.to_lowercase())).or_insert(number);
            self.texts.push((lower(&name), person(first)));
        }
    }

    /// Whose this is: the id tells, else the address; only where there is neither, the name.
    fn number(&self, brand: Brand, id: Option<String>, email: Option<String>, name: Option<String>) -> Option<usize> {
        let by_name = if id.is_none() && email.is_none() { name } else { None };
        let keys = [
            id.map(|id| Key::Id(brand, id)),
            email.map(|email| Key::Email(email.to_lowercase())),
            by_name.map(|name| Key::Name(name.to_lowercase())),
        ];
        keys.into_iter().flatten().find_map(|key| self.known.get(&key).copied())
    }

    fn replace(&self, brand: Brand, key: &str, value: &mut Value) {
        if is_user(key, value) {
            self.replace_user(brand, value);
            self.replace_keys(value);
            return;
        }
        match value {
            Value::Object(object) => {
                let ids: HashMap<String, String> =
                    object.iter().filter_map(|(key, value)| Some((key.clone(), scalar(value)?))).collect();
                for (key, value) in object.iter_mut() {
                    let Some(user) = of_user_name(key).filter(|_| value.is_string()) else {
                        self.replace(brand, key, value);
                        continue;
                    };
                    let id = [user, &format!("{user}Id")].into_iter().find_map(|id| ids.get(id).cloned());
                    let number = self.number(brand, id, None, scalar(value));
                    *value = number.map_or_else(|| Value::from("redacted"), |number| person(number).into());
                }
                self.replace_keys(value);
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.replace(brand, key, value)),
            _ if of_user_id(key) => self.replace_id(brand, value),
            Value::String(text) => *text = self.text(text),
            _ => {}
        }
    }

    /// Addresses that are keys. A name is none: it could be that of a field.
    fn replace_keys(&self, value: &mut Value) {
        if let Some(object) = value.as_object_mut().filter(|object| object.keys().any(|key| key.contains('@'))) {
            let replaced = |key: String| if key.contains('@') { self.text(&key) } else { key };
            *object = std::mem::take(object).into_iter().map(|(key, value)| (replaced(key), value)).collect();
        }
    }

    fn replace_user(&self, brand: Brand, user: &mut Value) {
        let text = |key: &str| scalar(user.get(key)?);
        let number = self.number(brand, text("id"), text("email"), text("name"));
        for (key, value) in user.as_object_mut().into_iter().flatten() {
            match (key.as_str(), number) {
                (_, _) if value.as_str().is_some_and(|text| text.trim().is_empty()) => {}
                ("id", _) => self.replace_id(brand, value),
                ("name", Some(number)) => *value = person(number).into(),
                ("email", Some(number)) => *value = address(number).into(),
                ("phone" | "mobile", Some(number)) => *value = format!("phone-{number}").into(),
                (_, _) if value.is_null() || value.is_boolean() => {}
                _ => *value = "redacted".into(),
            }
        }
    }

    fn replace_id(&self, brand: Brand, value: &mut Value) {
        let number = scalar(value).and_then(|id| self.known.get(&Key::Id(brand, id)).copied());
        match (number, value.is_string()) {
            (Some(number), true) => *value = number.to_string().into(),
            (Some(number), false) => *value = number.into(),
            (None, _) => {}
        }
    }
}

fn person(number: usize) -> String {
    format!("Person {number}")
}

fn address(number: usize) -> String {
    format!("person-{number}@example.invalid")
}

/// Whether an object is a user.
fn is_user(key: &str, value: &Value) -> bool {
    let user = |object: &serde_json::Map<String, Value>| {
        USERS.contains(&key) || OF_USERS.iter().any(|of_users| object.contains_key(*of_users))
    };
    value.as_object().is_some_and(user)
}

/// `assignee` of `assigneeName`.
fn of_user_name(key: &str) -> Option<&str> {
    key.strip_suffix("Name").filter(|user| USERS.contains(user))
}

/// Whether a user's id stands under a key.
fn of_user_id(key: &str) -> bool {
    USERS.contains(&key) || key.strip_suffix("Ids").or(key.strip_suffix("Id")).is_some_and(|user| USERS.contains(&user))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn lower(text: &str) -> Vec<char> {
    text.trim().chars().map(small).collect()
}

/// A letter in lower case, one for one.
fn small(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

/// Whether a text stands at a place as words of its own.
fn stands_at(found: &[char], letters: &[char], at: usize) -> bool {
    let Some(there) = letters.get(at..at + found.len()) else { return false };
    if found.is_empty() || !there.iter().zip(found).all(|(one, other)| small(*one) == *other) {
        return false;
    }
    // A script that writes words without spaces has no such borders.
    let inside = |one: char, other: char| one.is_ascii_alphanumeric() && other.is_ascii_alphanumeric();
    let before = at.checked_sub(1).is_some_and(|before| inside(letters[before], there[0]));
    let after = letters.get(at + found.len()).is_some_and(|after| inside(there[there.len() - 1], *after));
    !before && !after
}

#[cfg(test)]
mod tests;
