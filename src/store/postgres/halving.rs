//! Finding by time where there is no index on it: rows are made nearly in the order of their times, so halving finds
//! the place. It is done in the database, in one statement.

use jiff::{Timestamp, ToSpan};

use super::failure::Failure;
use super::pool::Transaction;

/// How far apart the order of rows and that of their times are taken to be.
const ASTRAY_MINUTES: i64 = 2;

/// A table whose rows have a number and a time.
pub(super) struct Halved {
    table: &'static str,
    number: &'static str,
    time: &'static str,
}

/// Events by the time of their receipt.
pub(super) const EVENTS: Halved = Halved { table: "events", number: "position", time: "received_at" };
/// Deliveries by the time when they were planned.
pub(super) const DELIVERIES: Halved = Halved { table: "deliveries", number: "id", time: "planned_at" };

impl Halved {
    /// The first number of a row of a time or later, or the one after the last; `ends` are the first number that there
    /// is, and the last.
    pub(super) async fn first_at(
        &self,
        transaction: &Transaction,
        (first, last): (i64, i64),
        time: Timestamp,
    ) -> Result<i64, Failure> {
        let Halved { table, number, time: column } = self;
        let sql = format!(
            "WITH RECURSIVE halving (first, behind) AS (
                 SELECT $1, $2
                 UNION ALL
                 SELECT CASE WHEN found.before THEN found.number + 1 ELSE h.first END,
                        CASE WHEN found.before THEN h.behind ELSE h.first + (h.behind - h.first) / 2 END
                 FROM halving h LEFT JOIN LATERAL (
                     SELECT t.{number} AS number, t.{column} < $3 AS before FROM {table} t
                     WHERE t.{number} >= h.first + (h.behind - h.first) / 2 ORDER BY t.{number} LIMIT 1
                 ) AS found ON true
                 WHERE h.first < h.behind
             )
             SELECT first FROM halving WHERE first >= behind LIMIT 1"
        );
        transaction.query_one(&sql, &[&first, &last.saturating_add(1), &time.as_millisecond()]).await?.get(0)
    }
}

/// From which time on rows are looked at, so that none of this time or later is left out.
pub(super) fn well_before(time: Timestamp) -> Timestamp {
    time.checked_sub(ASTRAY_MINUTES.minutes()).unwrap_or(Timestamp::MIN)
}

/// Up to which time rows are looked at, so that none before this one is left out.
pub(super) fn well_after(time: Timestamp) -> Timestamp {
    time.checked_add(ASTRAY_MINUTES.minutes()).unwrap_or(Timestamp::MAX)
}
