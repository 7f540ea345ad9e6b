//! The far end of a handler, which all replicas ask: it says what it is told to, and remembers who asked when.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use workhook::dispatch::{Consumer, Policy};
use workhook::handlers::{Failure, Handler, Success};
use workhook::model::{Claimed, HandlerName};
use workhook::routes::Route;

/// What is behind all replicas. Copies share it.
#[derive(Debug, Clone)]
pub(crate) struct FarEnd(Arc<Mutex<Inside>>);

#[derive(Debug)]
struct Inside {
    is_down: bool,
    takes: Duration,
    under_way: usize,
    most_under_way: usize,
    /// When it was asked, and by which replica.
    asked: Vec<(Instant, usize)>,
    /// How often each position was taken.
    taken: BTreeMap<i64, usize>,
}

/// The far end as one replica asks it.
#[derive(Debug)]
struct From {
    far_end: FarEnd,
    replica: usize,
}

impl FarEnd {
    /// One that takes everything, after so long.
    pub(crate) fn new(takes: Duration) -> FarEnd {
        let (asked, taken) = (Vec::new(), BTreeMap::new());
        FarEnd(Arc::new(Mutex::new(Inside { is_down: false, takes, under_way: 0, most_under_way: 0, asked, taken })))
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handler `crm` with this behind it, for a replica.
    pub(crate) fn consumer(&self, replica: usize, policy: &Policy) -> Consumer {
        Consumer {
            name: crm(),
            route: Route::everything(),
            policy: policy.clone(),
            handler: Arc::new(From { far_end: self.clone(), replica }),
        }
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.lock().is_down = is_down;
    }

    /// When it was asked and by whom, from here on.
    pub(crate) fn forget(&self) {
        let mut inside = self.lock();
        inside.asked.clear();
        inside.most_under_way = inside.under_way;
    }

    pub(crate) fn asked(&self) -> Vec<(Instant, usize)> {
        self.lock().asked.clone()
    }

    /// How many attempts were under way at one time.
    pub(crate) fn most_under_way(&self) -> usize {
        self.lock().most_under_way
    }

    /// How often each position was taken.
    pub(crate) fn taken(&self) -> BTreeMap<i64, usize> {
        self.lock().taken.clone()
    }
}

pub(crate) fn crm() -> HandlerName {
    HandlerName::parse("crm").unwrap()
}

/// An attempt, however it ends.
struct UnderWay<'a>(&'a FarEnd);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

#[async_trait]
impl Handler for From {
    fn kind(&self) -> &'static str {
        "far end"
    }

    async fn handle(&self, delivery: &Claimed) -> Result<Success, Failure> {
        let takes = {
            let mut inside = self.far_end.lock();
            inside.asked.push((Instant::now(), self.replica));
            inside.under_way += 1;
            inside.most_under_way = inside.most_under_way.max(inside.under_way);
            inside.takes
        };
        let under_way = UnderWay(&self.far_end);
        tokio::time::sleep(takes).await;
        drop(under_way);
        let mut inside = self.far_end.lock();
        if inside.is_down {
            return Err(Failure::transient("it is down"));
        }
        *inside.taken.entry(delivery.event.position.0).or_default() += 1;
        Ok(Success::default())
    }
}
