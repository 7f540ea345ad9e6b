//! Forgetting from beginning to end: looking on a connection that reads, removing on the writer's, and then taking
//! care that nothing is left in the files.
//!
//! What always holds: until nothing is left in the files a mark says so, whoever stops in between; and one call takes
//! a short time only.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::keep;
use super::read::Readers;
use super::writer::Writer;
use crate::store::{ForgetStep, Forgotten, Left, StoreError};

/// How long one call goes on with cleaning.
const CLEAN_FOR: Duration = Duration::from_secs(2);
/// How many times as long as a piece took the writer is left alone after it.
const PAUSE: u32 = 2;
/// How often one call tries to empty the log while somebody reads it, and the pause between.
const EMPTY_TRIES: usize = 5;
const EMPTY_PAUSE: Duration = Duration::from_millis(100);

/// Takes one step. When the future is dropped, what was handed to the writer is done all the same, and what was not is
/// done by the next call.
pub(super) async fn forget(
    writer: &Writer,
    readers: &Readers,
    cleaning: &Mutex<()>,
    step: ForgetStep,
) -> Result<Forgotten, StoreError> {
    let dry_run = step.dry_run;
    let look = move |connection: &_| Ok((keep::find(connection, &step)?, keep::left(connection)?));
    let (found, left) = readers.read(look).await?;
    if dry_run {
        return Ok(Forgotten { left, ..found.counts() });
    }
    let replays = found.replays();
    let last = found.last();
    let forgotten = match found.is_empty() {
        true => found.counts(),
        false => writer.write(move |connection| keep::remove_found(connection, &found)).await?,
    };
    if replays > 0 {
        tracing::info!(replays, "replays that asked for what is forgotten ended, and went with it");
    }
    if forgotten.through.is_some() {
        return Ok(forgotten);
    }
    // One at a time, so that nobody else can have gone on when the log was emptied.
    let _one = cleaning.lock().await;
    let left = clean(writer).await?;
    Ok(Forgotten { through: left.map(|_| last), left, ..forgotten })
}

/// Takes what was removed by any step out of the catalogue, the free pages and the log; where it may still be.
async fn clean(writer: &Writer) -> Result<Option<Left>, StoreError> {
    match pieces(|| writer.write(keep::clean)).await? {
        Some(Left::Log) => empty_log(writer).await,
        left => Ok(left),
    }
}

/// Does a piece after another, with a pause after each, until only the log is left or the time is over.
async fn pieces<F>(piece: impl Fn() -> F) -> Result<Option<Left>, StoreError>
where
    F: Future<Output = Result<Option<Left>, StoreError>>,
{
    let until = Instant::now() + CLEAN_FOR;
    loop {
        let began = Instant::now();
        let left = piece().await?;
        if matches!(left, None | Some(Left::Log)) || Instant::now() >= until {
            return Ok(left);
        }
        sleep((began.elapsed() * PAUSE).min(CLEAN_FOR)).await;
    }
}

async fn empty_log(writer: &Writer) -> Result<Option<Left>, StoreError> {
    for _ in 0..EMPTY_TRIES {
        if writer.empty_log().await? {
            return writer.write(keep::log_was_emptied).await;
        }
        sleep(EMPTY_PAUSE).await;
    }
    Ok(Some(Left::Log))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn cleaning_has_a_third_of_the_writer_s_time_and_ends_in_time() {
        let done = Cell::new(0);
        let piece = || async {
            done.set(done.get() + 1);
            sleep(Duration::from_millis(10)).await;
            Ok(Some(Left::Catalogue))
        };
        let began = Instant::now();
        assert_eq!(pieces(piece).await.unwrap(), Some(Left::Catalogue));
        assert!((60..=70).contains(&done.get()), "{} pieces of 10 ms", done.get());
        assert!(began.elapsed() < CLEAN_FOR * 2);
    }
}
