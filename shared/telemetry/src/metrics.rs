//! Metrics: their names, units and dimensions, and the log lines that contain them. A metric is a field of a log line. It has
//! the same name in the logs, in CloudWatch, on the dashboard and in alarms.
//!
//! | line | written |
//! |---|---|
//! | [`published`] | for each publication, once its first tasks are enqueued |
//! | [`fanned_out`] | for each job of a fan-out, with the further tasks |
//! | [`attempt`] | for each attempt, once its task has ended, with what it cost |
//! | [`webhook_failing`] | for each webhook whose deliveries begin to fail |
//! | [`webhook_disabled`] | for each webhook that Hookline itself disables |
//! | [`webhook_recovered`] | for each webhook that a trial enables |
//! | [`trial_failed`] | for each trial that fails |
//! | [`delivery_failed`] | for each delivery whose last attempt fails |
//! | [`messages_returned`] | for each batch with messages that could not be handled |
//! | [`throttled`] | when a rate limit delays or refuses something |
//! | [`no_attempt`] | for each task that ended without an attempt: what it cost |
//! | [`no_task`] | for what belongs to no task: what it cost |
//!
//! No id is ever a dimension, because AWS charges for each combination of dimensions. Costs are fields only: a saved query adds
//! them up ([`domain::cost`] has the prices).

use domain::{
    cost::Cost,
    delivery::{Attempt, AttemptError, Delivery},
    event::Event,
    job::FanOut,
    time::Timestamp,
    trace::TraceParent,
    webhook::{DisabledReason, TrialOutcome},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt, time::Duration};

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
pub const METRICS: [(&str, &str); 17] = [
    ("events_accepted", "Count"),
    ("tasks_enqueued", "Count"), // for events, not for retries and recoveries
    ("attempts", "Count"),
    ("successes", "Count"),
    (FAILURES, "Count"),
    ("latency_ms", "Milliseconds"),               // of an attempt
    ("age_ms", "Milliseconds"),                   // of an event, when it is delivered
    ("time_to_first_attempt_ms", "Milliseconds"), // from the publication to the beginning of the attempt
    ("retries", "Count"),                         // next attempts of the schedule
    ("webhooks_failing", "Count"),
    ("webhooks_disabled", "Count"),
    ("webhooks_recovered", "Count"),
    ("trials_failed", "Count"),
    ("deliveries_delivered", "Count"),
    ("deliveries_failed", "Count"),
    ("throttles", "Count"),
    ("messages_returned", "Count"), // to a queue, because they could not be handled
];

/// Logs that `events` of one account were published, and that `tasks` attempts for them are enqueued. Hookline's own events were not
/// accepted from anybody.
pub fn published(events: &[Event], tasks: usize) {
    let Some(first) = events.first() else { return };
    let traces = || events.iter().filter_map(|event| event.trace.as_ref()).map(TraceParent::trace_id);
    let is_traced = traces().next().is_some();
    tracing::info!(
        target: TARGET,
        account = %first.account,
        event_ids = %Words(|| events.iter().map(|event| event.id)),
        trace_id = is_traced.then(|| tracing::field::display(Words(|| traces().collect::<BTreeSet<_>>().into_iter()))),
        events_accepted = events.iter().filter(|event| !event.event_type.is_operational()).count(),
        tasks_enqueued = tasks,
        "published"
    );
}

/// Logs that a job of a fan-out has enqueued further `tasks`.
pub fn fanned_out(fan_out: &FanOut, tasks: usize) {
    tracing::info!(
        target: TARGET, account = %fan_out.account, event_id = %fan_out.event, tasks_enqueued = tasks, "fanned out"
    );
}

/// Formats what its function returns, with spaces in between, once the line is written.
struct Words<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: fmt::Display>> fmt::Display for Words<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0().enumerate().try_for_each(|(index, word)| {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{word}")
        })
    }
}

