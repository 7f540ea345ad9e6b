//! The house as a whole: built from the configuration, then run until it is told to stop.
//!
//! Three phases: the configuration is read elsewhere; [`App::build`] opens the store and binds both doors, and
//! nothing runs yet; [`App::run`] owns every task and ends them in order. What always holds: a task that ends before
//! it was told to ends the process, with its name.

mod changes;
mod consumers;
mod generated;
mod in_force;
mod reload;
mod role;
mod store;
mod supervise;
mod threads;
mod upkeep;
mod webhooks;

pub use changes::{Changed, Changes};
pub use in_force::settings;
pub use reload::{Reload, ReloadError};
pub use role::Role;
pub use supervise::RunError;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};

use self::reload::Changeable;
use self::threads::HandlerThreads;
use crate::admin::{self, Admin};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::{Config, shown_store};
use crate::contract::{Brand, WebhooksError};
use crate::dispatch::{self, House};
use crate::handlers::rust::{Registry, RegistryError};
use crate::health::Health;
use crate::ingest::{self, Ingest};
use crate::secret::Secret;
use crate::store::{self as stores, OpenError, Store};
use crate::telemetry::metrics;
use crate::telemetry::traces::{Traces, TracesError};
use crate::upkeep::Upkeep;
use crate::wake::Wakes;

/// Everything built, both doors bound, nothing running.
#[derive(Debug)]
pub struct App {
    ingest: Ingest,
    admin: Admin,
    house: House,
    upkeep: Upkeep,
    changeable: Arc<Changeable>,
    role: Role,
    /// Where the role has a public door.
    public: Option<TcpListener>,
    private: TcpListener,
    threads: HandlerThreads,
    welcome: Welcome,
}

/// What somebody who starts it needs to know.
#[derive(Debug, Clone)]
pub struct Welcome {
    /// What this process does.
    pub role: Role,
    /// The public door's address, where the role has one.
    pub public: Option<SocketAddr>,
    /// The path that takes every webhook.
    pub path: String,
    /// The private door's address.
    pub private: SocketAddr,
    /// The private door's credential, where it has one.
    pub admin_token: Option<Secret>,
    /// Where the private door's credential lies, where it was generated.
    pub admin_token_file: Option<PathBuf>,
    /// Where everything is kept; no secret is in it.
    pub store: String,
    /// The configured webhooks, and the one that was made.
    pub webhooks: Vec<WelcomeWebhook>,
    /// The handlers: name, kind and which events.
    pub handlers: Vec<(String, String, String)>,
}

/// A webhook as somebody who points the product at it needs it.
#[derive(Debug, Clone)]
pub struct WelcomeWebhook {
    /// Its name.
    pub name: String,
    /// The only brand that it takes, or all.
    pub brand: Option<Brand>,
    /// A token that it takes.
    pub token: Option<Secret>,
    /// Where its token lies, where it was generated.
    pub token_file: Option<PathBuf>,
}

