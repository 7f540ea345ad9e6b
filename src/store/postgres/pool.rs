//! Connections, and what is done on one: a single statement or a transaction, always within a deadline.
//!
//! What always holds: nothing is prepared under a name and nothing is set for a session, so a pooler may stand between
//! us and the database; and a connection on which something was left half-way is not used again.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::{Object, Pool as Connections, PoolError};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};

use super::failure::Failure;
use super::statement::{Bound, Param, Row};
use super::tls::Tls;
use crate::store::StoreError;
use crate::store::metrics::Connections as Counted;

/// The longest that one unit of work takes, but for storing events.
pub(super) const WORK_MAX: Duration = Duration::from_secs(10);
/// How a transaction begins.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'";
/// How often a unit is done again that the database gave up because of another.
const TRIES_MAX: u32 = 10;
/// The longest that it takes to leave a connection in order, or to tell the server to give up.
const CLEAN_UP_MAX: Duration = Duration::from_secs(3);

/// A bounded number of connections.
#[derive(Clone)]
pub(super) struct Pool {
    connections: Connections,
    tls: Tls,
}

impl Pool {
    pub(super) fn new(connections: Connections, tls: Tls) -> Pool {
        Pool { connections, tls }
    }

    /// Does a unit of work within the deadline, and again where the database gave it up because of another. When the
    /// future is dropped, the work is done or not done as a whole.
    pub(super) async fn unit<T, F>(&self, work: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.within(WORK_MAX, work).await.map_err(StoreError::from)
    }

    /// The same within another deadline.
    pub(super) async fn within<T, F>(&self, deadline: Duration, work: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        if self.connections.is_closed() {
            return Err(StoreError::Ended.into());
        }
        let late = |_| Failure::Away(format!("PostgreSQL did not do it within {} s", deadline.as_secs()));
        timeout(deadline, again(work)).await.map_err(late).and_then(std::convert::identity)
    }

    /// How many connections there are.
    pub(super) fn count(&self) -> Counted {
        let status = self.connections.status();
        Counted { open: status.size, idle: status.available, waiting: status.waiting }
    }

    /// A connection, for single statements that are transactions of their own.
    pub(super) async fn connection(&self) -> Result<Connection, Failure> {
        let object = self.connections.get().await.map_err(|error| match error {
            PoolError::Backend(error) => Failure::Database(error),
            PoolError::Closed => Failure::Refused(StoreError::Ended),
            PoolError::Timeout(_) => Failure::Away("no connection to PostgreSQL within the time".to_owned()),
            other => Failure::Away(other.to_string()),
        })?;
        Ok(Connection {
            object: Some(object),
            tls: self.tls.clone(),
            under_way: AtomicUsize::new(0),
            in_transaction: AtomicBool::new(false),
        })
    }

    /// Begins a transaction: each of its statements sees what is committed then. The server ends one in which nothing
    /// happens, because whoever has fallen asleep in it may hold what all others wait for.
    pub(super) async fn begin(&self) -> Result<Transaction, Failure> {
        self.begin_with(BEGIN).await
    }

    /// Begins a transaction that only reads, whose statements all see the same.
    pub(super) async fn begin_reading(&self) -> Result<Transaction, Failure> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; \
                     SET LOCAL idle_in_transaction_session_timeout = '5s'";
        self.begin_with(begin).await
    }

    /// Begins a transaction that is given up where it would have to wait for longer for what another holds.
    pub(super) async fn begin_with_patience(&self, patience: Duration) -> Result<Transaction, Failure> {
        let patience = patience.as_millis();
        self.begin_with(format!("{BEGIN}; SET LOCAL lock_timeout = '{patience}ms'")).await
    }

    async fn begin_with(&self, begin: impl Into<Cow<'static, str>>) -> Result<Transaction, Failure> {
        let connection = self.connection().await?;
        Ok(Transaction { connection, begin: Mutex::new(Some(begin.into())) })
    }

    /// Closes all connections; nothing is done afterwards.
    pub(super) fn close(&self) {
        self.connections.close();
    }
}

