//! `workhook serve` while it runs.

use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;
use workhook::admin::api::wire;

use super::place::{Process, end, start};
use super::{Heard, Place, Run, get, json_lines, until};

/// How long the end may take after the order to stop (ruling 22).
const END_WITHIN: Duration = Duration::from_secs(8);

/// A running service, and commands beside it.
pub(crate) struct Service {
    /// Where it runs; both doors are now known by their addresses.
    pub(crate) place: Place,
    pub(crate) public: SocketAddr,
    pub(crate) private: SocketAddr,
    pub(crate) stdout: Heard,
    pub(crate) stderr: Heard,
    process: Process,
}

impl Service {
    #[track_caller]
    pub(crate) fn start(mut place: Place, args: &[&str]) -> Service {
        let args = [&["serve"], args].concat();
        let (process, stdout, stderr) = start(&mut place.command(env!("CARGO_BIN_EXE_workhook"), &args));
        let receiving = |text: &str| json_lines(text).into_iter().find(|line| line["message"] == "receiving");
        let line = stderr.until("where it receives", receiving);
        let address = |door: &str| line[door].as_str().unwrap().parse::<SocketAddr>().unwrap();
        let (public, private) = (address("public"), address("private"));
        // From here on the place is what it would be with fixed ports.
        place.set_to("WORKHOOK__INGEST__LISTEN", &public.to_string());
        place.set_to("WORKHOOK__ADMIN__LISTEN", &private.to_string());
        until("it is ready", || get(private, "/readyz", &[]).filter(|(status, _)| *status == 200));
        Service { place, public, private, stdout, stderr, process }
    }

    /// Runs another command of the program with the same configuration.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.place.run(args)
    }

    /// Waits until every event is planned and no delivery is pending.
    #[track_caller]
    pub(crate) fn settled(&self) -> wire::Health {
        until("nothing is pending any more", || {
            let health: wire::Health = self.run(&["health", "--json"]).json();
            let pending = health.deliveries.iter().any(|count| count.state == "pending");
            (health.unplanned == 0 && !pending).then_some(health)
        })
    }

    /// The id of the newest event of a name.
    #[track_caller]
    pub(crate) fn newest(&self, name: &str) -> String {
        let list: Value = self.run(&["events", "list", "--json", "--limit", "1", "--name", name]).json();
        list["events"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Kills it; the place stays for another at the same addresses.
    #[track_caller]
    pub(crate) fn killed(self) -> Place {
        let Service { place, mut process, .. } = self;
        process.0.kill().unwrap();
        process.0.wait().unwrap();
        place
    }

    /// Sends it a signal.
    #[track_caller]
    pub(crate) fn tell(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.process.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Has it crash where cores are as large as they need to be; how it ended.
    #[track_caller]
    pub(crate) fn crashed(mut self) -> ExitStatus {
        let limit = format!("prlimit --core=unlimited --pid {}", self.process.0.id());
        assert!(Command::new("sh").args(["-c", &limit]).status().unwrap().success());
        self.tell("ABRT");
        self.process.0.wait().unwrap()
    }

    /// Sends it a signal, and waits until it has ended.
    #[track_caller]
    pub(crate) fn stop(self, signal: &str) -> Run {
        self.tell(signal);
        let ended = self.stderr.all(END_WITHIN);
        assert!(ended.is_some(), "it does not end in time");
        end(self.process, &self.stdout, &self.stderr)
    }
}