/// Why the house cannot be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The store.
    #[error("the store cannot be opened")]
    Store(#[from] OpenError),
    /// A door.
    #[error("cannot listen on {address} ({key}); is another program using it?")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The key that says where.
        key: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The threads.
    #[error("cannot start the threads of the handlers")]
    Threads(#[source] std::io::Error),
    /// A generated secret.
    #[error("cannot keep the generated secret in {path}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A secret that nobody set, and that is not made where several processes would each make another.
    #[error("{0} has to be set where the store is on PostgreSQL: each process would make another")]
    NoSecret(&'static str),
    /// The list of webhooks.
    #[error("the webhooks cannot be used: {0}")]
    Webhooks(WebhooksError),
    /// A part for a process that has to do everything.
    #[error("the role {0} is for processes that share a store; set store.url to postgres://…, or leave the role out")]
    Role(Role),
    /// A registered function.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Registry(Vec<RegistryError>),
    /// The configuration sets things about a function that is not there.
    #[error("handler {0:?} is of kind \"rust\", but this program registers no function of that name")]
    NoFunction(String),
    /// A handler is configured and registered under one name.
    #[error(
        "handler {0:?} is of another kind in the configuration than the function that is registered under that name"
    )]
    NameTaken(String),
    /// The traces.
    #[error("traces cannot begin")]
    Traces(#[from] TracesError),
    /// An HTTP client.
    #[error("handler {name:?} cannot be built")]
    Client {
        /// The handler.
        name: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

impl App {
    /// Builds the house: opens the store, makes what secrets are missing, and binds both doors.
    ///
    /// # Errors
    /// When something cannot be had. Nothing runs then, and what was opened is closed again.
    pub async fn build(config: Config, registry: Registry, clock: Clock) -> Result<App, BuildError> {
        App::build_as(Role::All, config, registry, clock).await
    }

    /// The same for one of several processes that share a store. A database that cannot be reached is tried for half a
    /// minute.
    ///
    /// # Errors
    /// When something cannot be had, or when a process that has its store for itself is to do only a part.
    pub async fn build_as(role: Role, config: Config, registry: Registry, clock: Clock) -> Result<App, BuildError> {
        if role != Role::All && config.store.place.embedded().is_some() {
            return Err(BuildError::Role(role));
        }
        let functions = registry.into_functions().map_err(BuildError::Registry)?;
        let consumers = consumers::build(&config.handlers, &functions).map_err(first)?;
        // The doors first: when another program has one, nothing is left behind.
        let public = match role.ingests() {
            true => Some(bind(config.ingest.listen, "ingest.listen").await?),
            false => None,
        };
        let private = bind(config.admin.listen, "admin.listen").await?;
        let wakes = Wakes::default();
        let health = Health::default();
        let mut registry = metrics::Registry::default();
        admin::about(&mut registry, &clock, health.clone());
        let observed = stores::Metrics::new(&mut registry, &config.store);
        let store = store::open(&config.store, &wakes, observed).await?;
        if !role.dispatches() {
            // Whether it is ready does not depend on what others do.
            health.set_planner_moving(true);
        }
        let (webhooks, welcome_webhooks) = webhooks::build(&config)?;
        let (admin_token, admin_token_file) = generated::admin_token(&config)?;
        let welcome = Welcome {
            role,
            public: public.as_ref().map(|door| door.local_addr().unwrap_or(config.ingest.listen)),
            path: config.ingest.path.clone(),
            private: private.local_addr().unwrap_or(config.admin.listen),
            admin_token: admin_token.clone(),
            admin_token_file,
            store: shown_store(&config.store.place),
            webhooks: welcome_webhooks,
            handlers: consumers.iter().map(consumers::describe).collect(),
        };
        let settings = upkeep::settings(&config.store, &config.webhooks, &consumers);
        let upkeep = Upkeep::new(Arc::clone(&store), clock.clone(), wakes.clone(), health.clone(), settings);
        let traces = Traces::start(&config.traces)?;
        let in_force = in_force::in_force(&consumers, &webhooks, admin_token.as_ref(), &config, clock.now());
        let (in_force, in_force_now) = watch::channel(Arc::new(in_force));
        let admin = Admin::new(in_force_now, Arc::clone(&store), clock.clone(), health.clone(), wakes.clone());
        let names: Vec<_> = webhooks.iter().map(|webhook| webhook.name.clone()).collect();
        let observed = ingest::Metrics::new(&mut registry, &names, clock.now());
        let store_too = Arc::clone(&store);
        let ingest = Ingest::new(config.ingest.clone(), webhooks, store_too, clock.clone(), health.clone())
            .observed(observed.clone(), traces.clone());
        let metrics = dispatch::Metrics::new(&mut registry);
        let admin = admin.telling(registry);
        let changeable = Arc::new(Changeable {
            config: Mutex::new(config),
            functions,
            consumers: watch::Sender::new(Arc::new(consumers)),
            rules: ingest.rules(),
            door: observed,
            upkeep: upkeep.settings(),
            in_force,
            health: health.clone(),
            clock: clock.clone(),
        });
        let threads = HandlerThreads::start()?;
        let chance = Chance::any();
        let house = House { store, clock, chance, wakes, health, handlers: threads.handle(), metrics, traces };
        Ok(App { ingest, admin, house, upkeep, changeable, role, public, private, threads, welcome })
    }

    /// What changes the configuration while it runs.
    #[must_use]
    pub fn reload_handle(&self) -> Reload {
        Reload::new(Arc::clone(&self.changeable))
    }

    /// The store, for a program that looks into it beside serving.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.house.store)
    }

    /// What somebody who starts it needs to know.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }
}

/// The first of several errors is the one that a start is refused with. There is always one.
fn first(errors: Vec<BuildError>) -> BuildError {
    let none = || BuildError::Registry(Vec::new());
    errors.into_iter().next().unwrap_or_else(none)
}

async fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, BuildError> {
    TcpListener::bind(address).await.map_err(|source| BuildError::Listen { address, key, source })
}
