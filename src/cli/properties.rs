//! What holds for any time that somebody writes. For tests and fuzzing only.

use jiff::{Span, Timestamp};

use super::filter;
use crate::clock::Clock;

/// A time is a point, read as it is written, or so long ago; anything else is a sentence.
pub(crate) fn moment(text: &str) {
    let read = filter::time(text);
    let now = Clock::system().now();
    match read {
        Err(said) => assert!(said.len() < 200 && !said.contains(char::is_control)),
        Ok(time) => {
            assert_eq!(filter::time(&time.to_string()), Ok(time), "{text:?}");
            let point = text.parse::<Timestamp>().ok();
            assert!(point.is_none_or(|point| point == time), "{text:?}");
            let is_ago = text.parse::<Span>().is_ok();
            assert!(!is_ago || time <= now, "{text:?} ago is {time}");
        }
    }
}
