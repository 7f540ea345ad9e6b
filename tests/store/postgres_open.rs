//! Opening a store on PostgreSQL: what is told of each server that is not fit for it, and several that open it at once.

use tokio::task::JoinSet;
use workhook::secret::Secret;
use workhook::store::{Metrics, OpenError, PostgresSettings, PostgresStore, ServerFault, Store};
use workhook::wake::Wakes;

use crate::bench::Fixture;
use crate::postgres_fixture::{PostgresFixture, connect, server};
use crate::request::Request;

/// A word that no message may have in it.
const SECRET: &str = "s3cr3t-pa55word";

async fn open(url: &str) -> Result<PostgresStore, OpenError> {
    let settings = PostgresSettings::new(Secret::new(url.to_owned()));
    PostgresStore::open(&settings, &Wakes::default(), Metrics::default()).await
}

/// What is wrong with a server; no message of it has a password in it.
async fn fault(url: &str) -> ServerFault {
    let error = open(url).await.map(drop).expect_err("this server is not fit");
    let told = format!("{error} {error:?}");
    let password = password();
    assert!(!told.contains(SECRET) && !told.contains(&password), "a password is told");
    let OpenError::Server { fault, .. } = error else { panic!("{error:?}") };
    fault
}

/// The password of the server of the tests.
fn password() -> String {
    let url = server();
    let (_, rest) = url.split_once("://").unwrap();
    let (user, _) = rest.split_once('@').unwrap();
    user.split_once(':').unwrap().1.to_owned()
}

/// The address of the server of the tests, with something else in it.
fn with(what: &str, other: &str) -> String {
    let url = server();
    assert!(url.contains(what), "{what} is not in the address");
    url.replacen(what, other, 1)
}

fn with_option(option: &str) -> String {
    let url = server();
    format!("{url}{}{option}", if url.contains('?') { '&' } else { '?' })
}

/// The address of the server with another user.
fn as_user(user: &str) -> String {
    with(&format!("postgres:{}@", password()), &format!("{user}:{SECRET}@"))
}

/// The address of another database of the server.
fn of_database(database: &str) -> String {
    let url = server();
    let (rest, _) = url.rsplit_once('/').unwrap();
    format!("{rest}/{database}")
}

#[tokio::test]
async fn what_is_wrong_with_the_address_or_the_way_there_is_told() {
    let nobody = open("postgres://postgres:s3cr3t-pa55word@127.0.0.1:1/x").await.unwrap_err();
    assert!(nobody.to_string().contains("127.0.0.1:1: cannot connect"), "{nobody}");
    assert!(!format!("{nobody:?}").contains(SECRET));
    assert!(matches!(fault(&as_user("postgres")).await, ServerFault::Password { user } if user == "postgres"));
    let missing = of_database("there_is_no_such_database");
    let no_database = fault(&missing).await;
    assert!(matches!(&no_database, ServerFault::NoDatabase { database } if missing.ends_with(database.as_str())));
    for mode in ["require", "verify-ca", "verify-full"] {
        assert!(matches!(fault(&with_option(&format!("sslmode={mode}"))).await, ServerFault::Tls(_)), "{mode}");
    }
    for wrong in [with_option("sslmode=perhaps"), with_option("no_such_option=1"), "postgres://:::".to_owned()] {
        assert!(matches!(fault(&wrong).await, ServerFault::Url(_)));
    }
}

#[tokio::test]
async fn a_server_whose_settings_the_promises_cannot_rest_on_is_refused() {
    for (option, setting) in [("synchronous_commit%3Doff", "off"), ("synchronous_commit%3Dlocal", "local")] {
        let told = fault(&with_option(&format!("options=-c{option}"))).await;
        assert!(
            matches!(&told, ServerFault::Setting { setting: "synchronous_commit", found } if found == setting),
            "{told:?}"
        );
    }
    let told = fault(&with_option("options=-cdefault_transaction_read_only%3Don")).await;
    assert!(matches!(told, ServerFault::ReadOnly(_)), "{told:?}");
    let told = fault(&with_option("options=-csearch_path%3Dno_such_schema")).await;
    assert!(matches!(told, ServerFault::NoSchema), "{told:?}");
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused() {
    let database = format!("latin_{}", std::process::id());
    let own = connect(&server()).await;
    own.batch_execute(&format!("CREATE DATABASE {database} TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'"))
        .await
        .unwrap();
    let told = fault(&of_database(&database)).await;
    assert!(matches!(&told, ServerFault::Encoding { found } if found == "LATIN1"), "{told:?}");
    own.batch_execute(&format!("DROP DATABASE {database} WITH (FORCE)")).await.unwrap();
}

#[tokio::test]
async fn a_user_who_may_make_no_tables_is_told() {
    let user = format!("guest_{}", std::process::id());
    let own = connect(&server()).await;
    own.batch_execute(&format!("CREATE ROLE {user} LOGIN PASSWORD '{SECRET}'")).await.unwrap();
    let told = fault(&as_user(&user)).await;
    assert!(matches!(&told, ServerFault::NoRight { user: named, .. } if *named == user), "{told:?}");
    own.batch_execute(&format!("DROP ROLE {user}")).await.unwrap();
}

#[tokio::test]
async fn tables_of_a_newer_workhook_are_left_alone() {
    let mut fixture = PostgresFixture::fresh();
    fixture.open(&Wakes::default()).await.close().await;
    fixture.execute("INSERT INTO schema_steps (number, name) VALUES (99, 'later')").await;
    let told = fault(&fixture.url()).await;
    assert!(matches!(told, ServerFault::NewerSchema { found: 99, .. }), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_open_an_empty_database_at_once_make_the_tables_once() {
    let mut fixture = PostgresFixture::fresh();
    let make = format!("CREATE SCHEMA {}", fixture.schema());
    connect(&server()).await.batch_execute(&make).await.unwrap();
    let mut opening = JoinSet::new();
    for _ in 0..8 {
        let url = fixture.url();
        opening.spawn(async move { open(&url).await.unwrap() });
    }
    let stores = opening.join_all().await;
    for store in &stores {
        store.append(Request::new().accepted()).await.unwrap();
        store.close().await;
    }
    assert_eq!(fixture.number("SELECT count(*) FROM schema_steps").await, 1);
    let store = fixture.open(&Wakes::default()).await;
    assert_eq!(store.counts().await.unwrap().events, 8);
    store.close().await;
}
