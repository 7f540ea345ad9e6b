//! `workhook store copy`: moves everything from one store to another while nobody serves.

use serde_json::Value;

use crate::support::Place;

const COPY: [&str; 2] = ["store", "copy"];

#[test]
fn a_store_is_copied_and_served_from_and_what_somebody_uses_is_left_alone() {
    let place = Place::with("[[handler]]\nname = \"quiet\"\nkind = \"log\"\nevents = [\"No.Such\"]");
    let service = place.serve(&[]);
    service.run(&["send", "Issue.Update", "Sprint.Start"]).good();
    let before = service.settled();
    let copy = ["sqlite:workhook-data/workhook.db", "sqlite:other/copy.db"];
    let said = service.run(&[&COPY[..], &copy].concat()).failed(1);
    assert!(said.contains("cannot copy") && said.contains("in use by another workhook"), "{said}");
    let mut place = service.killed();

    let copied: Value = place.run(&[&COPY[..], &copy, &["--json"]].concat()).json();
    assert_eq!((&copied["resumed"], &copied["copied"]["events"]), (&false.into(), &before.events.into()));
    let again: Value = place.run(&[&COPY[..], &copy, &["--json"]].concat()).json();
    assert_eq!((&again["already"], &again["copied"]), (&true.into(), &copied["copied"]));
    let said = place.run(&[&COPY[..], &copy].concat()).good();
    assert!(said.contains("This was copied already, and nobody has used it since."), "{said}");
    let table = place.run(&[&COPY[..], &[copy[0], "sqlite:third.db"]].concat()).good();
    assert!(table.contains("COPIED") && table.contains("counted in both stores"), "{table}");

    place.set_to("WORKHOOK__STORE__URL", copy[1]);
    let service = place.serve(&[]);
    let list: Value = service.run(&["events", "list", "--json"]).json();
    assert_eq!(list["events"].as_array().unwrap().len() as u64, before.events);
    service.newest("Sprint.Start");
    let mut place = service.killed();

    let back = place.run(&[&COPY[..], &[copy[1], copy[0]]].concat()).failed(1);
    assert!(back.contains("has or had events"), "{back}");
    place.set_to("WORKHOOK__STORE__URL", copy[0]);
    let place = place.serve(&[]).killed();
    let said = place.run(&[&COPY[..], &copy].concat()).failed(1);
    let went_on = "this was copied already, and the store that was copied was used since: what came since is not in the \
                   other; begin with an empty one to copy it all";
    assert!(said.contains(went_on), "{said}");
}

#[test]
fn what_is_no_store_or_not_there_is_told() {
    let place = Place::new().set("SECRET", "postgres://somebody:hidden@127.0.0.1:1/workhook");
    let check = |from: &str, to: &str, code: i32, expected: &str| {
        let said = place.run(&["store", "copy", from, to]).failed(code);
        assert!(said.contains(expected), "{from} {to}: {said}");
        assert!(!said.contains("hidden"), "{said}");
    };
    check("sqlite:missing.db", "sqlite:to.db", 1, "missing.db does not exist");
    check("workhook.db", "sqlite:to.db", 2, "FROM");
    check("sqlite:from.db", "mysql://x/y", 2, "TO");
    check("sqlite:from.db", "env:UNSET", 2, "UNSET");
    check("sqlite:same.db", "sqlite:same.db", 2, "both are same.db");
    check("env:SECRET", "env:SECRET", 2, "both are");
    place.write("from.db", "");
    check("sqlite:from.db", "sqlite:./from.db", 2, "both are from.db");
    check("sqlite:from.db", "env:SECRET", 1, "127.0.0.1:1");
    place.run(&["store", "copy", "sqlite:a.db"]).failed(2);
}
