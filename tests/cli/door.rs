//! The private door where others can reach it: only with a credential (promise 8, ruling 26).

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Place, Service, get, json_lines};

/// A service whose private door listens on every address.
fn wide_open(config: &str) -> (Service, SocketAddr) {
    let service = Place::with(config).set("WORKHOOK__ADMIN__LISTEN", "0.0.0.0:0").serve(&[]);
    assert!(service.private.ip().is_unspecified());
    let here = SocketAddr::from(([127, 0, 0, 1], service.private.port()));
    (service, here)
}

#[test]
fn a_door_that_others_can_reach_gets_a_credential_of_its_own() {
    let (service, here) = wide_open("");
    let file = service.place.path("workhook-data/admin-token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = service.place.read("workhook-data/admin-token").trim().to_owned();
    assert!(token.len() >= 32 && token != service.place.read("workhook-data/webhook-token").trim());
    let status = |path: &str, headers: &[(&str, &str)]| get(here, path, headers).unwrap().0;
    for path in ["/api/v1/events", "/api/v1/deliveries", "/api/v1/health", "/api/v1/", "/metrics", "/"] {
        assert_eq!(status(path, &[]), 401, "{path}");
        assert_eq!(status(path, &[("authorization", "Bearer wrong")]), 401, "{path}");
    }
    assert_eq!(status("/api/v1/events", &[("authorization", &format!("Bearer {token}"))]), 200);
    assert_eq!((status("/healthz", &[]), status("/readyz", &[])), (200, 200));
    let ended = service.stop("TERM");
    assert!(!ended.stderr.contains(&token) && !ended.stdout.contains(&token), "the credential is told");
    let told = |line: &serde_json::Value| line["file"] == "workhook-data/admin-token";
    assert!(json_lines(&ended.stderr).iter().any(told), "{}", ended.stderr);
}

#[test]
fn commands_with_the_same_configuration_find_the_door_and_its_credential() {
    let (mut service, _) = wide_open("");
    service.run(&["send", "Issue.Update"]).good();
    assert_eq!(service.settled().events, 1);
    assert!(service.run(&["health"]).good().starts_with("ready\n"));
    assert!(service.run(&["events", "list"]).good().contains("Issue.Update"));
    // An empty variable is none.
    service.place.set_to("WORKHOOK_ADMIN_URL", "");
    service.place.set_to("WORKHOOK_ADMIN_TOKEN", "");
    assert!(service.run(&["events", "list"]).good().contains("Issue.Update"));
}

#[test]
fn a_wrong_credential_is_said_and_only_whether_it_is_ready_is_told() {
    let (service, _) = wide_open("");
    service.run(&["send", "Issue.Update"]).good();
    let said = service.run(&["events", "list", "--admin-token", "wrong"]).failed(1);
    assert!(said.contains("credential") && !said.contains("wrong"), "{said}");
    let said = service.run(&["health", "--admin-token", "wrong"]).good();
    assert!(said.contains("ready") && !said.contains("kept"), "{said}");
}

#[test]
fn a_configured_credential_is_used_and_none_is_made() {
    let (service, here) = wide_open("[admin]\ntoken = \"configured-credential\"");
    assert!(!service.place.path("workhook-data/admin-token").exists());
    assert_eq!(get(here, "/api/v1/events", &[]).unwrap().0, 401);
    let headers = [("authorization", "Bearer configured-credential")];
    assert_eq!(get(here, "/api/v1/events", &headers).unwrap().0, 200);
    assert_eq!(service.run(&["events", "list"]).good(), "no events\n");
}

#[test]
fn a_door_on_loopback_needs_no_credential_and_is_for_this_machine_s_names_only() {
    let service = Place::new().serve(&[]);
    assert_eq!(get(service.private, "/api/v1/events", &[]).unwrap().0, 200);
    // A page that a browser was led to names the door by the page's own name.
    assert_eq!(get(service.private, "/api/v1/events", &[("host", "page.example")]).unwrap().0, 403);
}
