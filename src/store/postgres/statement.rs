//! What goes into a statement and what comes out of a row.
//!
//! What always holds: every parameter says its type, so that nothing is prepared under a name; and a text is the same
//! when it comes back, whatever is in it. PostgreSQL has no NUL in a text, so [`ESCAPE`] stands before what stands
//! for one, and before itself.

use std::borrow::Cow;
use std::error::Error;

use bytes::{Bytes, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use super::failure::Failure;
use crate::model::{EventId, HandlerName};

/// SUBSTITUTE, which hardly ever is in a text.
const ESCAPE: char = '\u{1a}';

/// A text as it is written: without NUL.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(ESCAPE, "\u{1a}\u{1a}").replace('\0', "\u{1a}0"))
}

/// What was escaped, as it was.
pub(super) fn unescape(text: String) -> String {
    if !text.contains(ESCAPE) {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        plain.push(match next {
            ESCAPE if rest.next() == Some('0') => '\0',
            other => other,
        });
    }
    plain
}

type Outcome = Result<IsNull, Box<dyn Error + Sync + Send>>;

/// A parameter of a statement. Integers of every size are `bigint`.
pub(super) trait Param: Sync {
    /// Its type in PostgreSQL.
    fn ty(&self) -> Type;
    /// Writes it.
    fn put(&self, out: &mut BytesMut) -> Outcome;
}

/// A parameter as the driver takes it.
pub(super) struct Bound<'a>(pub(super) &'a dyn Param);

impl std::fmt::Debug for Bound<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.ty())
    }
}

impl ToSql for Bound<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Outcome {
        self.0.put(out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A type that may be a parameter, in an array as well.
pub(super) trait Scalar: Sync {
    const TY: Type;
    const ARRAY: Type;
    fn write(&self, out: &mut BytesMut) -> Outcome;
}

macro_rules! scalars {
    ($($rust:ty, $ty:ident, $array:ident, $own:ident => $value:expr;)*) => {$(
        impl Scalar for $rust {
            const TY: Type = Type::$ty;
            const ARRAY: Type = Type::$array;

            fn write(&self, out: &mut BytesMut) -> Outcome {
                let $own = self;
                ToSql::to_sql(&$value, &Self::TY, out)
            }
        }
    )*};
}

scalars! {
    i64, INT8, INT8_ARRAY, own => *own;
    i32, INT8, INT8_ARRAY, own => i64::from(*own);
    u32, INT8, INT8_ARRAY, own => i64::from(*own);
    bool, BOOL, BOOL_ARRAY, own => *own;
    Uuid, UUID, UUID_ARRAY, own => *own;
    EventId, UUID, UUID_ARRAY, own => Uuid::from_bytes(*own.as_bytes());
    &str, TEXT, TEXT_ARRAY, own => escape(own);
    String, TEXT, TEXT_ARRAY, own => escape(own);
    &String, TEXT, TEXT_ARRAY, own => escape(own);
    HandlerName, TEXT, TEXT_ARRAY, own => own.as_str();
    &HandlerName, TEXT, TEXT_ARRAY, own => own.as_str();
    &[u8], BYTEA, BYTEA_ARRAY, own => *own;
    Vec<u8>, BYTEA, BYTEA_ARRAY, own => own.as_slice();
    [u8; 16], BYTEA, BYTEA_ARRAY, own => own.as_slice();
    [u8; 32], BYTEA, BYTEA_ARRAY, own => own.as_slice();
    Bytes, BYTEA, BYTEA_ARRAY, own => &own[..];
    &Bytes, BYTEA, BYTEA_ARRAY, own => &own[..];
}

impl<T: Scalar> Param for T {
    fn ty(&self) -> Type {
        T::TY
    }

    fn put(&self, out: &mut BytesMut) -> Outcome {
        self.write(out)
    }
}

impl<T: Scalar> Param for Option<T> {
    fn ty(&self) -> Type {
        T::TY
    }

    fn put(&self, out: &mut BytesMut) -> Outcome {
        self.as_ref().map_or(Ok(IsNull::Yes), |value| value.write(out))
    }
}

/// Many values as one parameter, for `unnest($1)` and `= ANY($1)`.
#[derive(Debug)]
pub(super) struct Array<T>(pub(super) Vec<T>);

impl<T> FromIterator<T> for Array<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Array<T> {
        Array(values.into_iter().collect())
    }
}

impl<T: Scalar> Param for Array<T> {
    fn ty(&self) -> Type {
        T::ARRAY
    }

