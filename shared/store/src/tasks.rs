//! Attempt tasks: messages on the deliveries queues, sent at once, with a delay, or by a schedule.

use crate::{
    aws::back_off,
    queues::{BATCH_MAX, DELAY_MAX, QueueError, Queues, whole_seconds},
    schedules,
};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use domain::{delivery::Task, time::Timestamp};
use futures::future::try_join_all;
use std::time::Duration;

/// The most tries of a batch. Each further try sends the entries that SQS has refused.
const BATCH_TRIES: u32 = 6;

/// A task to be received after a delay.
#[derive(Clone, Debug)]
pub struct Delayed {
    /// The task.
    pub task: Task,
    /// The delay, rounded up to whole seconds: at most [`DELAY_MAX`].
    pub delay: Duration,
}

/// Puts tasks on the `deliveries` queue, to be received after `delay` (whole seconds, rounded up). For a task that may be
/// [slow](Task::slow), see [`enqueue_routed`].
pub async fn enqueue(queues: &Queues, tasks: &[Task], delay: Duration) -> Result<(), QueueError> {
    enqueue_all(queues, tasks.iter().map(|task| (task, delay)).collect()).await
}

/// Puts tasks on the `deliveries` queue, each with its own delay.
pub async fn enqueue_delayed(queues: &Queues, tasks: &[Delayed]) -> Result<(), QueueError> {
    enqueue_all(queues, tasks.iter().map(|Delayed { task, delay }| (task, *delay)).collect()).await
}

/// Puts tasks on the `deliveries` queue, each with its delay.
async fn enqueue_all(queues: &Queues, tasks: Vec<(&Task, Duration)>) -> Result<(), QueueError> {
    let sent = tasks.chunks(BATCH_MAX).map(|batch| send_batch(queues, &queues.settings.deliveries_url, batch));
    try_join_all(sent).await?;
    Ok(())
}

/// Puts a task on the queue that it goes through: `deliveries`, or `slow-deliveries` for endpoints that have just timed out.
pub async fn enqueue_routed(queues: &Queues, task: &Task, delay: Duration) -> Result<(), QueueError> {
    let queue_url = if task.slow { &queues.settings.slow_deliveries_url } else { &queues.settings.deliveries_url };
    send_batch(queues, queue_url, &[(task, delay)]).await
}

/// Makes `task` arrive at `due` or later: by a delayed message (up to a second late), or by a one-time schedule (up to a minute
/// late) if `due` is further away than a message can be delayed. Repeating the call is harmless.
pub async fn schedule(queues: &Queues, task: &Task, due: Timestamp) -> Result<(), QueueError> {
    let wait = due.since(queues.clock.now());
    if wait <= DELAY_MAX {
        enqueue_routed(queues, task, wait).await
    } else {
        schedules::create(queues, task, due).await
    }
}

/// Sends one batch, and sends the entries that SQS refused again after growing waits.
async fn send_batch(queues: &Queues, queue_url: &str, tasks: &[(&Task, Duration)]) -> Result<(), QueueError> {
    let entries = tasks.iter().enumerate().map(|(index, (task, delay))| entry(index, task, *delay));
    let mut entries = entries.collect::<Vec<_>>();
    for tries in 0..BATCH_TRIES {
        back_off(&queues.random, tries).await;
        let call = queues.sqs.send_message_batch().queue_url(queue_url);
        let answer =
            call.set_entries(Some(entries.clone())).send().await.map_err(|error| QueueError::new("SQS", error))?;
        entries.retain(|entry| answer.failed.iter().any(|failed| failed.id == entry.id));
        if entries.is_empty() {
            return Ok(());
        }
    }
    Err(QueueError::refused(entries.len()))
}

fn entry(index: usize, task: &Task, delay: Duration) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_body(serde_json::to_string(task).expect("a task of ids and numbers is JSON"))
        .message_group_id(task.webhook().to_string())
        .set_delay_seconds((!delay.is_zero()).then(|| whole_seconds(delay)))
        .build()
        .expect("the entry has an id and a body")
}
