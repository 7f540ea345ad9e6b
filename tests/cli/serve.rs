//! `workhook serve`: what it makes, what it refuses, what it shows, how it ends.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use workhook::contract::Brand;
use workhook::sender::Fixture;

use crate::support::{Echo, Place, get, json_lines, until};

#[test]
fn without_any_configuration_a_store_and_a_token_are_made_and_only_their_places_are_told() {
    let service = Place::new().serve(&[]);
    let token = service.place.read("workhook-data/webhook-token").trim().to_owned();
    assert!(token.len() >= 32, "{token}");
    let mode = |name| std::fs::metadata(service.place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("workhook-data"), mode("workhook-data/webhook-token")), (0o700, 0o600));
    assert!(service.place.path("workhook-data/workhook.db").exists());
    assert!(!service.place.path("workhook-data/admin-token").exists());
    service.run(&["send", "Issue.Update"]).good();
    service.settled();
    let ended = service.stop("TERM");
    assert_eq!(ended.code, Some(0));
    let lines = json_lines(&ended.stderr);
    let names = |name: &str| lines.iter().any(|line| line["database"] == name || line["file"] == name);
    assert!(names("workhook-data/workhook.db") && names("workhook-data/webhook-token"), "{}", ended.stderr);
    assert!(!ended.stderr.contains(&token) && !ended.stdout.contains(&token), "the token is told: {ended:?}");
}

#[test]
fn a_second_one_on_the_same_store_is_refused_and_the_first_goes_on() {
    let mut service = Place::new().serve(&[]);
    let (public, private) = (service.public.to_string(), service.private.to_string());
    service.place.set_to("WORKHOOK__INGEST__LISTEN", "127.0.0.1:0");
    service.place.set_to("WORKHOOK__ADMIN__LISTEN", "127.0.0.1:0");
    let said = service.run(&["serve"]).failed(1);
    assert!(said.contains("workhook-data/workhook.db is in use"), "{said}");
    service.place.set_to("WORKHOOK__INGEST__LISTEN", &public);
    service.place.set_to("WORKHOOK__ADMIN__LISTEN", &private);
    service.run(&["send", "Issue.Update"]).good();
}

#[test]
fn a_port_that_is_taken_is_said_with_the_key_that_names_it() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    for (variable, key) in [("WORKHOOK__INGEST__LISTEN", "ingest.listen"), ("WORKHOOK__ADMIN__LISTEN", "admin.listen")]
    {
        let said = Place::new().set(variable, &taken.to_string()).run(&["serve"]).failed(1);
        assert!(said.contains(key) && said.contains(&taken.to_string()), "{said}");
    }
}

#[test]
fn the_demo_shows_every_event_of_both_brands_acknowledged_and_handled_and_goes_on() {
    let service = Place::new().serve(&["--demo"]);
    let last = "38 sent, 38 acknowledged; 38 deliveries made, 0 pending, 0 dead";
    let shown = service.stdout.until(last, |text| text.contains(last).then(|| text.to_owned()));
    let (_, table) = shown.split_once("\nEVENT ").unwrap();
    assert_eq!(Fixture::all().len(), 38);
    for fixture in Fixture::all() {
        let (event, brand) = (fixture.event.to_string(), fixture.brand.slug());
        let row = |row: &&str| row.split_whitespace().take(2).eq([event.as_str(), brand]);
        let rows: Vec<_> = table.lines().filter(row).collect();
        let [row] = rows[..] else { panic!("{event} of {brand}: {rows:?} in {shown}") };
        assert!(row.contains("200 errcode 0") && row.contains("1 delivered"), "{row}");
    }
    assert_eq!(get(service.private, "/readyz", &[]).unwrap().0, 200);
    service.run(&["send", "Issue.Update"]).good();
    let ended = service.stop("TERM");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn the_demo_says_which_brand_no_webhook_takes() {
    let config = "[[webhook]]\nname = \"a\"\ntokens = [\"a-token\"]\nbrand = \"workzappy\"";
    let service = Place::with(config).serve(&["--demo"]);
    let last = "19 sent, 19 acknowledged";
    let shown = service.stdout.until(last, |text| text.contains(last).then(|| text.to_owned()));
    assert!(shown.contains(&format!("no webhook takes {}", Brand::Leiga.name())), "{shown}");
}

#[test]
fn ctrl_c_ends_it_in_order_too() {
    let place = Place::with("[ingest]\ndrain_delay = \"0s\"");
    let ended = place.serve(&[]).stop("INT");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(json_lines(&ended.stderr).last().unwrap()["message"], "stopped");
}

#[test]
fn ruling_22_a_handler_that_never_answers_does_not_hold_up_the_end() {
    let silent = Echo::start(None);
    let url = format!("http://{}/", silent.address);
    let handler = format!("[[handler]]\nname = \"slow\"\nkind = \"http\"\nurl = \"{url}\"\ntimeout = \"10m\"");
    let service = Place::with(&handler).serve(&[]);
    service.run(&["send", "Issue.Update"]).good();
    until("it is being attempted", || (silent.received().len() == 1).then_some(()));
    let ended = service.stop("TERM");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
