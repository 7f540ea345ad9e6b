//! Metrics: the registry to which rooms add their own, and the text in which it is told.
//!
//! What always holds: to count or to measure costs a few atomic operations, no lock and no memory. Whoever does it on
//! the way of a request takes the counters out of their family once, at the start.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Metric;

/// What every name begins with.
const PREFIX: &str = "workhook";

/// What tells the members of a family apart: names and values. No value comes from what was sent.
pub type Labels = Vec<(&'static str, String)>;

/// A gauge of seconds, or of whatever has fractions.
pub type Fraction = Gauge<f64, AtomicU64>;

/// Bounds for what the sender waits for.
pub const SHORT: &[Duration] = &[
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_000),
    Duration::from_millis(2_500),
];

/// Bounds for what may take as long as a handler is given.
pub const LONG: &[Duration] = &[
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// All metrics of the process, or those of one scrape.
#[derive(Debug)]
pub struct Registry(prometheus_client::registry::Registry);

impl Default for Registry {
    fn default() -> Registry {
        Registry(prometheus_client::registry::Registry::with_prefix(PREFIX))
    }
}

impl Registry {
    /// Adds a metric. Its name gets the prefix, and where it counts, `_total`; its help gets a full stop.
    pub fn add(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.0.register(name, help, metric);
    }

    /// Adds a gauge that is asked for its value when somebody looks.
    pub fn ask(&mut self, name: &str, help: &str, value: impl Fn() -> f64 + Send + Sync + 'static) {
        self.add(name, help, Asked(Box::new(value)));
    }

    /// Adds a family and gives it back.
    pub fn family<M>(&mut self, name: &str, help: &str) -> Family<Labels, M>
    where
        M: EncodeMetric + TypedMetric + Default + fmt::Debug + Send + Sync + 'static,
    {
        let family = Family::default();
        self.add(name, help, family.clone());
        family
    }

    /// Adds a counter and gives it back.
    pub fn counter(&mut self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.add(name, help, counter.clone());
        counter
    }

    /// All metrics in the text of `OpenMetrics`, with its last line.
    #[must_use]
    pub fn open_metrics(&self) -> String {
        let mut text = String::new();
        // Only what writes to the text can fail, and a text takes everything.
        let _ = text::encode(&mut text, &self.0);
        text
    }
}

/// The text of `OpenMetrics` in the older form of Prometheus, in which a counter is known by its whole name.
#[must_use]
pub fn classic(open_metrics: &str) -> String {
    let types = open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"));
    let counters: HashSet<&str> = types.collect();
    let mut classic = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let meta = ["# HELP ", "# TYPE "].iter().find_map(|word| Some((word, line.strip_prefix(word)?)));
        match meta.and_then(|(word, rest)| Some((word, rest.split_once(' ')?))) {
            Some((word, (name, rest))) => {
                let total = if counters.contains(name) { "_total" } else { "" };
                classic.extend([word, name, total, " ", rest, "\n"]);
            }
            None if line.starts_with('#') => {}
            None => classic.extend([line, "\n"]),
        }
    }
    classic
}

/// How often something lay below each of some bounds, and the sum. Copies share it.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: Vec<u64>,
    /// One more than there are bounds, for what is above them all.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
    /// How many of the numbers above are one of the unit that is told.
    unit: f64,
}

impl Histogram {
    /// One of times, told in seconds.
    #[must_use]
    pub fn of_times(bounds: &[Duration]) -> Histogram {
        Histogram::new(bounds.iter().map(|bound| nanos(*bound)).collect(), 1e9)
    }

    /// One of numbers.
    #[must_use]
    pub fn of_numbers(bounds: &[u64]) -> Histogram {
        Histogram::new(bounds.to_vec(), 1.0)
    }

    fn new(bounds: Vec<u64>, unit: f64) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::default()).collect();
        Histogram(Arc::new(Buckets { bounds, counts, sum: AtomicU64::default(), unit }))
    }

    /// Something took so long.
    pub fn took(&self, time: Duration) {
        self.had(nanos(time));
    }

    /// Something had so many.
    pub fn had(&self, number: u64) {
        let Buckets { bounds, counts, sum, .. } = &*self.0;
        let bucket = bounds.iter().position(|bound| number <= *bound).unwrap_or(bounds.len());
        counts[bucket].fetch_add(1, Ordering::Relaxed);
        sum.fetch_add(number, Ordering::Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float, and nobody sees the 53rd bit of it")]
impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        let Buckets { bounds, counts, sum, unit } = &*self.0;
        let told = bounds.iter().map(|bound| *bound as f64 / unit).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = told.zip(counts.iter().map(|count| count.load(Ordering::Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum.load(Ordering::Relaxed) as f64 / unit, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

/// A gauge that is asked for its value.
struct Asked(Box<dyn Fn() -> f64 + Send + Sync>);

impl EncodeMetric for Asked {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        encoder.encode_gauge(&(self.0)())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_what_lies_at_or_below_each_bound_and_tells_seconds() {
        let mut registry = Registry::default();
        let times = Histogram::of_times(&[Duration::from_millis(1), Duration::from_millis(500)]);
        registry.add("commit_seconds", "How long", times.clone());
        for millis in [1, 2, 500, 501] {
            times.took(Duration::from_millis(millis));
        }
        let text = registry.open_metrics();
        for line in [
            r#"workhook_commit_seconds_bucket{le="0.001"} 1"#,
            r#"workhook_commit_seconds_bucket{le="0.5"} 3"#,
            r#"workhook_commit_seconds_bucket{le="+Inf"} 4"#,
            "workhook_commit_seconds_count 4",
            "workhook_commit_seconds_sum 1.004",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
    }

    #[test]
    fn the_older_form_knows_a_counter_by_its_whole_name() {
        let mut registry = Registry::default();
        registry.counter("requests", "Requests").inc();
        registry.ask("waiting", "Requests that wait", || 2.5);
        assert_eq!(
            classic(&registry.open_metrics()),
            "# HELP workhook_requests_total Requests.\n# TYPE workhook_requests_total counter\n\
             workhook_requests_total 1\n# HELP workhook_waiting Requests that wait.\n\
             # TYPE workhook_waiting gauge\nworkhook_waiting 2.5\n"
        );
        assert!(registry.open_metrics().ends_with("# EOF\n"));
    }
}
