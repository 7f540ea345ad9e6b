//! One value, from the file or from a variable, and what it can be read as.
//!
//! A function that reads a value answers with what was meant, or with a sentence that says what is wrong and what
//! would be right. It does not know where the value stands.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};

use toml::de::DeValue;

use super::env::Env;
use super::suggest;
use crate::secret::Secret;

/// The longest piece of a value that a message repeats, in characters.
const SHOWN_MAX_LEN: usize = 60;

/// A value as it was given.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'v> {
    /// The text of a variable.
    Variable(&'v str),
    /// A value of the file.
    File(&'v DeValue<'v>),
}

/// One value of a list, with its place where that is not the list's.
pub(super) type Item<'v> = (Value<'v>, Option<Range<usize>>);

impl<'v> Value<'v> {
    /// The value as text.
    pub(super) fn text(self, example: &str) -> Result<&'v str, String> {
        match self {
            Value::Variable(text) => Ok(text),
            Value::File(value) => {
                value.as_str().ok_or_else(|| self.not_a(&format!("a text in quotes, as in {example}")))
            }
        }
    }

    /// The values of a list; those of a variable have commas between them.
    pub(super) fn items(self, example: &str) -> Result<Vec<Item<'v>>, String> {
        match self {
            Value::Variable(text) if text.trim().is_empty() => Ok(Vec::new()),
            Value::Variable(text) => Ok(text.split(',').map(|item| (Value::Variable(item.trim()), None)).collect()),
            Value::File(DeValue::Array(items)) => {
                Ok(items.iter().map(|item| (Value::File(item.get_ref()), Some(item.span()))).collect())
            }
            Value::File(_) => Err(self.not_a(&format!("a list, as in {example}"))),
        }
    }

    /// The number of a value that is a number of the file.
    pub(super) fn number(self) -> Option<String> {
        match self {
            Value::File(DeValue::Integer(number)) => Some(number.to_string()),
            Value::File(DeValue::Float(number)) => Some(number.to_string()),
            Value::File(_) | Value::Variable(_) => None,
        }
    }

    /// That something else was expected. It says of what kind the value is, but not the value, which may be secret.
    pub(super) fn not_a(self, expected: &str) -> String {
        let found = match self {
            Value::Variable(_) | Value::File(DeValue::String(_)) => "a text",
            Value::File(DeValue::Integer(_) | DeValue::Float(_)) => "a number",
            Value::File(DeValue::Boolean(_)) => "true or false",
            Value::File(DeValue::Datetime(_)) => "a date",
            Value::File(DeValue::Array(_)) => "a list",
            Value::File(DeValue::Table(_)) => "a table",
        };
        format!("expected {expected}, found {found}")
    }
}

/// A piece of the configuration as messages repeat it, in quotes.
pub(super) fn shown(text: &str) -> String {
    format!("{:?}", cut(text))
}

/// A piece of the configuration, but not endlessly.
pub(super) fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_MAX_LEN) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// `true` or `false`.
pub(super) fn boolean(value: Value<'_>) -> Result<bool, String> {
    let given = match value {
        Value::Variable(text) => text.parse().ok(),
        Value::File(value) => value.as_bool(),
    };
    given.ok_or_else(|| value.not_a("true or false, without quotes"))
}

/// A whole number within bounds.
pub(super) fn whole<T>(bounds: RangeInclusive<T>) -> impl FnOnce(Value<'_>) -> Result<T, String>
where
    T: TryFrom<i128> + PartialOrd + Display,
{
    move |value| {
        let number = match value {
            Value::Variable(text) => text.parse::<i128>().ok(),
            Value::File(DeValue::Integer(number)) => i128::from_str_radix(number.as_str(), number.radix()).ok(),
            Value::File(_) => None,
        };
        let (least, most) = (bounds.start(), bounds.end());
        let number = number.ok_or_else(|| value.not_a(&format!("a whole number from {least} to {most}")))?;
        let fits = T::try_from(number).ok().filter(|fits| bounds.contains(fits));
        fits.ok_or_else(|| format!("{number} is out of bounds; it can be from {least} to {most}"))
    }
}

/// An address to listen on.
pub(super) fn address(value: Value<'_>) -> Result<SocketAddr, String> {
    const EXAMPLE: &str = "\"127.0.0.1:8080\"";
    let text = value.text(EXAMPLE)?;
    text.parse().map_err(|_| {
        let right = format!("write for example {EXAMPLE}, or \"0.0.0.0:8080\" for every interface");
        format!("{} is not an IP address with a port; {right}", shown(text))
    })
}

/// A name of a webhook or handler, by its constructor.
pub(super) fn name<T>(parse: impl FnOnce(&str) -> Option<T>) -> impl FnOnce(Value<'_>) -> Result<T, String> {
    move |value| {
        let text = value.text("\"product\"")?;
        let rule = "use 1 to 63 of a-z 0-9 - _, and begin with a letter or a digit";
        parse(text).ok_or_else(|| format!("{} cannot be a name; {rule}", shown(text)))
    }
}

/// One of some names.
pub(super) fn one_of<T: Copy>(
    what: &'static str,
    names: &[(&'static str, T)],
) -> impl Fn(Value<'_>) -> Result<T, String> {
    move |value| {
        let spelled: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        let text = value.text(&format!("{:?}", spelled.first().copied().unwrap_or_default()))?;
        let found = names.iter().find(|(name, _)| *name == text).map(|(_, meaning)| *meaning);
        found.ok_or_else(|| format!("unknown {what} {}; {}", shown(text), suggest::instead_of(text, &spelled)))
    }
}

/// A secret: itself, or where it is to be had. No message has the value in it.
pub(super) fn secret(value: Value<'_>, env: &Env) -> Result<Secret, String> {
    let text = value.text("\"env:NAME\" or \"file:/run/secrets/name\"")?;
    Secret::resolve(text, &|name| env.get(name).map(str::to_owned)).map_err(|error| error.to_string())
}
