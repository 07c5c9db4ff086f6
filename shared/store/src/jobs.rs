//! Jobs: messages on the `events` queue, beside those of producers inside AWS.

use crate::queues::{QueueError, Queues};
use domain::{account::AccountId, job::Job};

/// Puts a job on the `events` queue.
pub async fn enqueue(queues: &Queues, account: &AccountId, job: &Job) -> Result<(), QueueError> {
    let body = serde_json::to_string(job).expect("a job of ids and JSON texts is JSON");
    let call = queues.sqs.send_message().queue_url(&queues.settings.events_url).message_body(body);
    call.message_group_id(account.to_string()).send().await.map_err(|error| QueueError::new("SQS", error))?;
    Ok(())
}
