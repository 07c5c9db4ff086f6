//! A webhook's rate limit: each attempt waits for a slot of its own.

use crate::{DeliverError, Deliverer};
use hookline::{
    delivery::{Turn, Wakeup},
    metrics,
    queue::{self, DELAY_MAX},
    store::pace,
    time::Timestamp,
    webhook::Webhook,
};
use std::time::Duration;

/// What is waited for here; a longer wait is the queue's, whose delays are whole seconds.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How late a slot may be used: timers and the calls in between are no more exact. A slot that is missed by more would come
/// on top of those after it, so another one is reserved.
const LATE_MAX: Duration = Duration::from_millis(50);
/// Slots that one handling of a wake-up may miss.
const TRIES: usize = 5;

/// Whether an attempt may be made now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Paced {
    /// Its slot has come, or the webhook has no limit.
    Go,
    /// Its wake-up is on the queue again and comes when its slot does.
    Later,
}

/// Waits for the slot of `wakeup`, here or on the queue.
pub(crate) async fn pace(deliverer: &Deliverer, wakeup: &Wakeup, webhook: &Webhook) -> Result<Paced, DeliverError> {
    let Some(per_second) = webhook.rate_limit.filter(|_| wakeup.turn != Turn::Test) else { return Ok(Paced::Go) };
    let app = &deliverer.app;
    let in_time = |slot: &Timestamp| app.clock.now().since(*slot) <= LATE_MAX;
    let mut slot = wakeup.slot;
    for _ in 0..TRIES {
        let reserved = match slot.filter(in_time) {
            Some(slot) => slot,
            None => pace::reserve(app, &wakeup.account, wakeup.webhook(), per_second).await?,
        };
        let wait = reserved.since(app.clock.now());
        if wait > WAIT_MAX {
            // Whole seconds, rounded down: it comes a little early and waits here for the rest.
            let delay = Duration::from_secs(wait.as_secs()).min(DELAY_MAX);
            queue::send_wakeups(app, &[Wakeup { slot: Some(reserved), ..wakeup.clone() }], delay).await?;
            metrics::throttled("delivery", 1);
            return Ok(Paced::Later);
        }
        tokio::time::sleep(wait).await;
        if in_time(&reserved) {
            return Ok(Paced::Go);
        }
        slot = None;
    }
    Err(DeliverError::Contended)
}
