//! SIGHUP: the file is read again, and is put in force as a whole or not at all.

use workhook::contract::Brand;

use crate::support::{Echo, Place, Service, json_lines, until};

fn handler(name: &str, echo: &Echo) -> String {
    format!("[[handler]]\nname = \"{name}\"\nkind = \"http\"\nurl = \"http://{}/{name}\"\n", echo.address)
}

/// Writes the file, has it read, and waits until the log has so many lines that say what came of it.
fn reload(service: &Service, file: &str, message: &str, nth: usize) -> Vec<serde_json::Value> {
    service.place.write("workhook.toml", file);
    service.tell("HUP");
    service.stderr.until(message, |text| {
        let said = json_lines(text).into_iter().filter(|line| line["message"] == message);
        Some(said.collect::<Vec<_>>()).filter(|said| said.len() >= nth)
    })
}

const GOOD: &str = "the configuration was read again, and is in force";
const BAD: &str = "the configuration was read again and is wrong; the old one stays in force";

#[test]
fn a_wrong_file_is_said_with_its_places_and_changes_nothing_and_a_good_one_is_in_force() {
    let (old, new) = (Echo::start(Some(200)), Echo::start(Some(200)));
    let first = format!("[ingest]\ndrain_delay = \"0s\"\n{}", handler("old", &old));
    let service = Place::with(&first).serve(&[]);
    let token = service.place.read("workhook-data/webhook-token");

    let wrong = format!("{first}{}  timout = \"1s\"\nconcurrency = 0\n", handler("new", &new));
    let said = reload(&service, &wrong, BAD, 2);
    let lines: Vec<_> =
        said.iter().map(|line| (line["level"].as_str().unwrap(), line["mistake"].as_str().unwrap())).collect();
    let expected = [
        "workhook.toml:11:3: handler.new: unknown key `timout`; did you mean `timeout`?",
        "workhook.toml:12:15: handler.new.concurrency: 0 is out of bounds; it can be from 1 to 1024",
    ];
    assert_eq!(lines, expected.map(|mistake| ("ERROR", mistake)));
    let ran = service.run(&["health"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(expected.iter().all(|mistake| ran.stderr.contains(mistake)), "{ran:?}");
    assert!(ran.stderr.ends_with("the configuration is wrong; going on with what can be read of it\n"), "{ran:?}");
    let quiet = service.run(&["health", "--quiet"]);
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (Some(0), "", ""));
    // Nothing of this one can be read, so somebody has to say where it is.
    service.place.write("workhook.toml", "[admin\n");
    let address = format!("--admin-url={}", service.private);
    assert_eq!(service.run(&["health", "--quiet", &address]).code, Some(0));
    service.run(&["send", "Issue.Update"]).failed(2);
    service.place.write("workhook.toml", &first);
    let health = service.run(&["health"]).good();
    assert!(health.starts_with("ready") && expected.iter().all(|mistake| health.contains(mistake)), "{health}");
    service.run(&["send", "Issue.Update"]).good();
    service.settled();
    assert_eq!((old.received().len(), new.received().len()), (1, 0));

    let good = format!("{first}{}", handler("new", &new));
    let said = reload(&service, &good, GOOD, 1);
    assert_eq!(said[0]["changes"], "handlers added: new");
    assert!(!service.run(&["health"]).good().contains("reload"));
    service.run(&["send", "Issue.Update"]).good();
    service.settled();
    assert_eq!((old.received().len(), new.received().len()), (2, 1));
    assert_eq!(service.place.read("workhook-data/webhook-token"), token, "the generated token stays");

    let louder = format!("{good}[log]\nlevel = \"debug\"\n");
    reload(&service, &louder, GOOD, 2);
    service.run(&["send", "Issue.Update", "--brand", Brand::Leiga.slug()]).good();
    service.stderr.until("what is said at the level debug", |text| text.contains("an event was stored").then_some(()));

    // Without the file, everything would have its default.
    std::fs::remove_file(service.place.path("workhook.toml")).unwrap();
    service.tell("HUP");
    until("it is said", || {
        let heard = service.stderr.until("the log", |text| Some(text.to_owned()));
        heard.contains("workhook.toml: cannot be read").then_some(())
    });
    service.place.write("workhook.toml", &louder);
    assert_eq!(service.run(&["send", "Issue.Update"]).code, Some(0));
    let ended = service.stop("TERM");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn without_a_file_it_goes_on_and_a_secret_in_a_file_is_read_anew() {
    let place =
        Place::with("[[webhook]]\nname = \"product\"\ntokens = [\"file:token\"]\n[ingest]\ndrain_delay = \"0s\"");
    place.write("token", "marked-old-0123456789\n");
    let service = place.serve(&[]);
    service.run(&["send", "Issue.Update"]).good();
    service.place.write("token", "marked-new-0123456789\n");
    service.run(&["send", "Issue.Update"]).failed(1);
    let file = service.place.read("workhook.toml");
    let said = reload(&service, &file, GOOD, 1);
    assert_eq!(said[0]["changes"], "webhooks changed: product");
    service.run(&["send", "Issue.Update"]).good();
    let ended = service.stop("TERM");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("marked-"), "{}", ended.stderr);

    let service = Place::new().serve(&[]);
    service.tell("HUP");
    service.stderr.until(GOOD, |text| text.contains(GOOD).then_some(()));
    service.run(&["send", "Issue.Update"]).good();
    assert_eq!(service.stop("TERM").code, Some(0));
}
