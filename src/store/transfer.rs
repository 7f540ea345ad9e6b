//! Moving everything that one store keeps into another: tables of plain values, a page at a time.
//!
//! It does not know what rows mean, nor what a store keeps beside them to be quick: that is made anew at the end.
//!
//! What always holds: a page is written in one transaction with the place to go on at; and a copy that was interrupted
//! goes on only while the store that it is of was not opened by anybody else.

mod copy;
mod place;
mod tables;

use async_trait::async_trait;

pub use self::copy::{Copied, CopyError, Step, copy};
pub(super) use self::place::{bytes_of, from_hex, key_of, place_behind, to_hex};
pub use self::tables::{Column, Kind, TABLES, Table};
pub(super) use self::tables::{EVENTS, KEYS};
use super::StoreError;

/// A value as every database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number; a flag is 0 or 1.
    Number(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// The number, where it is one.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        if let Value::Number(number) = self { Some(*number) } else { None }
    }

    /// The text, where it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// The bytes, where they are some.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        if let Value::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

/// The values of the columns of a table.
pub type Row = Vec<Value>;

/// Some rows of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// The rows, in the order of the table's key.
    pub rows: Vec<Row>,
    /// Where to go on behind them, as the store that they are of understands it; `None` behind the last.
    pub next: Option<String>,
}

/// How far the copy is that a store is being filled by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Which copy it is; the store that it is of knows it by the same.
    pub copy: String,
    /// How many tables are whole.
    pub tables: usize,
    /// Where to go on in the next one; `None` at its beginning.
    pub next: Option<String>,
}

/// The copy by which a store was filled, once it was whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// Which copy it was.
    pub copy: String,
    /// The store that it was of.
    pub of: String,
}

/// The last numbers that were given, none of which is given again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Given {
    /// To an event.
    pub position: i64,
    /// To a delivery.
    pub delivery: i64,
    /// To a rejected request.
    pub rejected: i64,
    /// To a replay.
    pub replay: i64,
}

/// A store whose rows can be read and written as they are, by whoever has it for himself.
#[async_trait]
pub trait Transfer: Send + Sync {
    /// How many rows a table has.
    async fn count(&self, table: &'static Table) -> Result<u64, StoreError>;

    /// The next rows of a table; fewer where they are large.
    async fn read(&self, table: &'static Table, after: Option<String>) -> Result<Rows, StoreError>;

    /// Writes rows, and with them the place to go on at.
    async fn write(&self, table: &'static Table, rows: Vec<Row>, reached: Reached) -> Result<(), StoreError>;

    /// What tells this store apart from others, however it is addressed.
    async fn id(&self) -> Result<String, StoreError>;

    /// What a copy of this store is known by, where one was begun; the same for all as long as nobody else opened it.
    async fn copied_as(&self) -> Result<Option<String>, StoreError>;

    /// Says that a copy is being made of this store.
    async fn set_copied_as(&self, copy: String) -> Result<(), StoreError>;

    /// Where the copy is that this store is being filled by, if there is one. Until it is whole nobody else opens this
    /// store.
    async fn reached(&self) -> Result<Option<Reached>, StoreError>;

    /// The copy by which this store was filled, where it was.
    async fn filled(&self) -> Result<Option<Filled>, StoreError>;

    /// The last numbers that were given.
    async fn given(&self) -> Result<Given, StoreError>;

    /// Makes everything else from the rows that were written, and says that the copy is whole.
    async fn finish(&self, given: Given, filled: Filled) -> Result<(), StoreError>;

    /// Why this store cannot be copied as it is; `None` where it can.
    async fn cannot_be_copied(&self) -> Result<Option<&'static str>, StoreError>;

    /// Closes it.
    async fn close_transfer(&self);
}
