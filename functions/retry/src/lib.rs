//! Takes the wake-ups that one-time schedules bring. One that still has an attempt to make goes on the `deliveries` queue.
//!
//! EventBridge Scheduler invokes this function asynchronously, and deletes the schedule once Lambda has taken the event. Lambda
//! tries an invocation that failed again after 1 and 2 minutes, and then puts the event in the function's dead-letter queue.

use hookline::{
    app::App,
    delivery::{Delivery, Wakeup},
    log,
    queue::{self, QueueError},
    store::{StoreError, deliveries},
};
use std::time::Duration;
use tracing::Instrument;

/// A due wake-up could not be dealt with: Lambda tries again, and in the end puts it in the dead-letter queue.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// A table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Puts a due wake-up on the queue, unless its delivery has ended meanwhile.
pub async fn handle(app: &App, wakeup: Wakeup) -> Result<(), RetryError> {
    let span = log::delivery(&wakeup);
    let put_back = put_back(app, wakeup).instrument(span.clone()).await;
    put_back.inspect_err(|error| span.in_scope(|| tracing::error!(%error, "a due wake-up could not be dealt with")))
}

async fn put_back(app: &App, wakeup: Wakeup) -> Result<(), RetryError> {
    let stored = deliveries::get(app, &wakeup.account, wakeup.delivery).await?;
    log::attempt(stored.delivery.as_ref().map_or(1, Delivery::next_number));
    let wanted = stored.delivery.is_none_or(|delivery| delivery.wants(&wakeup, app.clock.now()));
    tracing::info!(wanted, "a scheduled attempt is due");
    if wanted {
        queue::send_routed(app, &wakeup, Duration::ZERO).await?;
    }
    Ok(())
}
