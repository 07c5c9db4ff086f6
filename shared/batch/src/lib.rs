//! The SQS batch adapter: tells SQS for each message of a batch whether to delete it or to keep it.
//!
//! Invariant: SQS deletes a message only after it was handled. The response names every other message of the batch, so that SQS
//! keeps it, and the message becomes visible again after its wait.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use std::{iter, time::Duration};
use store::{
    Queues,
    queues::{self, Returned},
};
use telemetry::metrics;

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Delete it: it was handled.
    Delete,
    /// Receive it again, after a wait that grows with each receive, and in the end move it to the dead-letter queue.
    Return,
    /// The same for a message that is invalid. It says nothing about whether messages can be handled, and counts in no metric.
    ReturnInvalid,
    /// Receive it again after this wait.
    ReturnAfter(Duration),
}

/// Handles a batch of one of the queues at `queue_urls`: `work` returns what to do with each message, in their order.
pub async fn handle(
    queues: &Queues,
    queue_urls: &[&str],
    event: SqsEvent,
    work: impl AsyncFnOnce(&[SqsMessage]) -> Vec<Disposition>,
) -> SqsBatchResponse {
    let dispositions = work(&event.records).await.into_iter();
    // A message without a disposition was not handled.
    let dispositions = dispositions.chain(iter::repeat(Disposition::Return)).take(event.records.len());
    let dispositions: Vec<_> = dispositions.collect();
    let failed = dispositions.iter().filter(|disposition| **disposition == Disposition::Return).count();
    if failed > 0 {
        metrics::messages_returned(failed);
    }
    let returned: Vec<(&SqsMessage, Duration)> = event
        .records
        .iter()
        .zip(dispositions)
        .filter_map(|(message, disposition)| match disposition {
            Disposition::Delete => None,
            Disposition::Return | Disposition::ReturnInvalid => {
                Some((message, queues::return_wait(receive_count(message), queues.random.share())))
            }
            Disposition::ReturnAfter(wait) => Some((message, wait)),
        })
        .collect();
    return_messages(queues, queue_urls, &returned).await;
    let failures = returned.into_iter().map(|(message, _)| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message.message_id.clone().unwrap_or_default();
        failure
    });
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures.collect();
    response
}

/// Returns how often the message was received, this time included.
fn receive_count(message: &SqsMessage) -> u32 {
    let count = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
    count.unwrap_or(1)
}

/// Makes messages visible again after their waits, each in the queue that it came from.
async fn return_messages(queues: &Queues, queue_urls: &[&str], messages: &[(&SqsMessage, Duration)]) {
    for url in queue_urls {
        let is_from = |message: &SqsMessage| {
            let arn = message.event_source_arn.as_deref().unwrap_or_default();
            arn.rsplit(':').next() == url.rsplit('/').next()
        };
        let of_queue: Vec<_> = messages
            .iter()
            .filter(|(message, _)| is_from(message))
            .filter_map(|(message, wait)| Some(Returned { receipt: message.receipt_handle.clone()?, wait: *wait }))
            .collect();
        queues::return_messages(queues, url, &of_queue).await;
    }
}
