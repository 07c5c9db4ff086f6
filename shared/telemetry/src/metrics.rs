//! Metrics: their names, units and dimensions, and the log lines that contain them. A metric is a field of a log line. It has
//! the same name in the logs, in CloudWatch, on the dashboard and in alarms.
//!
//! | line | written |
//! |---|---|
//! | [`attempt`] | for each attempt, once its outcome is decided |
//! | [`webhook_disabled`] | for each webhook that Hookline itself disables |
//! | [`throttled`] | when a rate limit delays or refuses something |
//!
//! No id is ever a dimension, because AWS charges for each combination of dimensions.

use domain::{
    delivery::{Attempt, AttemptError, Delivery},
    time::Timestamp,
    webhook::DisabledReason,
};
use serde_json::{Value, json};

/// The namespace of every metric.
pub const NAMESPACE: &str = "Hookline";

/// The target of the lines that contain metrics. In Lambda they are written at every level.
pub const TARGET: &str = "hookline::metrics";

/// The dimension of every metric: the name of the Lambda function, which also distinguishes stacks.
pub const FUNCTION_NAME: &str = "function_name";

/// The second dimension of [`FAILURES`]: why the attempt failed.
pub const FAILURE_CLASS: &str = "failure_class";

/// The metric that is also counted for each [`FAILURE_CLASS`].
pub const FAILURES: &str = "failures";

/// Every metric and its unit.
pub const METRICS: [(&str, &str); 8] = [
    ("attempts", "Count"),
    ("successes", "Count"),
    (FAILURES, "Count"),
    ("latency_ms", "Milliseconds"), // of an attempt
    ("age_ms", "Milliseconds"),     // of an event, when it is delivered
    ("retries", "Count"),           // next attempts of the schedule
    ("webhooks_disabled", "Count"),
    ("throttles", "Count"),
];

/// Logs an attempt. `delivery` has the attempt recorded, and `next` is when the schedule's next attempt is due, if there is
/// one.
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
        error = attempt.error.map(AttemptError::as_str),
        next_attempt_at = next.map(tracing::field::display),
        "attempt"
    );
}

/// Logs that Hookline disabled a webhook.
pub fn webhook_disabled(reason: DisabledReason) {
    tracing::warn!(target: TARGET, webhooks_disabled = 1, ?reason, "webhook disabled");
}

/// Logs that a rate limit delayed or refused `count` deliveries or publications, as `what` says.
pub fn throttled(what: &'static str, count: u64) {
    tracing::info!(target: TARGET, throttles = count, what, "throttled");
}

/// Returns why an attempt failed, from a small fixed set: the code of an [`AttemptError`], or else the class of the status
/// code. Returns `None` if the attempt succeeded.
fn failure_class(attempt: &Attempt) -> Option<&'static str> {
    if attempt.succeeded() {
        return None;
    }
    let class = match attempt.status_code {
        Some(..300) => "status_2xx",
        Some(300..400) => "status_3xx",
        Some(400..500) => "status_4xx",
        _ => "status_5xx",
    };
    Some(attempt.error.map_or(class, AttemptError::as_str))
}

/// Returns the member `_aws` of a line with these fields, which says which of them are metrics, as the specification of
/// CloudWatch's embedded metric format requires. Returns `None` if no field is a metric.
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
