//! What `/metrics` tells, read as strictly as it is written.

use std::collections::{BTreeMap, BTreeSet};

use super::{TestApp, exchange};

/// One scrape.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) text: String,
    /// The families in the older form: name to type and help.
    pub(crate) families: BTreeMap<String, (String, String)>,
    pub(crate) samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Scrape {
    /// Reads a scrape in the older form, and fails where something is wrong with it.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Scrape {
        let (mut families, mut samples) = (BTreeMap::<String, (String, String)>::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for line in text.lines() {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                let twice = families.insert(name.to_owned(), (String::new(), help.to_owned()));
                assert!(twice.is_none() && !help.is_empty(), "{line}");
            } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                families.get_mut(name).unwrap_or_else(|| panic!("no help before {line}")).0 = kind.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
                assert!(seen.insert(series.to_owned()), "twice: {line}");
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
                samples.push(Sample {
                    name: name.to_owned(),
                    labels: labels.split(',').filter(|pair| !pair.is_empty()).map(label).collect(),
                    value: value.parse().unwrap_or_else(|_| panic!("no number: {line}")),
                });
            }
        }
        let scrape = Scrape { text: text.to_owned(), families, samples };
        for sample in &scrape.samples {
            let (family, kind) = scrape.family(sample);
            assert!(family.starts_with("workhook_"), "{family}");
            assert_eq!(kind == "counter", family.ends_with("_total"), "{family}");
        }
        scrape
    }

    /// The family of a sample, and its type.
    #[track_caller]
    pub(crate) fn family(&self, sample: &Sample) -> (&str, &str) {
        let parts = ["", "_bucket", "_sum", "_count"];
        let mut names = parts.iter().filter_map(|part| sample.name.strip_suffix(part));
        let found = names.find_map(|name| self.families.get_key_value(name));
        let (name, (kind, _)) = found.unwrap_or_else(|| panic!("{} has no type", sample.name));
        (name, kind)
    }

    /// The sum of all samples of this name that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|own| own == value))
        };
        self.samples.iter().filter(has).map(|sample| sample.value).sum()
    }

    /// Whether there is a sample of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|sample| sample.name == name)
    }
}

/// How many connections the public door has at the moment.
pub(crate) async fn open_connections(app: &TestApp) -> f64 {
    let answer = exchange(app.private, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    Scrape::read(&answer.body).sum("workhook_connections", &[])
}

#[track_caller]
fn label(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("no label: {pair}"));
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    (name.to_owned(), value.unwrap_or_else(|| panic!("no quotes: {pair}")).to_owned())
}
