//! The processes that live, with what each of them does for all.

use super::Database;
use super::duties::NOW;
use super::failure::Failure;
use crate::store::{Duty, Replica};

/// How long a process may be silent before it is not told of any more, in milliseconds.
const SILENT_MAX_MS: i64 = 10_000;

pub(super) async fn list(db: &Database) -> Result<Vec<Replica>, Failure> {
    let sql = format!(
        "SELECT p.name, p.id = $1, coalesce(string_agg(d.name, ' ' ORDER BY d.name), '')
         FROM processes p LEFT JOIN duties d ON d.holder = p.id AND d.until > {NOW}
         WHERE p.seen_at >= {NOW} - $2 GROUP BY p.id, p.name ORDER BY p.name, p.id"
    );
    let rows = db.pool.connection().await?.query(&sql, &[&db.process, &SILENT_MAX_MS]).await?;
    let mut replicas = Vec::with_capacity(rows.len());
    for row in rows {
        let duties: String = row.get(2)?;
        let duties = duties.split_whitespace().filter_map(Duty::parse).collect();
        replicas.push(Replica { name: row.get(0)?, is_this: row.get(1)?, duties });
    }
    Ok(replicas)
}
