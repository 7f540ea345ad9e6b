//! Behind nginx, with the configuration of docs/compose as it stands there but for addresses, ports and paths.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use reqwest::{Certificate, Client, StatusCode};
use tokio::process::{Child, Command};
use workhook::contract::Brand;

use crate::support::tls::Authority;
use crate::support::{Post, TestApp, until};

const CONFIGURATION: &str = include_str!("../../docs/compose/nginx.conf");

/// A running nginx; it ends with the test.
struct Nginx {
    url: String,
    client: Client,
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    async fn before(app: SocketAddr) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let authority = Authority::new("a test's own");
        let (certificate, key) = authority.sign("localhost");
        std::fs::write(path("fullchain.pem"), certificate.pem()).unwrap();
        std::fs::write(path("privkey.pem"), key.serialize_pem()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();

        let mut text = CONFIGURATION.to_owned();
        let mut replace = |from: &str, to: &str| {
            assert!(text.contains(from), "nginx.conf has no {from:?} any more");
            text = text.replace(from, to);
        };
        replace("server workhook:8080;", &format!("server {app};"));
        replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;"));
        replace("/run/secrets/", &format!("{}/", folder.path().display()));
        replace("/tmp/nginx.pid", &path("nginx.pid"));
        // Started by root it would give up root's rights, and not reach the test's folder any more.
        let mut temporary = format!("{}\nhttp {{\n", if is_root() { "user root;" } else { "" });
        for of in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            temporary.push_str(&format!("  {of}_temp_path {};\n", path(of)));
        }
        replace("http {\n", &temporary);
        std::fs::write(path("nginx.conf"), text).unwrap();

        let process = Command::new("nginx")
            .args(["-c", &path("nginx.conf"), "-e", &path("error.log"), "-g", "daemon off; master_process off;"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx is there; tests/run installs it");
        let root = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        let client = Client::builder().tls_certs_only([root]).build().unwrap();
        let nginx = Nginx { url: format!("https://localhost:{port}"), client, _process: process, _folder: folder };
        until("nginx answers", || async { nginx.client.get(&nginx.url).send().await.ok() }).await;
        nginx
    }

    async fn post(&self, post: &Post, also: &[(&str, &str)]) -> (StatusCode, String) {
        let mut request = self.client.post(format!("{}{}", self.url, post.target)).body(post.body.clone());
        for (name, value) in &post.headers {
            request = request.header(name, value);
        }
        for (name, value) in also {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_documented_nginx_webhooks_come_through_and_nothing_else() {
    let app = TestApp::with("[ingest]\ntrusted_proxies = [\"127.0.0.0/8\"]").start().await;
    let nginx = Nginx::before(app.public).await;

    let post = Post::new(Brand::Leiga, "Issue.Update");
    let spoofed = [("X-Forwarded-For", "203.0.113.7"), ("Forwarded", "for=203.0.113.7")];
    assert_eq!(nginx.post(&post, &spoofed).await, (StatusCode::OK, r#"{"errcode":0}"#.to_owned()));
    assert_eq!(nginx.post(&post.clone().set("Retry-Num", "1"), &[]).await.0, StatusCode::OK);
    let [event] = &app.events().await[..] else { panic!("one event") };
    assert_eq!(event.receipts, 2);
    let story = app.event(&event.id).await;
    let peers: Vec<_> = story.history.iter().map(|receipt| receipt.peer.as_deref()).collect();
    assert_eq!(peers, [Some("127.0.0.1"); 2], "nobody can say for himself where he comes from");

    let wrong = post.clone().set("Token", "wrong");
    let (status, answer) = nginx.post(&wrong, &[]).await;
    assert_eq!((status, answer.contains("\"errcode\":401")), (StatusCode::UNAUTHORIZED, true), "{answer}");
    let named = Post { target: "/webhook/product".to_owned(), ..Post::new(Brand::WorkZappy, "Sprint.Start") };
    assert_eq!(nginx.post(&named, &[]).await.0, StatusCode::OK);
    let large = Post::new(Brand::Leiga, "Issue.Update").body("x".repeat(9 << 20));
    let (status, answer) = nginx.post(&large, &[]).await;
    assert_eq!((status, answer.contains("larger than")), (StatusCode::PAYLOAD_TOO_LARGE, true), "{answer}");
    for path in ["/", "/healthz", "/readyz", "/api/v1/events", "/metrics"] {
        let answer = nginx.client.get(format!("{}{path}", nginx.url)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    app.stop().await;
    assert_eq!(nginx.post(&post, &[]).await.0, StatusCode::BAD_GATEWAY, "the sender is told, and may try again");
}
