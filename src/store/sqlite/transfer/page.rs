//! The tables that are copied as they are, a page at a time.

use rusqlite::{Connection, params_from_iter};

use super::{plans, stored, value};
use crate::store::transfer::{EVENTS, Row, Rows, Table, bytes_of, key_of, place_behind};

/// How many bytes make a page, beside its last row.
const BYTES_MAX: usize = 4 << 20;

pub(super) fn read(connection: &Connection, table: &Table, after: Option<&str>) -> rusqlite::Result<Rows> {
    let key = table.key().iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
    let from = after.and_then(|place| key_of(table, place)).unwrap_or_default();
    let behind = if from.is_empty() {
        String::new()
    } else {
        let places = (1..=from.len()).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
        format!("WHERE ({key}) > ({places})")
    };
    let columns = if *table == EVENTS { plans::event_columns() } else { table.names() };
    let sql = format!("SELECT {columns} FROM {} {behind} ORDER BY {key} LIMIT {}", table.name, table.page);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(from.iter().map(stored)))?;
    let (mut rows, mut bytes): (Vec<Row>, usize) = (Vec::new(), 0);
    let mut more = false;
    while let Some(row) = found.next()? {
        let row = (0..table.columns.len()).map(|index| value(row, index)).collect::<rusqlite::Result<Row>>()?;
        bytes += bytes_of(&row);
        rows.push(row);
        more = rows.len() == table.page || bytes >= BYTES_MAX;
        if more {
            break;
        }
    }
    let next = rows.last().filter(|_| more).map(|row| place_behind(table, row));
    Ok(Rows { rows, next })
}

pub(super) fn write(connection: &Connection, table: &Table, rows: &[Row]) -> rusqlite::Result<()> {
    if *table == EVENTS {
        plans::write(connection, rows)?;
    }
    let own = if *table == EVENTS { plans::OWN_COLUMNS } else { table.columns.len() };
    let names = table.columns[..own].iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
    let places = (1..=own).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
    let mut insert = connection.prepare_cached(&format!("INSERT INTO {} ({names}) VALUES ({places})", table.name))?;
    for row in rows {
        insert.execute(params_from_iter(row[..own].iter().map(stored)))?;
    }
    Ok(())
}
