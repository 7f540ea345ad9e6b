//! Edits of a body: `data.issue.status.name=Done`.
//!
//! Pure. What always holds: an edit that cannot be made names the place that is in the way, and the body that it
//! was for is not sent half edited.

use std::str::FromStr;

use serde_json::{Map, Value};
use thiserror::Error;

/// The most parts of a path: what it makes stays well within what is parsed again.
const PARTS_MAX: usize = 64;

/// A value for a place in a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    path: String,
    value: Value,
}

/// Why an edit cannot be read or made.
#[derive(Debug, Error)]
pub enum EditError {
    /// It is not a path and a value.
    #[error("{0:?} is not of the form path=value, as in data.issue.status.name=Done")]
    NotAnEdit(String),
    /// The path has an empty part.
    #[error("the path {0:?} has an empty part")]
    EmptyPart(String),
    /// The path has too many parts.
    #[error("the path {0:?} has more than {PARTS_MAX} parts")]
    TooDeep(String),
    /// There is nothing that could be edited.
    #[error("the body is not JSON, so nothing can be set in it")]
    NotJson(#[source] serde_json::Error),
    /// What is there has no inside.
    #[error("cannot set {path}: {at} is {found}")]
    Scalar {
        /// The path of the edit.
        path: String,
        /// The place that is in the way.
        at: String,
        /// What it is.
        found: &'static str,
    },
    /// An array has no such item, and it would not be the next one.
    #[error("cannot set {path}: {at} is an array of {len}, so 0 to {len} can be set in it")]
    NoSuchItem {
        /// The path of the edit.
        path: String,
        /// The array.
        at: String,
        /// How many items it has.
        len: usize,
    },
}

impl FromStr for Edit {
    type Err = EditError;

