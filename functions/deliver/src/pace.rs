//! A webhook's rate limit: each attempt waits for a permit of its own; see [`rate_limit`].

use crate::{DeliverError, Deliverer};
use hookline::{
    delivery::{RateSlot, Turn, Wakeup},
    metrics,
    queue::{self, DELAY_MAX},
    rate_limit::{LATE_MAX, WAIT_MAX},
    store::pace::{self, Slot, Task},
    time::Timestamp,
    webhook::Webhook,
};
use std::time::Duration;

/// Permits that one handling of a task may miss: each of them is lost to its webhook.
const TRIES: usize = 5;
/// The furthest from now that a permit is asked for: a table that takes longer to answer than that is in trouble, and the
/// message is better off coming again than kept here for most of the function's time.
const LEAD_MAX: Duration = Duration::from_secs(5);
/// How often a task is put back on the queue. One that waits in line is put back once for each day or so of it, and one that
/// finds no permit when it comes back tries again in the line of such tasks, half of which go on each time: what has been
/// put back so often does so without end.
const REQUEUES_MAX: u32 = 1000;

/// Whether an attempt may be made now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Paced {
    /// Its permit has come, or the webhook has no limit.
    Go,
    /// Its task is on the queue again and comes when its slot does.
    Later,
}

/// Waits for the slot of `wakeup`, here or on the queue, and takes a permit.
pub(crate) async fn pace(deliverer: &Deliverer, wakeup: &Wakeup, webhook: &Webhook) -> Result<Paced, DeliverError> {
    let Some(rate_limit) = webhook.rate_limit.filter(|_| wakeup.turn != Turn::Test) else { return Ok(Paced::Go) };
    let app = &deliverer.app;
    if let Some(RateSlot { at, .. }) = wakeup.slot {
        let wait = at.since(app.clock.now());
        if wait > WAIT_MAX {
            return requeue(deliverer, wakeup, at).await;
        }
        tokio::time::sleep(wait).await;
    }
    let mut task = Task { account: &wakeup.account, webhook: webhook.id, rate_limit, has_slot: wakeup.slot.is_some() };
    let mut lead = Duration::ZERO;
    for _ in 0..TRIES {
        let permit = match pace::take_slot(app, task, lead).await? {
            Slot::Permit(permit) => permit,
            Slot::ComeBack(slot) => return requeue(deliverer, wakeup, slot).await,
        };
        tokio::time::sleep(permit.since(app.clock.now())).await;
        let lateness = app.clock.now().since(permit);
        if lateness <= LATE_MAX {
            return Ok(Paced::Go);
        }
        // It has had its place in line. A write that always takes longer than is allowed is no hindrance for long.
        task.has_slot = true;
        lead = (lead + 2 * lateness).min(LEAD_MAX);
    }
    Err(DeliverError::Contended)
}

/// Puts the task back on the queue until `slot`.
async fn requeue(deliverer: &Deliverer, wakeup: &Wakeup, slot: Timestamp) -> Result<Paced, DeliverError> {
    let requeues = wakeup.slot.map_or(0, |slot| slot.requeues) + 1;
    if requeues > REQUEUES_MAX {
        return Err(DeliverError::Requeues);
    }
    let app = &deliverer.app;
    let task = Wakeup { slot: Some(RateSlot { at: slot, requeues }), ..wakeup.clone() };
    let wait = slot.since(app.clock.now());
    let scheduled = if wait > DELAY_MAX { queue::place(app, &task, slot).await } else { Ok(()) };
    if let Err(error) = &scheduled {
        // Schedules have a quota. Without the slot the task would come again at the end of the line.
        tracing::warn!(%error, "a rate-limited task waits on the queue for want of a schedule");
    }
    if wait <= DELAY_MAX || scheduled.is_err() {
        // Whole seconds, rounded down: it comes a little early and waits here for the rest.
        let delay = Duration::from_secs(wait.as_secs()).min(DELAY_MAX);
        queue::send_routed(app, &task, delay).await?;
    }
    metrics::throttled("delivery", 1);
    Ok(Paced::Later)
}
