//! What AWS bills for a piece of work, and its price. The one table of prices is here: log lines and the bench use it.
//!
//! All numbers are integers, so that the parts of a sum add up to exactly that sum: capacity in thousandths of a unit, time in
//! microseconds, money in picodollars. A million units at a picodollar each are a microdollar.

use std::ops::{Add, AddAssign};

/// What AWS bills for a piece of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// DynamoDB's read units, in thousandths.
    pub read_milliunits: u64,
    /// DynamoDB's write units, in thousandths.
    pub write_milliunits: u64,
    /// The bytes that were sent to receivers.
    pub bytes_sent: u64,
    /// The time of a Lambda function, in microseconds.
    pub lambda_us: u64,
}

impl Usage {
    /// Nothing.
    pub const NONE: Self = Self { read_milliunits: 0, write_milliunits: 0, bytes_sent: 0, lambda_us: 0 };

    /// Divides it into `parts` that add up to it. They are equal, except that the first ones are larger by one if it cannot be
    /// divided evenly.
    pub fn divided(self, parts: usize) -> impl Iterator<Item = Self> {
        let count = parts as u64;
        let part = move |whole: u64, index: u64| whole / count + u64::from(index < whole % count);
        (0..count).map(move |index| Self {
            read_milliunits: part(self.read_milliunits, index),
            write_milliunits: part(self.write_milliunits, index),
            bytes_sent: part(self.bytes_sent, index),
            lambda_us: part(self.lambda_us, index),
        })
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            read_milliunits: self.read_milliunits + other.read_milliunits,
            write_milliunits: self.write_milliunits + other.write_milliunits,
            bytes_sent: self.bytes_sent + other.bytes_sent,
            lambda_us: self.lambda_us + other.lambda_us,
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Divides the time of a function among the tasks that it has in hand: each moment is divided equally among those that have not
/// ended. So a task whose receiver is slow pays for the time in which the function only waits for it.
#[derive(Clone, Copy, Debug)]
pub struct TimeShares {
    /// The tasks that have not ended.
    in_hand: u64,
    /// The share of each of them so far.
    share_us: u64,
    /// The time that has been divided: the sum of all shares once no task is in hand.
    divided_us: u64,
}

impl TimeShares {
    /// Begins with `tasks` in hand, at time 0.
    pub fn among(tasks: usize) -> Self {
        Self { in_hand: tasks as u64, share_us: 0, divided_us: 0 }
    }

    /// Ends a task at `now_us`, and returns its share. What cannot be divided evenly is left to the tasks that are still in hand.
    pub fn end(&mut self, now_us: u64) -> u64 {
        let each = now_us.saturating_sub(self.divided_us).checked_div(self.in_hand).unwrap_or_default();
        self.share_us += each;
        self.divided_us += each * self.in_hand;
        self.in_hand = self.in_hand.saturating_sub(1);
        self.share_us
    }

    /// Returns the time that has been divided.
    pub fn divided_us(&self) -> u64 {
        self.divided_us
    }
}

/// The prices of what Hookline uses, in picodollars.
#[derive(Clone, Copy, Debug)]
pub struct Prices {
    /// HTTP API: a request of up to 512 KB.
    pub api_request: u64,
    /// SQS standard queues: a request of up to 64 KB.
    pub sqs_request: u64,
    /// DynamoDB on demand: a write of up to 1 KB.
    pub write_unit: u64,
    /// DynamoDB on demand: a consistent read of up to 4 KB.
    pub read_unit: u64,
    /// EventBridge Scheduler: a schedule that fires.
    pub schedule: u64,
    /// Lambda: an invocation.
    pub invocation: u64,
    /// Lambda on arm64: a gigabyte of memory for a second.
    pub gigabyte_second: u64,
    /// Data transfer out to the internet: a gigabyte (2^30 bytes).
    pub gigabyte_sent: u64,
}

/// The list prices in us-east-1 in November 2026, without free tiers and volume discounts.
pub const US_EAST_1: Prices = Prices {
    api_request: 1_000_000,
    sqs_request: 400_000,
    write_unit: 625_000,
    read_unit: 125_000,
    schedule: 1_000_000,
    invocation: 200_000,
    gigabyte_second: 13_333_400,
    gigabyte_sent: 90_000_000_000,
};

/// A usage and its price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// What was used.
    pub usage: Usage,
    /// Its price.
    pub picodollars: u64,
}

impl Prices {
    /// Returns the cost of `usage` by a function with `memory_mb` of memory, rounded down to whole picodollars.
    pub fn cost(&self, usage: Usage, memory_mb: u32) -> Cost {
        let product = |count: u64, price: u64| u128::from(count) * u128::from(price);
        let megabyte_us = product(usage.lambda_us, u64::from(memory_mb));
        let picodollars = product(usage.read_milliunits, self.read_unit) / 1000
            + product(usage.write_milliunits, self.write_unit) / 1000
            + product(usage.bytes_sent, self.gigabyte_sent) / (1 << 30)
            + megabyte_us * u128::from(self.gigabyte_second) / (1024 * 1_000_000);
        Cost { usage, picodollars: u64::try_from(picodollars).unwrap_or(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_parts_of_a_usage_add_up_to_it(read in 0..1_000_000_u64, sent in 0..1_000_u64, parts in 1..40_usize) {
            let whole = Usage { read_milliunits: read, bytes_sent: sent, ..Usage::NONE };
            let divided: Vec<Usage> = whole.divided(parts).collect();
            prop_assert_eq!(divided.len(), parts);
            prop_assert_eq!(divided.iter().fold(Usage::NONE, |sum, part| sum + *part), whole);
            let reads = || divided.iter().map(|part| part.read_milliunits);
            prop_assert!(reads().max() <= reads().min().map(|least| least + 1));
        }

        #[test]
        fn the_shares_of_the_time_add_up_to_the_end_of_the_last_task(mut ends in prop::collection::vec(0..50_000_000_u64, 1..12)) {
            ends.sort_unstable();
            let mut shares = TimeShares::among(ends.len());
            let sum: u64 = ends.iter().map(|now_us| shares.end(*now_us)).sum();
            prop_assert_eq!(sum, shares.divided_us());
            prop_assert_eq!(Some(&sum), ends.last());
        }
    }

    #[test]
    fn a_slow_task_pays_for_the_time_in_which_it_is_alone() {
        let mut shares = TimeShares::among(3);
        assert_eq!([shares.end(30), shares.end(30), shares.end(1030)], [10, 10, 1010]);
    }

    #[test]
    fn without_tasks_no_time_is_divided() {
        assert_eq!(Usage { read_milliunits: 7, ..Usage::NONE }.divided(0).count(), 0);
        let mut shares = TimeShares::among(0);
        assert_eq!((shares.end(5), shares.divided_us()), (0, 0));
    }

    #[test]
    fn a_cost_is_the_sum_of_the_prices() {
        let none = Usage::NONE;
        let price = |usage| US_EAST_1.cost(usage, 512).picodollars;
        assert_eq!(price(Usage { read_milliunits: 500, ..none }), 62_500, "half a read unit");
        assert_eq!(price(Usage { write_milliunits: 2_000, ..none }), 1_250_000);
        assert_eq!(price(Usage { bytes_sent: 1 << 20, ..none }), 90_000_000_000 / 1024);
        assert_eq!(price(Usage { lambda_us: 1_000_000, ..none }), 13_333_400 / 2, "a second of half a gigabyte");
        let all = Usage { read_milliunits: 500, write_milliunits: 2_000, bytes_sent: 1 << 20, lambda_us: 1_000_000 };
        assert_eq!(price(all), 62_500 + 1_250_000 + 87_890_625 + 6_666_700);
        let most = Usage { read_milliunits: u64::MAX, write_milliunits: u64::MAX, ..none };
        assert_eq!(price(most), u64::MAX, "a sum that does not fit is the largest one");
    }
}
