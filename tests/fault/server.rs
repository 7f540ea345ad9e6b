//! A PostgreSQL server of a test's own, which can crash.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres");

/// A running server; it goes with the test.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    folder: TempDir,
}

impl Server {
    pub(crate) fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        // The server runs as another user, who has to get there.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let url = run("start", &folder.path().join("pg"));
        Server { url, folder }
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn crash(&self) {
        run("halt", &self.place());
    }

    /// Starts it once more.
    pub(crate) fn again(&self) {
        run("resume", &self.place());
    }

    fn place(&self) -> PathBuf {
        self.folder.path().join("pg")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new(SCRIPT).arg("stop").arg(self.place()).stdout(Stdio::null()).status();
    }
}

/// Runs the script; what it prints.
#[track_caller]
fn run(command: &str, place: &PathBuf) -> String {
    let ran = Command::new(SCRIPT).arg(command).arg(place).stderr(Stdio::inherit()).output().unwrap();
    assert!(ran.status.success(), "tests/postgres {command}: {}", ran.status);
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}
