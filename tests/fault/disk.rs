//! A disk below the service: its files can be made to fail, and be put into the state that a power cut leaves.
//!
//! disk/disk.c is compiled, loaded into the service with `LD_PRELOAD`, and told what to do by a row of numbers in
//! a file that both share. What always holds: what was reported as synced is there after a power cut, and what was
//! not may be there, sector by sector.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::driver::Setup;
use crate::wall::compiled;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fault/disk/disk.c");

/// What can be set and read, in the order of disk.c.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dial {
    /// At the how many-th call that changes something the process is killed.
    DieIn,
    /// The how many-th sync of the log fails; below 0 all do. So for the three after it.
    LogSyncFails,
    DatabaseSyncFails,
    WriteFails,
    ReadFails,
    /// Whether files may only grow by `Room` bytes more.
    IsLimited,
    Room,
    /// Whether every second read and write does less than it was asked to.
    IsShort,
    /// Whether a commit's sync of the log does nothing and says that it did.
    IsLying,
    /// Whether writes, syncs and answers are written down.
    IsTraced,
    /// How many faults there were.
    Struck,
}

/// What becomes of what was not synced.
#[derive(Debug, Clone, Copy)]
enum Unsynced {
    Gone,
    Whole,
    /// Each sector of so many bytes by itself, so many in a hundred.
    Sectors(usize, u8),
}

/// The disk of one folder.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    copies: PathBuf,
    dials: File,
}

impl Disk {
    /// A disk for the data of a service, and how the service is started on it.
    pub(crate) fn of(setup: Setup) -> (Disk, Setup) {
        let scratch = setup.scratch().canonicalize().unwrap();
        let disk = Disk::new(&scratch.join("data"), &scratch.join("copies"));
        let setup = disk.env().into_iter().fold(setup, |setup, (name, value)| setup.env(name, &value));
        let setup = setup.folder(&disk.folder);
        (disk, setup)
    }

    fn new(folder: &Path, copies: &Path) -> Disk {
        fs::create_dir_all(folder).unwrap();
        for kept in ["synced", "named", "unlinked", "lost"] {
            fs::create_dir_all(copies.join(kept)).unwrap();
        }
        let dials = File::options().read(true).write(true).create_new(true).open(copies.join("dials")).unwrap();
        dials.set_len(4096).unwrap();
        Disk { folder: folder.to_owned(), copies: copies.to_owned(), dials }
    }

    fn env(&self) -> [(&'static str, String); 3] {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        [
            ("LD_PRELOAD", compiled(&self.copies, SOURCE, "disk.so")),
            ("FAULT_FOLDER", path(&self.folder)),
            ("FAULT_COPIES", path(&self.copies)),
        ]
    }

    pub(crate) fn set(&self, dial: Dial, value: i64) {
        self.dials.write_all_at(&value.to_ne_bytes(), dial as u64 * 8).unwrap();
    }

    pub(crate) fn get(&self, dial: Dial) -> i64 {
        let mut bytes = [0; 8];
        self.dials.read_exact_at(&mut bytes, dial as u64 * 8).unwrap();
        i64::from_ne_bytes(bytes)
    }

    /// What was written down, in order: a number, and what it was.
    pub(crate) fn trace(&self) -> Vec<String> {
        let text = fs::read_to_string(self.copies.join("trace")).unwrap();
        let mut lines: Vec<_> = text
            .lines()
            .map(|line| line.split_once(' ').map(|(number, what)| (number.parse::<u64>().unwrap(), what)).unwrap())
            .collect();
        lines.sort_unstable();
        lines.into_iter().map(|(_, what)| what.to_owned()).collect()
    }

    /// The power is cut while no process runs: of what was not synced, as much is left as chance wants.
    pub(crate) fn power_cut(&self, random: &mut fastrand::Rng) {
        let percent = [10, 50, 90][random.usize(..3)];
        let unsynced = match random.u8(..4) {
            0 => Unsynced::Gone,
            1 => Unsynced::Whole,
            2 => Unsynced::Sectors(512, percent),
            _ => Unsynced::Sectors(4096, percent),
        };
        self.cut(unsynced, random);
    }

    /// The same, and nothing is left that was not synced.
    pub(crate) fn power_cut_of_all(&self) {
        self.cut(Unsynced::Gone, &mut fastrand::Rng::with_seed(0));
    }

    fn cut(&self, unsynced: Unsynced, random: &mut fastrand::Rng) {
        let mut names: Vec<_> = names(&self.folder).into_iter().chain(names(&self.copies.join("named"))).collect();
        names.sort_unstable();
        names.dedup();
        let left: Vec<_> = names.into_iter().map(|name| (self.left_of(&name, unsynced, random), name)).collect();
        for kept in ["synced", "named", "unlinked", "lost"] {
            names_in(&self.copies.join(kept)).for_each(|path| fs::remove_file(path).unwrap());
        }
        for (left, name) in left {
            let Some(bytes) = left else {
                let _ = fs::remove_file(self.folder.join(&name));
                continue;
            };
            fs::write(self.folder.join(&name), &bytes).unwrap();
            fs::write(self.copies.join("synced").join(&name), &bytes).unwrap();
            fs::write(self.copies.join("named").join(&name), []).unwrap();
        }
    }

