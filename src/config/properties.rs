//! What holds for any text of a configuration file, and for any quantity in it. For tests and fuzzing only.

use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::time::Duration;

use toml::Value as Toml;

use super::units::{duration, rate, shown_duration, shown_size, size};
use super::value::{Value, whole};
use super::{Config, Env, Place};

/// What a text of the file has in it that is looked for in messages. No message has it of itself.
const MARK: char = '%';
/// The longest sentence on what is wrong, in bytes.
const SENTENCE_MAX: usize = 1500;
/// Where secrets stand in a file, as tables and keys; `*` is any key.
const SECRETS: &[&[&str]] = &[
    &["admin", "token"],
    &["webhook", "tokens"],
    &["handler", "proxy"],
    &["handler", "ca"],
    &["handler", "client_cert"],
    &["handler", "client_key"],
    &["handler", "headers", "*"],
    &["handler", "env", "*"],
];

/// Where there may be one in what stands there.
const CONFIDED: &[&[&str]] = &[&["handler", "command"], &["handler", "url"]];

static ENV: LazyLock<Env> = LazyLock::new(|| [("TOKEN", "a%token")].into_iter().collect());

/// A text is a configuration, or everything that is wrong with it is said, each with a place in it and without a secret.
pub(crate) fn config(text: &str) {
    let parsed = text.strip_prefix('\u{feff}').unwrap_or(text).parse::<toml::Table>().map(Toml::Table);
    let mut texts = Texts::default();
    if let Ok(parsed) = &parsed {
        texts.collect(parsed, &mut Vec::new());
    }
    // A file is read where one is named, and this is about texts. What is no TOML is not read so far.
    if texts.hidden().chain(&texts.plain).any(|text| text.starts_with("file:")) {
        return;
    }
    match Config::parse(Some(("w.toml", text)), &ENV) {
        Ok(config) => {
            assert!(parsed.is_ok(), "what is no TOML is no configuration");
            let shown = format!("{config:?}");
            // What is confided is hidden where it is told, and may be the same as a secret.
            none_in(&shown, texts.secret.iter(), &[&texts.plain[..], &texts.confided].concat());
            assert!(!shown.contains("a%token"));
            none_in(&format!("{:?}", config.settings), texts.hidden(), &texts.plain);
            config.settings.iter().for_each(setting_is_hidden);
        }
        Err(errors) => {
            assert!(!errors.mistakes().is_empty());
            for mistake in errors.mistakes() {
                place_is_inside(&mistake.place, text);
                let said = mistake.to_string();
                assert!(said.len() <= SENTENCE_MAX && !said.contains(char::is_control), "{said:?}");
                assert!(!said.contains("a%token"));
                none_in(&said, texts.hidden(), &texts.plain);
            }
        }
    }
}

fn place_is_inside(place: &Place, text: &str) {
    let Place::At { file, line, column } = place else { panic!("{place:?} is no place in the file") };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let found = line.checked_sub(1).and_then(|line| text.split('\n').nth(line));
    let width = found.unwrap_or_else(|| panic!("there is no line {line}")).chars().count();
    assert!(file == "w.toml" && (1..=width + 1).contains(column), "there is no column {column} in line {line}");
}

fn setting_is_hidden(setting: &super::Setting) {
    let of = |table: &str, key: &str| setting.key.starts_with(table) && setting.key.ends_with(key);
    let hidden = |value: &str| value == "…" || value.starts_with("env:");
    let Some(value) = &setting.value else { return };
    if setting.key == "admin.token" || of("handler.", ".proxy") {
        assert!(hidden(value), "{} shows {value}", setting.key);
    }
    if of("webhook.", ".tokens") {
        let list = value.strip_prefix('[').and_then(|list| list.strip_suffix(']')).expect("it is a list");
        assert!(list.is_empty() || list.split(", ").next().is_some_and(hidden), "{} shows {value}", setting.key);
    }
}

/// The texts of a file, keys included.
#[derive(Default)]
struct Texts {
    secret: Vec<String>,
    confided: Vec<String>,
    plain: Vec<String>,
}

