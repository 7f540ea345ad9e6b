//! Who may get an event of the past again.

use super::Route;
use crate::contract::EventName;
use crate::model::{Candidate, HandlerName, NewReplay, ReplayTo, ReplayedEvents};

/// Those of the configured handlers, each with its route and whether it keeps order, that may get an event of this
/// name by a replay. What workhook itself has to say goes to nobody, unless it was asked for by its id or its name. A
/// handler that was named alone and is not configured any more gets it when it returns (ruling 20).
pub fn candidates<'h>(
    asked: &NewReplay,
    name: &EventName,
    handlers: impl IntoIterator<Item = (&'h HandlerName, &'h Route, bool)>,
) -> Vec<Candidate> {
    if name.is_own() && !is_named(&asked.events) {
        return Vec::new();
    }
    let to = &asked.to;
    let may = |handler: &HandlerName, route: &Route| match to {
        ReplayTo::SameHandlers => true,
        ReplayTo::Handler(only) => handler == only,
        ReplayTo::Rematch => route.judge(name).is_ok(),
        ReplayTo::RematchHandler(only) => handler == only && route.judge(name).is_ok(),
    };
    let may = handlers.into_iter().filter(|(handler, route, _)| may(handler, route));
    let mut may: Vec<_> = may.map(|(handler, _, ordered)| Candidate { handler: handler.clone(), ordered }).collect();
    match to {
        ReplayTo::Handler(gone) if may.is_empty() => may.push(Candidate { handler: gone.clone(), ordered: true }),
        _ => {}
    }
    may
}

/// Whether a replay names its events, by an id or by a name.
fn is_named(events: &ReplayedEvents) -> bool {
    match events {
        ReplayedEvents::One(_) => true,
        ReplayedEvents::Filter(filter) => filter.name.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::EventFilter;

    fn asked(filter: EventFilter, to: ReplayTo) -> NewReplay {
        let events = ReplayedEvents::Filter(filter);
        NewReplay { events, to, undelivered: false, per_second: None, at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn what_workhook_itself_has_to_say_is_replayed_only_where_it_is_named() {
        let (crm, all) = (HandlerName::parse("crm").unwrap(), Route::new(vec!["Workhook.*".parse().unwrap()]));
        let notice = EventName::parse("Workhook.DeadLetter").unwrap();
        for to in [ReplayTo::SameHandlers, ReplayTo::Handler(crm.clone()), ReplayTo::Rematch] {
            let found = |filter| candidates(&asked(filter, to.clone()), &notice, [(&crm, &all, true)]).len();
            assert_eq!(found(EventFilter::default()), 0, "{to:?}");
            let named = EventFilter { name: Some("Workhook.*".parse().unwrap()), ..EventFilter::default() };
            assert_eq!(found(named), 1, "{to:?}");
        }
    }

    #[test]
    fn ruling_16_a_replay_asks_the_route_only_where_it_was_told_to() {
        let (crm, audit) = (HandlerName::parse("crm").unwrap(), HandlerName::parse("audit").unwrap());
        let (issues, sprints) = ("Issue.*".parse().unwrap(), "Sprint.*".parse().unwrap());
        let (issues, sprints) = (Route::new(vec![issues]), Route::new(vec![sprints]));
        let check = |to: ReplayTo, expected: &[(&str, bool)]| {
            let handlers = [(&crm, &issues, true), (&audit, &sprints, false)];
            let found = candidates(
                &asked(EventFilter::default(), to.clone()),
                &EventName::parse("Issue.Update").unwrap(),
                handlers,
            );
            let found: Vec<_> = found.iter().map(|found| (found.handler.as_str(), found.ordered)).collect();
            assert_eq!(found, expected, "{to:?}");
        };
        check(ReplayTo::SameHandlers, &[("crm", true), ("audit", false)]);
        check(ReplayTo::Handler(audit.clone()), &[("audit", false)]);
        check(ReplayTo::Rematch, &[("crm", true)]);
        check(ReplayTo::RematchHandler(audit.clone()), &[]);
        check(ReplayTo::RematchHandler(crm.clone()), &[("crm", true)]);
        let gone = HandlerName::parse("gone").unwrap();
        check(ReplayTo::Handler(gone.clone()), &[("gone", true)]);
        check(ReplayTo::RematchHandler(gone), &[]);
    }
}
