//! What tests share: the app, the sender's end, the receiver's end, and waiting.

pub(crate) mod app;
pub(crate) mod front;
pub(crate) mod hooks;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod scrape;
pub(crate) mod tls;

use std::future::Future;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

pub(crate) use app::{TOKEN, TestApp};
pub(crate) use raw::{Answer, Post, exchange};
pub(crate) use receiver::TestReceiver;

/// How long something that must come is waited for; far more than it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Whoever wants all of the machine, one at a time. It is to be too much for a door, and not for the machine.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    ONE_AT_A_TIME.lock().await
}

/// Waits until a condition gives something, and fails with what was waited for when it never does.
#[track_caller]
pub(crate) fn until<T, F, Fut>(what: &str, condition: F) -> impl Future<Output = T>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let what = what.to_owned();
    let caller = std::panic::Location::caller();
    async move {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = condition().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("{caller}: never came: {what}"))
    }
}
