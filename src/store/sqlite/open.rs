//! Opening the database: one process, a library without known faults, the settings that the promises rest on.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::checkpoint;
use super::commit::is_for_want_of_room;
use crate::store::{OpenError, SqliteSettings};

/// Before 3.51.3 two connections that write and checkpoint at once can corrupt the write-ahead log.
const LEAST_LIBRARY: (i32, &str) = (3_051_003, "3.51.3");

/// `wkhk`, so that a database of another program is not taken for ours.
const APPLICATION_ID: i64 = 0x776b_686b;

/// What is left of the write-ahead log when it begins anew, in bytes: 64 MiB.
const JOURNAL_SIZE_LIMIT: &str = "67108864";
/// The size of a new database's pages, in bytes.
pub(super) const PAGE_SIZE: i64 = 8192;

/// Below the deadline of an answer, so that a lock held by another program is an answer in time (ruling 23).
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_millis(1000);

mod embedded {
    refinery::embed_migrations!("src/store/sqlite/migrations");
}

/// The one process's hold on the database; gone when it is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

/// Locks the database for this process and opens the connection that writes.
pub(super) fn open(config: &SqliteSettings) -> Result<(Lock, Connection), OpenError> {
    let folder = config.folder();
    // What is in it are people's words; a folder that is there already keeps its mode.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
    check_library(rusqlite::version_number(), rusqlite::version())?;
    let lock = lock(&config.path)?;
    make_private(&config.path)?;
    let mut connection = connect(&config.path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    check_ours(&config.path, &connection)?;
    configure(&config.path, &connection)?;
    checkpoint::settle(&connection).map_err(|source| database_error(&config.path, source))?;
    migrate(&config.path, &mut connection)?;
    Ok((lock, connection))
}

/// Opens one more connection, for reading or for checkpoints.
pub(super) fn open_another(path: &Path, read_only: bool) -> Result<Connection, OpenError> {
    let flags = if read_only { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
    connect(path, flags)
}

fn lock(path: &Path) -> Result<Lock, OpenError> {
    let lock_path = beside(path, ".lock");
    let failed = |source| OpenError::Lock { path: lock_path.clone(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The write-ahead log of a database.
pub(super) fn log_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Makes an empty file for its owner's eyes, where there is none; SQLite gives the files beside it the same mode.
fn make_private(path: &Path) -> Result<(), OpenError> {
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map(drop).map_err(|source| OpenError::Database { path: path.to_owned(), source: source.into() })
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    let failed = |source| database_error(path, source);
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    // Otherwise a statement whose plan could depend on what is bound, by a limit for example, is planned anew each time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn check_library(number: i32, version: &str) -> Result<(), OpenError> {
    if number < LEAST_LIBRARY.0 {
        return Err(OpenError::OldLibrary { found: version.to_owned(), least: LEAST_LIBRARY.1 });
    }
    Ok(())
}

fn check_ours(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let failed = |source| database_error(path, source);
    let id: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(failed)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if tables > 0 && id != APPLICATION_ID {
        return Err(OpenError::NotOurs { path: path.to_owned() });
    }
    Ok(())
}

fn configure(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let failed = |source| database_error(path, source);
    // Only a new database takes the first two. Two events fit a page of 8 KiB, so a commit syncs and a checkpoint moves
    // fewer of them; and auto_vacuum lets a later version give space back.
    connection
        .execute_batch(&format!(
            "PRAGMA page_size = {PAGE_SIZE}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = {APPLICATION_ID};"
        ))
        .map_err(failed)?;
    setting(path, connection, "journal_mode", "wal", "wal")?;
    setting(path, connection, "synchronous", "FULL", "2")?;
    // Checkpoints are made beside the writer, see checkpoint.rs.
    setting(path, connection, "wal_autocheckpoint", "0", "0")?;
    // What a rollback needs of a savepoint stays in memory.
    setting(path, connection, "temp_store", "MEMORY", "2")?;
    setting(path, connection, "cache_size", "-16000", "-16000")?;
    // A log that grew while somebody read for long becomes small again.
    setting(path, connection, "journal_size_limit", JOURNAL_SIZE_LIMIT, JOURNAL_SIZE_LIMIT)?;
    // What is removed from a page that is written anyway is overwritten there.
    setting(path, connection, "secure_delete", "FAST", "2")
}

/// Sets a setting and reads it back.
fn setting(
    path: &Path,
    connection: &Connection,
    setting: &'static str,
    wanted: &'static str,
    reads_as: &str,
) -> Result<(), OpenError> {
    let failed = |source| database_error(path, source);
    connection.execute_batch(&format!("PRAGMA {setting} = {wanted}")).map_err(failed)?;
    let value = connection.query_row(&format!("PRAGMA {setting}"), [], |row| row.get(0)).map_err(failed)?;
    let found = match value {
        rusqlite::types::Value::Text(text) => text,
        rusqlite::types::Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    if found != reads_as {
        return Err(OpenError::Setting { path: path.to_owned(), setting, wanted, found });
    }
    Ok(())
}

fn migrate(path: &Path, connection: &mut Connection) -> Result<(), OpenError> {
    let runner = embedded::migrations::runner().set_grouped(true);
    let known = runner.get_migrations().iter().map(|migration| i64::from(migration.version())).max().unwrap_or(0);
    let found = schema_version(connection).map_err(|source| database_error(path, source))?;
    if found > known {
        return Err(OpenError::NewerSchema { path: path.to_owned(), found, known });
    }
    runner.run(connection).map_err(|source| OpenError::Database { path: path.to_owned(), source: source.into() })?;
    Ok(())
}

fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    let history = "SELECT count(*) FROM sqlite_schema WHERE name = 'refinery_schema_history'";
    if connection.query_row(history, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(0);
    }
    connection.query_row("SELECT ifnull(max(version), 0) FROM refinery_schema_history", [], |row| row.get(0))
}

fn database_error(path: &Path, source: rusqlite::Error) -> OpenError {
    if is_for_want_of_room(&source) {
        return OpenError::NoRoom { path: path.to_owned() };
    }
    OpenError::Database { path: path.to_owned(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use rusqlite::{StatementStatus, params};

    use super::*;

    fn config() -> (tempfile::TempDir, SqliteSettings) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/workhook.db");
        (folder, SqliteSettings { path, ..SqliteSettings::default() })
    }

    #[test]
    fn the_settings_that_the_promises_rest_on_are_read_back() {
        let (_folder, config) = config();
        let (_lock, connection) = open(&config).unwrap();
        let wrong = setting(&config.path, &connection, "synchronous", "NORMAL", "2").unwrap_err();
        assert!(
            matches!(wrong, OpenError::Setting { setting: "synchronous", ref found, .. } if found == "1"),
            "{wrong}"
        );
    }

    #[test]
    fn a_statement_is_planned_once_whatever_is_bound_to_it() {
        let (_folder, config) = config();
        let (_lock, connection) = open(&config).unwrap();
        // A bound limit, and a bound value of a column without an index.
        let sql = "SELECT id FROM deliveries WHERE handler = ?1 AND ready_at <= ?2 AND epoch = ?3 LIMIT ?4";
        for n in 0..3 {
            let mut statement = connection.prepare_cached(sql).unwrap();
            let found: Vec<i64> = statement
                .query_map(params!["crm", 100 + n, n, n], |row| row.get(0))
                .and_then(Iterator::collect)
                .unwrap();
            assert_eq!((found, statement.get_status(StatementStatus::RePrepare)), (vec![], 0), "{n}");
        }
    }

    #[test]
    fn an_older_library_is_refused() {
        assert!(matches!(check_library(3_051_002, "3.51.2"), Err(OpenError::OldLibrary { .. })));
        assert!(check_library(3_051_003, "3.51.3").is_ok());
        assert!(check_library(rusqlite::version_number(), rusqlite::version()).is_ok());
    }

    #[test]
    fn ruling_23_a_second_process_a_newer_schema_and_a_foreign_database_are_refused() {
        let (_folder, config) = config();
        let (lock, connection) = open(&config).unwrap();
        assert!(matches!(open(&config), Err(OpenError::InUse { .. })));
        drop(lock);
        connection
            .execute_batch("INSERT INTO refinery_schema_history VALUES (99, 'later', '2099-01-01T00:00:00Z', '0')")
            .unwrap();
        assert!(matches!(open(&config), Err(OpenError::NewerSchema { found: 99, known: 6, .. })));
        connection.execute_batch("PRAGMA application_id = 7").unwrap();
        assert!(matches!(open(&config), Err(OpenError::NotOurs { .. })));
    }

    #[test]
    fn a_file_that_is_no_database_is_an_error_that_names_it() {
        let (_folder, config) = config();
        std::fs::create_dir_all(config.folder()).unwrap();
        std::fs::write(&config.path, "not a database, but long enough to be looked at").unwrap();
        let error = open(&config).unwrap_err();
        assert!(error.to_string().contains("workhook.db"), "{error}");
    }
}
