//! Memory as a kind of store.

use std::sync::Arc;

use async_trait::async_trait;
use workhook::store::Store;
use workhook::wake::Wakes;

use crate::bench::{Fixture, REMEMBER};
use crate::memory::Memory;

/// What is kept while processes come and go.
#[derive(Debug)]
pub(crate) struct MemoryFixture(Memory);

#[async_trait]
impl Fixture for MemoryFixture {
    fn fresh() -> MemoryFixture {
        MemoryFixture(Memory::default())
    }

    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn open(&mut self, wakes: &Wakes) -> Arc<dyn Store> {
        Arc::new(self.0.open(wakes, i64::try_from(REMEMBER.as_millis()).unwrap()))
    }

    async fn kill(&mut self, store: Arc<dyn Store>) {
        store.close().await;
    }
}
