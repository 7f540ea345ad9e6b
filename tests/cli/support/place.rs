//! A working folder, and commands in it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::{Heard, PATIENCE, Service};

/// A working folder with an environment of its own. Without a word of its file, both doors take any free port.
pub(crate) struct Place {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// A process that does not outlive the test.
pub(crate) struct Process(pub(crate) Child);

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Place {
    /// An empty folder.
    pub(crate) fn new() -> Place {
        let doors = ["WORKHOOK__INGEST__LISTEN", "WORKHOOK__ADMIN__LISTEN"];
        let variables = doors.map(|name| (name.to_owned(), "127.0.0.1:0".to_owned())).to_vec();
        Place { folder: tempfile::tempdir().unwrap(), variables }
    }

    /// A folder with a configuration.
    pub(crate) fn with(config: &str) -> Place {
        let place = Place::new();
        place.write("workhook.toml", config);
        place
    }

    /// With a variable set to something, in place of what it was before.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Place {
        self.set_to(name, value);
        self
    }

    pub(crate) fn set_to(&mut self, name: &str, value: &str) {
        self.variables.retain(|(own, _)| own != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The program with arguments, or what a shell makes of them; nothing of the test's own environment comes in.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program, and waits until it has ended.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        ended(self.command(env!("CARGO_BIN_EXE_workhook"), args))
    }

    /// Runs the program with nobody reading what it prints; what it says on standard error.
    #[track_caller]
    pub(crate) fn run_unread(&self, args: &[&str]) -> String {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = self.command(env!("CARGO_BIN_EXE_workhook"), args);
        let mut child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = Heard::listen(child.stderr.take().unwrap());
        let _process = Process(child);
        stderr.all(PATIENCE).expect("the process does not end")
    }

    /// Serves, and waits until it is ready.
    #[track_caller]
    pub(crate) fn serve(self, args: &[&str]) -> Service {
        Service::start(self, args)
    }
}

/// Runs a command, and waits until it has ended.
#[track_caller]
pub(crate) fn ended(mut command: Command) -> Run {
    let (process, stdout, stderr) = start(&mut command);
    end(process, &stdout, &stderr)
}

/// Starts a command, and listens to both its outputs.
pub(crate) fn start(command: &mut Command) -> (Process, Heard, Heard) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    (Process(child), Heard::listen(stdout), Heard::listen(stderr))
}

/// Waits until a process has ended by itself.
#[track_caller]
pub(crate) fn end(mut process: Process, stdout: &Heard, stderr: &Heard) -> Run {
    let all = |heard: &Heard| heard.all(PATIENCE).expect("the process does not end");
    let (stdout, stderr) = (all(stdout), all(stderr));
    Run { code: process.0.wait().unwrap().code(), stdout, stderr }
}

impl Run {
    /// What it printed, where it did what it was asked for and had nothing to say against it.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        self.stdout
    }

    /// What it said on standard error, where it ended with this code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.stderr
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(self) -> T {
        let text = self.good();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}
