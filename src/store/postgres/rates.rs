//! Rates that processes keep to together: for each handler until when its rate is used up, by the database's clock.
//!
//! What always holds: what may begin is set aside before it is claimed, and given back where nothing was; so there is
//! never more than the rate and a second's worth, and a process that dies in between takes a moment of it along.

use std::time::Duration;

use super::failure::Failure;
use super::{Database, claims};
use crate::model::{HandlerName, Rate};
use crate::store::{ClaimRequest, RatedClaims};

/// How much goes at once, at the least one.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How much of that is waited for at a time, so that a high rate does not ask for one after the other.
const SHARE: i64 = 20;

/// Takes what is due as far as the rate allows.
pub(super) async fn claim(db: &Database, request: &ClaimRequest, rate: Rate) -> Result<RatedClaims, Failure> {
    let pace = Pace::of(rate);
    let Taken { granted, used_up_for } = take(db, &request.handler, pace, request.limit).await?;
    if granted == 0 {
        return Ok(RatedClaims { again: Some(pace.wait(used_up_for)), ..RatedClaims::default() });
    }
    let claims = claims::claim(db, &ClaimRequest { limit: granted, ..request.clone() }).await?;
    let claimed = claims.claimed.len();
    if claimed < granted {
        give_back(db, &request.handler, pace, granted - claimed).await?;
    }
    let again = (claimed == granted && granted < request.limit).then(|| pace.wait(used_up_for));
    Ok(RatedClaims { claims, again })
}

/// A rate in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    /// How far apart two are.
    apart: i64,
    /// For how long the rate may be used up in advance.
    at_once: i64,
}

impl Pace {
    fn of(rate: Rate) -> Pace {
        let apart = (micros(rate.per) / i64::from(rate.count.max(1))).max(1);
        Pace { apart, at_once: micros(AT_ONCE).max(apart) }
    }

    /// How long until there is a share, where the rate is used up for so long.
    fn wait(self, used_up_for: i64) -> Duration {
        let share = (self.at_once / self.apart / SHARE).max(1) * self.apart;
        Duration::from_micros(u64::try_from(used_up_for + share - self.at_once).unwrap_or(0))
    }
}

/// What was set aside, and for how long the rate is used up then.
struct Taken {
    granted: usize,
    used_up_for: i64,
}

async fn take(db: &Database, handler: &HandlerName, pace: Pace, wanted: usize) -> Result<Taken, Failure> {
    let sql = "WITH old AS MATERIALIZED (
                   SELECT handler, greatest(until, now) AS until, now
                   FROM rates, (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS clock
                   WHERE handler = $1 FOR UPDATE OF rates
               ), room AS (
                   SELECT handler, until, now, least($2, greatest((now + $3 - until) / $4, 0)) AS granted FROM old
               )
               UPDATE rates SET until = room.until + room.granted * $4 FROM room WHERE rates.handler = room.handler
               RETURNING room.granted, rates.until - room.now";
    let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
    let connection = db.pool.connection().await?;
    loop {
        let taken = connection.query_opt(sql, &[handler, &wanted, &pace.at_once, &pace.apart]).await?;
        if let Some(row) = taken {
            let granted = usize::try_from(row.get::<i64>(0)?).unwrap_or(0);
            return Ok(Taken { granted, used_up_for: row.get(1)? });
        }
        let first = "INSERT INTO rates (handler, until) VALUES ($1, 0) ON CONFLICT DO NOTHING";
        connection.execute(first, &[handler]).await?;
    }
}

async fn give_back(db: &Database, handler: &HandlerName, pace: Pace, count: usize) -> Result<(), Failure> {
    let sql = "UPDATE rates SET until = until - $2 WHERE handler = $1";
    let back = i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(pace.apart);
    db.pool.connection().await?.execute(sql, &[handler, &back]).await.map(drop)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(count: u32, seconds: u64) -> Pace {
        Pace::of(Rate { count, per: Duration::from_secs(seconds) })
    }

    #[test]
    fn a_second_s_worth_goes_at_once_and_one_at_the_least() {
        assert_eq!(pace(10, 1), Pace { apart: 100_000, at_once: 1_000_000 });
        assert_eq!(pace(1, 60), Pace { apart: 60_000_000, at_once: 60_000_000 });
        assert_eq!(pace(100_000, 1), Pace { apart: 10, at_once: 1_000_000 });
    }

    #[test]
    fn a_low_rate_is_waited_for_one_by_one_and_a_high_one_in_shares() {
        assert_eq!(pace(10, 1).wait(1_000_000), Duration::from_millis(100));
        assert_eq!(pace(10, 1).wait(950_000), Duration::from_millis(50));
        assert_eq!(pace(1000, 1).wait(1_000_000), Duration::from_millis(50));
        assert_eq!(pace(1, 60).wait(60_000_000), Duration::from_secs(60));
        assert_eq!(pace(10, 1).wait(0), Duration::ZERO);
    }
}