/// What the line of an attempt shows.
#[derive(Clone, Debug)]
pub struct AttemptLine {
    /// The attempt.
    pub attempt: Attempt,
    /// The delivery with the attempt recorded.
    pub delivery: Delivery,
    /// When the schedule's next attempt is due, if there is one.
    pub next: Option<Timestamp>,
    /// Whether it is the first attempt after the publication.
    pub is_first: bool,
    /// Whether it has delivered what was not delivered before. Tests are no deliveries.
    pub has_delivered: bool,
}

/// Logs an attempt. `cost` is that of its task.
pub fn attempt(line: &AttemptLine, cost: &Cost) {
    let AttemptLine { attempt, delivery, next, is_first, has_delivered } = line;
    let succeeded = attempt.succeeded();
    let published_at = delivery.delivery.event.made_at();
    let ended_ms = attempt.started_at.unix_ms().saturating_add_unsigned(attempt.duration_ms);
    let age = Timestamp::from_unix_ms(ended_ms).since(published_at);
    tracing::info!(
        target: TARGET,
        attempts = 1,
        successes = u64::from(succeeded),
        failures = u64::from(!succeeded),
        failure_class = failure_class(attempt),
        latency_ms = attempt.duration_ms,
        age_ms = succeeded.then(|| whole_ms(age)),
        time_to_first_attempt_ms = is_first.then(|| whole_ms(attempt.started_at.since(published_at))),
        deliveries_delivered = has_delivered.then_some(1_u64),
        retries = u64::from(next.is_some()),
        event_type = delivery.event_type.as_str(),
        status = delivery.status.as_str(),
        status_code = attempt.status_code,
        error = attempt.error.map(AttemptError::as_str),
        next_attempt_at = next.map(tracing::field::display),
        read_units = thousandths(cost.usage.read_milliunits),
        write_units = thousandths(cost.usage.write_milliunits),
        bytes_sent = cost.usage.bytes_sent,
        lambda_ms = thousandths(cost.usage.lambda_us),
        cost_picodollars = cost.picodollars,
        "attempt"
    );
}

/// Logs what a task cost that ended without an attempt, because it waits, is requeued, or has nothing left to do.
pub fn no_attempt(cost: &Cost) {
    log_cost(cost, "no attempt");
}

/// Logs what belongs to no task: of one invocation, or of the start of a function.
pub fn no_task(cost: &Cost) {
    log_cost(cost, "no task");
}

fn log_cost(cost: &Cost, message: &str) {
    tracing::info!(
        target: TARGET,
        read_units = thousandths(cost.usage.read_milliunits),
        write_units = thousandths(cost.usage.write_milliunits),
        bytes_sent = cost.usage.bytes_sent,
        lambda_ms = thousandths(cost.usage.lambda_us),
        cost_picodollars = cost.picodollars,
        "{message}"
    );
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a number of thousandths as a decimal number with at most three places.
#[allow(clippy::cast_precision_loss, reason = "below 2^53, the nearest f64 is printed with the same digits")]
fn thousandths(count: u64) -> f64 {
    count as f64 / 1000.0
}

/// Logs that Hookline disabled a webhook.
pub fn webhook_disabled(reason: DisabledReason) {
    tracing::warn!(target: TARGET, webhooks_disabled = 1, reason = reason.as_str(), "webhook disabled");
}

/// Logs that the deliveries of a webhook begin to fail.
pub fn webhook_failing() {
    tracing::warn!(target: TARGET, webhooks_failing = 1, "webhook failing");
}

/// Logs that a trial has enabled a webhook.
pub fn webhook_recovered() {
    tracing::info!(target: TARGET, webhooks_recovered = 1, "webhook recovered");
}

/// Logs that a trial has failed.
pub fn trial_failed(outcome: TrialOutcome) {
    tracing::info!(target: TARGET, trials_failed = 1, outcome = outcome.as_str(), "trial failed");
}

/// Logs that the last attempt of a delivery has failed.
pub fn delivery_failed() {
    tracing::info!(target: TARGET, deliveries_failed = 1, "delivery failed");
}

/// Logs that `count` messages of a batch could not be handled and go back to their queue.
pub fn messages_returned(count: usize) {
    tracing::warn!(target: TARGET, messages_returned = count, "messages returned");
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
