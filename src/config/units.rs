//! Quantities with their units: `10s`, `8MiB`.
//!
//! A number alone is not taken: whoever writes `timeout = 10` is as sure of seconds as the next one of milliseconds.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::suggest;
use super::value::{Value, shown};
use crate::dispatch::Rate;

/// Units of time, in milliseconds, from the largest.
const TIMES: Units = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Units of size, in bytes, from the largest. The first four are those that messages use.
const SIZES: Units = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("kB", 1000),
];

/// What a rate is for, in seconds.
const RATES: Units = &[("s", 1), ("m", 60), ("h", 3600)];

/// The highest number of a rate.
const RATE_MAX: u32 = 100_000;

type Units = &'static [(&'static str, u64)];

/// A time within bounds.
pub(super) fn duration(bounds: RangeInclusive<Duration>) -> impl FnOnce(Value<'_>) -> Result<Duration, String> {
    move |value| {
        let (least, most) = (millis(*bounds.start()), millis(*bounds.end()));
        quantity(value, TIMES, "\"10s\" or \"500ms\"", least..=most).map(Duration::from_millis)
    }
}

/// A number of bytes within bounds.
pub(super) fn size(bounds: RangeInclusive<usize>) -> impl FnOnce(Value<'_>) -> Result<usize, String> {
    move |value| {
        let (least, most) = (*bounds.start() as u64, *bounds.end() as u64);
        let size = quantity(value, SIZES, "\"8MiB\" or \"64KiB\"", least..=most)?;
        usize::try_from(size).map_err(|_| format!("{} is more than this machine can count", shown_size(*bounds.end())))
    }
}

/// So many in a second, a minute or an hour.
pub(super) fn rate(value: Value<'_>) -> Result<Rate, String> {
    const EXAMPLE: &str = "\"10/s\" or \"100/m\"";
    if let Some(number) = value.number() {
        return Err(format!("{number} says nothing of the time; write for example {EXAMPLE}"));
    }
    let text = value.text(EXAMPLE)?;
    let per =
        |unit: &str| RATES.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| Duration::from_secs(*seconds));
    let rate = text.split_once('/').and_then(|(count, unit)| Some((count.parse::<u64>().ok()?, per(unit)?)));
    let Some((count, per)) = rate else {
        return Err(format!("{} is not a number for each `s`, `m` or `h`; write for example {EXAMPLE}", shown(text)));
    };
    match u32::try_from(count) {
        Ok(count) if (1..=RATE_MAX).contains(&count) => Ok(Rate { count, per }),
        _ => Err(format!("{} is out of bounds; the number can be from 1 to {RATE_MAX}", shown(text))),
    }
}

/// A time as the configuration writes it.
pub(super) fn shown_duration(time: Duration) -> String {
    written(millis(time), TIMES)
}

/// A number of bytes as the configuration writes it.
pub(super) fn shown_size(bytes: usize) -> String {
    written(bytes as u64, SIZES)
}

fn quantity(value: Value<'_>, units: Units, example: &str, bounds: RangeInclusive<u64>) -> Result<u64, String> {
    let no_unit = |number: &str| format!("{number} has no unit; write for example {example}");
    if let Some(number) = value.number() {
        return Err(no_unit(&number));
    }
    let text = value.text(example)?;
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() || unit.starts_with(['.', ',']) {
        return Err(format!("{} is not a whole number with a unit; write for example {example}", shown(text)));
    }
    if unit.is_empty() {
        return Err(no_unit(&shown(text)));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let names: Vec<_> = units.iter().map(|(name, _)| *name).collect();
        return Err(format!("{} has an unknown unit; {}", shown(text), suggest::instead_of(unit, &names)));
    };
    // What does not fit into the type is out of any bounds.
    let product = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    product.filter(|product| bounds.contains(product)).ok_or_else(|| {
        let (least, most) = (written(*bounds.start(), units), written(*bounds.end(), units));
        format!("{} is out of bounds; it can be from {least} to {most}", shown(text))
    })
}

