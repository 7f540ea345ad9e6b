//! The rows of a store on PostgreSQL, as they are copied from it and into it.
//!
//! What always holds: tables that are half filled say so in a table of their own, and are opened by nobody but a copy.

mod events;
mod finish;
mod page;

use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

use super::failure::Failure;
use super::open::Server;
use super::pool::{Pool, Transaction, again};
use super::{Settings, duties, processes, rows};
use crate::store::transfer::{Filled, Given, Reached, Row, Rows, Table, Transfer};
use crate::store::{OpenError, ServerFault, StoreError};

/// How many connections a copy takes.
const CONNECTIONS: usize = 2;

/// A store on PostgreSQL, to be copied or to be filled from another one.
pub struct PostgresCopy {
    pool: Pool,
}

impl PostgresCopy {
    /// Connects, checks the server and its settings, and makes the tables if they are not there.
    ///
    /// # Errors
    /// When the server cannot be reached or is not fit for this, or a process of workhook uses the store.
    pub async fn open(settings: &Settings) -> Result<PostgresCopy, OpenError> {
        let server = Server::new(settings)?;
        server.prepare().await?;
        let pool = server.pool(CONNECTIONS, super::WAIT_MAX)?;
        let failed = |failure: Failure| server.failed(ServerFault::Other(failure.into()));
        if let Some(process) = running(&pool).await.map_err(failed)? {
            return Err(OpenError::Running { store: server.name().to_owned(), process });
        }
        Ok(PostgresCopy { pool })
    }

    /// Does something in a transaction, however long that takes.
    async fn unit<T, F>(&self, work: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        again(work).await.map_err(StoreError::from)
    }
}

/// A process that uses the store.
async fn running(pool: &Pool) -> Result<Option<String>, Failure> {
    let sql = format!("SELECT name FROM processes WHERE seen_at > {} - $1 ORDER BY seen_at DESC LIMIT 1", duties::NOW);
    let silent_ms = i64::try_from(processes::SILENT_MAX.as_millis()).unwrap_or(i64::MAX);
    pool.connection().await?.query_opt(&sql, &[&silent_ms]).await?.map(|row| row.get(0)).transpose()
}

/// Whether the tables are half filled; who opens them for another purpose than that ends what could go on of their
/// copies.
pub(super) async fn is_half_copied(pool: &Pool) -> Result<bool, Failure> {
    pool.connection().await?.execute("DELETE FROM copying WHERE role = 'from'", &[]).await?;
    reached(pool).await.map(|reached| reached.is_some())
}

#[async_trait]
impl Transfer for PostgresCopy {
    async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        self.unit(|| count(&self.pool, table)).await
    }

    async fn read(&self, table: &'static Table, after: Option<String>) -> Result<Rows, StoreError> {
        self.unit(|| page::read(&self.pool, table, after.as_deref())).await
    }

    async fn write(&self, table: &'static Table, rows: Vec<Row>, reached: Reached) -> Result<(), StoreError> {
        self.unit(|| write(&self.pool, table, &rows, &reached)).await
    }

    async fn id(&self) -> Result<String, StoreError> {
        self.unit(|| id(&self.pool)).await
    }

    async fn copied_as(&self) -> Result<Option<String>, StoreError> {
        self.unit(|| copied_as(&self.pool)).await
    }

    async fn set_copied_as(&self, copy: String) -> Result<(), StoreError> {
        self.unit(|| set_copied_as(&self.pool, &copy)).await
    }

    async fn reached(&self) -> Result<Option<Reached>, StoreError> {
        self.unit(|| reached(&self.pool)).await
    }

    async fn filled(&self) -> Result<Option<Filled>, StoreError> {
        self.unit(|| filled(&self.pool)).await
    }

    async fn given(&self) -> Result<Given, StoreError> {
        self.unit(|| finish::given(&self.pool)).await
    }

    async fn finish(&self, given: Given, filled: Filled) -> Result<(), StoreError> {
        self.unit(|| finish::finish(&self.pool, given, &filled)).await
    }

    async fn cannot_be_copied(&self) -> Result<Option<&'static str>, StoreError> {
        let why = "an event waits to be planned, and others behind it are planned; start workhook, which plans it at once, \
                   and stop it again";
        if self.unit(|| running(&self.pool)).await?.is_some() {
            return Ok(Some("a process uses it; stop every workhook on it first"));
        }
        Ok(self.unit(|| is_out_of_order(&self.pool)).await?.then_some(why))
    }

    async fn close_transfer(&self) {
        self.pool.close();
    }
}