    /// What is left of a file; `None` where it is gone.
    fn left_of(&self, name: &str, unsynced: Unsynced, random: &mut fastrand::Rng) -> Option<Vec<u8>> {
        // It is in memory alone.
        if name.ends_with("-shm") {
            return None;
        }
        let kept = |kind: &str| fs::read(self.copies.join(kind).join(name)).ok();
        let synced = kept("synced").unwrap_or_default();
        let is_named = kept("named").is_some();
        let new_name_lasts = !matches!(unsynced, Unsynced::Gone) && random.bool();
        match (fs::read(self.folder.join(name)).ok(), kept("unlinked")) {
            // It was removed, or removed and made again, and the folder was not synced.
            (_, Some(before)) if is_named && !new_name_lasts => Some(before),
            (None, _) => None,
            (Some(_), _) if !is_named && !new_name_lasts => None,
            (Some(written), _) => Some(mixed(&synced, &written, unsynced, random)),
        }
    }
}

/// What is on the disk of a file of which some was synced and some only written.
fn mixed(synced: &[u8], written: &[u8], unsynced: Unsynced, random: &mut fastrand::Rng) -> Vec<u8> {
    let (size, percent) = match unsynced {
        Unsynced::Gone => return synced.to_owned(),
        Unsynced::Whole => return written.to_owned(),
        Unsynced::Sectors(size, percent) => (size, percent),
    };
    let mut left = synced.to_owned();
    // It was cut, and that may have lasted.
    if written.len() < left.len() && random.bool() {
        left.truncate(written.len());
    }
    for (number, sector) in written.chunks(size).enumerate() {
        let (from, to) = (number * size, number * size + sector.len());
        if left.get(from..to) != Some(sector) && random.u8(..100) < percent {
            left.resize(left.len().max(to), 0);
            left[from..to].copy_from_slice(sector);
        }
    }
    left
}

fn names(folder: &Path) -> Vec<String> {
    names_in(folder).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

fn names_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
}

/// How many rows are left of twenty that a program wrote, each synced as it says, when the power is cut after the last.
fn left_of_twenty(synchronous: &str, dials: &[(Dial, i64)]) -> i64 {
    let scratch = tempfile::tempdir().unwrap();
    let disk = Disk::new(&scratch.path().join("data"), &scratch.path().join("copies"));
    for (dial, value) in dials {
        disk.set(*dial, *value);
    }
    let database = disk.folder.join("some.db");
    let mut program = Command::new("sqlite3");
    program.arg(&database).envs(disk.env()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = program.spawn().expect("sqlite3 is there");
    let rows = "INSERT INTO some VALUES (1);\n".repeat(20);
    let text = format!(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = {synchronous}; CREATE TABLE some (a);\n{rows}SELECT 'all';\n"
    );
    let mut input = program.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    let output = BufReader::new(program.stdout.take().unwrap());
    assert!(output.lines().map_while(Result::ok).any(|line| line == "all"));
    program.kill().unwrap();
    program.wait().unwrap();
    disk.power_cut_of_all();
    let store = Connection::open(&database).unwrap();
    store.query_row("SELECT count(*) FROM some", [], |row| row.get(0)).unwrap_or(0)
}

#[test]
fn a_power_cut_leaves_what_was_synced_and_nothing_else() {
    assert_eq!(left_of_twenty("FULL", &[]), 20);
    assert_eq!(left_of_twenty("FULL", &[(Dial::IsShort, 1)]), 20);
    assert_eq!(left_of_twenty("NORMAL", &[]), 0);
    assert_eq!(left_of_twenty("OFF", &[]), 0);
    assert_eq!(left_of_twenty("FULL", &[(Dial::IsLying, 1)]), 0, "the syncs of commits did nothing");
    assert_eq!(left_of_twenty("FULL", &[(Dial::LogSyncFails, 10)]), 19, "one was refused");
}

#[test]
fn some_sectors_last_and_others_do_not() {
    let mut random = fastrand::Rng::with_seed(1);
    let (synced, written) = (vec![1; 8192], vec![2; 16000]);
    let left = mixed(&synced, &written, Unsynced::Sectors(512, 50), &mut random);
    for sector in left.chunks(512) {
        assert!(sector.iter().all(|byte| *byte == sector[0]), "{sector:?}");
    }
    let of = |value| left.chunks(512).filter(|sector| sector[0] == value).count();
    assert!(of(1) > 2 && of(2) > 5, "{} of before and {} of after", of(1), of(2));
    assert_eq!(mixed(&synced, &written, Unsynced::Gone, &mut random), synced);
    assert_eq!(mixed(&synced, &written, Unsynced::Whole, &mut random), written);
}
