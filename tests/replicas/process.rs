//! One of several processes of the program on one database.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use workhook::admin::api::wire;

use crate::support::place::{Process, ended, start};
use crate::support::{Heard, Place, get, json_lines, until};

/// The token of the webhook `product`, which all replicas take.
pub(crate) const TOKEN: &str = "replica-token-0123456789";

/// A running process.
pub(crate) struct Replica {
    pub(crate) place: Place,
    pub(crate) public: Option<SocketAddr>,
    pub(crate) private: SocketAddr,
    pub(crate) stderr: Heard,
    process: Process,
}

/// A working folder for a process with this database and these lines of configuration beside the webhook `product`.
pub(crate) fn place(url: &str, more: &str) -> Place {
    let webhook = format!("[[webhook]]\nname = \"product\"\ntokens = [\"{TOKEN}\"]\n");
    Place::with(&format!("{webhook}{more}")).set("WORKHOOK__STORE__URL", "env:DATABASE").set("DATABASE", url)
}

impl Replica {
    /// Starts one, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(mut place: Place, role: &str) -> Replica {
        let args = ["serve", "--role", role];
        let (process, _, stderr) = start(&mut place.command(env!("CARGO_BIN_EXE_workhook"), &args));
        let begun = |text: &str| json_lines(text).into_iter().find(|line| line["role"] == role);
        let line = stderr.until("where it is", begun);
        let address = |door: &str| line[door].as_str().map(|address| address.parse::<SocketAddr>().unwrap());
        let (public, private) = (address("public"), address("private").unwrap());
        place.set_to("WORKHOOK__ADMIN__LISTEN", &private.to_string());
        if let Some(public) = public {
            place.set_to("WORKHOOK__INGEST__LISTEN", &public.to_string());
        }
        until("it is ready", || get(private, "/readyz", &[]).filter(|(status, _)| *status == 200));
        Replica { place, public, private, stderr, process }
    }

    /// What `/readyz` says.
    pub(crate) fn readyz(&self) -> (u16, String) {
        get(self.private, "/readyz", &[]).unwrap_or_default()
    }

    pub(crate) fn health(&self) -> Option<wire::Health> {
        let (status, body) = get(self.private, "/api/v1/health", &[])?;
        (status == 200).then(|| serde_json::from_str(&body).unwrap())
    }

    /// Who has a duty, as this one knows it.
    pub(crate) fn holder(&self, duty: &str) -> Option<String> {
        self.health()?.duties.into_iter().find(|own| own.name == duty).map(|own| own.holder)
    }

    /// The names of the handlers in force.
    pub(crate) fn handlers(&self) -> Vec<String> {
        let list: Value = self.place.run(&["handlers", "list", "--json"]).json();
        let configured = list["handlers"].as_array().unwrap().iter().filter(|handler| handler["orphaned"] == false);
        configured.map(|handler| handler["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Sends it a signal.
    #[track_caller]
    pub(crate) fn tell(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.process.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Kills it.
    pub(crate) fn kill(self) -> Place {
        let Replica { place, mut process, .. } = self;
        process.0.kill().unwrap();
        process.0.wait().unwrap();
        place
    }

    /// Tells it to stop, and waits until it has.
    #[track_caller]
    pub(crate) fn stop(self) -> String {
        self.tell("TERM");
        self.stderr.all(crate::support::PATIENCE).expect("it does not end")
    }
}

/// Sends an event about an issue to a door; the status of the answer.
pub(crate) fn send(door: SocketAddr, id: &str, issue: usize) -> u16 {
    let headers = [("x-leiga-event", "Issue.Update"), ("x-leiga-token", TOKEN), ("x-leiga-id", id)];
    let body = format!(r#"{{"data":{{"issue":{{"id":{issue}}}}}}}"#);
    crate::support::http::post(door, "/webhook", &headers, &body).map_or(0, |(status, _)| status)
}

/// Runs the program to its end.
#[track_caller]
pub(crate) fn run(place: &Place, args: &[&str]) -> crate::support::Run {
    ended(place.command(env!("CARGO_BIN_EXE_workhook"), args))
}
