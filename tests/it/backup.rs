//! Backup while requests come in, by the command that the documentation names, and a service on the copy.

use std::collections::HashSet;
use std::process::Command;
use std::sync::{Arc, Mutex};

use workhook::contract::Brand;

use crate::support::{Post, TestApp, TestReceiver, exchange, until};

const OPERATIONS: &str = include_str!("../../docs/operations.md");
const SENDERS: u64 = 4;

/// The documented command.
fn command() -> &'static str {
    let lines = OPERATIONS.lines().filter_map(|line| line.strip_prefix("    "));
    let found: Vec<_> = lines.filter(|line| line.contains("sqlite3 ")).collect();
    let [command] = found[..] else { panic!("not one command but {found:?}") };
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_backup_under_load_has_every_event_acknowledged_before_and_can_be_served() {
    let receiver = TestReceiver::start().await;
    let handler = receiver.handler("crm", "");
    let app = TestApp::with(&handler).start().await;
    let acknowledged: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..SENDERS {
        let (to, acknowledged) = (app.public, Arc::clone(&acknowledged));
        senders.spawn(async move {
            for n in 0.. {
                let post = Post::new(Brand::Leiga, "Issue.Update").issue(sender, n);
                assert_eq!(exchange(to, &post.bytes()).await.unwrap().status, 200);
                acknowledged.lock().unwrap().insert(post.get("ID").to_owned());
            }
        });
    }
    let count = || acknowledged.lock().unwrap().len();
    until("some events", || async { (count() >= 300).then_some(()) }).await;
    let before = acknowledged.lock().unwrap().clone();
    let folder = app.database().parent().unwrap().to_owned();
    let backup = tokio::task::spawn_blocking(move || {
        Command::new("sh").args(["-c", command()]).current_dir(folder).output().unwrap()
    });
    let output = backup.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let after = count();
    until("it goes on", || async { (count() > after).then_some(()) }).await;
    senders.shutdown().await;

    let restored = tempfile::tempdir().unwrap();
    std::fs::rename(app.database().with_file_name("backup.db"), restored.path().join("workhook.db")).unwrap();
    app.stop().await;
    let app = TestApp::with(&handler).folder(Arc::new(restored)).start().await;
    app.settled().await;
    let events = app.events().await;
    let kept: HashSet<String> = events.iter().filter_map(|event| event.occurrence_id.clone()).collect();
    assert_eq!(before.difference(&kept).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(events.iter().all(|event| event.deliveries.iter().all(|count| count.state == "delivered")));
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.stop().await;
}
