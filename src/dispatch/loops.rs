//! The loops of the handlers: one for each handler in force.
//!
//! What always holds: there are never two loops of one handler. One that comes back while its old loop still settles
//! attempts gets a new loop when that one has ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::gate::Gates;
use super::lanes::{self, Ends};
use super::notices::Notices;
use super::{Consumer, Consumers, House};
use crate::model::HandlerName;

/// Keeps a loop for each handler in force until it is told to stop, from when the first step of planning was good; it
/// returns when the last loop has ended.
pub(super) async fn run(
    house: House,
    mut consumers: Consumers,
    gates: Gates,
    notices: Notices,
    planned: CancellationToken,
    ends: Ends,
) {
    tokio::select! {
        biased;
        () = planned.cancelled() => {}
        () = ends.stop.cancelled() => return,
    }
    let stop = ends.stop.clone();
    let mut loops = Loops { house, gates, notices, ends, running: BTreeMap::new(), tasks: JoinSet::new() };
    while !stop.is_cancelled() {
        let in_force = Arc::clone(&consumers.borrow_and_update());
        loops.follow(&in_force);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            Ok(()) = consumers.changed() => {}
            Some(ended) = loops.tasks.join_next_with_id() => loops.ended(ended),
        }
    }
    while let Some(ended) = loops.tasks.join_next_with_id().await {
        loops.ended(ended);
    }
}

struct Loops {
    house: House,
    gates: Gates,
    notices: Notices,
    ends: Ends,
    running: BTreeMap<HandlerName, Running>,
    tasks: JoinSet<()>,
}

/// A loop that has not ended, though it may have been told to.
struct Running {
    task: Id,
    consumer: watch::Sender<Arc<Consumer>>,
    stop: CancellationToken,
}

impl Loops {
    /// Starts, changes and ends loops, so that they are those of the handlers in force.
    fn follow(&mut self, in_force: &[Consumer]) {
        for (name, running) in &self.running {
            if !in_force.iter().any(|consumer| consumer.name == *name) {
                running.stop.cancel();
            }
        }
        for consumer in in_force {
            match self.running.get(&consumer.name) {
                Some(running) => drop(running.consumer.send_replace(Arc::new(consumer.clone()))),
                None => self.start(consumer),
            }
        }
    }

    fn start(&mut self, consumer: &Consumer) {
        let (sender, receiver) = watch::channel(Arc::new(consumer.clone()));
        let ends = Ends { stop: self.ends.stop.child_token(), cut: self.ends.cut.clone() };
        let stop = ends.stop.clone();
        let (gate, notices) = (self.gates.of(&consumer.name), self.notices.clone());
        let task = self.tasks.spawn(lanes::run(self.house.clone(), receiver, gate, notices, ends)).id();
        self.running.insert(consumer.name.clone(), Running { task, consumer: sender, stop });
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        match ended {
            Ok((task, ())) => {
                for (handler, _) in self.running.extract_if(.., |_, running| running.task == task) {
                    self.house.metrics.rest(&handler);
                }
            }
            // Nothing in these loops panics by design; if one does, the process must not go on without it.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