async fn count(pool: &Pool, table: &Table) -> Result<u64, Failure> {
    let sql = format!("SELECT count(*) FROM {}", table.name);
    let row = pool.connection().await?.query_opt(&sql, &[]).await?;
    row.map_or(Ok(0), |row| row.get(0).map(rows::count))
}

/// Whether something is planned before something else whose turn it was.
async fn is_out_of_order(pool: &Pool) -> Result<bool, Failure> {
    let sql = "SELECT EXISTS (SELECT 1 FROM unplanned WHERE position < (SELECT max(last) FROM plans))";
    let row = pool.connection().await?.query_opt(sql, &[]).await?;
    row.map_or(Ok(false), |row| row.get(0))
}

async fn write(pool: &Pool, table: &Table, rows: &[Row], reached: &Reached) -> Result<(), Failure> {
    let transaction = pool.begin().await?;
    page::write(&transaction, table, rows).await?;
    set_reached(&transaction, reached).await?;
    transaction.commit().await?;
    match running(pool).await? {
        Some(process) => Err(Failure::Away(format!("it is in use by {process}, who came after the copy began"))),
        None => Ok(()),
    }
}

/// The id of the store, which it gets here where it has none.
async fn id(pool: &Pool) -> Result<String, Failure> {
    let (make, new) = ("INSERT INTO copying (role, copy, tables) VALUES ('store', $1, 0)", Uuid::new_v4().to_string());
    let connection = pool.connection().await?;
    connection.execute(&format!("{make} ON CONFLICT (role) DO NOTHING"), &[&new]).await?;
    let row = connection.query_opt("SELECT copy FROM copying WHERE role = 'store'", &[]).await?;
    row.ok_or_else(|| Failure::Row("the store has no id".to_owned()))?.get(0)
}

async fn filled(pool: &Pool) -> Result<Option<Filled>, Failure> {
    let sql = "SELECT copy, next FROM copying WHERE role = 'filled'";
    let row = pool.connection().await?.query_opt(sql, &[]).await?;
    row.map(|row| Ok(Filled { copy: row.get(0)?, of: row.get(1)? })).transpose()
}

async fn copied_as(pool: &Pool) -> Result<Option<String>, Failure> {
    let sql = "SELECT copy FROM copying WHERE role = 'from'";
    pool.connection().await?.query_opt(sql, &[]).await?.map(|row| row.get(0)).transpose()
}

async fn set_copied_as(pool: &Pool, copy: &str) -> Result<(), Failure> {
    let sql = "INSERT INTO copying (role, copy, tables) VALUES ('from', $1, 0)
               ON CONFLICT (role) DO UPDATE SET copy = EXCLUDED.copy";
    pool.connection().await?.execute(sql, &[&copy]).await.map(drop)
}

async fn reached(pool: &Pool) -> Result<Option<Reached>, Failure> {
    let sql = "SELECT copy, tables, next FROM copying WHERE role = 'to'";
    let Some(row) = pool.connection().await?.query_opt(sql, &[]).await? else { return Ok(None) };
    let tables = usize::try_from(row.get::<i64>(1)?).unwrap_or(0);
    Ok(Some(Reached { copy: row.get(0)?, tables, next: row.get(2)? }))
}

async fn set_reached(transaction: &Transaction, reached: &Reached) -> Result<(), Failure> {
    let sql = "INSERT INTO copying (role, copy, tables, next) VALUES ('to', $1, $2, $3)
               ON CONFLICT (role) DO UPDATE SET copy = $1, tables = $2, next = $3";
    transaction.execute(sql, &[&reached.copy, &rows::limit(reached.tables), &reached.next]).await.map(drop)
}

impl fmt::Debug for PostgresCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresCopy").finish_non_exhaustive()
    }
}
