//! Programs for `command` handlers, and looking at processes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::until;

/// A folder with scripts.
pub(crate) struct Hooks(TempDir);

impl Hooks {
    pub(crate) fn new() -> Hooks {
        Hooks(tempfile::tempdir().unwrap())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A script that can be executed.
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        let file = self.file(name);
        std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    /// The configuration of a handler that runs a script. A shell is told to read it, since a file that was just
    /// written cannot be executed while a process that another test starts may still have it open.
    pub(crate) fn handler(&self, name: &str, text: &str, more: &str) -> String {
        let file = self.script(name, text);
        handler(name, &["/bin/sh", file.to_str().unwrap(), self.folder().to_str().unwrap()], more)
    }
}

/// The configuration of a handler that runs this program.
pub(crate) fn handler(name: &str, command: &[&str], more: &str) -> String {
    format!("[[handler]]\nname = \"{name}\"\nkind = \"command\"\ncommand = {command:?}\n{more}\n")
}

/// The process numbers in a text.
pub(crate) fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Whether a process runs. One that has ended and waits to be reaped does not.
pub(crate) fn runs(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Waits until none of these processes runs, and the first, which is the program itself, has been reaped.
pub(crate) async fn ended(processes: &[u32]) {
    until("the processes have ended", || async {
        let reaped = processes.first().is_none_or(|head| !Path::new(&format!("/proc/{head}")).exists());
        (reaped && !processes.iter().any(|process| runs(*process))).then_some(())
    })
    .await;
}
