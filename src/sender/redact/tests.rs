//! Tables of people, and of what is left of them.

use super::*;
use crate::sender::Fixture;

fn redacted(bodies: &[&str]) -> Vec<Value> {
    let mut redaction = Redaction::default();
    bodies.iter().for_each(|body| redaction.learn(Brand::Leiga, body.as_bytes()));
    let redact = |body: &&str| redaction.body(Brand::Leiga, body.as_bytes()).unwrap();
    bodies.iter().map(redact).map(|body| serde_json::from_slice(&body).unwrap()).collect()
}

#[test]
fn one_person_is_one_number_wherever_they_stand_and_also_before_they_are_known() {
    let found = redacted(&[
        r#"{"data":{"comment":{"content":"ask jane doe (JANE@example.com, 276042168, 0301234567); Janet knows nothing"}}}"#,
        r#"{"trigger":{"user":{"id":276042168,"name":"Jane Doe","email":"jane@example.com","phone":"0301234567","avatar":"https://x.example/jane.png"}},
            "data":{"issue":{"id":100,"follows":[{"id":9,"name":"Max","phone":""}],"project":{"id":9,"name":"Max"}},
                    "sprint":{"assignee":276042168,"assigneeName":"Jane Doe"},"subtask":{"assigneeId":"9","assigneeName":"Max"}}}"#,
    ]);
    let content = "ask Person 2 (person-2@example.invalid, 2, phone-2); Janet knows nothing";
    assert_eq!(found[0]["data"]["comment"]["content"], content);
    let user = &found[1]["trigger"]["user"];
    assert_eq!((&user["id"], &user["name"], &user["phone"]), (&2.into(), &"Person 2".into(), &"phone-2".into()));
    assert_eq!((&user["email"], &user["avatar"]), (&"person-2@example.invalid".into(), &"redacted".into()));
    let data = &found[1]["data"];
    assert_eq!((&data["issue"]["id"], &data["issue"]["project"]["id"]), (&100.into(), &9.into()));
    assert_eq!(data["issue"]["follows"][0], serde_json::json!({ "id": 1, "name": "Person 1", "phone": "" }));
    assert_eq!(data["sprint"], serde_json::json!({ "assignee": 2, "assigneeName": "Person 2" }));
    assert_eq!(data["subtask"], serde_json::json!({ "assigneeId": "1", "assigneeName": "Person 1" }));
}

#[test]
fn somebody_is_known_who_stands_within_a_user_and_an_address_is_replaced_in_a_key() {
    let found = redacted(&[r#"{"user":{"id":1,"email":"jane@example.com","manager":{"email":"max@example.com"}},
            "votes":{"jane@example.com":1,"name":2},"text":"ask max@example.com"}"#]);
    assert_eq!(found[0]["votes"], serde_json::json!({ "person-1@example.invalid": 1, "name": 2 }));
    assert_eq!(found[0]["text"], "ask person-2@example.invalid");
}

#[test]
fn a_name_in_a_script_without_spaces_is_found_inside_a_text() {
    let found = redacted(&[r#"{"user":{"id":1,"name":"王伟"},"text":"请王伟看一下"}"#]);
    assert_eq!(found[0]["text"], "请Person 1看一下");
}

#[test]
fn two_of_one_name_are_two_and_an_id_is_one_of_its_brand() {
    let found = redacted(&[r#"{"owner":{"id":1,"name":"Alex"},"assignee":{"id":2,"name":"Alex"}}"#]);
    assert_eq!((&found[0]["assignee"]["name"], &found[0]["owner"]["name"]), (&"Person 1".into(), &"Person 2".into()));
    let mut redaction = Redaction::default();
    for &brand in Brand::ALL {
        redaction.learn(brand, br#"{"owner":{"id":1}}"#);
    }
    assert_eq!(redaction.people, 2);
    assert_eq!(redaction.body(Brand::Leiga, b"no JSON"), None);
}

#[test]
fn no_person_of_the_fixtures_is_left() {
    let mut redaction = Redaction::default();
    Fixture::all().iter().for_each(|fixture| redaction.learn(fixture.brand, fixture.body));
    for fixture in Fixture::all() {
        let body = String::from_utf8(redaction.body(fixture.brand, fixture.body).unwrap()).unwrap().to_lowercase();
        for person in ["bob", "alex", "12345678901", "@leiga.com", "@gleiga.com"] {
            assert!(!body.contains(person), "{person}: {}: {body}", fixture.event);
        }
    }
}
