//! The breaker of a handler, as it shows from outside: what is kept of it, and who begins meanwhile.

use jiff::Timestamp;
use workhook::dispatch::Policy;
use workhook::model::{HandlerName, OpenBreaker};

use super::{Judge, ms};

/// What shows of a breaker.
#[derive(Debug, Default)]
pub(super) struct Far {
    /// Since which step it is open, and until when nobody may begin.
    pub(super) open: Option<(u64, i64)>,
    /// The step at which it opened or closed last.
    pub(super) turned: u64,
    /// Whether a probe is under way.
    pub(super) probing: bool,
    /// How many attempts failed in a row that were asked for since it turned.
    pub(super) failures: u32,
    /// Whether its state is on its way to the store, and whether something came of an attempt meanwhile, so that it may
    /// be another than was said.
    keeping: bool,
    unsure: bool,
}

impl Far {
    /// A process begins: what is kept of a breaker still holds, and no failures are remembered.
    pub(super) fn begins(&mut self) {
        (self.probing, self.failures, self.keeping, self.unsure) = (false, 0, false, false);
    }

    /// Something came of an attempt.
    pub(super) fn hears(&mut self) {
        self.unsure |= self.keeping;
    }
}

impl Judge {
    /// Dispatch says how a breaker is, whether or not it can be kept.
    pub(crate) fn breaker(&mut self, handler: &HandlerName, open: Option<&OpenBreaker>, at: i64) {
        self.step += 1;
        let step = self.step;
        let Some(of) = self.handlers.get_mut(handler) else { return };
        let far = &mut of.far;
        let until = open.map(|open| ms(open.until));
        match (&mut far.open, until) {
            (Some((_, known)), Some(until)) => *known = until,
            (None, Some(until)) => (far.open, far.turned, far.probing) = (Some((step, until)), step, false),
            (Some(_), None) => (far.open, far.turned) = (None, step),
            (None, None) => {}
        }
        (far.failures, far.keeping, far.unsure) = (0, true, false);
        let Policy { breaker, .. } = &of.policy;
        let (wanted, latest) = (breaker.failures, at + super::whole_ms(breaker.max) + 1);
        self.hold(open.is_none() || wanted > 0, at, || format!("{handler} has no breaker, and one is kept"));
        let soon = until.is_none_or(|until| until <= latest);
        self.hold(soon, at, || format!("{handler} is probed only at {until:?} ms"));
    }

    /// What was said of a breaker was kept, or could not be.
    pub(crate) fn breaker_told(&mut self, handler: &HandlerName) {
        if let Some(of) = self.handlers.get_mut(handler) {
            of.far.keeping = false;
        }
    }

    /// The process begins with what is kept of a breaker.
    pub(crate) fn breaker_kept(&mut self, handler: &HandlerName, until: Option<Timestamp>) {
        self.step += 1;
        let step = self.step;
        if let Some(of) = self.handlers.get_mut(handler) {
            (of.far.open, of.far.turned) = (until.map(|until| (step, ms(until))), step);
        }
    }

    /// Somebody asks for deliveries, which nobody may after so many failures.
    pub(crate) fn asks(&mut self, handler: &HandlerName, at: i64) -> (u64, usize) {
        self.step += 1;
        let step = self.step;
        let Some(of) = self.handlers.get(handler) else { return (step, 0) };
        let (allowed, failures, places) = (of.policy.breaker.failures, of.far.failures, of.policy.concurrency);
        let opened = allowed == 0 || failures < allowed || of.far.open.is_some() || of.far.unsure;
        self.hold(opened, at, || format!("{handler} failed {failures} times in a row and its breaker is not open"));
        (step, places)
    }

    /// An attempt that was asked for at this step begins; whether it is a probe.
    pub(super) fn passes(&mut self, handler: &HandlerName, asked: u64, at: i64) -> bool {
        let Some(of) = self.handlers.get_mut(handler) else { return false };
        let meant = of.far.open.filter(|(since, _)| asked > *since && !of.far.unsure);
        let Some((since, until)) = meant else { return false };
        let second = std::mem::replace(&mut of.far.probing, true);
        self.done.probes += 1;
        self.hold(!second, at, || format!("{handler} has a second probe, open since step {since}"));
        self.hold(at >= until, at, || format!("{handler} is probed before {until} ms"));
        true
    }
}
