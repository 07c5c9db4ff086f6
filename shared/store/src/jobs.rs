//! Jobs: messages on the `events` queue, beside those of producers inside AWS.

use crate::queues::{QueueError, Queues, whole_seconds};
use domain::{account::AccountId, job::Job};
use std::time::Duration;

/// Puts a job on the `events` queue.
pub async fn enqueue(queues: &Queues, account: &AccountId, job: &Job) -> Result<(), QueueError> {
    enqueue_later(queues, account, job, Duration::ZERO).await
}

/// Puts a job on the `events` queue, to be received after `delay` (whole seconds, rounded up, at most 15 minutes).
pub async fn enqueue_later(queues: &Queues, account: &AccountId, job: &Job, delay: Duration) -> Result<(), QueueError> {
    let body = serde_json::to_string(job).expect("a job of ids and JSON texts is JSON");
    let call = queues.sqs.send_message().queue_url(&queues.settings.events_url).message_body(body);
    let delay_s = Some(whole_seconds(delay)).filter(|_| !delay.is_zero());
    let call = call.message_group_id(account.to_string()).set_delay_seconds(delay_s);
    call.send().await.map_err(|error| QueueError::new("SQS", error))?;
    Ok(())
}
