//! Three replicas behind nginx, with the configuration of the documents as it stands there but for addresses, ports and
//! paths.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::{Certificate, Client};
use tempfile::TempDir;

use crate::database::Database;
use crate::process::{Replica, TOKEN, place};
use crate::support::Echo;
use crate::support::place::Process;

const NGINX: &str = include_str!("../../docs/compose/nginx-replicas.conf");

/// A running nginx; it ends with the test.
struct Nginx {
    address: SocketAddr,
    client: Client,
    _process: Process,
    _folder: TempDir,
}

impl Nginx {
    fn start(replicas: &[Replica]) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Path::join(folder.path(), name).display().to_string();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(path("fullchain.pem"), made.cert.pem()).unwrap();
        std::fs::write(path("privkey.pem"), made.signing_key.serialize_pem()).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // Started by root it would give up root's rights, and not reach the test's folder any more.
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let mut temporary = format!("{}\nhttp {{\n", if is_root { "user root;" } else { "" });
        for of in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            temporary.push_str(&format!("  {of}_temp_path {};\n", path(of)));
        }
        let mut parts = vec![
            ("listen 443 ssl;".to_owned(), format!("listen {address} ssl;")),
            ("/run/secrets/".to_owned(), format!("{}/", folder.path().display())),
            ("/tmp/nginx.pid".to_owned(), path("nginx.pid")),
            ("http {\n".to_owned(), temporary),
        ];
        for (number, replica) in replicas.iter().enumerate() {
            parts.push((format!("10.0.0.1{}:8080", number + 1), replica.public.unwrap().to_string()));
        }
        let config = parts.iter().fold(NGINX.to_owned(), |config, (from, to)| {
            assert!(config.contains(from), "the configuration has no {from:?} any more");
            config.replace(from, to)
        });
        std::fs::write(path("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-c", &path("nginx.conf"), "-e", &path("error.log")]);
        command.args(["-g", "daemon off; master_process off;"]).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| panic!("nginx: {error}; tests/run installs it"));
        let authority = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
        let client = Client::builder().tls_certs_only([authority]).resolve("localhost", address).build().unwrap();
        Nginx { address, client, _process: Process(process), _folder: folder }
    }

    /// Sends an event as the sender does, which tries again for a while; how often it did.
    async fn send(&self, number: usize) -> usize {
        for attempt in 0..50 {
            let request = self.client.post(format!("https://localhost:{}/webhook", self.address.port()));
            let request = request.header("x-leiga-event", "Issue.Update").header("x-leiga-token", TOKEN);
            let request = request.header("x-leiga-id", format!("id-{number}"));
            let request = request.header("x-leiga-retry-num", attempt.to_string());
            let body = format!(r#"{{"data":{{"issue":{{"id":{}}}}}}}"#, number % 7);
            match request.body(body).send().await {
                Ok(answer) if answer.status() == 200 => return attempt,
                _ => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
        panic!("event {number} is not taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_requests_are_taken_while_replicas_are_killed_stopped_and_started_again() {
    let (database, echo) = (Database::new(), Echo::start(Some(200)));
    let crm = format!("[[handler]]\nname = \"crm\"\nkind = \"http\"\nurl = \"http://{}/\"\n", echo.address);
    let start = || Replica::start(place(&database.url(), &crm), "all");
    let mut replicas = vec![start(), start(), start()];
    let nginx = Nginx::start(&replicas);
    let mut tried_again = 0;
    for number in 0..30 {
        tried_again += nginx.send(number).await;
    }
    let one = replicas.remove(0).kill();
    for number in 30..60 {
        tried_again += nginx.send(number).await;
    }
    replicas.remove(0).stop();
    for number in 60..90 {
        tried_again += nginx.send(number).await;
    }
    // nginx listens a moment after it was started; what is handed over to nobody is no reason to send again.
    assert!(tried_again <= 20, "{tried_again}");
    let back = Replica::start(one, "all");
    for number in 90..100 {
        nginx.send(number).await;
    }
    crate::support::until("all are delivered", || {
        let health = back.health()?;
        let delivered = health.deliveries.iter().find(|count| count.state == "delivered").map(|count| count.count);
        (health.events == 100 && delivered == Some(100)).then_some(())
    });
}
