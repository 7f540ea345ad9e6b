//! How much room the tables take, and how much of that holds something.
//!
//! The server does not tell how much of a table's file is free: rows that went leave room, which is taken again before
//! the file grows. So the bytes of the events are counted as they come and go, and beside that the most that there ever
//! were: what the files take is for those, and of it as large a part is in use as there are bytes now. What else there
//! is grows and shrinks with the events. The server's disk is not ours to see.

use super::super::failure::Failure;
use super::super::pool::Transaction;
use super::super::statement::{Array, Row};
use super::super::{Database, rows};
use crate::store::Space;

/// What an event of `events e` counts as.
pub(super) const BYTES: &str = "(pg_column_size(e.body) + pg_column_size(e.headers))::bigint";

/// Every table of ours.
const TABLES: &[&str] = &[
    "events",
    "unplanned",
    "uncatalogued",
    "keys",
    "duplicates",
    "receipts",
    "verdicts",
    "plans",
    "deliveries",
    "attempts",
    "tallies",
    "totals",
    "handlers",
    "rates",
    "replays",
    "terms",
    "rejected",
    "refusals",
    "token_uses",
    "duties",
    "processes",
    "marks",
    "copying",
];

/// How many events are looked at that are not counted yet; for more they are taken to be as large as these.
const LOOKED_AT: i64 = 1000;

pub(in super::super) async fn space(db: &Database) -> Result<Space, Failure> {
    let transaction = db.pool.begin_reading().await?;
    let files = rows::count(files(&transaction).await?);
    let Marks { kept, most, .. } = Marks::read(&transaction).await?;
    let kept = kept + not_counted(&transaction).await?;
    transaction.commit().await?;
    let used = part(files, kept, most.max(kept));
    Ok(Space { files, used, free: files - used, disk_free: None })
}

/// A part of the bytes of the files.
fn part(files: u64, kept: i64, most: i64) -> u64 {
    if most <= 0 {
        return files;
    }
    let used = u128::from(files) * u128::from(rows::count(kept)) / u128::from(rows::count(most));
    u64::try_from(used).unwrap_or(files).min(files)
}

async fn files(transaction: &Transaction) -> Result<i64, Failure> {
    let sql = "SELECT coalesce(sum(pg_total_relation_size(to_regclass(name))), 0)::bigint FROM unnest($1) AS t (name)";
    transaction.query_one(sql, &[&TABLES.iter().copied().collect::<Array<_>>()]).await?.get(0)
}

/// The bytes of the events that are not in the catalogue, and so not counted.
async fn not_counted(transaction: &Transaction) -> Result<i64, Failure> {
    let sql = format!(
        "SELECT coalesce(avg(bytes) * (SELECT count(*) FROM uncatalogued), 0)::bigint FROM (
             SELECT {BYTES} AS bytes FROM (SELECT position FROM uncatalogued ORDER BY position LIMIT $1) AS u
             JOIN events e ON e.position = u.position) AS looked_at"
    );
    transaction.query_one(&sql, &[&LOOKED_AT]).await?.get(0)
}

struct Marks {
    /// The bytes of the events that are in the catalogue.
    kept: i64,
    /// The most that there ever were of all events.
    most: i64,
    /// The most that the files ever took.
    files: i64,
}

impl Marks {
    async fn read(transaction: &Transaction) -> Result<Marks, Failure> {
        let sql = "SELECT name, value FROM marks WHERE name IN ('kept_bytes', 'most_bytes', 'most_files')";
        let found = transaction.query(sql, &[]).await?;
        let named = |name: &str| {
            let row = found.iter().find(|row: &&Row| row.get::<String>(0).is_ok_and(|own| own == name));
            row.map_or(Ok(0), |row| row.get(1))
        };
        Ok(Marks { kept: named("kept_bytes")?, most: named("most_bytes")?, files: named("most_files")? })
    }
}

/// Counts the bytes of events that come into the catalogue.
pub(in super::super) async fn count_bytes(transaction: &Transaction, bytes: i64) -> Result<(), Failure> {
    change(transaction, bytes, bytes).await
}

/// Counts the bytes of events that went, and of some that went before they were counted.
pub(super) async fn less_bytes(transaction: &Transaction, bytes: i64, not_counted: i64) -> Result<(), Failure> {
    change(transaction, -bytes, not_counted).await
}

/// Changes what is kept; for a moment there is or was so much more than before.
async fn change(transaction: &Transaction, by: i64, more: i64) -> Result<(), Failure> {
    let sql = "UPDATE marks SET value = greatest(value, (SELECT value FROM marks WHERE name = 'kept_bytes') + $1)
               WHERE name = 'most_bytes'";
    transaction.execute(sql, &[&more]).await?;
    let sql = "UPDATE marks SET value = value + $1 WHERE name = 'kept_bytes'";
    transaction.execute(sql, &[&by]).await.map(drop)
}

/// Begins anew with what there is now, where somebody had the files made smaller.
pub(super) async fn notice_less_files(transaction: &Transaction) -> Result<(), Failure> {
    let (files, marks) = (files(transaction).await?, Marks::read(transaction).await?);
    let sql = "UPDATE marks SET value = $2 WHERE name = $1";
    if files < marks.files / 4 * 3 {
        transaction.execute(sql, &[&"most_bytes", &marks.kept]).await?;
        transaction.execute(sql, &[&"most_files", &files]).await?;
    } else if files > marks.files {
        transaction.execute(sql, &[&"most_files", &files]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_of_the_files_is_in_use_as_there_are_bytes_of_the_most_that_there_were() {
        let check = |kept, most, expected| assert_eq!(part(1000, kept, most), expected, "{kept} of {most}");
        check(0, 0, 1000);
        check(0, 50, 0);
        check(25, 50, 500);
        check(50, 50, 1000);
        check(-1, 50, 0);
        check(i64::MAX, i64::MAX, 1000);
    }
}
