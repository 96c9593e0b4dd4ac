//! Latencies, counted into a histogram of three significant digits: every one of them, none sampled.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The finest difference that is kept, in nanoseconds.
const FINEST_NS: u64 = 100;
/// The longest that is kept; what is longer counts as this.
const LONGEST_NS: u64 = 3600 * 1_000_000_000;
/// Steps of the printed distribution between two halvings of what is left, as HdrHistogram's own tools print it.
const STEPS_PER_HALVING: u32 = 5;
const NS_PER_US: f64 = 1000.0;

/// All latencies of a run.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Latency {
    pub(crate) fn new() -> Latency {
        // The bounds are constants in order, so there is nothing that could be refused.
        Latency(Histogram::new_with_bounds(FINEST_NS, LONGEST_NS, 3).expect("the bounds are in order"))
    }

    #[inline]
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_nanos() as u64);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency in microseconds that this share (0 to 1) did not exceed.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / NS_PER_US
    }

    /// The longest, in microseconds.
    pub fn max_us(&self) -> f64 {
        self.0.max() as f64 / NS_PER_US
    }

    /// The figures that go into every report, by their names.
    pub(crate) fn figures(&self) -> [(&'static str, f64); 5] {
        [
            ("latency_count", self.count() as f64),
            ("latency_p50_us", self.quantile_us(0.5)),
            ("latency_p99_us", self.quantile_us(0.99)),
            ("latency_p999_us", self.quantile_us(0.999)),
            ("latency_max_us", self.max_us()),
        ]
    }

    /// The whole distribution in microseconds, in the text form of HdrHistogram (`.hgrm`), which its plotter reads.
    pub fn to_hgrm(&self) -> String {
        let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
        let mut total = 0;
        for step in self.0.iter_quantiles(STEPS_PER_HALVING) {
            total += step.count_since_last_iteration();
            let (value, quantile) =
                (step.value_iterated_to() as f64 / NS_PER_US, step.quantile_iterated_to());
            let _ = write!(text, "{value:12.3} {quantile:2.12} {total:10}");
            let _ = match quantile < 1.0 {
                true => writeln!(text, " {:14.2}", 1.0 / (1.0 - quantile)),
                false => writeln!(text, " {:>14}", "inf"),
            };
        }
        let (mean, deviation) = (self.0.mean() / NS_PER_US, self.0.stdev() / NS_PER_US);
        let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
        let _ = writeln!(text, "#[Max     = {:12.3}, Total count    = {:12}]", self.max_us(), self.count());
        let buckets = self.0.buckets();
        let _ = writeln!(text, "#[Buckets = {buckets:12}, SubBuckets     = {:12}]", 2048);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_the_printed_distribution_agree() {
        let mut latency = Latency::new();
        (1..=1000).for_each(|us| latency.record(Duration::from_micros(us)));
        assert_eq!(latency.count(), 1000);
        for (quantile, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            assert!((latency.quantile_us(quantile) / expected - 1.0).abs() < 0.002, "{quantile}");
        }
        let text = latency.to_hgrm();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
        let half = lines.iter().find(|line| line.get(1) == Some(&"0.500000000000")).unwrap();
        assert_eq!((half[2], half[3]), ("500", "2.00"));
        let last = lines.iter().rfind(|line| line.len() == 4).unwrap();
        assert_eq!(last[1..], ["1.000000000000", "1000", "inf"]);
        assert!(text.contains("Total count    =         1000]"), "{text}");
    }
}
