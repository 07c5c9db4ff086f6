//! How long answers took.

use std::time::Duration;

/// The times of all answers. Some bytes for each request, of which there are at most a million.
#[derive(Debug, Default)]
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Adds the time of one answer.
    pub(super) fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// The time within which `percent` of the answers came, in milliseconds; `None` without answers.
    pub(super) fn percentile_ms(&mut self, percent: usize) -> Option<u64> {
        self.0.sort_unstable();
        let rank = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        let took = self.0.get(rank)?;
        u64::try_from(took.as_millis()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile_ms(50), None);
        for ms in (1..=200).rev() {
            latencies.add(Duration::from_millis(ms));
        }
        assert_eq!([50, 99, 100].map(|percent| latencies.percentile_ms(percent)), [Some(100), Some(198), Some(200)]);
    }
}
