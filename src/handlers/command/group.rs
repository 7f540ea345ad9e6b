//! A running program with everything that it starts: its process group.
//!
//! What always holds: the group is signalled only while its head has not been reaped. Until then no other process can
//! have its number, so that nobody else is ever ended.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// How often it is looked at without a signal that a child has ended.
const POLL: Duration = Duration::from_secs(1);

/// A program that is the head of its group. When this is dropped, the group is killed.
#[derive(Debug)]
pub(super) struct Running {
    /// The head, until it is reaped.
    head: Option<Child>,
    group: Pid,
    runtime: Handle,
}

impl Running {
    /// Starts a program that has been given a group of its own. Asked within a runtime, and may block.
    pub(super) fn start(command: &mut Command) -> io::Result<Running> {
        let head = command.spawn()?;
        let number = head.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let group = number.ok_or_else(|| io::Error::other("the program has no process number"))?;
        Ok(Running { head: Some(head), group, runtime: Handle::current() })
    }

    /// The ends of its input and outputs. They can be had once.
    pub(super) fn pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        let Some(head) = &mut self.head else { return (None, None, None) };
        (head.stdin.take(), head.stdout.take(), head.stderr.take())
    }

    /// Waits until the head has ended, and leaves it to be reaped. Nothing is lost when this is dropped.
    pub(super) async fn ended(&mut self) -> io::Result<()> {
        let mut children = signal(SignalKind::child())?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while waitid(WaitId::Pid(self.group), options)?.is_none() {
            drop(timeout(POLL, children.recv()).await);
        }
        Ok(())
    }

    /// Tells the group to end.
    pub(super) fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends what is left of the group, and says how the head ended.
    pub(super) async fn reap(mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        let Some(head) = &mut self.head else { return Err(io::ErrorKind::NotFound.into()) };
        let status = head.wait().await;
        self.head = None;
        status
    }

    /// There is nobody left to be told where this fails.
    fn signal(&self, signal: Signal) {
        _ = kill_process_group(self.group, signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut head) = self.head.take() {
            self.signal(Signal::KILL);
            self.runtime.spawn(async move { head.wait().await });
        }
    }
}
