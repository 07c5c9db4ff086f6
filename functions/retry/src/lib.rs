//! Takes the wake-ups that one-time schedules bring. One that still has an attempt to make goes on the `deliveries` queue;
//! the schedule deletes itself after this function has answered, and is repeated where it failed.

use hookline::{
    app::App,
    delivery::Wakeup,
    queue::{self, QueueError},
    store::{StoreError, deliveries},
};
use std::time::Duration;

/// A due wake-up could not be dealt with: EventBridge Scheduler tries again.
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
    let stored = deliveries::get(app, &wakeup.account, wakeup.delivery).await?;
    let wanted = stored.delivery.is_none_or(|delivery| delivery.wants(&wakeup));
    tracing::info!(
        account = %wakeup.account, webhook_id = %wakeup.webhook(), event_id = %wakeup.delivery.event,
        delivery_id = %wakeup.delivery, turn = %wakeup.turn, wanted, "a scheduled attempt is due"
    );
    if wanted {
        queue::send_wakeups(app, &[wakeup], Duration::ZERO).await?;
    }
    Ok(())
}
