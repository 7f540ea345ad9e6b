//! The disk by itself: what no commit can be faster than.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

const BLOCK: [u8; 4096] = [0x5a; 4096];
/// How many blocks are written over and over, as a write-ahead log is.
const BLOCKS: u64 = 4096;

/// Writes 4 KiB and has it synced, again and again; how long each took, in microseconds.
pub(crate) fn measure(folder: &Path, time: Duration) -> anyhow::Result<Vec<u32>> {
    let path = folder.join("disk");
    let file = File::create(&path).context("the disk cannot be measured")?;
    for block in 0..BLOCKS {
        file.write_all_at(&BLOCK, block * BLOCK.len() as u64)?;
    }
    file.sync_all()?;
    let end = Instant::now() + time;
    let mut took = Vec::new();
    for block in (0..BLOCKS).cycle() {
        let began = Instant::now();
        if began >= end {
            break;
        }
        file.write_all_at(&BLOCK, block * BLOCK.len() as u64)?;
        file.sync_data()?;
        took.push(u32::try_from(began.elapsed().as_micros())?);
    }
    std::fs::remove_file(path)?;
    Ok(took)
}
