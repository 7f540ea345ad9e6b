//! Waiting for events that come: a request that is answered when there is something to tell.
//!
//! A hint says when to look, and the store what there is. It is looked at unasked as well, for what others write.
//! What always holds: so many wait at the most, none for longer than it asked, and one whose peer leaves is dropped at
//! once, with all that it held: the door takes a closed connection for that.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Admin, Error};
use crate::model::{EventFilter, Position};
use crate::store::{EventQuery, EventRow, Page, Start};

/// The most requests that wait at one time.
pub(in crate::admin) const WAITING_MAX: usize = 64;
/// The longest that one waits, in seconds.
pub(super) const WAIT_MAX_SECONDS: u64 = 25;
/// How often it is looked at unasked.
const POLL: Duration = Duration::from_millis(500);
/// How much lies between two looks, however many events come.
const PAUSE: Duration = Duration::from_millis(40);

/// The next events after a position that a filter means, as soon as there is one; none when nothing came in time.
/// `next` says where to go on in any case.
pub(super) async fn for_events(admin: &Admin, query: EventQuery, wait: Duration) -> Result<Page<EventRow>, Error> {
    let _permit = admin.waiting.try_acquire().map_err(|_| Error::TooMany)?;
    let deadline = Instant::now() + wait;
    let mut sleeper = admin.wakes.events.sleeper();
    let mut query = query;
    loop {
        let looked_at = Instant::now();
        let page = look(admin, &query).await?;
        if !page.items.is_empty() || looked_at >= deadline {
            return Ok(page);
        }
        if let Some(next) = page.next {
            query.start = Start::After(Position(next));
        }
        tokio::select! {
            () = sleeper.woken() => sleep_until((looked_at + PAUSE).min(deadline)).await,
            () = sleep_until((looked_at + POLL).min(deadline)) => {}
        }
        if admin.health.is_draining() {
            return Err(Error::Stopping);
        }
    }
}

/// One look. Where nothing is left, the newest event that there was before says how far was looked.
async fn look(admin: &Admin, query: &EventQuery) -> Result<Page<EventRow>, Error> {
    let newest = EventQuery { limit: 1, start: Start::Newest, filter: EventFilter::default() };
    let newest = admin.store.events(newest).await?.items.first().map_or(0, |row| row.event.position.0);
    let Start::After(after) = query.start else { return Ok(admin.store.events(query.clone()).await?) };
    let page = admin.store.events(query.clone()).await?;
    let seen = page.items.last().map_or(0, |row| row.event.position.0).max(newest).max(after.0);
    Ok(Page { next: page.next.or(Some(seen)), ..page })
}