impl Texts {
    fn collect(&mut self, value: &Toml, path: &mut Vec<String>) {
        let stands_at = |places: &[&[&str]]| {
            let at = |place: &[&str]| place.iter().zip(path.iter()).all(|(key, own)| *key == "*" || key == own);
            places.iter().any(|place| place.len() == path.len() && at(place))
        };
        match value {
            Toml::String(text) if stands_at(SECRETS) => self.secret.push(text.clone()),
            Toml::String(text) if stands_at(CONFIDED) => self.confided.push(text.clone()),
            Toml::String(text) => self.plain.push(text.clone()),
            Toml::Array(items) => {
                // Which program it is, is no secret; what it is told may be one.
                let program = items.first().filter(|_| path.last().is_some_and(|key| key == "command"));
                self.plain.extend(program.and_then(Toml::as_str).map(str::to_owned));
                items.iter().for_each(|item| self.collect(item, path));
            }
            Toml::Table(table) => {
                for (key, value) in table {
                    self.plain.push(key.clone());
                    path.push(key.clone());
                    self.collect(value, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    fn hidden(&self) -> impl Iterator<Item = &String> {
        self.secret.iter().chain(&self.confided)
    }
}

/// None of these is in what is said. One that stands elsewhere in the file as well is no secret.
fn none_in<'t>(said: &str, mut hidden: impl Iterator<Item = &'t String>, plain: &[String]) {
    let told = hidden.find(|text| {
        // Where a secret is to be had is none.
        let is_looked_for = text.len() >= 6 && text.contains(MARK) && !text.starts_with("env:");
        is_looked_for && said.contains(text.as_str()) && !plain.iter().any(|plain| plain.contains(text.as_str()))
    });
    assert!(told.is_none(), "{told:?} is said in {said}");
}

/// A quantity is what its digits and its unit come to, and anything else is a sentence; what is written is read again.
pub(crate) fn quantity(text: &str) {
    let times = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let binary = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
    let decimal = [("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1000), ("kB", 1000)];
    let time = said(duration(Duration::ZERO..=Duration::MAX)(Value::Variable(text)));
    assert_eq!(time.map(|time| time.as_millis()), product(text, &times), "{text:?}");
    let bytes = said(size(0..=usize::MAX)(Value::Variable(text)));
    assert_eq!(bytes.map(|bytes| bytes as u128), product(text, &[binary, decimal].concat()), "{text:?}");
    if let Some(time) = time {
        assert_eq!(duration(Duration::ZERO..=Duration::MAX)(Value::Variable(&shown_duration(time))), Ok(time));
        within(Duration::from_secs(1)..=Duration::from_secs(3600), time, |bounds| {
            duration(bounds)(Value::Variable(text))
        });
    }
    if let Some(bytes) = bytes {
        assert_eq!(size(0..=usize::MAX)(Value::Variable(&shown_size(bytes))), Ok(bytes));
        within(1 << 10..=1 << 20, bytes, |bounds| size(bounds)(Value::Variable(text)));
    }
    let per = said(rate(Value::Variable(text)));
    let seconds = [("/s", 1), ("/m", 60), ("/h", 3600)].into_iter().find(|(unit, _)| text.ends_with(unit));
    let count: Option<u64> = seconds.and_then(|(unit, _)| text.strip_suffix(unit)?.parse().ok());
    let naive = count.filter(|count| (1..=100_000).contains(count)).zip(seconds.map(|(_, seconds)| seconds));
    assert_eq!(per.map(|rate| (u64::from(rate.count), rate.per.as_secs())), naive, "{text:?}");
    let number = said(whole(1..=1000_u16)(Value::Variable(text)));
    assert_eq!(
        number,
        text.parse::<i128>().ok().filter(|n| (1..=1000).contains(n)).and_then(|n| u16::try_from(n).ok())
    );
}

fn within<T: PartialOrd + Copy>(
    bounds: RangeInclusive<T>,
    value: T,
    read: impl FnOnce(RangeInclusive<T>) -> Result<T, String>,
) {
    let is_inside = bounds.contains(&value);
    assert_eq!(read(bounds).is_ok(), is_inside, "bounds are held");
}

/// What was read, or a sentence of one line.
fn said<T>(read: Result<T, String>) -> Option<T> {
    read.map_err(|said| assert!(said.len() <= SENTENCE_MAX && !said.contains(char::is_control), "{said:?}")).ok()
}

/// Digits with one of these units, as a number that fits.
fn product(text: &str, units: &[(&str, u128)]) -> Option<u128> {
    let read = |(unit, factor): &(&str, u128)| {
        let digits = text.strip_suffix(unit)?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.trim_start_matches('0').is_empty().then_some(0).filter(|_| plain).or_else(|| {
            let number: u128 = digits.parse().ok().filter(|_| plain)?;
            number.checked_mul(*factor).filter(|product| *product <= u128::from(u64::MAX))
        })
    };
    units.iter().find_map(read)
}
