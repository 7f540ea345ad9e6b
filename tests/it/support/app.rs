//! The real app, with both doors on port 0 and a store in a folder of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workhook::Registry;
use workhook::admin::api::wire;
use workhook::app::{App, Changes, Reload, ReloadError, RunError};
use workhook::clock::Clock;
use workhook::config::{Config, ConfigErrors, Env};
use workhook::store::{DiskFree, Place, RejectedQuery, RejectedRow, Store};

use super::{Post, until};

/// The token of the webhook `product`, which takes everything.
pub(crate) const TOKEN: &str = "test-token-0123456789";

/// A handler that gets nothing, so that events are not logged for want of any.
const QUIET: &str = "[[handler]]\nname = \"quiet\"\nkind = \"log\"\nevents = [\"No.Such\"]";

/// A running app.
pub(crate) struct TestApp {
    pub(crate) public: SocketAddr,
    pub(crate) private: SocketAddr,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) reload: Reload,
    env: Env,
    stop: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
    folder: Arc<TempDir>,
}

/// How an app is made.
pub(crate) struct Builder {
    config: String,
    registry: Registry,
    clock: Clock,
    disk: DiskFree,
    folder: Arc<TempDir>,
}

impl TestApp {
    /// An app with these lines of configuration beside the doors, the store and the webhook `product`.
    pub(crate) fn with(config: &str) -> Builder {
        Builder {
            config: config.to_owned(),
            registry: Registry::default(),
            clock: Clock::system(),
            // Whatever room the machine has.
            disk: DiskFree::told_by(|_| Some(u64::MAX)),
            folder: Arc::new(tempfile::tempdir().unwrap()),
        }
    }

    /// Where the database is.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("workhook.db")
    }

    /// Asks the API, and fails where it does not answer with what was asked for.
    pub(crate) async fn api<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let response = reqwest::get(format!("http://{}/api/v1/{path}", self.private)).await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// Every event that came in and is kept, the oldest first; without what workhook itself has to say.
    pub(crate) async fn events(&self) -> Vec<wire::EventSummary> {
        let mut events: Vec<wire::EventSummary> = Vec::new();
        let mut path = "events?limit=200".to_owned();
        loop {
            let page: wire::Events = self.api(&path).await;
            events.extend(page.events);
            match page.next {
                Some(next) => path = format!("events?limit=200&before={next}"),
                None => break,
            }
        }
        events.retain(|event| event.brand != "workhook");
        events.reverse();
        events
    }

    /// Every rejected request that is kept, the newest first.
    pub(crate) async fn rejected(&self) -> Vec<RejectedRow> {
        let query = RejectedQuery { limit: 1000, ..RejectedQuery::default() };
        let mut rejected = Vec::new();
        for row in self.store.rejected(query).await.unwrap().items {
            rejected.extend(self.store.rejected_request(row.id).await.unwrap());
        }
        rejected
    }

    /// All that is known of an event.
    pub(crate) async fn event(&self, id: &str) -> wire::EventDetail {
        self.api(&format!("events/{id}")).await
    }

    /// How it is going.
    pub(crate) async fn health(&self) -> wire::Health {
        self.api("health").await
    }

    /// Sends a request, and fails where it is not acknowledged.
    pub(crate) async fn send(&self, post: Post) {
        let answer = post.send(self.public).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"errcode":0}"#));
    }

    /// Waits until every event is planned and no delivery is pending.
    pub(crate) async fn settled(&self) -> wire::Health {
        until("nothing is pending any more", || async {
            let health = self.health().await;
            let pending = health.deliveries.iter().any(|count| count.state == "pending");
            (health.unplanned == 0 && !pending).then_some(health)
        })
        .await
    }

    /// A configuration as it would be read now.
    pub(crate) fn read(&self, config: &str) -> Result<Config, ConfigErrors> {
        Config::parse(Some(("test.toml", &whole(config))), &self.env)
    }

    /// Reads another configuration, and puts it in force where it is good.
    pub(crate) async fn reload(&self, config: &str) -> Result<Changes, ReloadError> {
        let config = self.read(config);
        self.reload.read(move || config).await
    }

    /// Reads another configuration, which is good.
    pub(crate) async fn reloaded(&self, config: &str) -> Changes {
        self.reload(config).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Tells it to stop, and waits until it has; the folder stays for another app.
    pub(crate) async fn stop(self) -> Arc<TempDir> {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.folder
    }

    /// Ends without any order, as a killed process does for all that matters to the store.
    pub(crate) async fn restarted(self, config: &str) -> TestApp {
        let folder = self.stop().await;
        TestApp::with(config).folder(folder).start().await
    }
}

impl Builder {
    /// With functions.
    pub(crate) fn functions(self, register: impl FnOnce(Registry) -> Registry) -> Builder {
        Builder { registry: register(self.registry), ..self }
    }

    /// With another clock.
    pub(crate) fn clock(self, clock: &Clock) -> Builder {
        Builder { clock: clock.clone(), ..self }
    }

    /// On another disk.
    pub(crate) fn disk(self, disk: DiskFree) -> Builder {
        Builder { disk, ..self }
    }

    /// With the store of an app that has stopped.
    pub(crate) fn folder(self, folder: Arc<TempDir>) -> Builder {
        Builder { folder, ..self }
    }

    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(self) -> TestApp {
        let drain_delay = if self.config.contains("drain_delay") { None } else { Some("0s".to_owned()) };
        let settings = [
            ("INGEST__LISTEN", Some("127.0.0.1:0".to_owned())),
            ("INGEST__DRAIN_DELAY", drain_delay),
            ("ADMIN__LISTEN", Some("127.0.0.1:0".to_owned())),
            ("STORE__URL", Some(format!("sqlite:{}", self.folder.path().join("workhook.db").display()))),
        ];
        let env: Env =
            settings.into_iter().filter_map(|(key, value)| Some((format!("WORKHOOK__{key}"), value?))).collect();
        let mut config =
            Config::parse(Some(("test.toml", &whole(&self.config))), &env).unwrap_or_else(|error| panic!("{error}"));
        if let Place::Sqlite(settings) = &mut config.store.place {
            settings.disk_free = self.disk;
        }
        let app = App::build(config, self.registry, self.clock).await.unwrap();
        let (public, private, store) = (app.welcome().public.unwrap(), app.welcome().private, app.store());
        let reload = app.reload_handle();
        let stop = CancellationToken::new();
        let task = tokio::spawn(app.run(stop.clone().cancelled_owned()));
        let app = TestApp { public, private, store, reload, env, stop, task, folder: self.folder };
        until("it is ready", || async {
            let ready = reqwest::get(format!("http://{private}/readyz")).await.ok()?;
            ready.status().is_success().then_some(())
        })
        .await;
        app
    }
}

/// Lines of configuration with the webhook `product`, unless it is in them, and a handler.
fn whole(config: &str) -> String {
    let quiet = if config.contains("[[handler]]") { "" } else { QUIET };
    let webhook = match config.contains("name = \"product\"") {
        true => String::new(),
        false => format!("[[webhook]]\nname = \"product\"\ntokens = [\"{TOKEN}\"]"),
    };
    format!("{config}\n{webhook}\n{quiet}")
}
