//! Which events: the arguments that lists, exports and others share.

use clap::Args;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, civil};

use crate::admin::api::wire;
use crate::clock::Clock;
use crate::model::{EventOutcome, NameFilter, NameFilterError};

/// Which events; what is not said is not asked for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which events")]
pub(super) struct Filter {
    /// Those of this name, such as Issue.Update, or Issue.* for all of an object.
    #[arg(long, value_name = "EVENT", value_parser = name)]
    pub(super) name: Option<String>,
    /// Those of this webhook.
    #[arg(long, value_name = "NAME")]
    pub(super) webhook: Option<String>,
    /// Those about this entity, by its id and not its number: issue/100, or leiga/tenant:1/issue/100.
    #[arg(long, value_name = "ENTITY")]
    pub(super) entity: Option<String>,
    /// Those in which this person appears, by id, e-mail address or whole name.
    #[arg(long, value_name = "WHO")]
    pub(super) person: Option<String>,
    /// Those in which every one of these words appears: in titles, comments, names.
    #[arg(long, value_name = "WORDS")]
    pub(super) text: Option<String>,
    /// Those received at this time or later: 2h (ago), 2026-11-30, or 2026-11-30T08:00, on this
    /// machine's clock unless it says its zone.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) since: Option<Timestamp>,
    /// Those received before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) until: Option<Timestamp>,
    /// Those that came to this.
    #[arg(long, value_parser = EventOutcome::ALL.map(EventOutcome::as_str))]
    pub(super) outcome: Option<String>,
}

impl Filter {
    /// In the shape of the API.
    pub(super) fn shape(&self) -> wire::EventFilter {
        let Filter { name, webhook, entity, person, text, since, until, outcome } = self.clone();
        wire::EventFilter { name, webhook, entity, person, text, since, until, outcome }
    }

    /// As parameters of the API.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("name", &self.name),
            ("webhook", &self.webhook),
            ("entity", &self.entity),
            ("person", &self.person),
            ("text", &self.text),
            ("outcome", &self.outcome),
        ];
        let times = [("since", self.since), ("until", self.until)];
        let texts = texts.into_iter().filter_map(|(key, text)| Some((key, text.clone()?)));
        texts.chain(times.into_iter().filter_map(|(key, time)| Some((key, time?.to_string())))).collect()
    }
}

/// A name, or every name of an object, as events are stored under them.
pub(super) fn name(text: &str) -> Result<String, String> {
    let filter = text.parse::<NameFilter>();
    filter.map(|filter| filter.to_string()).map_err(|error: NameFilterError| error.to_string())
}

/// A time as somebody writes it: how long ago, a day or a time on this machine's clock, or RFC 3339.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let wrong = || "write 2h or 30m for so long ago, a day as 2026-11-30, or 2026-11-30T08:00:00Z".to_owned();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(local) = text.parse::<civil::DateTime>() {
        return local.to_zoned(TimeZone::system()).map(|zoned| zoned.timestamp()).map_err(|_| wrong());
    }
    let ago = text.parse::<Span>().ok().filter(|span| span.is_positive()).ok_or_else(wrong)?;
    let now = Clock::system().now().to_zoned(TimeZone::system());
    now.checked_sub(ago).map(|zoned| zoned.timestamp()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_so_long_ago_a_day_or_a_point() {
        let now = Clock::system().now().as_second();
        for (text, seconds) in [("2h", 7200), ("30m", 1800), ("90s", 90), ("1h 30m", 5400)] {
            let ago = now - time(text).unwrap().as_second();
            assert!((seconds - 5..=seconds + 5).contains(&ago), "{text}: {ago}");
        }
        let days = now - time("2d").unwrap().as_second();
        assert!((2 * 86_400 - 3700..=2 * 86_400 + 3700).contains(&days), "{days}");
        assert_eq!(time("2026-11-30T08:00:00Z").unwrap().to_string(), "2026-11-30T08:00:00Z");
        assert_eq!(time("2026-11-30T08:00:00+02:00").unwrap().to_string(), "2026-11-30T06:00:00Z");
        let day = time("2026-11-30").unwrap().to_zoned(TimeZone::system());
        assert_eq!((day.date(), day.hour()), (civil::date(2026, 11, 30), 0));
        let local = time("2026-11-30T08:00:00").unwrap().to_zoned(TimeZone::system());
        assert_eq!(
            (local.date(), local.hour()),
            (civil::date(2026, 11, 30), 8),
            "a time without a zone is this machine's"
        );
        for bad in ["", "2", "h", "-2h", "yesterday", "2026-13-01"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_filter_asks_the_api_for_what_was_said_and_for_nothing_else() {
        let said = Filter {
            name: Some("Issue.*".to_owned()),
            webhook: None,
            entity: None,
            person: Some("Bob".to_owned()),
            text: None,
            since: time("2026-11-30T08:00:00Z").ok(),
            until: None,
            outcome: Some("dead".to_owned()),
        };
        let query = said.query();
        let told: Vec<_> = query.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(told, ["name=Issue.*", "person=Bob", "outcome=dead", "since=2026-11-30T08:00:00Z"]);
    }
}
