//! Programs of `command` handlers, and the end of the service.

use crate::support::{Place, Service, until};

/// Whether a process runs. One that has ended and waits to be reaped does not.
fn runs(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

#[test]
fn a_service_that_is_told_to_stop_leaves_no_program_behind() {
    let place = Place::new();
    let script = "trap '' TERM\nsleep 1000 &\necho $$ $! > new\nmv new processes\nwhile :; do wait; done\n";
    place.write("hook", script);
    place.write(
        "workhook.toml",
        "[[handler]]\nname = \"hook\"\nkind = \"command\"\ncommand = [\"sh\", \"hook\"]\nfolder = \".\"\ntimeout = \"1m\"\n",
    );
    let service = Service::start(place, &[]);
    service.run(&["send", "Issue.Update"]).good();
    let file = service.place.path("processes");
    let processes = until("the program runs", || std::fs::read_to_string(&file).ok());
    let processes: Vec<&str> = processes.split_whitespace().collect();
    assert!(processes.len() == 2 && processes.iter().all(|process| runs(process)), "{processes:?}");
    service.stop("TERM");
    until("no process is left", || (!processes.iter().any(|process| runs(process))).then_some(()));
}
