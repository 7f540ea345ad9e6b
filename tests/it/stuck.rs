//! A store that never answers: the sender gets an answer all the same (promise 3).

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use workhook::admin::api::wire;
use workhook::admin::{self, Admin, InForce};
use workhook::clock::Clock;
use workhook::contract::{Accepted, Brand, Rejected, Token, Webhook, WebhookName, Webhooks};
use workhook::health::Health;
use workhook::ingest::{Config, Ingest};
use workhook::model::{
    DeliveryId, DeliveryRecord, EventId, EventRecord, HandlerName, HandlerRecord, NewReplay, OpenBreaker, Plan,
    Position, RejectedId, Replay, ReplayId, ReplayState, ReplayStep, Settlement, StoredEvent,
};
use workhook::store::{
    Appended, ClaimRequest, Claims, Counts, DeliveryQuery, EventQuery, EventRow, ForgetStep, Forgotten, LongestWaits,
    Page, PlanStart, PruneRequest, Pruned, RefusalCount, RejectedQuery, RejectedRow, Settled, Space, Store, StoreError,
    TokenUse,
};
use workhook::telemetry::metrics::Registry;
use workhook::wake::Wakes;

use crate::support::scrape::Scrape;
use crate::support::{Post, TOKEN};

#[derive(Debug)]
struct Stuck;

#[async_trait]
impl Store for Stuck {
    async fn append(&self, _: Accepted) -> Result<Appended, StoreError> {
        pending().await
    }
    async fn reject(&self, _: Rejected) -> Result<RejectedId, StoreError> {
        pending().await
    }
    async fn count_refusals(&self, _: Vec<RefusalCount>) -> Result<(), StoreError> {
        pending().await
    }
    async fn start_planning(&self) -> Result<PlanStart, StoreError> {
        pending().await
    }
    async fn end_planning(&self) -> Result<(), StoreError> {
        pending().await
    }
    async fn unplanned(&self, _: usize) -> Result<Vec<StoredEvent>, StoreError> {
        pending().await
    }
    async fn plan(&self, _: Vec<Plan>, _: Timestamp) -> Result<(), StoreError> {
        pending().await
    }
    async fn claim(&self, _: ClaimRequest) -> Result<Claims, StoreError> {
        pending().await
    }
    async fn shorten_waits(&self, _: LongestWaits) -> Result<usize, StoreError> {
        pending().await
    }
    async fn settle(&self, _: Settlement) -> Result<Settled, StoreError> {
        pending().await
    }
    async fn release(&self, _: Vec<(DeliveryId, i64)>) -> Result<(), StoreError> {
        pending().await
    }
    async fn other_body(&self, _: EventId, _: u64) -> Result<Option<bytes::Bytes>, StoreError> {
        pending().await
    }
    async fn event(&self, _: EventId) -> Result<Option<EventRecord>, StoreError> {
        pending().await
    }
    async fn events(&self, _: EventQuery) -> Result<Page<EventRow>, StoreError> {
        pending().await
    }
    async fn deliveries(&self, _: DeliveryQuery) -> Result<Page<DeliveryRecord>, StoreError> {
        pending().await
    }
    async fn delivery(&self, _: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        pending().await
    }
    async fn rejected(&self, _: RejectedQuery) -> Result<Page<RejectedRow>, StoreError> {
        pending().await
    }
    async fn rejected_request(&self, _: RejectedId) -> Result<Option<RejectedRow>, StoreError> {
        pending().await
    }
    async fn refusals(&self, _: usize) -> Result<Vec<RefusalCount>, StoreError> {
        pending().await
    }
    async fn token_uses(&self) -> Result<Vec<TokenUse>, StoreError> {
        pending().await
    }
    async fn handlers(&self) -> Result<Vec<HandlerRecord>, StoreError> {
        pending().await
    }
    async fn replays(&self, _: usize) -> Result<Vec<Replay>, StoreError> {
        pending().await
    }
    async fn replay(&self, _: ReplayId) -> Result<Option<Replay>, StoreError> {
        pending().await
    }
    async fn running_replays(&self) -> Result<Vec<Replay>, StoreError> {
        pending().await
    }
    async fn counts(&self) -> Result<Counts, StoreError> {
        pending().await
    }
    async fn retry(&self, _: Vec<DeliveryId>, _: Timestamp) -> Result<u64, StoreError> {
        pending().await
    }
    async fn cancel(&self, _: Vec<DeliveryId>, _: String, _: Timestamp) -> Result<u64, StoreError> {
        pending().await
    }
    async fn set_paused(&self, _: HandlerName, _: bool, _: Timestamp) -> Result<(), StoreError> {
        pending().await
    }
    async fn keep_breaker(&self, _: HandlerName, _: Option<OpenBreaker>) -> Result<(), StoreError> {
        pending().await
    }
    async fn replace_breaker(
        &self,
        _: HandlerName,
        _: Option<OpenBreaker>,
        _: Option<OpenBreaker>,
    ) -> Result<bool, StoreError> {
        pending().await
    }
    async fn open_breakers(&self) -> Result<Vec<(HandlerName, OpenBreaker)>, StoreError> {
        pending().await
    }
    async fn start_replay(&self, _: NewReplay) -> Result<Option<Replay>, StoreError> {
        pending().await
    }
    async fn step_replay(&self, _: ReplayId, _: ReplayStep, _: Position, _: Timestamp) -> Result<(), StoreError> {
        pending().await
    }
    async fn preview_replay(&self, _: ReplayStep) -> Result<u64, StoreError> {
        pending().await
    }
    async fn set_replay(&self, _: ReplayId, _: ReplayState, _: Timestamp) -> Result<bool, StoreError> {
        pending().await
    }
    async fn rejected_became(&self, _: RejectedId, _: EventId, _: Timestamp) -> Result<(), StoreError> {
        pending().await
    }
    async fn count_uses(&self, _: Vec<TokenUse>) -> Result<(), StoreError> {
        pending().await
    }
    async fn catalogue(&self, _: usize) -> Result<usize, StoreError> {
        pending().await
    }
    async fn prune(&self, _: PruneRequest) -> Result<Pruned, StoreError> {
        pending().await
    }
    async fn tidy_keys(&self, _: Timestamp) -> Result<bool, StoreError> {
        pending().await
    }
    async fn forget(&self, _: ForgetStep) -> Result<Forgotten, StoreError> {
        pending().await
    }
    async fn space(&self) -> Result<Space, StoreError> {
        pending().await
    }
    async fn give_back(&self) -> Result<bool, StoreError> {
        pending().await
    }
    async fn probe(&self) -> Result<(), StoreError> {
        pending().await
    }
    async fn failed(&self) -> StoreError {
        pending().await
    }
    async fn close(&self) {}
}

