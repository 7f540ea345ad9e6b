//! Reading typed views out of a JSON value, field by field.
//!
//! A view never fails: what it cannot read is left out and said, with its place in the body, and the rest still
//! works. What is said names kinds of values, never the values: they may be anybody's words.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};

/// The most misfits that are said of one body.
const MISFITS_MAX: usize = 100;

/// A place in a body that a view could not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The place, for example `data.issue.follows[1].id`.
    pub at: String,
    /// What was expected there.
    pub expected: &'static str,
    /// What was found there.
    pub found: &'static str,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.at, self.expected, self.found)
    }
}

/// Where a view is being read, and what could not be.
#[derive(Debug, Default)]
pub struct Reader {
    path: Vec<Step>,
    misfits: Vec<Misfit>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Key(&'static str),
    Index(usize),
}

impl Reader {
    /// What could not be read.
    #[must_use]
    pub fn into_misfits(self) -> Vec<Misfit> {
        self.misfits
    }

    /// Reads the value at a key of an object; a key that is not there is nothing to say.
    pub(super) fn field<T: Read>(&mut self, object: &Map<String, Value>, key: &'static str) -> Option<T> {
        self.within(Step::Key(key), |reader| object.get(key).and_then(|value| T::read(value, reader)))
    }

    pub(super) fn misfit<T>(&mut self, expected: &'static str, found: &Value) -> Option<T> {
        if self.misfits.len() < MISFITS_MAX {
            self.misfits.push(Misfit { at: self.at(), expected, found: kind(found) });
        }
        None
    }

    /// Says that an object that this event is about is not there at all.
    pub(super) fn missing(&mut self, at: &str, expected: &'static str) {
        self.misfits.push(Misfit { at: at.to_owned(), expected, found: "nothing" });
    }

    fn within<T>(&mut self, step: Step, read: impl FnOnce(&mut Reader) -> T) -> T {
        self.path.push(step);
        let value = read(self);
        self.path.pop();
        value
    }

    fn at(&self) -> String {
        let mut at = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if at.is_empty() => at.push_str(key),
                Step::Key(key) => at.extend([".", key]),
                Step::Index(index) => at.push_str(&format!("[{index}]")),
            }
        }
        at
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number that is no 64-bit integer",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty string",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A type that can be read out of a value, or says why not.
pub trait Read: Sized {
    /// Reads it; `None` after saying what was found instead.
    fn read(value: &Value, reader: &mut Reader) -> Option<Self>;
}

impl Read for Value {
    fn read(value: &Value, _: &mut Reader) -> Option<Self> {
        Some(value.clone())
    }
}

impl Read for String {
    fn read(value: &Value, reader: &mut Reader) -> Option<Self> {
        match value {
            Value::String(text) => Some(text.clone()),
            _ => reader.misfit("a string", value),
        }
    }
}

/// Ids and counts: a number, or its digits in a string.
impl Read for i64 {
    fn read(value: &Value, reader: &mut Reader) -> Option<Self> {
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.or_else(|| reader.misfit("a 64-bit integer", value))
    }
}

impl Read for f64 {
    fn read(value: &Value, reader: &mut Reader) -> Option<Self> {
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        };
        number.or_else(|| reader.misfit("a number", value))
    }
}

/// Flags: a boolean, or 0 and 1.
impl Read for bool {
    fn read(value: &Value, reader: &mut Reader) -> Option<Self> {
        match (value, value.as_i64()) {
            (Value::Bool(flag), _) => Some(*flag),
            (_, Some(0)) => Some(false),
            (_, Some(1)) => Some(true),
            _ => reader.misfit("a flag (0 or 1)", value),
        }
    }
}

/// Times: milliseconds since the epoch.
impl Read for Timestamp {
    fn read(value: &Value, reader: &mut Reader) -> Option<Self> {
        let millis = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let time = millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
        time.or_else(|| reader.misfit("a time in milliseconds since the epoch", value))
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &Value, reader: &mut Reader) -> Option<Self> {
        let Value::Array(items) = value else { return reader.misfit("an array", value) };
        let read = |(index, item)| reader.within(Step::Index(index), |reader| T::read(item, reader));
        Some(items.iter().enumerate().filter_map(read).collect())
    }
}

/// Defines views of JSON objects: each field is optional, and knows the key that it is read from.
macro_rules! objects {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty = $key:literal,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Default)]
        #[non_exhaustive]
        pub struct $name { $($(#[$field_meta])* pub $field: Option<$type>,)* }

        impl Read for $name {
            fn read(value: &serde_json::Value, reader: &mut Reader) -> Option<Self> {
                let serde_json::Value::Object(object) = value else { return reader.misfit("an object", value) };
                Some($name { $($field: reader.field(object, $key),)* })
            }
        }
    )*};
}
pub(super) use objects;
