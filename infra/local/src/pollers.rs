//! Invokes the functions, in place of Lambda's event source mappings on the three queues and of EventBridge Scheduler. The
//! handlers get the same event types as from Lambda, and may report partial batch failures.

use application::App;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage, SqsMessageAttribute};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName};
use domain::delivery::Task;
use embedded_aws::{self, DueSchedule, EmbeddedAws};
use std::{collections::HashSet, sync::Arc, time::Duration};
use store::aws;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber;

/// The most messages of one invocation.
const BATCH: i32 = 10;
/// The longest poll that SQS allows.
const LONG_POLL: Duration = Duration::from_secs(LONG_POLL_S as u64);
const LONG_POLL_S: i32 = 20;
/// The wait before a queue is polled again after an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// The wait before the first sweep for expired items. It is short, so that a process that is restarted often sweeps too.
const SWEEP_AFTER: Duration = Duration::from_secs(60);
/// The wait between two sweeps. AWS takes days.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// The wait between two flushes. It bounds how many records of attempts a power cut can lose, since no caller waits for those.
/// It also bounds how much the flush for a 202 has to write besides its own event.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// The wait before a schedule whose invocation failed fires again.
const SCHEDULE_RETRY: Duration = Duration::from_secs(10);

/// Polls the queue at `queue_url` until `stop`, with at most `concurrency` invocations of `handler` at once. Then waits for the
/// invocations under way.
pub async fn poll_queue<F, Fut>(app: App, queue_url: String, concurrency: usize, stop: CancellationToken, handler: F)
where
    F: Fn(SqsEvent) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = SqsBatchResponse> + Send + 'static,
{
    let (permits, mut invocations) = (Arc::new(Semaphore::new(concurrency)), JoinSet::new());
    // A poll waits on purpose, so it needs longer timeouts. A client with them costs less than changing them in each call.
    let polling = app.queues.sqs.config().to_builder().timeout_config(aws::long_poll_timeouts(LONG_POLL));
    let polling = aws_sdk_sqs::Client::from_conf(polling.build());
    loop {
        let received = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, receive(&polling, &queue_url).await)
        };
        let (permit, messages) = tokio::select! {
            () = stop.cancelled() => break,
            received = received => received,
        };
        while invocations.try_join_next().is_some() {}
        match messages {
            Ok(messages) if messages.is_empty() => {}
            Ok(messages) => {
                let (sqs, queue_url, handler) = (app.queues.sqs.clone(), queue_url.clone(), handler.clone());
                invocations.spawn(async move {
                    invoke(&sqs, &queue_url, messages, handler).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::error!(%error, queue_url, "a queue could not be polled");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
    while invocations.join_next().await.is_some() {}
}

async fn receive(sqs: &aws_sdk_sqs::Client, queue_url: &str) -> anyhow::Result<Vec<Message>> {
    let call = sqs.receive_message().queue_url(queue_url).max_number_of_messages(BATCH).wait_time_seconds(LONG_POLL_S);
    let call = call.message_system_attribute_names(MessageSystemAttributeName::All).message_attribute_names("All");
    Ok(call.send().await?.messages.unwrap_or_default())
}

/// Invokes the handler with a batch. Then deletes the messages that it did not report as failed.
async fn invoke<F, Fut>(sqs: &aws_sdk_sqs::Client, queue_url: &str, messages: Vec<Message>, handler: F)
where
    F: Fn(SqsEvent) -> Fut,
    Fut: Future<Output = SqsBatchResponse>,
{
    let receipts: Vec<_> =
        messages.iter().map(|message| (message.message_id.clone(), message.receipt_handle.clone())).collect();
    let response = handler(sqs_event(messages, queue_url)).await;
    let failed: HashSet<_> = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    let done = receipts.into_iter().filter(|(id, _)| !failed.contains(id.as_deref().unwrap_or_default()));
    let entries: Result<Vec<_>, _> = done
        .enumerate()
        .map(|(index, (_, receipt))| {
            DeleteMessageBatchRequestEntry::builder().id(index.to_string()).set_receipt_handle(receipt).build()
        })
        .collect();
    match entries {
        Ok(entries) if entries.is_empty() => {}
        Ok(entries) => {
            if let Err(error) = sqs.delete_message_batch().queue_url(queue_url).set_entries(Some(entries)).send().await
            {
                tracing::error!(%error, "handled messages could not be deleted: they will be received again");
            }
        }
        Err(error) => tracing::error!(%error, "a message has no receipt"),
    }
}

/// Returns the event that Lambda makes of a batch of messages of the queue at `queue_url`.
pub fn sqs_event(messages: Vec<Message>, queue_url: &str) -> SqsEvent {
    let arn = embedded_aws::queue_arn_of(queue_url);
    let mut event = SqsEvent::default();
    event.records = messages.into_iter().map(|message| record(message, &arn)).collect();
    event
}

/// Returns the record that Lambda makes of a message of the queue with this ARN.
fn record(message: Message, queue_arn: &str) -> SqsMessage {
    let mut record = SqsMessage::default();
    record.message_id = message.message_id;
    record.receipt_handle = message.receipt_handle;
    record.body = message.body;
    let attributes = message.attributes.unwrap_or_default().into_iter();
    record.attributes = attributes.map(|(name, value)| (name.as_str().to_owned(), value)).collect();
    let attributes = message.message_attributes.unwrap_or_default().into_iter();
    record.message_attributes = attributes.map(|(name, value)| (name, attribute(value))).collect();
    record.event_source = Some("aws:sqs".to_owned());
    record.event_source_arn = Some(queue_arn.to_owned());
    record.aws_region = Some("us-east-1".to_owned());
    record
}

/// Returns what Lambda makes of a message attribute that is a text.
fn attribute(value: MessageAttributeValue) -> SqsMessageAttribute {
    let mut attribute = SqsMessageAttribute::default();
    attribute.string_value = value.string_value;
    attribute.data_type = Some(value.data_type);
    attribute
}

/// Invokes `retry` with each schedule that is due, until `stop`.
pub async fn poll_schedules(app: App, aws: EmbeddedAws, stop: CancellationToken) {
    let mut invocations = JoinSet::new();
    loop {
        let schedule = tokio::select! {
            () = stop.cancelled() => break,
            schedule = aws.next_due_schedule() => schedule,
        };
        while invocations.try_join_next().is_some() {}
        // A test that reads the function's log lines has a subscriber of its own.
        invocations.spawn(fire(app.clone(), aws.clone(), schedule).with_current_subscriber());
    }
    while invocations.join_next().await.is_some() {}
}

async fn fire(app: App, aws: EmbeddedAws, schedule: DueSchedule) {
    let fired = async {
        let task: Task = serde_json::from_str(&schedule.input)?;
        retry::handle(&app, task).await?;
        aws.schedule_done(&schedule)
    };
    if let Err(error) = fired.await {
        tracing::error!(%error, schedule = schedule.name, "a schedule could not be fired");
        aws.schedule_failed(&schedule, SCHEDULE_RETRY);
    }
}

/// Deletes expired items, for the first time soon and then once an hour, until `stop`.
pub async fn sweep(aws: EmbeddedAws, stop: CancellationToken) {
    let mut wait = SWEEP_AFTER;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = SWEEP_EVERY;
        let swept = tokio::select! {
            () = stop.cancelled() => return,
            swept = aws.sweep_expired_items() => swept,
        };
        if let Err(error) = swept {
            tracing::error!(%error, "expired items could not be deleted");
        }
    }
}

/// Flushes ten times a second, until `stop`, so that changes that no caller waits for reach the disk too.
pub async fn flush(aws: EmbeddedAws, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(FLUSH_EVERY) => {}
        }
        if let Err(error) = aws.flush().await {
            tracing::error!(%error, "the disk cannot be written to");
        }
    }
}
