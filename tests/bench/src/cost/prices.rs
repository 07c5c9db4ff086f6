//! What a usage costs, by the table of prices in [`domain::cost`].

use super::meter::Usage;
use domain::cost::US_EAST_1;

/// A service, and its cost in dollars.
pub(super) type Line = (&'static str, f64);

/// Returns the cost of `usage` by service, at list prices.
pub(super) fn bill(usage: &Usage) -> Vec<Line> {
    let dollars = |count: f64, picodollars: u64| count * picodollars as f64 / 1e12;
    let invocations: u64 = usage.functions.values().map(|function| function.invocations).sum();
    let gigabyte_seconds: f64 = usage.functions.values().map(|function| function.gigabyte_seconds).sum();
    vec![
        ("HTTP API", dollars(usage.api_requests as f64, US_EAST_1.api_request)),
        ("writes", dollars(usage.write_units, US_EAST_1.write_unit)),
        ("reads", dollars(usage.read_units, US_EAST_1.read_unit)),
        ("SQS", dollars(usage.sqs_requests as f64, US_EAST_1.sqs_request)),
        ("Scheduler", dollars(usage.schedules as f64, US_EAST_1.schedule)),
        ("Lambda requests", dollars(invocations as f64, US_EAST_1.invocation)),
        ("Lambda duration", dollars(gigabyte_seconds, US_EAST_1.gigabyte_second)),
    ]
}
