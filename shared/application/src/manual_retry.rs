//! Manual retries: one attempt now, outside the retry schedule.

use crate::App;
use domain::{
    delivery::{Task, Trigger},
    id::EventId,
    webhook::Webhook,
};
use std::time::Duration;
use store::{QueueError, tasks};

/// Enqueues one attempt of `event` to `webhook`.
pub async fn enqueue(app: &App, webhook: &Webhook, event: EventId) -> Result<(), QueueError> {
    let trigger = Trigger::Manual { nonce: hex::encode(app.random.bytes::<5>()) };
    let task = Task { trigger, ..Task::first(webhook, event) };
    tasks::enqueue(&app.queues, &[task], Duration::ZERO).await
}
