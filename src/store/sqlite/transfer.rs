//! The embedded store's rows, as they are copied from it and into it.
//!
//! What always holds: a store that is half filled says so in a table of its own, and is opened by nobody but a copy.
//!
//! That table, `copying`, has a row for each role that a copy can have here, where there is one: `from`, what this store
//! was last copied by, until somebody else opened it or it was filled; `to`, what it is being filled by, with the place to
//! go on at; `filled`, what it was filled by, with the store that that was of in `next`; and `store`, its own id.

mod finish;
mod keys;
mod page;
mod plans;

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{Settings, SqliteStore, rows};
use crate::store::transfer::{Filled, Given, KEYS, Reached, Row, Rows, Table, Transfer, Value};
use crate::store::{Metrics, OpenError, Store, StoreError};
use crate::wake::Wakes;

impl SqliteStore {
    /// Opens it to be copied, or to be filled from another one; half filled as well.
    ///
    /// # Errors
    /// When it is in use, not ours, newer than this program, or cannot be made safe.
    pub fn open_for_copy(config: &Settings) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_as(config, &Wakes::default(), Metrics::default(), true)
    }
}

#[async_trait]
impl Transfer for SqliteStore {
    async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        self.cataloguing.read(move |connection| count(connection, table)).await
    }

    async fn read(&self, table: &'static Table, after: Option<String>) -> Result<Rows, StoreError> {
        let read = move |connection: &Connection| match *table {
            KEYS => keys::read(connection, after.as_deref()),
            _ => page::read(connection, table, after.as_deref()),
        };
        self.cataloguing.read(read).await
    }

    async fn write(&self, table: &'static Table, rows: Vec<Row>, reached: Reached) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| {
                match *table {
                    KEYS => keys::write(connection, &rows)?,
                    _ => page::write(connection, table, &rows)?,
                }
                set_reached(connection, &reached)
            })
            .await
    }

    async fn id(&self) -> Result<String, StoreError> {
        self.writer.write(id).await
    }

    async fn copied_as(&self) -> Result<Option<String>, StoreError> {
        let asked = "SELECT copy FROM copying WHERE role = 'from'";
        self.cataloguing.read(|connection| connection.query_row(asked, [], |row| row.get(0)).optional()).await
    }

    async fn set_copied_as(&self, copy: String) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO copying (role, copy, tables) VALUES ('from', ?1, 0)";
        self.writer.write(move |connection| connection.execute(sql, [&copy]).map(drop)).await
    }

    async fn reached(&self) -> Result<Option<Reached>, StoreError> {
        self.cataloguing.read(reached).await
    }

    async fn filled(&self) -> Result<Option<Filled>, StoreError> {
        let asked = "SELECT copy, next FROM copying WHERE role = 'filled'";
        let read = |row: &rusqlite::Row<'_>| Ok(Filled { copy: row.get(0)?, of: row.get(1)? });
        self.cataloguing.read(move |connection| connection.query_row(asked, [], read).optional()).await
    }

    async fn given(&self) -> Result<Given, StoreError> {
        self.cataloguing.read(finish::given).await
    }

    async fn finish(&self, given: Given, filled: Filled) -> Result<(), StoreError> {
        self.writer.write(move |connection| finish::finish(connection, given, &filled)).await
    }

    async fn cannot_be_copied(&self) -> Result<Option<&'static str>, StoreError> {
        Ok(None)
    }

    async fn close_transfer(&self) {
        self.close().await;
    }
}

fn count(connection: &Connection, table: &Table) -> rusqlite::Result<u64> {
    let rows = match *table {
        KEYS => super::keys::HASHES,
        _ => table.name,
    };
    connection.query_row(&format!("SELECT count(*) FROM {rows}"), [], |row| row.get(0).map(rows::count))
}

/// Makes sure that this store is not half filled; who opens it for another purpose than a copy ends what could go on of
/// its copies.
pub(super) fn check_whole(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source: rusqlite::Error| OpenError::Database { path: path.to_owned(), source: source.into() };
    connection.execute("DELETE FROM copying WHERE role = 'from'", []).map_err(failed)?;
    match reached(connection).map_err(failed)? {
        Some(_) => Err(OpenError::HalfCopied { store: path.display().to_string() }),
        None => Ok(()),
    }
}

/// The copy that this store is being filled by.
fn reached(connection: &Connection) -> rusqlite::Result<Option<Reached>> {
    let read = |row: &rusqlite::Row<'_>| {
        let tables = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        Ok(Reached { copy: row.get(0)?, tables, next: row.get(2)? })
    };
    connection.query_row("SELECT copy, tables, next FROM copying WHERE role = 'to'", [], read).optional()
}

fn set_reached(connection: &Connection, reached: &Reached) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO copying (role, copy, tables, next) VALUES ('to', ?1, ?2, ?3)")?
        .execute(params![reached.copy, rows::limit(reached.tables), reached.next])
        .map(drop)
}

/// The id of the store, which it gets here where it has none.
fn id(connection: &Connection) -> rusqlite::Result<String> {
    let make = "INSERT OR IGNORE INTO copying (role, copy, tables) VALUES ('store', ?1, 0)";
    connection.execute(make, [Uuid::new_v4().to_string()])?;
    connection.query_row("SELECT copy FROM copying WHERE role = 'store'", [], |row| row.get(0))
}

/// A column of a row, whatever it is.
fn value(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Value> {
    Ok(match row.get_ref(index)? {
        rusqlite::types::ValueRef::Null => Value::Null,
        rusqlite::types::ValueRef::Integer(number) => Value::Number(number),
        rusqlite::types::ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        rusqlite::types::ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        real @ rusqlite::types::ValueRef::Real(_) => {
            return Err(rusqlite::Error::InvalidColumnType(index, "a number".to_owned(), real.data_type()));
        }
    })
}

/// A value as SQLite takes it.
fn stored(value: &Value) -> rusqlite::types::ToSqlOutput<'_> {
    use rusqlite::types::{ToSqlOutput, ValueRef};
    ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Number(number) => ValueRef::Integer(*number),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Bytes(bytes) => ValueRef::Blob(bytes),
    })
}