/// Does something again as long as the database gives it up because of another.
pub(super) async fn again<T, F>(work: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut tries = 1;
    loop {
        match work().await {
            Err(failure) if failure.is_passing() && tries < TRIES_MAX => tries += 1,
            done => return done,
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("status", &self.connections.status()).finish_non_exhaustive()
    }
}

/// A connection in use. It goes back when it is dropped, but for one on which a statement is under way.
pub(super) struct Connection {
    object: Option<Object>,
    tls: Tls,
    /// How many statements are under way.
    under_way: AtomicUsize,
    in_transaction: AtomicBool,
}

impl Connection {
    fn client(&self) -> Result<&Object, Failure> {
        self.object.as_ref().ok_or_else(|| Failure::Away("the connection is gone".to_owned()))
    }

    /// Runs a statement that is a transaction of its own; its rows.
    pub(super) async fn query(&self, sql: &str, params: &[&dyn Param]) -> Result<Vec<Row>, Failure> {
        let bound: Vec<(Bound<'_>, Type)> = params.iter().map(|param| (Bound(*param), param.ty())).collect();
        let typed: Vec<(&(dyn ToSql + Sync), Type)> =
            bound.iter().map(|(param, ty)| (param as _, ty.clone())).collect();
        #[cfg(test)]
        super::plans::look_at(self.client()?, sql, &typed).await;
        let rows = self.watched(self.client()?.query_typed(sql, &typed)).await?;
        Ok(rows.into_iter().map(Row).collect())
    }

    /// The same where there is at most one row.
    pub(super) async fn query_opt(&self, sql: &str, params: &[&dyn Param]) -> Result<Option<Row>, Failure> {
        self.query(sql, params).await.and_then(at_most_one)
    }

    /// Runs a statement that is a transaction of its own; how many rows it touched.
    pub(super) async fn execute(&self, sql: &str, params: &[&dyn Param]) -> Result<u64, Failure> {
        let bound: Vec<(Bound<'_>, Type)> = params.iter().map(|param| (Bound(*param), param.ty())).collect();
        let typed: Vec<(&(dyn ToSql + Sync), Type)> =
            bound.iter().map(|(param, ty)| (param as _, ty.clone())).collect();
        #[cfg(test)]
        super::plans::look_at(self.client()?, sql, &typed).await;
        self.watched(self.client()?.execute_typed(sql, &typed)).await
    }

    /// Runs what has neither parameters nor rows.
    async fn batch(&self, sql: &str) -> Result<(), Failure> {
        self.watched(self.client()?.batch_execute(sql)).await
    }

    /// Waits for a statement, and remembers that it is under way where nobody waits to the end.
    async fn watched<T>(
        &self,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let done = statement.await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        Ok(done?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let is_busy = self.under_way.load(Ordering::Relaxed) > 0;
        if !is_busy && !self.in_transaction.load(Ordering::Relaxed) {
            return;
        }
        let (Some(object), Ok(runtime)) = (self.object.take(), Handle::try_current()) else { return };
        if is_busy {
            // Whoever waited for it gave up: the server is told to, and the connection is not used again.
            let client = Object::take(object);
            let (cancel, tls) = (client.cancel_token(), self.tls.clone());
            runtime.spawn(async move {
                // It may be over already, or out of reach; closing the connection has to do then.
                let _ = timeout(CLEAN_UP_MAX, cancel.cancel_query(tls)).await;
                drop(client);
            });
        } else {
            runtime.spawn(async move {
                if !matches!(timeout(CLEAN_UP_MAX, object.batch_execute("ROLLBACK")).await, Ok(Ok(()))) {
                    drop(Object::take(object));
                }
            });
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A transaction; rolled back where it is dropped before it is committed.
#[derive(Debug)]
pub(super) struct Transaction {
    connection: Connection,
    /// How it begins, until it has: together with its first statement, which saves a way to the server and back.
    begin: Mutex<Option<Cow<'static, str>>>,
}

impl Transaction {
    /// Runs a statement; its rows.
    pub(super) async fn query(&self, sql: &str, params: &[&dyn Param]) -> Result<Vec<Row>, Failure> {
        match self.begin.lock().await.take() {
            None => self.connection.query(sql, params).await,
            Some(begin) => {
                self.connection.in_transaction.store(true, Ordering::Relaxed);
                // Polled in this order, so that they are sent in this order.
                let (begun, rows) =
                    tokio::join!(biased; self.connection.batch(&begin), self.connection.query(sql, params));
                begun?;
                rows
            }
        }
    }

    /// The same where there is at most one row.
    pub(super) async fn query_opt(&self, sql: &str, params: &[&dyn Param]) -> Result<Option<Row>, Failure> {
        self.query(sql, params).await.and_then(at_most_one)
    }

    /// The same where there is exactly one row.
    pub(super) async fn query_one(&self, sql: &str, params: &[&dyn Param]) -> Result<Row, Failure> {
        self.query_opt(sql, params).await.and_then(exactly_one)
    }

    /// Runs a statement; how many rows it touched.
    pub(super) async fn execute(&self, sql: &str, params: &[&dyn Param]) -> Result<u64, Failure> {
        match self.begin.lock().await.take() {
            None => self.connection.execute(sql, params).await,
            Some(begin) => {
                self.connection.in_transaction.store(true, Ordering::Relaxed);
                let (begun, count) =
                    tokio::join!(biased; self.connection.batch(&begin), self.connection.execute(sql, params));
                begun?;
                count
            }
        }
    }

    /// Commits. After an error that is none of the database's it is not known whether it was committed.
    pub(super) async fn commit(self) -> Result<(), Failure> {
        if self.begin.lock().await.take().is_none() {
            // A transaction in which something failed answers this with a rollback, and without an error; but then the
            // error was told already.
            self.connection.batch("COMMIT").await?;
            self.connection.in_transaction.store(false, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn at_most_one(rows: Vec<Row>) -> Result<Option<Row>, Failure> {
    match rows.len() {
        0 | 1 => Ok(rows.into_iter().next()),
        more => Err(Failure::Row(format!("{more} rows where there can be one"))),
    }
}

fn exactly_one(row: Option<Row>) -> Result<Row, Failure> {
    row.ok_or_else(|| Failure::Row("no row where there has to be one".to_owned()))
}
