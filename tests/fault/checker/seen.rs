//! A history, sorted by what it is about.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Delivery, Did, Entry, Record, Told};

/// A history, sorted.
#[derive(Debug, Default)]
pub(super) struct Seen<'a> {
    pub(super) requests: BTreeMap<u64, Request<'a>>,
    /// Each id that was sent, with its entity and when it first was.
    pub(super) sent: BTreeMap<&'a str, (u64, u64)>,
    /// Each id that was acknowledged, with when that first was.
    pub(super) acknowledged: BTreeMap<&'a str, u64>,
    pub(super) stored: Vec<Stored<'a>>,
    /// By handler and position.
    pub(super) deliveries: BTreeMap<(&'a str, i64), Vec<&'a Delivery>>,
    /// By handler and the event's id, in the order in which they began.
    attempts: BTreeMap<&'a str, BTreeMap<&'a str, Vec<Attempt>>>,
    /// Where the attempt of a serial number is.
    serials: BTreeMap<u64, (&'a str, &'a str, usize)>,
    /// The id of the event at a position.
    ids: BTreeMap<i64, &'a str>,
    /// How long an attempt may take.
    timeout_us: u64,
    /// What was done to which process, in order.
    did: Vec<(u64, u32, Did)>,
}

/// A request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) id: &'a str,
    pub(super) sent_us: u64,
    pub(super) over: Option<Over>,
}

/// How a request ended.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) at_us: u64,
    pub(super) took_ms: u64,
    /// Status and `errcode`.
    pub(super) answer: Option<(u16, Option<i64>)>,
}

/// An event of the store.
#[derive(Debug)]
pub(super) struct Stored<'a> {
    pub(super) position: i64,
    pub(super) id: Option<&'a str>,
    pub(super) webhook_id: &'a str,
}

/// An attempt as the far end saw it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) number: u32,
    /// Which process made it.
    pub(super) replica: u32,
    pub(super) began_us: u64,
    pub(super) ended: Option<(u64, Told)>,
}

impl Attempt {
    /// When the far end took the event.
    pub(super) fn taken_us(&self) -> Option<u64> {
        self.ended.filter(|(_, told)| told.is_taken()).map(|(at_us, _)| at_us)
    }

    /// Whether it was still under way then: begun, not ended by the far end, and far from its time-out, which runs from
    /// when the service began it.
    fn is_under_way(&self, at_us: u64, timeout_us: u64) -> bool {
        let Some((ended_us, told)) = self.ended else { return false };
        self.began_us < at_us && at_us < ended_us.min(self.began_us + timeout_us / 2) && !told.hangs()
    }
}

impl<'a> Seen<'a> {
    pub(super) fn of(history: &'a [Entry], timeout_ms: u64) -> Seen<'a> {
        let mut seen = Seen { timeout_us: timeout_ms * 1000, ..Seen::default() };
        for Entry { at_us, record } in history {
            seen.add(*at_us, record);
        }
        seen
    }

    fn add(&mut self, at_us: u64, record: &'a Record) {
        match record {
            Record::Sent { request, id, entity, .. } => {
                self.requests.insert(*request, Request { id, sent_us: at_us, over: None });
                self.sent.entry(id).or_insert((*entity, at_us));
            }
            Record::Answered { request, status, errcode, took_ms } => {
                let answer = Some((*status, *errcode));
                let id = self.over(*request, Over { at_us, took_ms: *took_ms, answer });
                if let (Some(id), Some((200, Some(0)))) = (id, answer) {
                    self.acknowledged.entry(id).or_insert(at_us);
                }
            }
            Record::Unanswered { request, took_ms } => {
                self.over(*request, Over { at_us, took_ms: *took_ms, answer: None });
            }
            Record::AttemptBegan { serial, handler, id, attempt, replica } => {
                let attempts = self.attempts.entry(handler).or_default().entry(id).or_default();
                self.serials.insert(*serial, (handler, id, attempts.len()));
                attempts.push(Attempt { number: *attempt, replica: *replica, began_us: at_us, ended: None });
            }
            Record::AttemptEnded { serial, told } => {
                if let Some((handler, id, nth)) = self.serials.get(serial)
                    && let Some(attempts) = self.attempts.get_mut(handler).and_then(|events| events.get_mut(id))
                {
                    attempts[*nth].ended = Some((at_us, *told));
                }
            }
            Record::Process { replica, did } => self.did.push((at_us, *replica, *did)),
            Record::Stored { position, id, webhook_id } => {
                self.ids.insert(*position, id.as_deref().unwrap_or_default());
                self.stored.push(Stored { position: *position, id: id.as_deref(), webhook_id });
            }
            Record::Delivery(delivery) => {
                self.deliveries.entry((&delivery.handler, delivery.position)).or_default().push(delivery);
            }
        }
    }

    fn over(&mut self, request: u64, over: Over) -> Option<&'a str> {
        let request = self.requests.get_mut(&request)?;
        request.over = Some(over);
        Some(request.id)
    }

