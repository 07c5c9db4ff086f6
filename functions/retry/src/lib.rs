//! Handles the tasks of one-time schedules: puts a due task on its queue if its attempt is still wanted.
//!
//! EventBridge Scheduler invokes this function asynchronously, and deletes the schedule once Lambda has accepted the event.
//! Lambda retries a failed invocation after 1 and 2 minutes, and then moves the event to the function's dead-letter queue.

use application::App;
use domain::delivery::{Delivery, Task, Trigger};
use std::time::Duration;
use store::{QueueError, StoreError, deliveries, tasks};
use telemetry::log;
use tracing::Instrument;

/// A due task could not be handled. Lambda tries again, and finally moves the event to the dead-letter queue.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// A table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Enqueues a due task, if its attempt is still wanted.
pub async fn handle(app: &App, task: Task) -> Result<(), RetryError> {
    let span = log::delivery(&task);
    let enqueued = enqueue(app, task).instrument(span.clone()).await;
    enqueued.inspect_err(|error| span.in_scope(|| tracing::error!(%error, "a due task could not be handled")))
}

async fn enqueue(app: &App, task: Task) -> Result<(), RetryError> {
    // The webhook decides about a trial, whose event may not be chosen yet.
    if matches!(task.trigger, Trigger::Trial { .. }) {
        tracing::info!("a trial is due");
        return Ok(tasks::enqueue(&app.queues, &[task], Duration::ZERO).await?);
    }
    let stored = deliveries::get(&app.store, &task.account, task.delivery).await?;
    log::attempt(stored.delivery.as_ref().map_or(1, Delivery::next_number));
    if let Some(trace) = stored.delivery.as_ref().and_then(|delivery| delivery.trace.as_deref()) {
        log::trace(trace);
    }
    let wanted = stored.delivery.is_none_or(|delivery| delivery.wants(&task, app.clock.now()));
    tracing::info!(wanted, "a scheduled attempt is due");
    if wanted {
        tasks::enqueue_routed(&app.queues, &task, Duration::ZERO).await?;
    }
    Ok(())
}
