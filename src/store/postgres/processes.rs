//! Which processes share the store: each says every few seconds that it is there, and whoever notices that one is not
//! makes what it had claimed due at once (ruling 17).
//!
//! What always holds: who was away itself does not judge others until it has been there for as long as they may be
//! silent; when the database was away, everybody seems to be gone.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Database;
use super::duties::NOW;
use super::failure::Failure;
use super::pool::Pool;

/// How often a process says that it is there.
const BEAT: Duration = Duration::from_secs(3);
/// The longest that this takes. On a connection on which nothing comes any more it is tried again on another before the
/// process seems to be gone.
const BEAT_MAX: Duration = Duration::from_secs(3);
/// How long a process may be silent before its claims are lost.
pub(super) const SILENT_MAX: Duration = Duration::from_secs(10);
/// How long a process that is gone is remembered, in milliseconds.
const REMEMBERED_MS: i64 = 3_600_000;

/// Says that this process is there, and hears whether it was there all the time before.
pub(super) async fn beat(db: &Database, pool: &Pool) -> Result<(), Failure> {
    // By the database's clock as well: this machine's may have stood still together with the process.
    let sql = format!(
        "WITH before AS (SELECT seen_at FROM processes WHERE id = $1)
         INSERT INTO processes (id, name, seen_at) VALUES ($1, $2, {NOW})
         ON CONFLICT (id) DO UPDATE SET seen_at = EXCLUDED.seen_at
         RETURNING coalesce((SELECT {NOW} - seen_at > $3 FROM before), true)"
    );
    let connection = pool.connection().await?;
    let said = Instant::now();
    let row = connection.query_opt(&sql, &[&db.process, &db.name, &silent_max_ms()]).await?;
    let was_silent = row.map(|row| row.get(0)).transpose()?.unwrap_or(true);
    db.presence.heard(said, Instant::now(), was_silent);
    Ok(())
}

fn silent_max_ms() -> i64 {
    i64::try_from(SILENT_MAX.as_millis()).unwrap_or(i64::MAX)
}

/// Makes what processes had claimed that are silent due at once. It stays marked as claimed, so that the next claim
/// counts the attempt that was lost.
pub(super) async fn recover(db: &Database, pool: &Pool) -> Result<u64, Failure> {
    let sql = format!(
        "WITH forgotten AS (DELETE FROM processes WHERE seen_at < {NOW} - $2)
         UPDATE deliveries SET ready_at = 0 WHERE claimed AND ready_at > 0 AND NOT EXISTS (
             SELECT 1 FROM processes p WHERE p.id = claimed_by AND p.seen_at >= {NOW} - $1)"
    );
    let lost = pool.connection().await?.execute(&sql, &[&silent_max_ms(), &REMEMBERED_MS]).await?;
    if lost > 0 {
        tracing::warn!(deliveries = lost, "a process ended while attempts were under way");
        db.hint(&db.wakes.deliveries);
    }
    Ok(lost)
}

/// Takes leave: what is still claimed is due at once for others.
pub(super) async fn leave(db: &Database, pool: &Pool) -> Result<(), Failure> {
    let connection = pool.connection().await?;
    let sql = "UPDATE deliveries SET ready_at = 0 WHERE claimed AND claimed_by = $1";
    connection.execute(sql, &[&db.process]).await?;
    connection.execute("DELETE FROM processes WHERE id = $1", &[&db.process]).await?;
    connection.execute("UPDATE duties SET until = 0 WHERE holder = $1", &[&db.process]).await.map(drop)
}

/// The task's work: until it is stopped.
pub(super) async fn run(db: &Database, pool: &Pool, stop: &CancellationToken) {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut witness = Witness::default();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = pool.within(BEAT_MAX, || beat(db, pool)).await {
            tracing::warn!(error = %error, "could not say that this process is there");
            witness.was_away();
            continue;
        }
        if witness.may_judge(Instant::now())
            && let Err(error) = pool.unit(|| recover(db, pool)).await
        {
            tracing::warn!(error = %error, "could not look after claims of processes that are gone");
        }
    }
}

/// Whether this process was there all the time, by its own clock.
#[derive(Debug, Default)]
struct Witness {
    since: Option<Instant>,
    last: Option<Instant>,
}

impl Witness {
    fn was_away(&mut self) {
        *self = Witness::default();
    }

    /// Whether it may say now of others that they are gone; it was there now.
    fn may_judge(&mut self, now: Instant) -> bool {
        if self.last.is_none_or(|last| now.duration_since(last) > SILENT_MAX / 2) {
            self.since = Some(now);
        }
        self.last = Some(now);
        self.since.is_some_and(|since| now.duration_since(since) >= SILENT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_away_judges_nobody_until_it_has_been_there_for_long_enough() {
        let (mut witness, began) = (Witness::default(), Instant::now());
        let mut judges = |second: u64| witness.may_judge(began + Duration::from_secs(second));
        assert_eq!([0, 3, 6, 9, 12, 15].map(&mut judges), [false, false, false, false, true, true]);
        assert_eq!([21, 24, 27, 30].map(&mut judges), [false; 4], "it slept");
        assert!(judges(33));
        witness.was_away();
        assert!(!witness.may_judge(began + Duration::from_secs(36)));
    }
}
