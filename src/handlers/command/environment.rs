//! The variables that a program gets. They are ours by name; what comes from outside is in values only.

use thiserror::Error;

use super::PATH;
use crate::handlers::trace;
use crate::model::Claimed;

/// The longest value that comes from outside, in bytes. A longer one is left out: too many of them start no program.
const VALUE_MAX: usize = 4096;
/// What the variables begin with that tell one delivery from another.
const OWN: &str = "WORKHOOK_";
/// The one of them that has a name of its own.
const TRACE: &str = "TRACEPARENT";

/// Why a variable cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// It is no name.
    #[error("is not the name of a variable; use A-Z a-z 0-9 and _, and do not begin with a digit")]
    NotAName,
    /// Each delivery has its own.
    #[error("cannot be set, since each delivery has its own; take it out")]
    Reserved,
}

/// Whether a variable of this name can be set beside those that each delivery has.
///
/// # Errors
/// When it cannot.
pub fn is_settable(name: &str) -> Result<(), NameError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.bytes().all(allowed) {
        return Err(NameError::NotAName);
    }
    if name.starts_with(OWN) || name == TRACE {
        return Err(NameError::Reserved);
    }
    Ok(())
}

/// The variables of a delivery. Of the service's own environment there is nothing in it.
pub(super) fn of(delivery: &Claimed) -> impl Iterator<Item = (&'static str, String)> {
    let event = &delivery.event;
    let variables = [
        ("PATH", Some(PATH.to_owned())),
        ("LANG", Some("C.UTF-8".to_owned())),
        ("WORKHOOK_EVENT", Some(event.name.to_string())),
        ("WORKHOOK_EVENT_ID", Some(event.id.to_string())),
        ("WORKHOOK_HANDLER", Some(delivery.handler.to_string())),
        ("WORKHOOK_ATTEMPT", Some(delivery.attempt.to_string())),
        ("WORKHOOK_IDEMPOTENCY_KEY", Some(delivery.idempotency_key().as_str().to_owned())),
        ("WORKHOOK_REPLAY", Some(u8::from(delivery.number > 0).to_string())),
        ("WORKHOOK_WEBHOOK", Some(event.webhook.clone())),
        ("WORKHOOK_BRAND", Some(event.brand.slug().to_owned())),
        ("WORKHOOK_ENTITY", event.entity.as_ref().map(|entity| entity.as_str().to_owned())),
        (TRACE, Some(trace::parent(delivery))),
    ];
    let fits = |value: &String| value.len() <= VALUE_MAX && !value.contains('\0');
    variables.into_iter().filter_map(move |(name, value)| Some((name, value.filter(fits)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_can_be_set_unless_each_delivery_has_its_own() {
        let check = |name: &str, expected: Result<(), NameError>| assert_eq!(is_settable(name), expected, "{name:?}");
        for good in ["CRM_KEY", "PATH", "HOME", "_", "a1"] {
            check(good, Ok(()));
        }
        for bad in ["", "1A", "A B", "A=B", "A-B", "Ä", "A\0"] {
            check(bad, Err(NameError::NotAName));
        }
        for reserved in ["WORKHOOK_EVENT", "WORKHOOK_ANYTHING", "TRACEPARENT"] {
            check(reserved, Err(NameError::Reserved));
        }
    }
}
