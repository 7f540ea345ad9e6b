//! `workhook store copy` between stores on PostgreSQL.

use crate::database::{Database, server_address};
use crate::process::{place, run};
use crate::way::Way;

#[test]
fn two_schemas_of_a_database_are_two_stores_and_one_by_two_addresses_is_not_copied() {
    let (one, other, way) = (Database::new(), Database::new(), Way::to(&server_address()));
    let again = one.url_by(way.address);
    let place = place(&one.url(), "").set("ONE", &one.url()).set("OTHER", &other.url()).set("AGAIN", &again);
    let copy = |from: &str, to: &str| run(&place, &["store", "copy", from, to]);
    let said = copy("env:ONE", "env:AGAIN").failed(2);
    assert!(said.contains("both are one store"), "{said}");
    let said = copy("env:ONE", "env:OTHER").good();
    assert!(said.contains("Everything is copied"), "{said}");
    let said = copy("env:AGAIN", "env:OTHER").good();
    assert!(said.contains("This was copied already"), "{said}");
}