fn webhooks() -> Webhooks {
    let webhook = Webhook {
        name: WebhookName::parse("product").unwrap(),
        brand: None,
        ids: Vec::new(),
        tokens: vec![Token::parse(TOKEN).unwrap()],
        tokenless: false,
    };
    Webhooks::new(vec![webhook]).unwrap()
}

/// A public door before a store that never answers.
async fn door() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ingest = Ingest::new(Config::default(), webhooks(), Arc::new(Stuck), Clock::system(), Health::default());
    tokio::spawn(ingest.run(listener, CancellationToken::new()));
    address
}

#[tokio::test]
async fn a_scrape_answers_though_the_store_does_not_and_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let store = Arc::new(Stuck);
    let mut registry = Registry::default();
    admin::about(&mut registry, &Clock::system(), Health::default());
    let (clock, health, wakes) = (Clock::system(), Health::default(), Wakes::default());
    let settings = wire::Settings { read_at: Timestamp::UNIX_EPOCH, file: None, settings: Vec::new() };
    let in_force = InForce { handlers: Vec::new(), webhooks: webhooks(), token: None, settings };
    let (_keep, in_force) = watch::channel(Arc::new(in_force));
    let admin = Admin::new(in_force, store, clock, health, wakes).telling(registry);
    tokio::spawn(admin.run(listener, CancellationToken::new()));
    let began = Instant::now();
    let text = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let scrape = Scrape::read(&text);
    assert!(scrape.has("workhook_scrape_complete") && scrape.sum("workhook_scrape_complete", &[]) < 1.0, "{text}");
    assert!(scrape.has("workhook_ready") && !scrape.has("workhook_deliveries"), "{text}");
}

#[tokio::test]
async fn ruling_09_the_answer_is_there_by_two_seconds_whether_the_store_answers_or_not() {
    let to = door().await;
    let good = Post::new(Brand::Leiga, "Issue.Update");
    let mut sending = tokio::task::JoinSet::new();
    for post in [good.clone(), good.clone().body("[]"), good.set("Event", "no name")] {
        sending.spawn(async move {
            let began = Instant::now();
            (post.send(to).await, began.elapsed())
        });
    }
    for (answer, took) in sending.join_all().await {
        assert_eq!((answer.status, answer.errcode()), (503, 503), "{answer:?}");
        assert!(answer.head.contains("retry-after: 2"), "{answer:?}");
        assert!((Duration::from_millis(1900)..Duration::from_millis(4000)).contains(&took), "{took:?}");
    }
}
