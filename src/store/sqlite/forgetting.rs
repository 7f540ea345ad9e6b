//! Forgetting from beginning to end: looking on a connection that reads, removing on the writer's, and then taking
//! care that nothing is left in the files.

use std::time::Duration;

use super::keep;
use super::read::Readers;
use super::writer::Writer;
use crate::store::{ForgetStep, Forgotten, StoreError};

/// How long whoever reads from the log is waited for, a tenth of a second at a time.
const EMPTY_TRIES: usize = 100;
/// How many steps the catalogue is merged in; what comes in meanwhile begins anew what was merged.
const MERGES_MAX: usize = 5000;
const EMPTY_PAUSE: Duration = Duration::from_millis(100);

/// Takes one step. When the future is dropped, what was handed to the writer is done all the same, and what was not is
/// done by the next call.
pub(super) async fn forget(writer: &Writer, readers: &Readers, step: ForgetStep) -> Result<Forgotten, StoreError> {
    let dry_run = step.dry_run;
    let found = readers.read(move |connection| keep::find(connection, &step)).await?;
    if dry_run {
        return Ok(found.counts());
    }
    let replays = found.replays();
    let last = found.counts().through.is_none();
    let forgotten = match found.is_empty() {
        true => found.counts(),
        false => writer.write(move |connection| keep::remove_found(connection, &found)).await?,
    };
    if replays > 0 {
        tracing::info!(replays, "replays that asked for what is forgotten ended, and went with it");
    }
    if last {
        leave_nothing(writer).await?;
    }
    Ok(forgotten)
}

/// What was removed by any step is still in the catalogue, among the free pages or in the log.
async fn leave_nothing(writer: &Writer) -> Result<(), StoreError> {
    let mut merges = 0;
    while writer.write(keep::merge_catalogue).await? {
        merges += 1;
        if merges == MERGES_MAX {
            tracing::warn!(
                "so much comes in that words of what was forgotten stay in the catalogue; forget it again later"
            );
            break;
        }
    }
    while writer.write(keep::give_back).await? {}
    for _ in 0..EMPTY_TRIES {
        if writer.empty_log().await? {
            return Ok(());
        }
        tokio::time::sleep(EMPTY_PAUSE).await;
    }
    tracing::warn!("somebody reads the database for long; what was forgotten stays in its write-ahead log until then");
    Ok(())
}
