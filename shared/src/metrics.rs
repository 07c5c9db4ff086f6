//! What is measured: every metric's name, unit and dimensions, and the lines that carry them. A metric is a field of a log
//! line, under one name in the logs, in CloudWatch, on the dashboard and in alarms.
//!
//! | line | is written |
//! |---|---|
//! | [`attempt`] | for each attempt, once it is decided what follows |
//! | [`webhook_disabled`] | for each webhook that Hookline itself disables |
//! | [`throttled`] | where a rate limit puts something off |
//!
//! No id is ever a dimension: each combination of dimensions is charged for.

use crate::{
    delivery::{Attempt, Delivery},
    time::Timestamp,
    webhook::DisabledReason,
};
use serde_json::{Value, json};

/// The namespace of every metric.
pub const NAMESPACE: &str = "Hookline";

/// The target of the lines that carry metrics: written in Lambda whatever the level.
pub const TARGET: &str = "hookline::metrics";

/// The dimension of every metric: the Lambda function, which also tells stacks apart.
pub const FUNCTION_NAME: &str = "function_name";

/// The second dimension of [`FAILURES`].
pub const FAILURE_CLASS: &str = "failure_class";

/// The metric that is also counted by [`FAILURE_CLASS`].
pub const FAILURES: &str = "failures";

/// Every metric and its unit.
pub const METRICS: [(&str, &str); 8] = [
    ("attempts", "Count"),
    ("successes", "Count"),
    (FAILURES, "Count"),
    ("latency_ms", "Milliseconds"), // of an attempt
    ("age_ms", "Milliseconds"),     // of an event when it is delivered
    ("retries", "Count"),           // further attempts placed
    ("webhooks_disabled", "Count"),
    ("throttles", "Count"),
];

/// Tells of an attempt of `delivery`, in which it is recorded, and of when the schedule has the next one.
pub fn attempt(attempt: &Attempt, delivery: &Delivery, next: Option<Timestamp>) {
    let succeeded = attempt.succeeded();
    let ended_ms = attempt.started_at.unix_ms().saturating_add_unsigned(attempt.duration_ms);
    let age = Timestamp::from_unix_ms(ended_ms).since(delivery.delivery.event.made_at());
    tracing::info!(
        target: TARGET,
        attempts = 1,
        successes = u64::from(succeeded),
        failures = u64::from(!succeeded),
        failure_class = failure_class(attempt),
        latency_ms = attempt.duration_ms,
        age_ms = succeeded.then(|| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        retries = u64::from(next.is_some()),
        event_type = delivery.event_type.as_str(),
        status = delivery.status.as_str(),
        status_code = attempt.status_code,
        error = attempt.error,
        next_attempt_at = next.map(tracing::field::display),
        "attempt"
    );
}

/// Tells that a webhook was disabled.
pub fn webhook_disabled(reason: DisabledReason) {
    tracing::warn!(target: TARGET, webhooks_disabled = 1, ?reason, "webhook disabled");
}

/// Tells that a rate limit has put `count` of `what` off.
pub fn throttled(what: &'static str, count: u64) {
    tracing::info!(target: TARGET, throttles = count, what, "throttled");
}

/// Why an attempt failed, in few words of a fixed set: a code of [`crate::endpoint::PostError`], or the family of the status.
fn failure_class(attempt: &Attempt) -> Option<&str> {
    if attempt.succeeded() {
        return None;
    }
    let family = match attempt.status_code {
        Some(..300) => "status_2xx",
        Some(300..400) => "status_3xx",
        Some(400..500) => "status_4xx",
        _ => "status_5xx",
    };
    Some(attempt.error.as_deref().unwrap_or(family))
}

/// The member `_aws` of a line with these fields: which of them are metrics, by the specification of CloudWatch's embedded
/// metric format. None where no field is one.
pub(crate) fn document(fields: &[&str], now: Timestamp) -> Option<Value> {
    let metrics: Vec<_> = METRICS.iter().filter(|(name, _)| fields.contains(name)).map(definition).collect();
    if metrics.is_empty() {
        return None;
    }
    let mut directives = vec![directive(&[FUNCTION_NAME], metrics)];
    if fields.contains(&FAILURE_CLASS) {
        directives.push(directive(&[FUNCTION_NAME, FAILURE_CLASS], vec![definition(&(FAILURES, "Count"))]));
    }
    Some(json!({"Timestamp": now.unix_ms(), "CloudWatchMetrics": directives}))
}

fn directive(dimensions: &[&str], metrics: Vec<Value>) -> Value {
    json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics})
}

fn definition((name, unit): &(&str, &str)) -> Value {
    json!({"Name": name, "Unit": unit})
}
