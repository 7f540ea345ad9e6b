//! How much room the database takes and how much there is, and giving back what it does not need.

use std::path::Path;

use rusqlite::Connection;

use super::super::open::log_of;
use crate::store::{DiskFree, Space};

/// How many pages are given back in one step.
const GIVE_BACK_PAGES: i64 = 64;

pub(in super::super) fn space(connection: &Connection, path: &Path, disk_free: &DiskFree) -> rusqlite::Result<Space> {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let (pages, free) = (pragma(connection, "page_count")?, pragma(connection, "freelist_count")?);
    let page_size = pragma(connection, "page_size")?;
    let bytes = |pages: i64| u64::try_from(pages * page_size).unwrap_or(0);
    Ok(Space {
        files: size(path) + size(&log_of(path)),
        used: bytes(pages - free),
        free: bytes(free),
        disk_free: disk_free.now(path),
    })
}

/// Gives some free pages back; whether there are more.
pub(in super::super) fn give_back(connection: &Connection) -> rusqlite::Result<bool> {
    let before = pragma(connection, "freelist_count")?;
    {
        let mut vacuum = connection.prepare_cached(&format!("PRAGMA incremental_vacuum({GIVE_BACK_PAGES})"))?;
        let mut steps = vacuum.query([])?;
        // Each step gives back one page.
        while steps.next()?.is_some() {}
    }
    let after = pragma(connection, "freelist_count")?;
    // A database that was not made for it gives nothing back.
    Ok(after > 0 && after < before)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached(&format!("PRAGMA {name}"))?.query_row([], |row| row.get(0))
}
