//! Places in tables, as texts.

use serde_json::{Value as Json, json};

use super::{Kind, Row, Table, Value};

/// Where to go on behind a row of a table.
pub(in super::super) fn place_behind(table: &Table, row: &Row) -> String {
    let key = row[..table.key].iter().map(|value| match value {
        Value::Null => Json::Null,
        Value::Number(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!(to_hex(bytes)),
    });
    Json::from_iter(key).to_string()
}

/// The key of the row behind which to go on; `None` where it is no place in this table.
pub(in super::super) fn key_of(table: &Table, place: &str) -> Option<Row> {
    let values: Vec<Json> = serde_json::from_str(place).ok()?;
    let read = |(json, kind): (Json, Kind)| match (kind, json) {
        (Kind::Number | Kind::Flag, Json::Number(number)) => number.as_i64().map(Value::Number),
        (Kind::Text, Json::String(text)) => Some(Value::Text(text)),
        (Kind::Bytes | Kind::Id, Json::String(hex)) => from_hex(&hex).map(Value::Bytes),
        _ => None,
    };
    let kinds = table.key().iter().map(|column| column.kind);
    let key: Option<Row> = values.into_iter().zip(kinds).map(read).collect();
    key.filter(|key| key.len() == table.key)
}

/// How many bytes the texts and bytes of a row are.
pub(in super::super) fn bytes_of(row: &Row) -> usize {
    let bytes = |value: &Value| match value {
        Value::Null | Value::Number(_) => 0,
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
    };
    row.iter().map(bytes).sum()
}

pub(in super::super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

pub(in super::super) fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    let (pairs, rest) = digits.as_ref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::super::TABLES;
    use super::*;

    #[test]
    fn a_place_is_found_again_in_every_table() {
        for table in TABLES {
            let value = |kind| match kind {
                Kind::Number => Value::Number(-7),
                Kind::Flag => Value::Number(1),
                Kind::Text => Value::Text("a \"text\"\0".to_owned()),
                Kind::Bytes | Kind::Id => Value::Bytes(vec![0, 0xff, 0x10]),
            };
            let row: Row = table.columns.iter().map(|column| value(column.kind)).collect();
            assert_eq!(key_of(table, &place_behind(table, &row)).as_deref(), Some(&row[..table.key]), "{}", table.name);
            for no_place in ["", "[]", "{}", "[null]", "[[]]"] {
                assert_eq!(key_of(table, no_place), None, "{}: {no_place}", table.name);
            }
        }
    }

    #[test]
    fn bytes_come_back_from_their_digits_and_from_nothing_else() {
        assert_eq!(from_hex(&to_hex(&[0, 1, 0xab, 0xff])), Some(vec![0, 1, 0xab, 0xff]));
        for bad in ["0", "xy", "0 1", "é"] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
