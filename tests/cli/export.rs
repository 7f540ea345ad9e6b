//! `workhook events export`: events as files, that can be sent again and given away.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;
use workhook::contract::Brand;
use workhook::sender::Fixture;

use crate::support::place::ended;
use crate::support::{Echo, Place, Service, until};

fn service() -> Service {
    let service = Place::with("[[handler]]\nname = \"quiet\"\nkind = \"log\"\nevents = [\"No.Such\"]").serve(&[]);
    service.run(&["send", "Issue.Update", "Comment.Create", "Sprint.Start"]).good();
    service
}

/// The files of one kind, in the order of the events.
fn files(service: &Service, folder: &str, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(service.place.path(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path().join(name)).collect();
    files.sort();
    files
}

#[test]
fn an_event_is_exported_byte_for_byte_with_its_headers_and_without_a_token() {
    let service = service();
    assert_eq!(service.run(&["events", "export", "--to", "out"]).good(), "3 events in out\n");
    let bodies = files(&service, "out", "body.json");
    for (body, name) in bodies.iter().zip(["Issue.Update", "Comment.Create", "Sprint.Start"]) {
        assert!(body.to_str().unwrap().contains(name), "{body:?}");
        assert!(std::fs::read(body).unwrap() == Fixture::find(Brand::Leiga, name).unwrap().body, "{name}");
    }
    let meta = std::fs::read_to_string(&files(&service, "out", "meta.json")[0]).unwrap();
    let value: Value = serde_json::from_str(&meta).unwrap();
    assert_eq!((&value["event"], &value["recorded"]["position"]), (&"Issue.Update".into(), &1.into()));
    let headers: Vec<(String, String)> = serde_json::from_value(value["headers"]["values"].clone()).unwrap();
    assert!(headers.contains(&("X-Leiga-Event".to_owned(), "Issue.Update".to_owned())), "{headers:?}");
    let token = service.place.read("workhook-data/webhook-token");
    for file in ["meta.json", "send.sh"].into_iter().flat_map(|name| files(&service, "out", name)) {
        assert!(!std::fs::read_to_string(&file).unwrap().contains(token.trim()), "{file:?}");
    }
}

#[test]
fn the_script_of_an_event_sends_it_again() {
    let service = service();
    service.run(&["events", "export", "--to", "out", "--name", "Issue.*"]).good();
    let script = files(&service, "out", "send.sh").remove(0);
    assert_eq!(std::fs::metadata(&script).unwrap().permissions().mode() & 0o111, 0o111);
    let mut command = service.place.command(script.to_str().unwrap(), &[]);
    let said = ended(command).failed(2);
    assert!(said.contains("WORKHOOK_URL"), "{said}");
    command = service.place.command(script.to_str().unwrap(), &[]);
    command.env("WORKHOOK_URL", format!("http://{}/webhook", service.public));
    command.env("WORKHOOK_TOKEN", service.place.read("workhook-data/webhook-token").trim());
    assert_eq!(ended(command).good(), r#"{"errcode":0}"#);
    let list: Value = service.run(&["events", "list", "--json", "--name", "Issue.Update"]).json();
    assert_eq!((&list["events"][0]["receipts"], list["events"].as_array().unwrap().len()), (&2.into(), 1));
}

#[test]
fn with_redact_nobody_is_left_and_the_files_say_so() {
    let service = service();
    service.run(&["events", "export", "--to", "out", "--redact"]).good();
    let bodies = files(&service, "out", "body.json");
    let all: String = ["body.json", "meta.json", "send.sh"]
        .into_iter()
        .flat_map(|name| files(&service, "out", name))
        .map(|file| std::fs::read_to_string(file).unwrap().to_lowercase())
        .collect();
    for person in ["bob", "alex", "@leiga.com", "12345678901"] {
        assert!(!all.contains(person), "{person}: {all}");
    }
    let value = |file: &PathBuf| -> Value { serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap() };
    let (issue, sprint) = (value(&bodies[0]), value(&bodies[2]));
    assert_eq!(issue["trigger"]["user"]["name"], sprint["data"]["sprint"]["assigneeName"], "one person is one name");
    assert_eq!(issue["data"]["issue"]["summary"], "Webhook Custom Leiga Service Message");
    assert!(value(&files(&service, "out", "meta.json")[0])["recorded"]["redacted"].is_string());
}

#[test]
fn a_folder_that_has_something_is_left_alone() {
    let service = service();
    std::fs::create_dir(service.place.path("out")).unwrap();
    service.place.write("out/mine", "mine");
    let said = service.run(&["events", "export", "--to", "out"]).failed(1);
    assert!(said.contains("out is not empty"), "{said}");
    let told: Value = service.run(&["events", "export", "--to", "new", "--json", "--limit", "2"]).json();
    assert_eq!((&told["events"], told["folders"].as_array().unwrap().len()), (&2.into(), 2));
}

#[test]
fn what_workhook_itself_had_to_say_is_left_out_and_counted() {
    let refuses = Echo::start(Some(422));
    let config = format!("[[handler]]\nname = \"crm\"\nkind = \"http\"\nurl = \"http://{}/\"", refuses.address);
    let service = Place::with(&config).serve(&[]);
    service.run(&["send", "Issue.Update"]).good();
    until("the dead letter is told", || {
        let notices: Value = service.run(&["events", "list", "--json", "--name", "Workhook.*"]).json();
        (notices["events"].as_array().unwrap().len() == 1).then_some(())
    });
    service.run(&["send", "Sprint.Start"]).good();
    let left_out = "left out, as nobody sent them: 1 event of workhook's own\n";
    let export = |more: &[&str]| service.run(&[&["events", "export", "--to"], more].concat());
    assert_eq!(export(&["out"]).good(), format!("2 events in out\n{left_out}"));
    assert_eq!(export(&["redacted", "--redact"]).good(), format!("2 events in redacted\n{left_out}"));
    let told: Value = export(&["some", "--limit", "2", "--json"]).json();
    assert_eq!((&told["events"], &told["own"]), (&2.into(), &1.into()), "it takes no place of another's");
}
