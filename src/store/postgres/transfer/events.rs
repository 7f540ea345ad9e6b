//! When each event was planned and for whom it was not: here one row says it of a run of events, in a copy each event
//! does. And what of them is not planned, or cannot be found yet.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::super::failure::Failure;
use super::super::pool::Transaction;
use super::super::statement::Array;
use crate::store::transfer::{EVENTS, Row};

/// How many columns of an event are columns of its table here.
pub(super) const OWN_COLUMNS: usize = EVENTS.columns.len() - 2;

/// The columns of an event with those of its plan, and what they are read from beside the events.
pub(super) fn with_plans() -> (String, &'static str) {
    let own: Vec<&str> = EVENTS.columns[..OWN_COLUMNS].iter().map(|column| column.name).collect();
    let joined = "LEFT JOIN LATERAL (
             SELECT p.last, p.planned_at, v.not_routed FROM plans p JOIN verdicts v ON v.id = p.verdict
             WHERE p.first <= events.position ORDER BY p.first DESC LIMIT 1
         ) AS plan ON plan.last >= position";
    (format!("{}, plan.planned_at, plan.not_routed", own.join(", ")), joined)
}

/// Keeps the plans of events, which come in their order.
pub(super) async fn write_plans(transaction: &Transaction, rows: &[Row]) -> Result<(), Failure> {
    let of_event = |row: &Row| {
        (row[0].number().unwrap_or(0), row[OWN_COLUMNS].number(), row[OWN_COLUMNS + 1].text().map(str::to_owned))
    };
    let events: Vec<_> = rows.iter().map(of_event).collect();
    let all: Array<i64> = events.iter().map(|(position, ..)| *position).collect();
    transaction.execute("INSERT INTO uncatalogued (position) SELECT * FROM unnest($1)", &[&all]).await?;
    let unplanned: Array<i64> =
        events.iter().filter(|(_, planned, _)| planned.is_none()).map(|(position, ..)| *position).collect();
    transaction.execute("INSERT INTO unplanned (position) SELECT * FROM unnest($1)", &[&unplanned]).await?;

    let verdicts: BTreeSet<&str> = events.iter().filter_map(|(.., not_routed)| not_routed.as_deref()).collect();
    let hash = |not_routed: &str| -> [u8; 32] { Sha256::digest(not_routed).into() };
    let sql = "INSERT INTO verdicts (hash, not_routed) SELECT * FROM unnest($1, $2) ON CONFLICT (hash) DO NOTHING";
    let hashes: Array<[u8; 32]> = verdicts.iter().map(|verdict| hash(verdict)).collect();
    transaction.execute(sql, &[&hashes, &verdicts.iter().copied().collect::<Array<_>>()]).await?;

    let (mut firsts, mut lasts, mut at, mut hashes) =
        (Array(Vec::new()), Array(Vec::new()), Array(Vec::new()), Array(Vec::new()));
    for run in events.chunk_by(|one, next| one.0 + 1 == next.0 && (one.1, &one.2) == (next.1, &next.2)) {
        let (Some((first, Some(planned_at), Some(not_routed))), Some((last, ..))) = (run.first(), run.last()) else {
            continue;
        };
        firsts.0.push(*first);
        lasts.0.push(*last);
        at.0.push(*planned_at);
        hashes.0.push(hash(not_routed));
    }
    let sql = "INSERT INTO plans (first, last, planned_at, verdict)
               SELECT run.first, run.last, run.planned_at, v.id
               FROM unnest($1, $2, $3, $4) AS run (first, last, planned_at, hash) JOIN verdicts v ON v.hash = run.hash";
    transaction.execute(sql, &[&firsts, &lasts, &at, &hashes]).await.map(drop)
}