    fn put(&self, out: &mut BytesMut) -> Outcome {
        self.0.iter().map(Item).collect::<Vec<_>>().to_sql(&T::ARRAY, out)
    }
}

impl<T: Scalar> Param for Array<Option<T>> {
    fn ty(&self) -> Type {
        T::ARRAY
    }

    fn put(&self, out: &mut BytesMut) -> Outcome {
        self.0.iter().map(|value| value.as_ref().map(Item)).collect::<Vec<_>>().to_sql(&T::ARRAY, out)
    }
}

/// One value of an array.
struct Item<'a, T>(&'a T);

impl<T> std::fmt::Debug for Item<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl<T: Scalar> ToSql for Item<'_, T> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Outcome {
        self.0.write(out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A row of an answer.
#[derive(Debug)]
pub(super) struct Row(pub(super) tokio_postgres::Row);

impl Row {
    /// A column by its place, from 0.
    pub(super) fn get<T: Column>(&self, index: usize) -> Result<T, Failure> {
        T::read(&self.0, index)
    }
}

/// What a column can be read as.
pub(super) trait Column: Sized {
    fn read(row: &tokio_postgres::Row, index: usize) -> Result<Self, Failure>;
}

fn plain<'a, T: FromSql<'a>>(row: &'a tokio_postgres::Row, index: usize) -> Result<T, Failure> {
    row.try_get(index).map_err(Failure::from)
}

macro_rules! columns {
    ($($rust:ty, $sql:ty, $value:ident => $read:expr;)*) => {$(
        impl Column for $rust {
            fn read(row: &tokio_postgres::Row, index: usize) -> Result<$rust, Failure> {
                let $value: $sql = plain(row, index)?;
                $read
            }
        }

        impl Column for Option<$rust> {
            fn read(row: &tokio_postgres::Row, index: usize) -> Result<Option<$rust>, Failure> {
                let read = |$value: $sql| -> Result<$rust, Failure> { $read };
                plain::<Option<$sql>>(row, index)?.map(read).transpose()
            }
        }
    )*};
}

fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T, Failure> {
    T::try_from(value).map_err(|_| Failure::Row(format!("{value} is out of the range of its column")))
}

columns! {
    i64, i64, value => Ok(value);
    i32, i64, value => narrow(value);
    u32, i64, value => narrow(value);
    bool, bool, value => Ok(value);
    Uuid, Uuid, value => Ok(value);
    EventId, Uuid, value => Ok(EventId::from_bytes(*value.as_bytes()));
    String, String, value => Ok(unescape(value));
    Vec<u8>, Vec<u8>, value => Ok(value);
    Bytes, Vec<u8>, value => Ok(Bytes::from(value));
    Vec<i64>, Vec<i64>, value => Ok(value);
    Vec<String>, Vec<String>, value => Ok(value.into_iter().map(unescape).collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_same_when_it_comes_back_and_two_texts_stay_two() {
        let texts = ["", "a", "\0", "\u{1a}", "\u{1a}0", "\u{1a}\0", "\0\u{1a}", "a\0b\u{1a}\u{1a}0", "0\0"];
        for text in texts {
            let escaped = escape(text);
            assert!(!escaped.contains('\0'), "{text:?}");
            assert_eq!(unescape(escaped.clone().into_owned()), text);
            assert_eq!(texts.iter().filter(|other| escape(other) == escaped).count(), 1, "{text:?}");
        }
    }
}
