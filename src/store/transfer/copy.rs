//! A copy from beginning to end, or from where it was interrupted.

use thiserror::Error;

use super::{Filled, Reached, TABLES, Transfer};
use crate::store::StoreError;

/// How far a copy has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The table that rows were copied of.
    pub table: &'static str,
    /// How many rows are copied, of all tables.
    pub done: u64,
    /// How many there are, of all tables.
    pub total: u64,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// How many rows of which table, counted in both stores.
    pub tables: Vec<(&'static str, u64)>,
    /// Whether it went on with one that was interrupted.
    pub resumed: bool,
    /// Whether all of it was copied before, and nothing was done.
    pub already: bool,
}

/// Why a store was not copied.
#[derive(Debug, Error)]
pub enum CopyError {
    /// The store that it is of failed.
    #[error("the store that is copied could not be read")]
    From(#[source] StoreError),
    /// The store that is filled failed.
    #[error("the store that is filled could not be written")]
    To(#[source] StoreError),
    /// There is something in the store that is to be filled, or there was.
    #[error("the store that is to be filled has or had {0}; it must be a new one, or left by this same copy")]
    NotEmpty(&'static str),
    /// There is only one store.
    #[error("both are one store, or the files of one were copied from the other")]
    Same,
    /// The store that is to be filled was filled from this one, which somebody used afterwards.
    #[error(
        "this was copied already, and the store that was copied was used since: what came since is not in the other; \
         begin with an empty one to copy it all"
    )]
    WentOn,
    /// There is another copy, half done, in the store that is to be filled.
    #[error(
        "the store that is to be filled has half of another copy, or of one whose store was used since; begin with an \
         empty one"
    )]
    Another,
    /// Something has to be done with the store first.
    #[error("{0}")]
    NotYet(&'static str),
    /// Somebody used the store that was copied.
    #[error("the store that was copied was used meanwhile; begin with an empty one to fill")]
    Used,
    /// Afterwards there is not as much as there was.
    #[error("of {table} there are {from} in the one and {to} in the other; the copy is not used")]
    Differs {
        /// The table.
        table: &'static str,
        /// How many rows there are in the store that was copied.
        from: u64,
        /// How many in the other.
        to: u64,
    },
}

/// Copies everything; `name` is what a new copy is told apart by. When it is dropped, or fails, the same call goes on
/// where it was.
///
/// # Errors
/// Where a store fails, or the one that is to be filled is not empty.
pub async fn copy(
    from: &dyn Transfer,
    to: &dyn Transfer,
    name: String,
    mut tell: impl FnMut(Step) + Send,
) -> Result<Copied, CopyError> {
    can_be_copied(from).await?;
    let of = from.id().await.map_err(CopyError::From)?;
    let (mut reached, resumed) = match begin(from, to, name, &of).await? {
        Begun::At(reached, resumed) => (reached, resumed),
        Begun::Whole => {
            let tables = counts(from).await.map_err(CopyError::From)?;
            return Ok(Copied { tables, resumed: false, already: true });
        }
    };
    // Somebody may have come just before it was said that a copy is being made.
    can_be_copied(from).await?;
    let name = reached.copy.clone();
    let total = counts(from).await.map_err(CopyError::From)?.iter().map(|(_, rows)| rows).sum();
    let mut done: u64 = counts(to).await.map_err(CopyError::To)?.iter().map(|(_, rows)| rows).sum();
    while let Some(table) = TABLES.get(reached.tables) {
        let read = from.read(table, reached.next).await.map_err(CopyError::From)?;
        let tables = if read.next.is_none() { reached.tables + 1 } else { reached.tables };
        reached = Reached { tables, next: read.next, ..reached };
        done += read.rows.len() as u64;
        to.write(table, read.rows, reached.clone()).await.map_err(CopyError::To)?;
        // A key may come more than once.
        tell(Step { table: table.name, done: done.min(total), total });
    }
    let tables = verified(from, to).await?;
    can_be_copied(from).await?;
    let given = from.given().await.map_err(CopyError::From)?;
    if from.copied_as().await.map_err(CopyError::From)?.as_ref() != Some(&name) {
        return Err(CopyError::Used);
    }
    to.finish(given, Filled { copy: name, of }).await.map_err(CopyError::To)?;
    Ok(Copied { tables, resumed, already: false })
}

async fn can_be_copied(from: &dyn Transfer) -> Result<(), CopyError> {
    if from.reached().await.map_err(CopyError::From)?.is_some() {
        return Err(CopyError::NotYet("the store to copy is half filled by another copy; finish that one first"));
    }
    from.cannot_be_copied().await.map_err(CopyError::From)?.map_or(Ok(()), |why| Err(CopyError::NotYet(why)))
}

/// Where a copy begins.
enum Begun {
    /// Here, and whether that is where another call was interrupted.
    At(Reached, bool),
    /// It is whole.
    Whole,
}

async fn begin(from: &dyn Transfer, to: &dyn Transfer, name: String, of: &str) -> Result<Begun, CopyError> {
    if to.id().await.map_err(CopyError::To)? == of {
        return Err(CopyError::Same);
    }
    let known_as = from.copied_as().await.map_err(CopyError::From)?;
    if let Some(reached) = to.reached().await.map_err(CopyError::To)? {
        let is_this = known_as.as_ref() == Some(&reached.copy);
        return if is_this { Ok(Begun::At(reached, true)) } else { Err(CopyError::Another) };
    }
    if let Some(filled) = to.filled().await.map_err(CopyError::To)?.filter(|filled| filled.of == of) {
        return if known_as == Some(filled.copy) { Ok(Begun::Whole) } else { Err(CopyError::WentOn) };
    }
    if let Some((table, _)) = counts(to).await.map_err(CopyError::To)?.into_iter().find(|(_, rows)| *rows > 0) {
        return Err(CopyError::NotEmpty(table));
    }
    // What is kept beside rows may be there though they are gone.
    if to.given().await.map_err(CopyError::To)?.position > 0 {
        return Err(CopyError::NotEmpty("events"));
    }
    // One that was copied elsewhere and not used since is known by the same name.
    let name = known_as.unwrap_or(name);
    let reached = Reached { copy: name.clone(), tables: 0, next: None };
    from.set_copied_as(name).await.map_err(CopyError::From)?;
    to.write(&TABLES[0], Vec::new(), reached.clone()).await.map_err(CopyError::To)?;
    Ok(Begun::At(reached, false))
}

async fn counts(store: &dyn Transfer) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let mut counts = Vec::new();
    for table in TABLES {
        counts.push((table.name, store.count(table).await?));
    }
    Ok(counts)
}

/// The counts of both, which must be the same.
async fn verified(from: &dyn Transfer, to: &dyn Transfer) -> Result<Vec<(&'static str, u64)>, CopyError> {
    let there = counts(from).await.map_err(CopyError::From)?;
    let here = counts(to).await.map_err(CopyError::To)?;
    for ((table, from), (_, to)) in there.iter().zip(&here) {
        if from != to {
            return Err(CopyError::Differs { table, from: *from, to: *to });
        }
    }
    Ok(here)
}
