//! Reading and writing a page of a table.

use std::collections::BTreeMap;
use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, Type};
use uuid::Uuid;

use super::super::failure::Failure;
use super::super::lanes;
use super::super::pool::{Pool, Transaction};
use super::super::rows;
use super::super::statement::{Array, Param, Row as Found};
use super::events;
use crate::store::transfer::{EVENTS, KEYS, Kind, Row, Rows, Table, Value, bytes_of, key_of, place_behind};

/// How many bytes make a page, beside its last row.
const BYTES_MAX: i64 = 4 << 20;
const NO: Value = Value::Number(0);

pub(super) async fn read(pool: &Pool, table: &'static Table, after: Option<&str>) -> Result<Rows, Failure> {
    let from = after.and_then(|place| key_of(table, place)).unwrap_or_default();
    let limit = rows::limit(table.page);
    let mut params: Vec<&dyn Param> = vec![&limit, &BYTES_MAX];
    params.extend(from.iter().map(|value| value as &dyn Param));
    let found = pool.connection().await?.query(&select(table, !from.is_empty()), &params).await?;
    let rows = found.iter().map(|row| values(table, row)).collect::<Result<Vec<Row>, Failure>>()?;
    let bytes: usize = rows.iter().map(bytes_of).sum();
    let more = rows.len() == table.page || rows::limit(bytes) >= BYTES_MAX;
    let next = rows.last().filter(|_| more).map(|row| place_behind(table, row));
    Ok(Rows { rows, next })
}

/// The statement that reads so many rows and so many bytes, from the beginning or behind a key.
fn select(table: &Table, behind: bool) -> String {
    let key = table.key().iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
    let behind = if behind {
        let places = (3..3 + table.key).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        format!("WHERE ({key}) > ({places})")
    } else {
        String::new()
    };
    let (name, columns) = (table.name, table.columns.iter());
    let sizes = columns.filter(|column| column.kind == Kind::Bytes).map(|column| column.name);
    let size = sizes.map(|name| format!(" + coalesce(length({name}), 0)")).collect::<String>();
    let (columns, joined) = if *table == EVENTS { events::with_plans() } else { (table.names(), "") };
    format!(
        "SELECT {columns} FROM (
             SELECT {key}, sum(0{size}) OVER (ORDER BY {key}) - (0{size}) AS before FROM {name} {behind}
             ORDER BY {key} LIMIT $1
         ) AS sizes JOIN {name} USING ({key}) {joined} WHERE sizes.before < $2 ORDER BY {key}"
    )
}

fn values(table: &Table, row: &Found) -> Result<Row, Failure> {
    let value = |(index, kind): (usize, Kind)| {
        Ok(match kind {
            Kind::Number => row.get::<Option<i64>>(index)?.map(Value::Number),
            Kind::Flag => row.get::<Option<bool>>(index)?.map(|flag| Value::Number(i64::from(flag))),
            Kind::Text => row.get::<Option<String>>(index)?.map(Value::Text),
            Kind::Bytes => row.get::<Option<Vec<u8>>>(index)?.map(Value::Bytes),
            Kind::Id => row.get::<Option<Uuid>>(index)?.map(|id| Value::Bytes(id.as_bytes().to_vec())),
        }
        .unwrap_or(Value::Null))
    };
    table.columns.iter().map(|column| column.kind).enumerate().map(value).collect()
}

pub(super) async fn write(transaction: &Transaction, table: &Table, rows: &[Row]) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let once = if *table == KEYS { last_of_each(rows) } else { rows.iter().collect() };
    let columns = columns(table, &once)?;
    let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let places = (1..=columns.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    let conflict = if *table == KEYS {
        "ON CONFLICT (hash) DO UPDATE SET daily = EXCLUDED.daily, position = EXCLUDED.position,
             expires_at = EXCLUDED.expires_at"
    } else {
        ""
    };
    let sql = format!("INSERT INTO {} ({names}) SELECT * FROM unnest({places}) {conflict}", table.name);
    let params: Vec<&dyn Param> = columns.iter().map(|(_, array)| &**array as &dyn Param).collect();
    transaction.execute(&sql, &params).await?;
    if *table == EVENTS {
        events::write_plans(transaction, rows).await?;
    }
    Ok(())
}

/// Columns by name, each with its values.
type Columns<'a> = Vec<(&'static str, Box<dyn Param + Send + 'a>)>;

/// The values of rows by column, with the columns that only this store has.
fn columns<'a>(table: &Table, rows: &[&'a Row]) -> Result<Columns<'a>, Failure> {
    let own = if *table == EVENTS { events::OWN_COLUMNS } else { table.columns.len() };
    let mut columns: Columns<'a> = Vec::new();
    for (index, column) in table.columns[..own].iter().enumerate() {
        // Which of the two a key is is not known of every one; nothing here rests on it.
        let but_null = |row: &&'a Row| if *table == KEYS && row[index] == Value::Null { &NO } else { &row[index] };
        columns.push((column.name, array(column.kind, rows.iter().map(but_null))?));
        if (table.name, column.name) == ("deliveries", "lane") {
            let hash = |row: &&Row| row[index].text().map(lanes::hash);
            columns.push(("lane_hash", Box::new(rows.iter().map(hash).collect::<Array<_>>())));
        }
    }
    if table.name == "attempts" {
        columns.push(("epoch", Box::new(rows.iter().map(|_| 0_i64).collect::<Array<_>>())));
    }
    Ok(columns)
}

/// The values of a column.
fn array<'a>(kind: Kind, values: impl Iterator<Item = &'a Value>) -> Result<Box<dyn Param + Send + 'a>, Failure> {
    match kind {
        Kind::Number => boxed(values, Value::number),
        Kind::Flag => boxed(values, |value| value.number().map(|number| number != 0)),
        Kind::Text => boxed(values, Value::text),
        Kind::Bytes => boxed(values, Value::bytes),
        Kind::Id => boxed(values, |value| value.bytes().and_then(|id| Uuid::from_slice(id).ok())),
    }
}

fn boxed<'a, T: Send + 'a>(
    values: impl Iterator<Item = &'a Value>,
    read: impl Fn(&'a Value) -> Option<T>,
) -> Result<Box<dyn Param + Send + 'a>, Failure>
where
    Array<Option<T>>: Param,
{
    let read = |value| match value {
        &Value::Null => Ok(None),
        value => read(value).map(Some).ok_or_else(|| Failure::Row(format!("{value:?} is not what its column holds"))),
    };
    Ok(Box::new(Array(values.map(read).collect::<Result<Vec<Option<T>>, Failure>>()?)))
}

/// Of rows with the same key the last one.
fn last_of_each(rows: &[Row]) -> Vec<&Row> {
    let last: BTreeMap<Option<&[u8]>, &Row> = rows.iter().map(|row| (row[0].bytes(), row)).collect();
    last.into_values().collect()
}

/// The part of a key behind which a page begins.
impl Param for Value {
    fn ty(&self) -> Type {
        match self {
            Value::Null | Value::Number(_) => Type::INT8,
            Value::Text(_) => Type::TEXT,
            Value::Bytes(_) => Type::BYTEA,
        }
    }

    fn put(&self, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Number(number) => number.put(out),
            Value::Text(text) => text.put(out),
            Value::Bytes(bytes) => bytes.put(out),
        }
    }
}
