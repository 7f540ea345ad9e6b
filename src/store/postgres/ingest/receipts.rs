//! The receipts of duplicates (rulings 6 and 8).

use std::collections::BTreeMap;

use crate::contract::Accepted;
use crate::model::{EventId, Position};
use crate::store::Appended;
use crate::store::config::RECEIPTS_MAX;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::pool::Transaction;
use crate::store::postgres::statement::Array;

/// A request that is an event which is there already.
#[derive(Debug)]
pub(super) struct Duplicate<'a> {
    pub(super) position: Position,
    pub(super) accepted: &'a Accepted,
    pub(super) matched_by_body: bool,
}

/// A duplicate of an event that is still kept.
struct Kept<'a> {
    duplicate: &'a Duplicate<'a>,
    event: EventId,
    same_body: bool,
}

/// Keeps the receipts; what each is told, in their order.
pub(super) async fn keep(transaction: &Transaction, duplicates: &[Duplicate<'_>]) -> Result<Vec<Appended>, Failure> {
    if duplicates.is_empty() {
        return Ok(Vec::new());
    }
    let kept = of_kept_events(transaction, duplicates).await?;
    let mut counts = count(transaction, kept.iter().flatten()).await?;
    let mut receipts = Vec::new();
    for of_kept in kept.iter().flatten() {
        let number = counts.entry(of_kept.duplicate.position).or_default();
        *number += 1;
        if *number <= RECEIPTS_MAX {
            receipts.push((of_kept, *number));
        }
    }
    insert(transaction, &receipts).await?;
    let told = kept.iter().map(|kept| match kept {
        Some(kept) => Appended::Duplicate { id: Some(kept.event), conflict: !kept.same_body },
        None => Appended::Duplicate { id: None, conflict: false },
    });
    Ok(told.collect())
}

/// The event of each, where it is still kept; it stays until the end of the transaction.
async fn of_kept_events<'a>(
    transaction: &Transaction,
    duplicates: &'a [Duplicate<'a>],
) -> Result<Vec<Option<Kept<'a>>>, Failure> {
    let sql = "SELECT d.place, e.id, e.body = d.body
               FROM unnest($1, $2) WITH ORDINALITY AS d (position, body, place) JOIN events e ON e.position = d.position
               ORDER BY d.position FOR KEY SHARE OF e";
    let positions: Array<i64> = duplicates.iter().map(|duplicate| duplicate.position.0).collect();
    let bodies: Array<_> = duplicates.iter().map(|duplicate| duplicate.accepted.body()).collect();
    let mut kept: Vec<Option<Kept<'a>>> = duplicates.iter().map(|_| None).collect();
    for row in transaction.query(sql, &[&positions, &bodies]).await? {
        let place = usize::try_from(row.get::<i64>(0)? - 1).unwrap_or(usize::MAX);
        if let (Some(slot), Some(duplicate)) = (kept.get_mut(place), duplicates.get(place)) {
            *slot = Some(Kept { duplicate, event: row.get(1)?, same_body: row.get(2)? });
        }
    }
    Ok(kept)
}

/// Counts them; how many there were of each event before.
async fn count<'a>(
    transaction: &Transaction,
    kept: impl Iterator<Item = &'a Kept<'a>>,
) -> Result<BTreeMap<Position, i64>, Failure> {
    let mut more: BTreeMap<Position, i64> = BTreeMap::new();
    for kept in kept {
        *more.entry(kept.duplicate.position).or_default() += 1;
    }
    let sql = "INSERT INTO duplicates AS d (position, count) SELECT * FROM unnest($1, $2)
               ON CONFLICT (position) DO UPDATE SET count = d.count + EXCLUDED.count RETURNING position, count";
    let positions: Array<i64> = more.keys().map(|position| position.0).collect();
    let counts: Array<i64> = more.values().copied().collect();
    let mut before = BTreeMap::new();
    for row in transaction.query(sql, &[&positions, &counts]).await? {
        let position = Position(row.get(0)?);
        before.insert(position, row.get::<i64>(1)? - more.get(&position).copied().unwrap_or(0));
    }
    Ok(before)
}

async fn insert(transaction: &Transaction, receipts: &[(&Kept<'_>, i64)]) -> Result<(), Failure> {
    if receipts.is_empty() {
        return Ok(());
    }
    let accepted = || receipts.iter().map(|(kept, _)| kept.duplicate.accepted);
    let other = receipts.iter().map(|(kept, _)| (!kept.same_body).then(|| kept.duplicate.accepted.body()));
    let sql = "INSERT INTO receipts
                   (position, number, received_at, retry_num, sent_at, peer, matched_by_body, other_body)
               SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)";
    transaction
        .execute(
            sql,
            &[
                &receipts.iter().map(|(kept, _)| kept.duplicate.position.0).collect::<Array<_>>(),
                &receipts.iter().map(|(_, number)| *number).collect::<Array<_>>(),
                &accepted().map(|accepted| accepted.received_at().as_millisecond()).collect::<Array<_>>(),
                &accepted().map(Accepted::retry_num).collect::<Array<_>>(),
                &accepted().map(Accepted::sent_at).collect::<Array<_>>(),
                &accepted().map(|accepted| accepted.peer().map(|peer| peer.to_string())).collect::<Array<_>>(),
                &receipts.iter().map(|(kept, _)| kept.duplicate.matched_by_body).collect::<Array<_>>(),
                &other.collect::<Array<_>>(),
            ],
        )
        .await
        .map(drop)
}
