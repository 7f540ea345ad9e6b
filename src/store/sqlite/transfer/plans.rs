//! When each event was planned and for whom it was not: here one row says it of a run of events, in a copy each event
//! does.

use rusqlite::{Connection, params};

use super::super::deliveries;
use crate::store::transfer::{EVENTS, Row, Value};

/// How many columns of an event are columns of its table here.
pub(super) const OWN_COLUMNS: usize = EVENTS.columns.len() - 2;

/// The columns of an event with those of its plan.
pub(super) fn event_columns() -> String {
    let own: Vec<&str> = EVENTS.columns[..OWN_COLUMNS].iter().map(|column| column.name).collect();
    let plan = "FROM plans JOIN verdicts ON verdicts.id = plans.verdict
        WHERE first = (SELECT max(first) FROM plans WHERE first <= position) AND last >= position";
    format!("{}, (SELECT planned_at {plan}), (SELECT not_routed {plan})", own.join(", "))
}

/// Keeps the plans of events, which come in their order: those that are planned come first.
pub(super) fn write(connection: &Connection, rows: &[Row]) -> rusqlite::Result<()> {
    let of_plan = |row: &Row| row[OWN_COLUMNS..].to_vec();
    for run in rows.chunk_by(|one, next| of_plan(one) == of_plan(next)) {
        let ([Value::Number(planned_at), Value::Text(not_routed)], Value::Number(first), Value::Number(last)) =
            (&run[0][OWN_COLUMNS..], &run[0][0], &run[run.len() - 1][0])
        else {
            continue;
        };
        let verdict = deliveries::verdict(connection, not_routed)?;
        connection
            .prepare_cached("INSERT INTO plans (first, last, planned_at, verdict) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![first, last, planned_at, verdict])?;
        deliveries::set_mark(connection, "planned", *last)?;
    }
    Ok(())
}