/// In the largest unit in which it is a whole number.
fn written(quantity: u64, units: Units) -> String {
    let (unit, factor) = units
        .iter()
        .find(|(_, factor)| quantity >= *factor && quantity.is_multiple_of(*factor))
        .or(units.last())
        .unwrap_or(&("", 1));
    format!("{}{unit}", quantity / factor)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::properties;
    use super::*;
    use proptest::prelude::*;
    use toml::de::DeValue;

    #[track_caller]
    fn check_time(text: &str, expected: Result<u64, &str>) {
        let bounds = Duration::from_millis(500)..=Duration::from_secs(7200);
        let expected = expected.map(Duration::from_millis).map_err(str::to_owned);
        assert_eq!(duration(bounds)(Value::Variable(text)), expected, "{text:?}");
    }

    #[track_caller]
    fn check_size(text: &str, expected: Result<usize, &str>) {
        assert_eq!(size(1..=usize::MAX)(Value::Variable(text)), expected.map_err(str::to_owned), "{text:?}");
    }

    #[test]
    fn a_time_is_a_whole_number_with_a_unit_within_bounds() {
        check_time("10s", Ok(10_000));
        check_time("500ms", Ok(500));
        check_time("5m", Ok(300_000));
        check_time("2h", Ok(7_200_000));
        check_time("10", Err(r#""10" has no unit; write for example "10s" or "500ms""#));
        check_time("499ms", Err(r#""499ms" is out of bounds; it can be from 500ms to 2h"#));
        check_time("3h", Err(r#""3h" is out of bounds; it can be from 500ms to 2h"#));
        check_time("30d", Err(r#""30d" is out of bounds; it can be from 500ms to 2h"#));
        check_time(
            "99999999999999999999999d",
            Err(r#""99999999999999999999999d" is out of bounds; it can be from 500ms to 2h"#),
        );
        check_time("5min", Err(r#""5min" has an unknown unit; known are `d`, `h`, `m`, `s` and `ms`"#));
        check_time("5S", Err(r#""5S" has an unknown unit; did you mean `s`?"#));
        for bad in ["", "s", "-5s", " 5s", "1.5s", "1,5s"] {
            let expected = format!(r#""{bad}" is not a whole number with a unit; write for example "10s" or "500ms""#);
            check_time(bad, Err(&expected));
        }
    }

    #[test]
    fn a_size_is_a_whole_number_with_a_unit() {
        check_size("8MiB", Ok(8 << 20));
        check_size("64KiB", Ok(64 << 10));
        check_size("1GiB", Ok(1 << 30));
        check_size("8MB", Ok(8_000_000));
        check_size("1kB", Ok(1000));
        check_size("4096B", Ok(4096));
        check_size("4096", Err(r#""4096" has no unit; write for example "8MiB" or "64KiB""#));
        check_size("8mib", Err(r#""8mib" has an unknown unit; did you mean `MiB`?"#));
    }

    #[test]
    fn a_number_of_the_file_has_no_unit() {
        let no_unit = |text: &str, expected: &str| {
            let parsed = DeValue::parse(text).unwrap();
            let message = duration(Duration::ZERO..=Duration::MAX)(Value::File(parsed.get_ref())).unwrap_err();
            assert_eq!(message, expected);
        };
        no_unit("10", r#"10 has no unit; write for example "10s" or "500ms""#);
        no_unit("1.5", r#"1.5 has no unit; write for example "10s" or "500ms""#);
        no_unit("true", r#"expected a text in quotes, as in "10s" or "500ms", found true or false"#);
    }

    proptest! {
        #[test]
        fn a_text_is_read_as_its_digits_and_its_unit_or_not_at_all(
            digits in "[+-]?[0-9]{0,25}", unit in prop::sample::select(vec!["", "d", "h", "m", "s", "ms", "B", "KiB", "GB", "/s", "/h", " s"]),
        ) {
            properties::quantity(&format!("{digits}{unit}"));
        }

        #[test]
        fn what_is_written_is_read_as_the_same(millis in 0..=u64::from(u32::MAX), bytes in 0..=usize::MAX) {
            let time = Duration::from_millis(millis);
            prop_assert_eq!(duration(Duration::ZERO..=Duration::MAX)(Value::Variable(&shown_duration(time))), Ok(time));
            prop_assert_eq!(size(0..=usize::MAX)(Value::Variable(&shown_size(bytes))), Ok(bytes));
        }
    }
}
