//! Making the tables, and bringing them up to date.
//!
//! Everything happens in one transaction under one lock, so any number of replicas may start at once, and what fails
//! leaves nothing behind. A library for migrations commits in between, and would need a second connection to hold the
//! lock.

use sha2::{Digest, Sha256};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::store::ServerFault;

/// What was changed in the tables, in order; never changed once it was in a release.
const STEPS: &[(i64, &str, &str)] = &[(1, "first", include_str!("migrations/V1__first.sql"))];

/// What tells a lock of ours in a schema apart.
pub(super) fn lock_key(schema: &str, what: &str) -> i64 {
    let hash = Sha256::digest(format!("workhook {schema} {what}"));
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(first)
}

/// Brings the tables up to date; the name of the schema that they are in.
pub(super) async fn migrate(client: &mut Client, user: &str) -> Result<String, ServerFault> {
    let failed = |error: tokio_postgres::Error| match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => ServerFault::NoRight { user: user.to_owned(), source: error.into() },
        _ => ServerFault::Other(error.into()),
    };
    let transaction = client.transaction().await.map_err(failed)?;
    let row = transaction.query_typed_one("SELECT current_schema()::text", &[]).await.map_err(failed)?;
    let Some(schema) = row.try_get::<_, Option<String>>(0).map_err(failed)? else { return Err(ServerFault::NoSchema) };
    let lock = lock_key(&schema, "migrations");
    transaction.execute_typed("SELECT pg_advisory_xact_lock($1)", &[(&lock, Type::INT8)]).await.map_err(failed)?;
    // Asked first: making it takes a right that whoever only uses the tables does not need.
    let there = "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'schema_steps')";
    let row = transaction.query_typed_one(there, &[(&schema, Type::TEXT)]).await.map_err(failed)?;
    if !row.try_get::<_, bool>(0).map_err(failed)? {
        let make = "CREATE TABLE schema_steps (
                        number bigint PRIMARY KEY, name text NOT NULL, done_at timestamptz NOT NULL DEFAULT now())";
        transaction.batch_execute(make).await.map_err(failed)?;
    }
    let row =
        transaction.query_typed_one("SELECT coalesce(max(number), 0) FROM schema_steps", &[]).await.map_err(failed)?;
    let found: i64 = row.try_get(0).map_err(failed)?;
    let known = STEPS.iter().map(|(number, _, _)| *number).max().unwrap_or(0);
    if found > known {
        return Err(ServerFault::NewerSchema { found, known });
    }
    for (number, name, sql) in STEPS.iter().filter(|(number, _, _)| *number > found) {
        transaction.batch_execute(sql).await.map_err(failed)?;
        let keep = "INSERT INTO schema_steps (number, name) VALUES ($1, $2)";
        transaction.execute_typed(keep, &[(number, Type::INT8), (name, Type::TEXT)]).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(schema)
}
