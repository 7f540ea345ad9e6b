//! `kill -9` at random moments under load: nothing acknowledged is missing, nothing is unhandled (promises 1 and 2).

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use workhook::contract::Brand;

use crate::support::{Post, TOKEN, TestApp, TestReceiver, exchange};

/// How often it is killed.
const KILLS: usize = 6;
/// How many senders there are at a time.
const SENDERS: u64 = 8;

/// The binary as a process of its own; killed when it is dropped.
struct Process {
    child: Child,
    public: SocketAddr,
}

impl Process {
    fn start(folder: &Path, handler: &str) -> Process {
        let config = format!(
            "[ingest]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite:{0}/workhook.db\"\n\
             [[webhook]]\nname = \"product\"\ntokens = [\"{TOKEN}\"]\n{handler}",
            folder.display()
        );
        let file = folder.join("workhook.toml");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_workhook"))
            .args(["serve", "--config"])
            .arg(file)
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let public = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it was there");
            let said: serde_json::Value = serde_json::from_str(&line).unwrap();
            if said["message"] == "receiving" {
                break said["public"].as_str().unwrap().parse().unwrap();
            }
        };
        // What it says further on is read, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Process { child, public }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_it_loses_nothing_that_it_acknowledged() {
    let receiver = TestReceiver::start().await;
    let handler =
        receiver.handler("crm", "concurrency = 4\nretry = { attempts = 50, first = \"1ms\", max = \"50ms\" }");
    let folder = tempfile::tempdir().unwrap();
    let acknowledged = Arc::new(Mutex::new(HashSet::new()));
    for kill in 0..KILLS {
        let process = Process::start(folder.path(), &handler);
        let mut senders = tokio::task::JoinSet::new();
        for sender in 0..SENDERS {
            let (to, acknowledged) = (process.public, Arc::clone(&acknowledged));
            senders.spawn(async move {
                for n in 0.. {
                    let post = Post::new(Brand::Leiga, "Issue.Update").issue(sender, n);
                    // `exchange` takes for granted that somebody listens.
                    match tokio::net::TcpStream::connect(to).await {
                        Ok(stream) => drop(stream),
                        Err(_) => return,
                    }
                    match exchange(to, &post.bytes()).await {
                        Some(answer) if answer.status == 200 => {
                            acknowledged.lock().unwrap().insert(post.get("ID").to_owned())
                        }
                        _ => return,
                    };
                }
            });
        }
        // At random, early and late.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(20..400))).await;
        drop(process);
        senders.shutdown().await;
        let count = acknowledged.lock().unwrap().len();
        assert!(kill > 0 || count > 0, "the load reached it");
    }
    let acknowledged = acknowledged.lock().unwrap().clone();

    let app = TestApp::with(&handler).folder(Arc::new(folder)).start().await;
    app.settled().await;
    let events = app.events().await;
    let stored: HashSet<_> = events.iter().filter_map(|event| event.occurrence_id.clone()).collect();
    let missing: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(missing.is_empty(), "{} of {} acknowledged events are missing", missing.len(), acknowledged.len());
    assert_eq!(stored.len(), events.len(), "no event is there twice");
    let handled: HashSet<_> =
        receiver.received().iter().map(|received| received.header("x-leiga-id").to_owned()).collect();
    let unhandled: Vec<_> = stored.difference(&handled).collect();
    assert!(unhandled.is_empty(), "{} of {} stored events are not handled", unhandled.len(), stored.len());
    assert!(events.iter().all(|event| event.deliveries.iter().all(|count| count.state == "delivered")));
    app.stop().await;
}
