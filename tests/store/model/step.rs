//! What can happen in a course of events.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::Index;
use workhook::model::NewDelivery;

use crate::bench::to;

pub(super) const HANDLERS: [&str; 2] = ["crm", "log"];

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Append(Kind),
    Plan { limit: usize },
    Claim { handler: usize, limit: usize },
    Settle { claim: Index, next: Next },
    Release { claim: Index },
    Retry { delivery: Index },
    Cancel { delivery: Index },
    Pause { handler: usize, paused: bool },
    Wait { seconds: i64 },
    Restart { untidy: bool },
}

/// What an event is planned as.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// In the lane of this number at one handler, in none at the other.
    Lane(usize),
    /// In the lane of this number at both.
    BothInLane(usize),
    /// Dead from the start at one.
    Dead(usize),
    Nowhere,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    Delivered,
    RetryIn(i64),
    WaitFor(i64),
    Dead,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => (0..3_usize).prop_map(Kind::Lane),
        2 => (0..3_usize).prop_map(Kind::BothInLane),
        1 => (0..3_usize).prop_map(Kind::Dead),
        1 => Just(Kind::Nowhere),
    ];
    let next = prop_oneof![
        3 => Just(Next::Delivered),
        2 => (0..100_i64).prop_map(Next::RetryIn),
        1 => (0..100_i64).prop_map(Next::WaitFor),
        1 => Just(Next::Dead),
    ];
    prop_oneof![
        6 => kind.prop_map(Step::Append),
        3 => (1..5_usize).prop_map(|limit| Step::Plan { limit }),
        5 => (0..2_usize, 1..5_usize).prop_map(|(handler, limit)| Step::Claim { handler, limit }),
        5 => (any::<Index>(), next).prop_map(|(claim, next)| Step::Settle { claim, next }),
        1 => any::<Index>().prop_map(|claim| Step::Release { claim }),
        2 => any::<Index>().prop_map(|delivery| Step::Retry { delivery }),
        2 => any::<Index>().prop_map(|delivery| Step::Cancel { delivery }),
        1 => (0..2_usize, any::<bool>()).prop_map(|(handler, paused)| Step::Pause { handler, paused }),
        2 => (1..100_i64).prop_map(|seconds| Step::Wait { seconds }),
        1 => any::<bool>().prop_map(|untidy| Step::Restart { untidy }),
    ]
}

impl Kind {
    /// What it is planned as.
    pub(super) fn deliveries(self) -> Vec<NewDelivery> {
        let lane = |number: usize| Some(["a", "b", "c"][number]);
        match self {
            Kind::Lane(number) => vec![to("crm", lane(number)), to("log", None)],
            Kind::BothInLane(number) => vec![to("crm", lane(number)), to("log", lane(number))],
            Kind::Dead(number) => {
                vec![NewDelivery { dead: Some("no".to_owned()), ..to("crm", lane(number)) }, to("log", lane(number))]
            }
            Kind::Nowhere => Vec::new(),
        }
    }
}
