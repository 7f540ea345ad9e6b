//! Whether something can be written.

use super::Database;
use super::failure::Failure;

pub(super) async fn probe(db: &Database) -> Result<(), Failure> {
    let sql = "UPDATE marks SET value = (value + 1) % 1000000 WHERE name = 'probe'";
    db.pool.connection().await?.execute(sql, &[]).await.map(drop)
}