    /// Whether a process could not be expected to answer at some time between these two.
    pub(super) fn was_away(&self, from_us: u64, to_us: u64) -> bool {
        let tells = |did: &Did| !matches!(did, Did::ClockMoved(_) | Did::CutOff | Did::StoreStopped);
        let replicas: BTreeSet<u32> = self.did.iter().map(|(_, replica, _)| *replica).collect();
        let mut away = replicas.iter().map(|replica| {
            let mut own = self.did.iter().filter(|(_, of, did)| of == replica && tells(did));
            let before = own.clone().rev().find(|(at_us, _, _)| *at_us <= from_us);
            let here = before.is_some_and(|(_, _, did)| matches!(did, Did::Started | Did::Resumed | Did::Relieved));
            !here || own.any(|(at_us, _, _)| (from_us..=to_us).contains(at_us))
        });
        replicas.is_empty() || away.any(|away| away)
    }

    /// Whether something was done between these two times by which a process forgets, or its clock goes otherwise.
    pub(super) fn was_disturbed(&self, from_us: u64, to_us: u64) -> bool {
        self.did.iter().any(|(at_us, _, did)| {
            let disturbs = !matches!(did, Did::Held | Did::Resumed | Did::Starved | Did::Relieved);
            disturbs && (from_us..=to_us).contains(at_us)
        })
    }

    /// Whether at a time an attempt was under way in the process that made it.
    pub(super) fn is_under_way(&self, attempt: &Attempt, at_us: u64) -> bool {
        let ended = |did: &Did| matches!(did, Did::Killed | Did::Ended(_));
        let mut own = self
            .did
            .iter()
            .filter(|(did_us, replica, _)| *replica == attempt.replica && (attempt.began_us..=at_us).contains(did_us));
        attempt.is_under_way(at_us, self.timeout_us) && !own.any(|(_, _, did)| ended(did))
    }

    /// How often what the far end had taken was taken again by it.
    pub(super) fn taken_again(&self, handler: &str) -> usize {
        let events = self.attempts.get(handler).into_iter().flat_map(BTreeMap::values);
        events.map(|attempts| attempts.iter().filter_map(Attempt::taken_us).count().saturating_sub(1)).sum()
    }

    /// How many processes lost what they had under way, or could not keep what came of it.
    pub(super) fn losses(&self) -> usize {
        let loses = |did: &Did| matches!(did, Did::Killed | Did::CutOff | Did::StoreStopped);
        self.did.iter().filter(|(_, _, did)| loses(did)).count()
    }

    /// The attempts at an event, as they began.
    pub(super) fn attempts(&self, handler: &str, id: &str) -> &[Attempt] {
        self.attempts.get(handler).and_then(|events| events.get(id)).map_or(&[], Vec::as_slice)
    }

    /// The attempts of a delivery.
    pub(super) fn attempts_of(&self, delivery: &Delivery) -> impl Iterator<Item = &Attempt> {
        let id = self.ids.get(&delivery.position).copied().unwrap_or_default();
        self.attempts(&delivery.handler, id).iter()
    }

    /// When an event was first sent.
    pub(super) fn first_sent_us(&self, id: &str) -> Option<u64> {
        self.sent.get(id).map(|(_, at_us)| *at_us)
    }

    /// The entity of an event of the store.
    pub(super) fn entity(&self, stored: &Stored<'_>) -> Option<u64> {
        self.sent.get(stored.id?).map(|(entity, _)| *entity)
    }

    /// Whether an earlier one of its lane is still pending.
    pub(super) fn is_behind_another(&self, delivery: &Delivery) -> bool {
        let entity_at = |position| self.sent.get(self.ids.get(&position)?).map(|(entity, _)| *entity);
        let own = entity_at(delivery.position);
        self.deliveries.values().flatten().any(|other| {
            let before = other.handler == delivery.handler && other.position < delivery.position;
            before && other.state == "pending" && entity_at(other.position) == own
        })
    }
}
