//! The same rows by pgbench, which does nothing else: what the database takes by itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::task::spawn_blocking;

use super::cluster;

/// A request as it was stored: the literals of its columns, but for those that each has of its own.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    texts: String,
    headers: String,
    body: String,
}

impl Stored {
    /// One out of a database in which workhook stored some.
    pub(crate) async fn of(url: &str) -> anyhow::Result<Stored> {
        let sql = "SELECT ARRAY[webhook, brand, claimed_webhook_id, name, original_name, occurrence_id, entity,
                       retry_num::text, sent_at::text, peer, notes], encode(headers, 'hex'), encode(body, 'hex')
                   FROM events LIMIT 1";
        let row = cluster::connect(url).await?.query_one(sql, &[]).await.context("nothing was stored")?;
        let texts: Vec<Option<String>> = row.get(0);
        let texts: Vec<String> = texts.iter().map(|text| literal(text.as_deref())).collect();
        Ok(Stored { texts: texts.join(", "), headers: row.get(1), body: row.get(2) })
    }

    /// Stores so many in one statement, which is a transaction of its own: each with its event, both its keys, and
    /// that it is to be planned and catalogued.
    fn script(&self, rows: u64) -> String {
        let Stored { texts, headers, body } = self;
        let now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let from = if rows == 1 { String::new() } else { format!("FROM generate_series(1, {rows})") };
        format!(
            "WITH fresh AS MATERIALIZED (
                 SELECT nextval('events_position_seq') AS position, {now} AS now,
                     encode(substr(int8send({now}), 3) || substr(uuid_send(gen_random_uuid()), 7), 'hex')::uuid AS id,
                     uuid_send(gen_random_uuid()) AS identity, uuid_send(gen_random_uuid()) AS body_key {from}
             ), stored AS (
                 INSERT INTO events (position, id, received_at, webhook, brand, claimed_webhook_id, name, original_name,
                     occurrence_id, entity, retry_num, sent_at, peer, notes, headers, body)
                 SELECT position, id, now, {texts}, '\\x{headers}',
                     overlay('\\x{body}'::bytea PLACING int8send(position) FROM 20) FROM fresh
             ), to_plan AS (INSERT INTO unplanned (position) SELECT position FROM fresh
             ), to_catalogue AS (INSERT INTO uncatalogued (position) SELECT position FROM fresh
             ), bodies AS (
                 INSERT INTO keys (hash, daily, position, expires_at)
                 SELECT body_key, true, position, now + 86400000 FROM fresh
             )
             INSERT INTO keys (hash, daily, position, expires_at)
             SELECT identity, false, position, now + 2592000000 FROM fresh;\n"
        )
    }

    /// How many rows a second pgbench stores with so many clients, so many rows in each statement.
    pub(crate) async fn measure(
        &self,
        url: &str,
        folder: &Path,
        clients: usize,
        rows: u64,
        time: Duration,
    ) -> anyhow::Result<f64> {
        let script = folder.join("insert.sql");
        std::fs::write(&script, self.script(rows))?;
        let mut command = Command::new(program()?);
        command.args(["--no-vacuum", "--protocol=prepared", "--jobs=1"]);
        command.args([format!("--client={clients}"), format!("--time={}", time.as_secs())]);
        command.arg("--file").arg(script).arg(url);
        let ended = spawn_blocking(move || command.output()).await??;
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        ensure!(ended.status.success(), "pgbench: {said}{}", String::from_utf8_lossy(&ended.stderr));
        let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")).and_then(|rest| rest.split(' ').next());
        let rate: f64 = rate.with_context(|| format!("pgbench does not tell a rate: {said}"))?.parse()?;
        #[expect(clippy::cast_precision_loss, reason = "a few hundred at the most")]
        Ok(rate * rows as f64)
    }
}

/// Text as a literal that pgbench finds none of its own variables in.
fn literal(text: Option<&str>) -> String {
    let Some(text) = text else { return "NULL".to_owned() };
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        // A number and a text that is all digits are written alike.
        return format!("'{text}'");
    }
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace(':', "\\x3a"))
}

fn program() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").context("there is no PostgreSQL")?;
    let found = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin/pgbench"))).filter(|path| path.exists());
    found.max().context("there is no pgbench; on Debian it is in the package postgresql")
}
