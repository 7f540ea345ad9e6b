//! Opening the store, of whatever kind it is.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::BuildError;
use crate::store::{Config, Metrics, OpenError, Place, PostgresSettings, PostgresStore, SqliteStore, Store};
use crate::telemetry::with_causes;
use crate::wake::Wakes;

/// For how long a database that cannot be reached is tried. Then the process ends, and whoever started it starts it again.
const TRY_FOR: Duration = Duration::from_secs(30);
/// How long to wait before it is tried again.
const PAUSE: Duration = Duration::from_secs(3);

pub(super) async fn open(config: &Config, wakes: &Wakes, metrics: Metrics) -> Result<Arc<dyn Store>, BuildError> {
    match &config.place {
        Place::Sqlite(settings) => {
            let (settings, wakes) = (settings.clone(), wakes.clone());
            let open = tokio::task::spawn_blocking(move || SqliteStore::open_metered(&settings, &wakes, metrics));
            Ok(Arc::new(open.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?))
        }
        Place::Postgres(settings) => Ok(Arc::new(open_database(settings, wakes, metrics).await?)),
    }
}

/// Tries until the database is there. What waiting does not mend is said at once.
async fn open_database(
    settings: &PostgresSettings,
    wakes: &Wakes,
    metrics: Metrics,
) -> Result<PostgresStore, OpenError> {
    let until = Instant::now() + TRY_FOR;
    loop {
        match PostgresStore::open(settings, wakes, metrics.clone()).await {
            Err(error) if error.may_pass() && Instant::now() + PAUSE < until => {
                tracing::warn!(
                    error = with_causes(&error),
                    "the database cannot be used yet; it is tried again in {PAUSE:?}"
                );
                tokio::time::sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}
