//! `[store]`: where everything is kept.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;
use super::units::{duration, shown_duration, shown_size, size};
use super::value::{Value, shown};
use crate::store::Config;

/// How long events can be kept.
const RETENTION: RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(3650 * 24 * 3600);
/// How large the database can be made to stay.
const MAX_SIZE: RangeInclusive<usize> = 64 << 20..=1 << 50;
/// How much room can be asked to stay.
const MIN_FREE: RangeInclusive<usize> = 0..=1 << 40;
const EXAMPLE: &str = "\"sqlite:workhook-data/workhook.db\"";

pub(super) fn read(section: &mut Section<'_, '_>) -> Config {
    let mut config = Config::default();
    let default = format!("sqlite:{}", config.path.display());
    section.set("url", &mut config.path, url);
    section.shown("url", default);
    if let Some(retention) = section.take("retention", or_off(duration(RETENTION))) {
        config.set_retention(retention);
    }
    section.shown("retention", Config::default().retention.map_or_else(|| "off".to_owned(), shown_duration));
    section.set("max_size", &mut config.max_size, or_off(bytes(MAX_SIZE)));
    section.set("min_free", &mut config.min_free, bytes(MIN_FREE));
    section.shown("min_free", shown_bytes(Config::default().min_free));
    config
}

/// What `"off"` turns off.
fn or_off<T>(read: impl FnOnce(Value<'_>) -> Result<T, String>) -> impl FnOnce(Value<'_>) -> Result<Option<T>, String> {
    |value| if value.text("").is_ok_and(|text| text == "off") { Ok(None) } else { read(value).map(Some) }
}

fn bytes(bounds: RangeInclusive<usize>) -> impl FnOnce(Value<'_>) -> Result<u64, String> {
    |value| size(bounds)(value).map(|size| size as u64)
}

fn shown_bytes(bytes: u64) -> String {
    shown_size(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Reads the address of a store. No message repeats more of it than its scheme: there may be a password in it.
fn url(value: Value<'_>) -> Result<PathBuf, String> {
    let text = value.text(EXAMPLE)?;
    let Some((scheme, path)) = text.split_once(':') else {
        return Err(format!("does not say what kind of store it is; write sqlite:PATH, as in {EXAMPLE}"));
    };
    match scheme {
        "sqlite" if path.starts_with("//") => {
            Err("two slashes can be meant in two ways; write \"sqlite:data/workhook.db\" \
            for a path from the working folder, \"sqlite:/data/workhook.db\" for one from the root"
                .to_owned())
        }
        "sqlite" if path.is_empty() || path.ends_with('/') || path.starts_with(':') || path.contains('\0') => {
            Err(format!("has to end in the name of a file; write for example {EXAMPLE}"))
        }
        "sqlite" => Ok(PathBuf::from(path)),
        "postgres" | "postgresql" => {
            Err(format!("PostgreSQL is not in this version; write sqlite:PATH, as in {EXAMPLE}"))
        }
        other => Err(format!("unknown kind of store {}; write sqlite:PATH, as in {EXAMPLE}", shown(other))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::tests::{parse, wrong};

    #[test]
    fn a_store_is_a_file_of_sqlite() {
        let path = |url: &str| parse(&format!("[store]\nurl = {url:?}")).store.path;
        assert_eq!(path("sqlite:a/b.db"), Path::new("a/b.db"));
        assert_eq!(path("sqlite:/data/b.db"), Path::new("/data/b.db"));
    }

    #[test]
    fn an_id_is_remembered_as_long_as_its_event_is_kept_and_a_week_at_the_least() {
        let days = |text: &str| {
            let store = parse(&format!("[store]\nretention = {text:?}")).store;
            let days = |time: Duration| time.as_secs() / (24 * 3600);
            (store.retention.map(days), (store.remember != Duration::MAX).then(|| days(store.remember)))
        };
        assert_eq!(days("90d"), (Some(90), Some(90)));
        assert_eq!(days("48h"), (Some(2), Some(7)));
        assert_eq!(days("off"), (None, None));
    }

    #[test]
    fn bounds_of_the_store_are_times_and_sizes_or_off() {
        let check = |line: &str, expected: &str| assert_eq!(wrong(&format!("[store]\n{line}")), [expected]);
        check(
            "retention = \"never\"",
            "2:13: store.retention: \"never\" is not a whole number with a unit; write for example \"10s\" or \"500ms\"",
        );
        check("retention = \"10m\"", "2:13: store.retention: \"10m\" is out of bounds; it can be from 1h to 3650d");
        check(
            "max_size = \"1MiB\"",
            "2:12: store.max_size: \"1MiB\" is out of bounds; it can be from 64MiB to 1048576GiB",
        );
        check("min_free = 5", "2:12: store.min_free: 5 has no unit; write for example \"8MiB\" or \"64KiB\"");
        let store = parse("[store]\nmax_size = \"20GiB\"\nmin_free = \"0B\"").store;
        assert_eq!((store.max_size, store.min_free), (Some(20 << 30), 0));
        assert_eq!(parse("[store]\nmax_size = \"off\"").store.max_size, None);
    }

    #[test]
    fn another_store_is_refused_without_repeating_its_password() {
        let check = |url: &str, expected: &str| assert_eq!(wrong(&format!("[store]\nurl = {url:?}")), [expected]);
        check(
            "postgres://user:secret@host/db",
            "2:7: store.url: PostgreSQL is not in this version; write sqlite:PATH, as in \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "mysql://user:secret@host/db",
            "2:7: store.url: unknown kind of store \"mysql\"; write sqlite:PATH, as in \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "workhook.db",
            "2:7: store.url: does not say what kind of store it is; write sqlite:PATH, as in \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "sqlite:",
            "2:7: store.url: has to end in the name of a file; write for example \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "sqlite::memory:",
            "2:7: store.url: has to end in the name of a file; write for example \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "sqlite:data/",
            "2:7: store.url: has to end in the name of a file; write for example \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "sqlite://data/workhook.db",
            "2:7: store.url: two slashes can be meant in two ways; write \"sqlite:data/workhook.db\" for \
                a path from the working folder, \"sqlite:/data/workhook.db\" for one from the root",
        );
    }
}
