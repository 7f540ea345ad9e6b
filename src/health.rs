//! Whether the service is ready: one small state that whoever knows sets and both doors tell.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// The state of the service. Copies share it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<State>);

#[derive(Debug, Default)]
struct State {
    store_writable: AtomicBool,
    disk_full: AtomicBool,
    planner_moving: AtomicBool,
    draining: AtomicBool,
    reload: Mutex<Option<LastReload>>,
    duties: Mutex<BTreeMap<&'static str, Holder>>,
}

/// Who has a duty that one process at a time has, as far as this one knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// This process.
    Here,
    /// Another one, which lives.
    Elsewhere,
    /// It is not known.
    Unknown,
}

impl Holder {
    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Holder::Here => "here",
            Holder::Elsewhere => "elsewhere",
            Holder::Unknown => "unknown",
        }
    }
}

/// What came of the last reload of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReload {
    /// When.
    pub at: Timestamp,
    /// Everything that was wrong, a line each; where there is something, the old configuration stayed in force.
    pub mistakes: Vec<String>,
}

impl Health {
    /// Whether the last trial write was good.
    pub fn set_store_writable(&self, writable: bool) {
        self.0.store_writable.store(writable, Ordering::Relaxed);
    }

    /// Whether requests are refused for want of room on the disk.
    pub fn set_disk_full(&self, full: bool) {
        self.0.disk_full.store(full, Ordering::Relaxed);
    }

    /// Whether planning goes on, or has nothing to do; here, or in another process that lives.
    pub fn set_planner_moving(&self, moving: bool) {
        self.0.planner_moving.store(moving, Ordering::Relaxed);
    }

    /// Whether the service is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// The service is about to stop.
    pub fn start_draining(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// The configuration was read again. Whether the service is ready does not depend on what came of it.
    pub fn set_reload(&self, reload: LastReload) {
        *self.0.reload.lock().unwrap_or_else(PoisonError::into_inner) = Some(reload);
    }

    /// What came of the last reload, where there was one.
    #[must_use]
    pub fn reload(&self) -> Option<LastReload> {
        self.0.reload.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who has a duty, where processes share the store.
    pub fn set_duty(&self, duty: &'static str, holder: Holder) {
        self.0.duties.lock().unwrap_or_else(PoisonError::into_inner).insert(duty, holder);
    }

    /// The duties by name, each with who has it; none where the store belongs to this process.
    #[must_use]
    pub fn duties(&self) -> BTreeMap<&'static str, Holder> {
        self.0.duties.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ready, or why not in one word.
    ///
    /// # Errors
    /// With `draining`, `disk`, `store` or `planner`.
    pub fn ready(&self) -> Result<(), &'static str> {
        if self.is_draining() {
            Err("draining")
        } else if self.0.disk_full.load(Ordering::Relaxed) {
            Err("disk")
        } else if !self.0.store_writable.load(Ordering::Relaxed) {
            Err("store")
        } else if !self.0.planner_moving.load(Ordering::Relaxed) {
            Err("planner")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_everything_is_and_says_what_is_not() {
        let health = Health::default();
        assert_eq!(health.ready(), Err("store"));
        health.set_store_writable(true);
        assert_eq!(health.ready(), Err("planner"));
        health.set_planner_moving(true);
        assert_eq!(health.ready(), Ok(()));
        health.set_reload(LastReload { at: Timestamp::UNIX_EPOCH, mistakes: vec!["w.toml:1:1: wrong".to_owned()] });
        assert_eq!(health.ready(), Ok(()), "the old configuration goes on");
        assert_eq!(health.clone().reload().unwrap().mistakes.len(), 1);
        health.set_disk_full(true);
        assert_eq!(health.ready(), Err("disk"));
        health.clone().start_draining();
        assert_eq!(health.ready(), Err("draining"));
    }
}
