//! The wall clock of the process, moved at will: a library that is loaded before the C library and compiled here.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::driver::Setup;
use crate::history::{Did, History};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fault/clock.c");

/// A clock on the wall.
#[derive(Debug)]
pub(crate) struct Wall {
    file: File,
    history: History,
    pub(crate) ahead_ms: i64,
}

impl Wall {
    /// Compiles the library; the setup with it, and the clock.
    pub(crate) fn hang(setup: &Setup, history: &History) -> (Setup, Wall) {
        let library = compiled(setup.scratch(), SOURCE, "clock.so");
        let said = setup.scratch().join("clock-ahead");
        let file = File::create(&said).unwrap();
        let wall = Wall { file, history: history.clone(), ahead_ms: 0 };
        wall.write();
        let setup = setup.clone().env("LD_PRELOAD", &library).env("CLOCK_AHEAD", said.to_str().unwrap());
        (setup, wall)
    }

    /// Moves it.
    pub(crate) fn jump(&mut self, by_ms: i64) {
        self.ahead_ms += by_ms;
        self.history.process(Did::ClockMoved(by_ms));
        self.write();
    }

    fn write(&self) {
        // In place, because the file is in the process's memory.
        self.file.write_all_at(&self.ahead_ms.to_ne_bytes(), 0).unwrap();
    }
}

/// Compiles a library that `LD_PRELOAD` can take into a folder; where it is.
pub(crate) fn compiled(folder: &Path, source: &str, name: &str) -> String {
    let library = folder.join(name).to_str().unwrap().to_owned();
    let compiled = Command::new("gcc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", &library, source, "-ldl"])
        .status()
        .unwrap();
    assert!(compiled.success(), "gcc compiles {source}");
    library
}
