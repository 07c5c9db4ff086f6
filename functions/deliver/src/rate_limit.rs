//! The wait for a permit of the webhook's rate limit; see [`domain::rate_limit`].

use crate::{DeliverError, Deliverer};
use domain::{
    delivery::{RateSlot, Task, Trigger},
    rate_limit::{LATE_MAX, WAIT_MAX},
    time::Timestamp,
    webhook::Webhook,
};
use std::time::Duration;
use store::{
    queues::DELAY_MAX,
    rate_limits::{self, RateLimited, Reserved},
    tasks,
};
use telemetry::metrics;

/// The most permits that one handling of a task may miss: the webhook loses each of them.
const TRIES: usize = 5;
/// The longest lead of a permit. If the table takes longer than that to answer, it is better to receive the message again than
/// to hold it for most of the function's time.
const LEAD_MAX: Duration = Duration::from_secs(5);
/// How often a task may be requeued. A waiting task is requeued once for its slot. A task that finds no permit when it returns
/// gets a late slot, and each time about half of such tasks find a permit. A task that was requeued this often is requeued
/// without end.
const REQUEUES_MAX: u32 = 1000;

/// Whether an attempt may be made now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// It may: its permit has begun, or the webhook has no rate limit.
    Granted,
    /// The task is on the queue until its slot.
    Requeued,
}

/// Waits for the slot of `task`, here or on the queue, and reserves a permit.
pub(crate) async fn wait_for_permit(
    deliverer: &Deliverer,
    task: &Task,
    webhook: &Webhook,
) -> Result<Permit, DeliverError> {
    let Some(rate_limit) = webhook.rate_limit.filter(|_| task.trigger != Trigger::Test) else {
        return Ok(Permit::Granted);
    };
    let app = &deliverer.app;
    if let Some(RateSlot { at, .. }) = task.slot {
        let wait = at.since(app.clock.now());
        if wait > WAIT_MAX {
            return requeue(deliverer, task, at).await;
        }
        tokio::time::sleep(wait).await;
    }
    let has_slot = task.slot.is_some();
    let mut limited = RateLimited { account: &task.account, webhook: webhook.id, rate_limit, has_slot };
    let mut lead = Duration::ZERO;
    for _ in 0..TRIES {
        let permit = match rate_limits::reserve(&app.store, limited, lead).await? {
            Reserved::Permit(permit) => permit,
            Reserved::Slot(slot) => return requeue(deliverer, task, slot).await,
        };
        tokio::time::sleep(permit.since(app.clock.now())).await;
        let lateness = app.clock.now().since(permit);
        if lateness <= LATE_MAX {
            return Ok(Permit::Granted);
        }
        // The write took too long, and the permit is missed. The task has waited, so it goes ahead of others now. It asks for a
        // later permit, so that a write that takes as long does not miss it again.
        limited.has_slot = true;
        lead = (lead + 2 * lateness).min(LEAD_MAX);
    }
    Err(DeliverError::MissedPermits)
}

/// Requeues the task until `slot`.
async fn requeue(deliverer: &Deliverer, task: &Task, slot: Timestamp) -> Result<Permit, DeliverError> {
    let requeues = task.slot.map_or(0, |slot| slot.requeues) + 1;
    if requeues > REQUEUES_MAX {
        return Err(DeliverError::Requeues);
    }
    let app = &deliverer.app;
    let task = Task { slot: Some(RateSlot { at: slot, requeues }), ..task.clone() };
    let wait = slot.since(app.clock.now());
    let scheduled = if wait > DELAY_MAX { tasks::schedule(&app.queues, &task, slot).await } else { Ok(()) };
    if let Err(error) = &scheduled {
        // The number of schedules has a quota. If the message were returned instead, the task would lose its slot.
        tracing::warn!(%error, "a rate-limited task waits on the queue because no schedule could be created");
    }
    if wait <= DELAY_MAX || scheduled.is_err() {
        // Whole seconds, rounded down: the task returns a little early and waits here for the rest.
        let delay = Duration::from_secs(wait.as_secs()).min(DELAY_MAX);
        tasks::enqueue_routed(&app.queues, &task, delay).await?;
    }
    metrics::throttled("delivery", 1);
    Ok(Permit::Requeued)
}
