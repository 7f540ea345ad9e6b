//! Writing a batch: one transaction for many, each with an answer of its own.
//!
//! What always holds: nobody is told before the commit; and one that fails never fails its neighbours, because the
//! batch is done again then, each in a savepoint of its own.

use std::fmt;
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, ffi};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::append;
use super::keys::{Keys, Mark};
use super::queue::{Batch, Unit};
use crate::store::waiting::Request;
use crate::store::{Appended, StoreError};
use crate::wake::Wakes;

/// What it takes to write a batch.
pub(super) struct Committer {
    pub(super) connection: Connection,
    /// What repetitions are known by; held while a batch is written.
    pub(super) keys: Arc<Mutex<Keys>>,
    /// For how long an id is remembered, in milliseconds.
    pub(super) remember_ms: i64,
    pub(super) wakes: Wakes,
    /// Where those who wait are told.
    pub(super) runtime: Handle,
}

impl Committer {
    /// Writes a batch in one transaction, and tells everyone what became of theirs.
    ///
    /// An error is one of the whole batch; everyone in it has been told.
    pub(super) fn commit(&self, mut batch: Batch) -> Result<(), Arc<rusqlite::Error>> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut keys = self.keys.blocking_lock();
        match self.write(&mut keys, &batch.requests, &mut batch.units) {
            Ok(written) => {
                keys.committed();
                drop(keys);
                if written.0.iter().any(|appended| matches!(appended, Ok(Appended::Stored { .. }))) {
                    self.wakes.events.wake();
                }
                self.tell(batch, written);
                Ok(())
            }
            Err(error) => {
                keys.undo(Mark::START);
                drop(keys);
                if !self.connection.is_autocommit() {
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                let error = Arc::new(error);
                let failed = || {
                    if is_for_want_of_room(&error) {
                        return StoreError::Full;
                    }
                    StoreError::Unavailable(Box::new(Arc::clone(&error)))
                };
                let requests = batch.requests.iter().map(|_| Err(failed())).collect();
                let units = batch.units.iter().map(|_| Err(failed())).collect();
                self.tell(batch, (requests, units));
                Err(error)
            }
        }
    }

    /// All together, and where one fails, from the start again, each by itself.
    ///
    /// Together needs no savepoint, which would copy every page that is changed; one by one is the exception.
    fn write(&self, keys: &mut Keys, requests: &[Request], units: &mut [Box<dyn Unit>]) -> rusqlite::Result<Written> {
        self.execute("BEGIN IMMEDIATE")?;
        let written = match self.together(keys, requests, units) {
            Ok(written) => written,
            // A full disk ends the transaction by itself and fails everyone, and so does damage.
            Err(error) if self.connection.is_autocommit() || is_untrustworthy(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(error = %error, "one of many could not be stored; each is tried by itself");
                keys.undo(Mark::START);
                self.execute("ROLLBACK")?;
                self.execute("BEGIN IMMEDIATE")?;
                self.one_by_one(keys, requests, units)?
            }
        };
        keys.write(&self.connection)?;
        self.execute("COMMIT")?;
        Ok(written)
    }

    fn together(
        &self,
        keys: &mut Keys,
        requests: &[Request],
        units: &mut [Box<dyn Unit>],
    ) -> rusqlite::Result<Written> {
        let appended = requests.iter().map(|request| self.append(keys, request).map(Ok));
        let appended = appended.collect::<rusqlite::Result<_>>()?;
        let written = units.iter_mut().map(|unit| unit.run(&self.connection).map(Ok));
        Ok((appended, written.collect::<rusqlite::Result<_>>()?))
    }

    fn one_by_one(
        &self,
        keys: &mut Keys,
        requests: &[Request],
        units: &mut [Box<dyn Unit>],
    ) -> rusqlite::Result<Written> {
        let appended = requests.iter().map(|request| {
            let mark = keys.mark();
            let appended = self.in_savepoint(|| self.append(keys, request))?;
            if appended.is_err() {
                keys.undo(mark);
            }
            Ok(appended)
        });
        let appended = appended.collect::<rusqlite::Result<_>>()?;
        let written = units.iter_mut().map(|unit| self.in_savepoint(|| unit.run(&self.connection)));
        Ok((appended, written.collect::<rusqlite::Result<_>>()?))
    }

    fn append(&self, keys: &mut Keys, request: &Request) -> rusqlite::Result<Appended> {
        append::append(&self.connection, keys, &request.accepted, self.remember_ms)
    }

    /// Does something whole or not at all. The outer error is one that ended the transaction itself.
    fn in_savepoint<T>(&self, work: impl FnOnce() -> rusqlite::Result<T>) -> rusqlite::Result<Result<T, StoreError>> {
        self.execute("SAVEPOINT unit")?;
        match work() {
            Ok(value) => {
                self.execute("RELEASE unit")?;
                Ok(Ok(value))
            }
            Err(error) if self.connection.is_autocommit() || is_untrustworthy(&error) => Err(error),
            Err(error) => {
                self.execute("ROLLBACK TO unit")?;
                self.execute("RELEASE unit")?;
                Ok(Err(StoreError::Unavailable(Box::new(error))))
            }
        }
    }

    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(drop)
    }

    /// Tells everyone, from one task of the runtime: waking each from here would cost a call to the system apiece.
    fn tell(&self, batch: Batch, (requests, units): Written) {
        self.runtime.spawn(async move {
            for (request, appended) in batch.requests.into_iter().zip(requests) {
                // Whoever sent it may be gone; the event stands.
                let _ = request.reply.send(appended);
            }
            for (unit, written) in batch.units.into_iter().zip(units) {
                unit.reply(written);
            }
        });
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer").finish_non_exhaustive()
    }
}

type Written = (Vec<Result<Appended, StoreError>>, Vec<Result<(), StoreError>>);

/// Whether after this error it is not known what the disk holds.
pub(super) fn is_untrustworthy(error: &rusqlite::Error) -> bool {
    let codes = [ErrorCode::SystemIoFailure, ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
    error.sqlite_error_code().is_some_and(|code| codes.contains(&code)) && !is_for_want_of_room(error)
}

/// Whether the disk had no room for it. The index of the log, which nothing rests on, says so by a code of its own.
pub(super) fn is_for_want_of_room(error: &rusqlite::Error) -> bool {
    let index = error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE);
    index || error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}
