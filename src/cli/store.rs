//! `workhook store`: what is done with a whole store while nobody serves from it.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::progress::Progress;
use super::{Done, Failed, Form, output, table};
use crate::config::{Env, shown_store, store_place};
use crate::store::transfer::{Copied, CopyError, Transfer, copy};
use crate::store::{Place, PostgresCopy, SqliteStore};

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Copy everything that one store keeps into another, a new one: from a file of SQLite to PostgreSQL or back.
    Copy(Copy),
}

/// From where, and to where.
///
/// No workhook may run on either of them. The one that is copied stays as it is. When the copy is interrupted, the same
/// command goes on with it; until it is whole, the store that is filled is opened by nothing else. What is counted at
/// the end has to be the same in both. Once it is whole, the same command says so again and does nothing, or fails where
/// the store that was copied was used since. Events can be found by their words again a little after workhook serves from the
/// new store.
#[derive(Debug, Args)]
pub(super) struct Copy {
    #[command(flatten)]
    form: Form,
    /// The store to copy: `sqlite:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE`, or where one of these is to be had, as
    /// `env:NAME` or `file:PATH`, so that nobody sees the password among the processes.
    from: String,
    /// The store to fill, in the same way.
    to: String,
    /// The authorities that may speak for a PostgreSQL server, in PEM; without it those that the machine trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Store {
    pub(super) async fn run(&self) -> Done {
        match self {
            Store::Copy(copy) => copy.run().await,
        }
    }
}

impl Copy {
    async fn run(&self) -> Done {
        let (from, to) = (self.place("FROM", &self.from)?, self.place("TO", &self.to)?);
        if is_same(&from, &to) {
            return Err(Failed::Use(anyhow!("both are {}", shown_store(&from))));
        }
        if let Some(file) = from.embedded().map(|file| &file.path).filter(|path| !path.exists()) {
            return Err(Failed::Work(anyhow!("there is no store to copy: {} does not exist", file.display())));
        }
        // What is to be filled is looked at first: a mistake there leaves no trace in the other.
        let to_store = open(&to).await.with_context(|| format!("cannot fill {}", shown_store(&to)))?;
        let copied = match open(&from).await {
            Ok(from_store) => {
                let copied = self.copy(&*from_store, &*to_store).await;
                from_store.close_transfer().await;
                copied
            }
            Err(error) => Err(error.context(format!("cannot copy {}", shown_store(&from)))),
        };
        to_store.close_transfer().await;
        match copied {
            Ok(copied) => self.say(&copied),
            Err(error) if matches!(error.downcast_ref(), Some(CopyError::Same)) => return Err(Failed::Use(error)),
            Err(error) => return Err(Failed::Work(error)),
        }
        Ok(())
    }

    fn place(&self, which: &str, text: &str) -> Result<Place, Failed> {
        let place = store_place(text, &Env::of_process());
        let mut place = place.map_err(|why| Failed::Use(anyhow!("{which}: {why}")))?;
        if let (Place::Postgres(settings), Some(file)) = (&mut place, &self.ca) {
            let read = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()));
            settings.ca = Some(read.map_err(Failed::Use)?);
        }
        Ok(place)
    }

    async fn copy(&self, from: &dyn Transfer, to: &dyn Transfer) -> anyhow::Result<Copied> {
        let mut progress = None;
        let tell = |step: crate::store::transfer::Step| {
            progress.get_or_insert_with(|| Progress::of(step.total)).at(step.done);
        };
        Ok(copy(from, to, Uuid::new_v4().to_string(), tell).await?)
    }

    fn say(&self, copied: &Copied) {
        if self.form.json {
            let tables: serde_json::Map<_, _> =
                copied.tables.iter().map(|(table, rows)| ((*table).to_owned(), json!(rows))).collect();
            output::json(&json!({ "copied": tables, "resumed": copied.resumed, "already": copied.already }));
            return;
        }
        let rows: Vec<Vec<String>> =
            copied.tables.iter().map(|(table, rows)| vec![(*table).to_owned(), rows.to_string()]).collect();
        table::print(&["COPIED", "ROWS"], &rows);
        output::line(if copied.already {
            "This was copied already, and nobody has used it since."
        } else {
            "Everything is copied, and counted in both stores."
        });
    }
}

/// Whether two addresses are of one store, as far as they tell.
fn is_same(one: &Place, other: &Place) -> bool {
    let file = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    match (one, other) {
        (Place::Sqlite(one), Place::Sqlite(other)) => file(&one.path) == file(&other.path),
        (Place::Postgres(one), Place::Postgres(other)) => one.url.expose() == other.url.expose(),
        _ => false,
    }
}

async fn open(place: &Place) -> anyhow::Result<Box<dyn Transfer>> {
    match place {
        Place::Sqlite(settings) => {
            let settings = settings.clone();
            let opened = tokio::task::spawn_blocking(move || SqliteStore::open_for_copy(&settings)).await?;
            Ok(Box::new(opened?))
        }
        Place::Postgres(settings) => Ok(Box::new(PostgresCopy::open(settings).await?)),
    }
}