    /// Reads `path=value`. The value is what it is in JSON, and a string where it is not JSON.
    fn from_str(text: &str) -> Result<Edit, EditError> {
        let (path, value) = text.split_once('=').ok_or_else(|| EditError::NotAnEdit(text.to_owned()))?;
        if path.split('.').any(str::is_empty) {
            return Err(EditError::EmptyPart(path.to_owned()));
        }
        if path.split('.').count() > PARTS_MAX {
            return Err(EditError::TooDeep(path.to_owned()));
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Edit { path: path.to_owned(), value })
    }
}

impl Edit {
    /// The body with the value in its place.
    ///
    /// A part of the path is a key of an object or the index of an array, where the next free index appends. What is
    /// missing or null on the way becomes an object, or an array where the next part is `0`.
    ///
    /// # Errors
    /// When the path goes through something that has no inside, or past the end of an array.
    pub fn apply(&self, mut body: Value) -> Result<Value, EditError> {
        let mut place = &mut body;
        for (depth, part) in self.path.split('.').enumerate() {
            if place.is_null() {
                let array = part == "0";
                *place = if array { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
            }
            place = match place {
                Value::Object(object) => object.entry(part).or_insert(Value::Null),
                Value::Array(items) => {
                    let index = index(part);
                    if index == Some(items.len()) {
                        items.push(Value::Null);
                    }
                    let len = items.len();
                    let (path, at) = (self.path.clone(), self.before(depth));
                    index.and_then(|index| items.get_mut(index)).ok_or(EditError::NoSuchItem { path, at, len })?
                }
                scalar => {
                    let (path, at) = (self.path.clone(), self.before(depth));
                    return Err(EditError::Scalar { path, at, found: kind(scalar) });
                }
            };
        }
        *place = self.value.clone();
        Ok(body)
    }

    /// The place that the first parts of the path lead to.
    fn before(&self, depth: usize) -> String {
        let parts: Vec<_> = self.path.split('.').take(depth).collect();
        if parts.is_empty() { "the body".to_owned() } else { parts.join(".") }
    }
}

/// A body with edits made in it, one after the other. Its keys are sorted and its spaces gone.
///
/// # Errors
/// When the body is not JSON, or an edit cannot be made.
pub(super) fn apply_all(body: &[u8], edits: &[Edit]) -> Result<Vec<u8>, EditError> {
    let body = serde_json::from_slice(body).map_err(EditError::NotJson)?;
    let edited = edits.iter().try_fold(body, |body, edit| edit.apply(body))?;
    Ok(edited.to_string().into_bytes())
}

/// A whole number as JSON writes it, so without zeros before it.
fn index(part: &str) -> Option<usize> {
    let digits = part.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (part == "0" || !part.starts_with('0'));
    plain.then(|| part.parse().ok()).flatten()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(body: &str, edit: &str, expected: Result<&str, &str>) {
        let edited = edit.parse().and_then(|edit| apply_all(body.as_bytes(), &[edit]));
        let edited = edited.map(|body| String::from_utf8(body).unwrap());
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(edited.map_err(|error| error.to_string()), expected, "{edit}");
    }

    #[test]
    fn a_value_is_json_where_it_parses_and_a_string_where_not() {
        check("{}", "a=1", Ok(r#"{"a":1}"#));
        check("{}", "a=Done", Ok(r#"{"a":"Done"}"#));
        check("{}", r#"a="1""#, Ok(r#"{"a":"1"}"#));
        check("{}", "a=", Ok(r#"{"a":""}"#));
        check("{}", "a=b=c", Ok(r#"{"a":"b=c"}"#));
        check("{}", r#"a={"b":[null]}"#, Ok(r#"{"a":{"b":[null]}}"#));
    }

    #[test]
    fn a_path_leads_through_objects_and_arrays_and_makes_what_is_missing() {
        check(r#"{"a":{"b":1,"c":2}}"#, "a.b=3", Ok(r#"{"a":{"b":3,"c":2}}"#));
        check(r#"{"a":1}"#, "b.c.d=3", Ok(r#"{"a":1,"b":{"c":{"d":3}}}"#));
        check(r#"{"a":null}"#, "a.b=3", Ok(r#"{"a":{"b":3}}"#));
        check(r#"{"a":[1,{"b":2}]}"#, "a.1.b=3", Ok(r#"{"a":[1,{"b":3}]}"#));
        check(r#"{"a":[1]}"#, "a.1=2", Ok(r#"{"a":[1,2]}"#));
        check("{}", "a.0.b=1", Ok(r#"{"a":[{"b":1}]}"#));
        check(r#"{"a":{}}"#, "a.0=1", Ok(r#"{"a":{"0":1}}"#));
        check("[1]", "0=2", Ok("[2]"));
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let scalar = "cannot set a.b.c: a.b is a string";
        check(r#"{"a":{"b":"x"}}"#, "a.b.c=1", Err(scalar));
        check("7", "a=1", Err("cannot set a: the body is a number"));
        let past_the_end = "cannot set a.3: a is an array of 1, so 0 to 1 can be set in it";
        check(r#"{"a":[1]}"#, "a.3=1", Err(past_the_end));
        let not_an_index = "cannot set a.x: a is an array of 0, so 0 to 0 can be set in it";
        check(r#"{"a":[]}"#, "a.x=1", Err(not_an_index));
        check("no", "a=1", Err("the body is not JSON, so nothing can be set in it"));
        check("{}", "a..b=1", Err(r#"the path "a..b" has an empty part"#));
        check("{}", "=1", Err(r#"the path "" has an empty part"#));
        let no_value = r#""a" is not of the form path=value, as in data.issue.status.name=Done"#;
        check("{}", "a", Err(no_value));
        let deep = format!("{}=1", "a.".repeat(100_000) + "a");
        assert!(matches!(deep.parse::<Edit>(), Err(EditError::TooDeep(_))));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c0-2]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let array = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
            let object = prop::collection::btree_map("[a-c0-2]", inner, 0..4);
            prop_oneof![array, object.prop_map(|map| Value::Object(map.into_iter().collect()))]
        })
    }

    proptest! {
        #[test]
        fn no_edit_of_any_json_panics_and_what_was_set_is_there(
            body in any_json(), path in "[a-c0-2]{1,2}(\\.[a-c0-2]){0,4}", value in any_json(),
        ) {
            let edit: Edit = format!("{path}={value}").parse().unwrap();
            if let Ok(edited) = edit.apply(body) {
                prop_assert_eq!(edited.pointer(&format!("/{}", path.replace('.', "/"))), Some(&value));
            }
        }

        #[test]
        fn no_text_panics(body in any::<Vec<u8>>(), edit in any::<String>()) {
            if let Ok(edit) = edit.parse() {
                let _ = apply_all(&body, &[edit]);
            }
        }
    }
}
