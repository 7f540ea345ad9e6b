//! Removing the plans in which no event is left, and the verdicts that no plan speaks of any more.

use super::super::failure::Failure;
use super::super::pool::Transaction;
use super::super::statement::Array;

/// Removes those that were of events which are gone.
pub(super) async fn trim(transaction: &Transaction, gone: &Array<i64>) -> Result<(), Failure> {
    let sql = "DELETE FROM plans p
               WHERE p.first IN (SELECT (SELECT max(first) FROM plans WHERE first <= position)
                                 FROM unnest($1) AS gone (position))
                   AND NOT EXISTS (SELECT 1 FROM events e WHERE e.position BETWEEN p.first AND p.last)
               RETURNING p.verdict";
    let verdicts = transaction.query(sql, &[gone]).await?;
    let verdicts: Array<i64> = verdicts.iter().map(|row| row.get(0)).collect::<Result<_, Failure>>()?;
    if verdicts.0.is_empty() {
        return Ok(());
    }
    // Locked in a statement before: a plan that is made of one at this moment is seen afterwards.
    let sql = "SELECT id FROM verdicts WHERE id = ANY ($1) ORDER BY id FOR UPDATE";
    transaction.query(sql, &[&verdicts]).await?;
    let sql = "DELETE FROM verdicts v WHERE v.id = ANY ($1)
               AND NOT EXISTS (SELECT 1 FROM plans p WHERE p.verdict = v.id)";
    transaction.execute(sql, &[&verdicts]).await.map(drop)
}
