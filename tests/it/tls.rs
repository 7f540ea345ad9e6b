//! The `http` kind over TLS with certificates of one's own, and through a proxy.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use workhook::admin::api::wire;
use workhook::contract::Brand;

use crate::support::proxy::TestProxy;
use crate::support::tls::{Authority, TlsReceiver};
use crate::support::{Post, TOKEN, TestApp, TestReceiver, until};

/// Files that the configuration names.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().unwrap())
    }

    /// How the configuration names a file with this text.
    fn with(&self, name: &str, text: &str) -> String {
        let file: PathBuf = self.0.path().join(name);
        std::fs::write(&file, text).unwrap();
        format!("\"file:{}\"", file.display())
    }
}

/// A handler that asks once, at an address with a secret in it.
fn handler(name: &str, far: &str, more: &str) -> String {
    format!(
        "[[handler]]\nname = \"{name}\"\nkind = \"http\"\nurl = \"{far}/hook?key=url-secret\"\n\
         retry = {{ attempts = 1 }}\n{more}\n"
    )
}

/// What became of one event, handler by handler.
async fn outcome(config: &str) -> Vec<wire::Delivery> {
    let app = TestApp::with(config).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.settled().await;
    let told = app.event(&app.events().await[0].id).await.handlers;
    app.stop().await;
    let shown = format!("{told:?}");
    assert!(!shown.contains("secret"), "{shown}");
    told
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_the_file_says_so_and_then_alone() {
    let (ours, another, files) = (Authority::new("ours"), Authority::new("another"), Files::new());
    let receiver = TlsReceiver::start(&ours, None).await;
    let far = format!("https://{}", receiver.address);
    let ca = |name: &str, pem: &str| format!("ca = {}", files.with(name, pem));
    let both = format!("{}{}", another.pem(), ours.pem());
    let config = handler("without", &far, "")
        + &handler("with-another", &far, &ca("another.pem", &another.pem()))
        + &handler("with-ours", &far, &ca("ours.pem", &ours.pem()))
        + &handler("with-both", &far, &ca("both.pem", &both));
    let told = outcome(&config).await;
    let states: Vec<_> = told.iter().map(|told| told.state.as_str()).collect();
    assert_eq!(states, ["dead", "dead", "delivered", "delivered"]);
    for told in &told[..2] {
        assert!(told.reason.as_ref().unwrap().contains("certificate"), "{:?}", told.reason);
    }
    let received = receiver.received();
    assert!(received.len() == 2 && received.iter().all(|visit| visit.body.starts_with(b"{") && !visit.certified));
}

/// The binary, where the platform trusts one authority; killed when it is dropped.
struct Process(Child);

impl Process {
    /// Starts it, and says where its doors are.
    fn start(files: &Files, trusted: &Authority, handlers: &str) -> (Process, SocketAddr, SocketAddr) {
        let store = files.0.path().join("workhook.db");
        let doors = "[ingest]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
        let webhook = format!("[[webhook]]\nname = \"product\"\ntokens = [\"{TOKEN}\"]\n");
        let config = format!("{doors}[store]\nurl = \"sqlite:{}\"\n{webhook}{handlers}", store.display());
        files.with("workhook.toml", &config);
        files.with("trusted.pem", &trusted.pem());
        let mut command = Command::new(env!("CARGO_BIN_EXE_workhook"));
        command
            .args(["serve", "--config", "workhook.toml"])
            .current_dir(files.0.path())
            .env_clear()
            .env("SSL_CERT_FILE", files.0.path().join("trusted.pem"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = Process(command.spawn().unwrap());
        let mut log = BufReader::new(process.0.stderr.take().unwrap()).lines().map(Result::unwrap);
        let said = log.find(|line| line.contains("\"receiving\"")).unwrap();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        std::thread::spawn(move || log.for_each(drop));
        let address = |door: &str| said[door].as_str().unwrap().parse().unwrap();
        (process, address("public"), address("private"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn an_authority_of_the_platform_is_not_trusted_beside_one_that_the_file_names() {
    let (platform_s, ours, files) = (Authority::new("the platform's"), Authority::new("ours"), Files::new());
    let receiver = TlsReceiver::start(&platform_s, None).await;
    let far = format!("https://{}", receiver.address);
    let handlers = handler("without", &far, "")
        + &handler("with-ours", &far, &format!("ca = {}", files.with("ours.pem", &ours.pem())));
    let (_process, public, private) = Process::start(&files, &platform_s, &handlers);
    assert_eq!(Post::new(Brand::Leiga, "Issue.Update").send(public).await.status, 200);
    let states = until("both were attempted", || async {
        let text = reqwest::get(format!("http://{private}/api/v1/deliveries")).await.ok()?.text().await.ok()?;
        let list: wire::Deliveries = serde_json::from_str(&text).ok()?;
        let mut states: Vec<_> = list.deliveries.into_iter().map(|told| (told.handler, told.state)).collect();
        states.sort();
        (states.len() == 2 && states.iter().all(|(_, state)| state != "pending")).then_some(states)
    })
    .await;
    let expected = [("with-ours", "dead"), ("without", "delivered")];
    assert_eq!(states, expected.map(|(handler, state)| (handler.to_owned(), state.to_owned())));
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_far_end_that_asks_for_one() {
    let (ours, clients, files) = (Authority::new("ours"), Authority::new("clients"), Files::new());
    let receiver = TlsReceiver::start(&ours, Some(&clients)).await;
    let far = format!("https://{}", receiver.address);
    let ca = format!("ca = {}", files.with("ca.pem", &ours.pem()));
    let client = |name: &str, authority: &Authority| {
        let (certificate, key) = authority.sign("workhook");
        let certificate = files.with(&format!("{name}.pem"), &certificate.pem());
        let key = files.with(&format!("{name}.key"), &key.serialize_pem());
        format!("{ca}\nclient_cert = {certificate}\nclient_key = {key}")
    };
    let config = handler("without", &far, &ca)
        + &handler("a-stranger-s", &far, &client("stranger", &ours))
        + &handler("ours", &far, &client("ours", &clients));
    let told = outcome(&config).await;
    let states: Vec<_> = told.iter().map(|told| (told.state.as_str(), told.history[0].ended.as_str())).collect();
    assert_eq!(states, [("dead", "failed"), ("dead", "failed"), ("delivered", "delivered")]);
    let received = receiver.received();
    assert!(received.len() == 1 && received[0].certified, "{received:?}");
}

#[tokio::test]
async fn a_proxy_is_gone_through_with_its_password_and_no_error_shows_that() {
    let (ours, files) = (Authority::new("ours"), Files::new());
    let (tls, plain, proxy) =
        (TlsReceiver::start(&ours, None).await, TestReceiver::start().await, TestProxy::start().await);
    let (https, http) = (format!("https://{}", tls.address), format!("http://{}", plain.address));
    let ca = format!("ca = {}", files.with("ca.pem", &ours.pem()));
    let through = |password: &str| format!("proxy = \"http://user:{password}@{}\"", proxy.address);
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nowhere = format!("proxy = \"http://user:another-secret@{gone}\"");
    let config = handler("https", &https, &format!("{ca}\n{}", through("p%40ss-secret")))
        + &handler("http", &http, &through("p%40ss-secret"))
        + &handler("https-wrong", &https, &format!("{ca}\n{}", through("wrong-secret")))
        + &handler("http-wrong", &http, &through("wrong-secret"))
        + &handler("https-nowhere", &https, &format!("{ca}\n{nowhere}"))
        + &handler("http-nowhere", &http, &nowhere);
    let told = outcome(&config).await;
    let states: Vec<_> = told.iter().map(|told| (told.state.as_str(), told.history[0].ended.as_str())).collect();
    let (delivered, failed) = (("delivered", "delivered"), ("dead", "failed"));
    assert_eq!(states, [delivered, delivered, failed, failed, failed, failed], "{told:?}");
    assert_eq!(told[3].history[0].status, Some(407));
    assert_eq!((tls.received().len(), plain.received().len()), (1, 1));
    let header = plain.received()[0].headers.get("proxy-authorization").is_some();
    assert!(header, "the small proxy passes on all that it gets");
    let mut asked = proxy.asked();
    asked.sort();
    let connect = format!("CONNECT {} HTTP/1.1", tls.address);
    let post = format!("POST {http}/hook?key=url-secret HTTP/1.1");
    assert_eq!(asked, [connect.clone(), connect, post.clone(), post]);
}
