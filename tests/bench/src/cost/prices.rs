//! What AWS asks, in one table.

use super::meter::Usage;

/// List prices in us-east-1, without free tiers, in dollars; of November 2026.
pub(super) const US_EAST_1: Prices = Prices {
    million_api_requests: 1.00,
    million_sqs_requests: 0.40,
    million_write_units: 0.625,
    million_read_units: 0.125,
    million_schedules: 1.00,
    million_invocations: 0.20,
    gigabyte_second: 0.000_013_333_4,
};

/// Prices of what Hookline uses.
pub(super) struct Prices {
    /// HTTP API, a request of up to 512 KB.
    million_api_requests: f64,
    /// SQS standard, a request of up to 64 KB.
    million_sqs_requests: f64,
    /// DynamoDB on demand, up to 1 KB written.
    million_write_units: f64,
    /// DynamoDB on demand, up to 4 KB read consistently.
    million_read_units: f64,
    /// EventBridge Scheduler, a schedule that fires.
    million_schedules: f64,
    /// Lambda, an invocation.
    million_invocations: f64,
    /// Lambda on arm64, its memory for a time.
    gigabyte_second: f64,
}

/// A service and what it asks.
pub(super) type Line = (&'static str, f64);

impl Prices {
    /// What `usage` costs, by service, in dollars.
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
            ("invoked", million(invocations as f64, self.million_invocations)),
            ("running", gigabyte_seconds * self.gigabyte_second),
        ]
    }
}
