//! The SQS queues: their client and settings, and how messages return to them.

use crate::aws::{Clients, FUNCTION_TIMEOUT, Lazy, causes, is_throttling};
use aws_sdk_sqs::{
    error::{ProvideErrorMetadata, SdkError},
    types::ChangeMessageVisibilityBatchRequestEntry,
};
use domain::{random::Random, time::Clock};
use std::{error::Error, time::Duration};

/// The most entries of one SQS batch request.
pub const BATCH_MAX: usize = 10;
/// The longest delay of an SQS message.
pub const DELAY_MAX: Duration = Duration::from_secs(900);
/// How long a received message stays invisible: six times a function's timeout, as AWS recommends.
pub const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(6 * FUNCTION_TIMEOUT.as_secs());
/// How often a message is received before it moves to the dead-letter queue. The growing waits in between make that more than
/// half an hour.
pub const RECEIVES_MAX: u32 = 30;
/// The longest wait before a message whose handling failed is received again.
pub const RETURN_WAIT_MAX: Duration = Duration::from_secs(180);

/// The queues and the scheduler, and what every call to them needs. Cloned freely: clones share connections.
#[derive(Clone, Debug)]
pub struct Queues {
    /// The client of SQS.
    pub sqs: Lazy<aws_sdk_sqs::Client>,
    /// The client of EventBridge Scheduler.
    pub scheduler: Lazy<aws_sdk_scheduler::Client>,
    /// The addresses of the queues, and what a schedule needs.
    pub settings: QueueSettings,
    /// The time.
    pub clock: Clock,
    /// The source of random bytes.
    pub random: Random,
}

/// The addresses of the queues, and what a schedule needs.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// `DELIVERIES_QUEUE_URL`: attempt tasks.
    pub deliveries_url: String,
    /// `SLOW_DELIVERIES_QUEUE_URL`: attempt tasks for endpoints that have just timed out, apart from all others.
    pub slow_deliveries_url: String,
    /// `EVENTS_QUEUE_URL`: events to publish, and jobs.
    pub events_url: String,
    /// `RETRY_FUNCTION_ARN`: the function that a schedule invokes.
    pub retry_function_arn: String,
    /// `SCHEDULER_ROLE_ARN`: the role that a schedule assumes to invoke it.
    pub scheduler_role_arn: String,
    /// `SCHEDULER_DEAD_LETTER_ARN`: the queue for tasks that a schedule could not deliver.
    pub scheduler_dead_letter_arn: Option<String>,
    /// `SCHEDULE_GROUP`: the group of the schedules.
    pub schedule_group: String,
}

impl Queues {
    /// Creates the queues from the clients.
    pub fn new(clients: &Clients, settings: QueueSettings, clock: Clock, random: Random) -> Self {
        Self { sqs: clients.sqs.clone(), scheduler: clients.scheduler.clone(), settings, clock, random }
    }
}

/// A call to a queue or to the scheduler failed. It may have taken effect.
#[derive(Debug, thiserror::Error)]
#[error("{service}: {cause}")]
pub struct QueueError {
    service: &'static str,
    cause: String,
    is_throttled: bool,
}

impl QueueError {
    pub(crate) fn new<E, R>(service: &'static str, error: SdkError<E, R>) -> Self
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        Self { service, cause: causes(&error), is_throttled: is_throttling(error.code()) }
    }

    pub(crate) fn refused(messages: usize) -> Self {
        Self { service: "SQS", cause: format!("{messages} messages were refused"), is_throttled: false }
    }

    /// Whether the service refused the call because of its rate, and did nothing.
    pub fn is_throttled(&self) -> bool {
        self.is_throttled
    }
}

/// Returns the wait before a message that was received `receives` times (from 1), and whose handling failed, is received again:
/// 1 s, 2 s, 4 s … up to [`RETURN_WAIT_MAX`], less up to a quarter by `jitter` (0 to 1). A short outage costs seconds, and
/// [`RECEIVES_MAX`] receives take more than half an hour.
pub fn return_wait(receives: u32, jitter: f64) -> Duration {
    let doubled = Duration::from_secs(1 << receives.saturating_sub(1).min(8));
    doubled.min(RETURN_WAIT_MAX).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 4.0)
}

/// A received message that is to be received again.
#[derive(Clone, Debug)]
pub struct Returned {
    /// The receipt handle of the message.
    pub receipt: String,
    /// How long until it becomes visible again.
    pub wait: Duration,
}

/// Makes received messages of the queue at `queue_url` visible again after their waits, in whole seconds, rounded up. A message
/// for which this fails becomes visible after the queue's own visibility timeout.
pub async fn return_messages(queues: &Queues, queue_url: &str, messages: &[Returned]) {
    let batches = messages.chunks(BATCH_MAX).map(async |batch| {
        let entries = batch.iter().enumerate().map(|(index, message)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
            let entry = entry.receipt_handle(&message.receipt).visibility_timeout(whole_seconds(message.wait));
            entry.build().expect("the entry has an id and a receipt handle")
        });
        let call = queues.sqs.change_message_visibility_batch().queue_url(queue_url);
        match call.set_entries(Some(entries.collect())).send().await {
            Ok(answer) if answer.failed.is_empty() => {}
            Ok(answer) => tracing::warn!(messages = answer.failed.len(), "messages could not be returned"),
            Err(error) => {
                let error = QueueError::new("SQS", error);
                tracing::warn!(%error, messages = batch.len(), "messages could not be returned");
            }
        }
    });
    futures::future::join_all(batches).await;
}

/// Rounds a delay up to whole seconds, at most [`DELAY_MAX`].
pub(crate) fn whole_seconds(delay: Duration) -> i32 {
    i32::try_from(delay.as_millis().div_ceil(1000)).unwrap_or(i32::MAX).min(DELAY_MAX.as_secs() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_outage_costs_seconds_and_half_an_hour_loses_no_message() {
        assert_eq!(return_wait(1, 0.0), Duration::from_secs(1));
        assert_eq!(return_wait(4, 1.0), Duration::from_secs(6));
        let shortest: Duration = (1..RECEIVES_MAX).map(|receives| return_wait(receives, 1.0)).sum();
        assert!(shortest > Duration::from_secs(30 * 60), "{shortest:?}");
        assert_eq!(return_wait(u32::MAX, 0.0), RETURN_WAIT_MAX);
    }

    #[test]
    fn a_delay_is_rounded_up() {
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(whole_seconds(DELAY_MAX), 900);
    }
}
