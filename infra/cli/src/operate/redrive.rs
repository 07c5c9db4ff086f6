//! Moves dead letters back to the queue that they came from.
//!
//! Each message is put on its queue before it is deleted from the dead-letter queue, so none is lost. A message that is moved
//! twice does no harm. SQS gives a moved message a new id. A producer's event without an idempotency key that was published in
//! part before is therefore published again as a new event.

use anyhow::{Context, anyhow};
use application::App;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use clap::ValueEnum;
use serde::Deserialize;
use store::aws::causes;

/// The most messages of one receive.
const BATCH_MAX: i32 = 10;
/// How long a dead letter is hidden from other receivers while it is moved.
const MOVE_S: i32 = 30;
/// How long a receive waits for messages. With a wait, SQS asks all of its servers, so an empty answer means an empty queue.
const WAIT_S: i32 = 2;

/// A queue that has dead letters.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Queue {
    /// Tasks, including those of schedules.
    Deliveries,
    /// Producers' events, and Hookline's own jobs.
    Events,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
}

/// Moves every dead letter back, and prints how many it moved. With `dry_run`, prints their bodies instead.
pub(crate) async fn redrive(app: &App, queue: Queue, dry_run: bool) -> anyhow::Result<()> {
    let queue_url = match queue {
        Queue::Deliveries => &app.queues.settings.deliveries_url,
        Queue::Events => &app.queues.settings.events_url,
    };
    let dead_letters_url = dead_letters_of(app, queue_url).await?;
    // Messages that arrive meanwhile are left. Otherwise a message that fails again would be moved in an endless loop.
    let count_at_start = count(app, &dead_letters_url).await?;
    let (mut seen, mut receipts) = (0, Vec::new());
    while seen < count_at_start {
        let messages = receive(app, &dead_letters_url).await?;
        if messages.is_empty() {
            break;
        }
        seen += messages.len();
        for message in messages {
            if dry_run {
                println!("{}", message.body.as_deref().unwrap_or_default());
                receipts.push(message.receipt_handle);
            } else {
                put_back(app, queue_url, &dead_letters_url, message).await?;
            }
        }
    }
    // They become visible only now, so that none is printed twice.
    for receipt in receipts {
        show_again(app, &dead_letters_url, receipt).await?;
    }
    let did = if dry_run { "found" } else { "moved back" };
    eprintln!("{did} {seen} dead letters");
    Ok(())
}

async fn dead_letters_of(app: &App, queue_url: &str) -> anyhow::Result<String> {
    let policy = attribute(app, queue_url, QueueAttributeName::RedrivePolicy).await?;
    let policy: RedrivePolicy = serde_json::from_str(&policy).context("the queue's redrive policy")?;
    let name = policy.dead_letter_target_arn.rsplit(':').next().unwrap_or_default();
    let found = app.queues.sqs.get_queue_url().queue_name(name).send().await;
    let found = found.map_err(|error| anyhow!(causes(&error)))?;
    found.queue_url.context("the dead-letter queue has no URL")
}

async fn count(app: &App, queue_url: &str) -> anyhow::Result<usize> {
    let count = attribute(app, queue_url, QueueAttributeName::ApproximateNumberOfMessages).await?;
    count.parse().context("the number of dead letters")
}

async fn attribute(app: &App, queue_url: &str, name: QueueAttributeName) -> anyhow::Result<String> {
    let call = app.queues.sqs.get_queue_attributes().queue_url(queue_url).attribute_names(name.clone());
    let found = call.send().await.map_err(|error| anyhow!(causes(&error)))?;
    let value = found.attributes.and_then(|mut attributes| attributes.remove(&name));
    value.with_context(|| format!("{queue_url} has no {name}"))
}

async fn receive(app: &App, queue_url: &str) -> anyhow::Result<Vec<Message>> {
    let call = app.queues.sqs.receive_message().queue_url(queue_url).max_number_of_messages(BATCH_MAX);
    let call = call.visibility_timeout(MOVE_S).wait_time_seconds(WAIT_S);
    let call = call.message_system_attribute_names(MessageSystemAttributeName::MessageGroupId);
    let received = call.send().await.map_err(|error| anyhow!(causes(&error)))?;
    Ok(received.messages.unwrap_or_default())
}

async fn show_again(app: &App, queue_url: &str, receipt: Option<String>) -> anyhow::Result<()> {
    let call = app.queues.sqs.change_message_visibility().queue_url(queue_url).set_receipt_handle(receipt);
    call.visibility_timeout(0).send().await.map_err(|error| anyhow!(causes(&error)))?;
    Ok(())
}

/// Puts a dead letter on the queue with its message group, then deletes it.
async fn put_back(app: &App, queue_url: &str, dead_letters_url: &str, message: Message) -> anyhow::Result<()> {
    let group = message.attributes.and_then(|mut all| all.remove(&MessageSystemAttributeName::MessageGroupId));
    let body = message.body.unwrap_or_default();
    let call = app.queues.sqs.send_message().queue_url(queue_url).message_body(body).set_message_group_id(group);
    call.send().await.map_err(|error| anyhow!(causes(&error)))?;
    let call = app.queues.sqs.delete_message().queue_url(dead_letters_url).set_receipt_handle(message.receipt_handle);
    call.send().await.map_err(|error| anyhow!(causes(&error)))?;
    Ok(())
}
