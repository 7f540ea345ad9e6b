//! The only door to chance.
//!
//! Rooms take a [`Chance`] or what it said; none asks for a random number by itself, so that what happened by chance
//! can happen again.

use std::sync::{Arc, Mutex, PoisonError};

use fastrand::Rng;

/// Says what happens by chance.
#[derive(Debug, Clone)]
pub struct Chance(Source);

#[derive(Debug, Clone)]
enum Source {
    Any,
    Seeded(Arc<Mutex<Rng>>),
}

impl Chance {
    /// Chance that nobody can foretell, and good for no secrets.
    #[must_use]
    pub fn any() -> Chance {
        Chance(Source::Any)
    }

    /// Chance that says the same each time that it begins with this seed; its copies go on with it.
    #[must_use]
    pub fn seeded(seed: u64) -> Chance {
        Chance(Source::Seeded(Arc::new(Mutex::new(Rng::with_seed(seed)))))
    }

    /// A number from 0 to 1, without 1.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the door")]
            Source::Any => fastrand::f64(),
            Source::Seeded(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_the_same_each_time_and_copies_go_on_with_it() {
        let said = |chance: &Chance| -> Vec<f64> { (0..4).map(|_| chance.fraction()).collect() };
        let (one, other) = (Chance::seeded(1), Chance::seeded(2));
        let first = said(&one);
        assert_eq!(first, said(&Chance::seeded(1)));
        assert_ne!(first, said(&other));
        assert_ne!(first, said(&one.clone()), "the copy goes on");
        assert!(said(&Chance::any()).iter().all(|fraction| (0.0..1.0).contains(fraction)));
    }
}
