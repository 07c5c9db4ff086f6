//! The prices of AWS.

use super::meter::Usage;

/// The list prices in us-east-1 in November 2026, in dollars, without free tiers.
pub(super) const US_EAST_1: Prices = Prices {
    million_api_requests: 1.00,
    million_sqs_requests: 0.40,
    million_write_units: 0.625,
    million_read_units: 0.125,
    million_schedules: 1.00,
    million_invocations: 0.20,
    gigabyte_second: 0.000_013_333_4,
};

/// The prices of what Hookline uses, in dollars.
pub(super) struct Prices {
    /// HTTP API: a million requests of up to 512 KB.
    million_api_requests: f64,
    /// SQS standard queues: a million requests of up to 64 KB.
    million_sqs_requests: f64,
    /// DynamoDB on demand: a million writes of up to 1 KB.
    million_write_units: f64,
    /// DynamoDB on demand: a million consistent reads of up to 4 KB.
    million_read_units: f64,
    /// EventBridge Scheduler: a million schedules that fire.
    million_schedules: f64,
    /// Lambda: a million invocations.
    million_invocations: f64,
    /// Lambda on arm64: a gigabyte of memory for a second.
    gigabyte_second: f64,
}

/// A service, and its cost in dollars.
pub(super) type Line = (&'static str, f64);

impl Prices {
    /// Returns the cost of `usage` by service.
    pub(super) fn bill(&self, usage: &Usage) -> Vec<Line> {
        let million = |count: f64, price: f64| count / 1e6 * price;
        let invocations: u64 = usage.functions.values().map(|function| function.invocations).sum();
        let gigabyte_seconds: f64 = usage.functions.values().map(|function| function.gigabyte_seconds).sum();
        vec![
            ("HTTP API", million(usage.api_requests as f64, self.million_api_requests)),
            ("writes", million(usage.write_units, self.million_write_units)),
            ("reads", million(usage.read_units, self.million_read_units)),
            ("SQS", million(usage.sqs_requests as f64, self.million_sqs_requests)),
            ("Scheduler", million(usage.schedules as f64, self.million_schedules)),
            ("Lambda requests", million(invocations as f64, self.million_invocations)),
            ("Lambda duration", gigabyte_seconds * self.gigabyte_second),
        ]
    }
}
