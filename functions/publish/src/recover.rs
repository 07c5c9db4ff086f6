//! A page of a recovery: the webhook's undelivered events of a window of time, put back on the queue oldest first.
//!
//! Invariant: the page's wake-ups are on the queue before the job for the next page is, and that is before this page's
//! message is dropped, so a recovery that dies half-way goes on where it was. Wake-ups of one recovery are all of one round,
//! so that those that come twice start nothing twice.

use hookline::{
    app::App,
    delivery::{Delivery, Turn, Wakeup},
    publishing::PublishError,
    queue::{self, Job, Recover},
    store::{deliveries, events, webhooks},
    webhook::Webhook,
};
use std::time::Duration;

/// Events looked at for one page.
const PAGE: usize = 100;

/// Deals with one page.
pub(crate) async fn recover(app: &App, job: Recover) -> Result<(), PublishError> {
    let webhook = webhooks::get(app, &job.account, job.webhook).await?;
    let Some(webhook) = webhook.filter(|webhook| webhook.is_enabled() && webhook.generation == job.generation) else {
        tracing::warn!(account = %job.account, webhook_id = %job.webhook, "a recovery ends: its webhook was disabled or deleted");
        return Ok(());
    };
    let page = events::oldest_first(app, &job.account, (job.first, job.last), job.after, PAGE).await?;
    let wanted = page.items.iter().filter(|event| webhook.wants(event.id, &event.event_type));
    let ids: Vec<_> = wanted.map(|event| event.id).collect();
    let stored = deliveries::of_webhook(app, &job.account, job.webhook, &ids).await?;
    let undelivered = ids.iter().filter(|id| is_recovered(stored.get(id), &webhook));
    let turn = Turn::Scheduled { round: job.round, step: 1 };
    let wakeups: Vec<_> =
        undelivered.map(|event| Wakeup { turn: turn.clone(), ..Wakeup::first(&webhook, *event) }).collect();
    // Batch after batch: oldest first is what the receiver is to see.
    for batch in wakeups.chunks(queue::BATCH_MAX) {
        queue::send_wakeups(app, batch, Duration::ZERO).await?;
    }
    tracing::info!(
        account = %job.account, webhook_id = %job.webhook, looked_at = page.items.len(), sent = wakeups.len(), "recovery"
    );
    match page.next {
        Some(next) => {
            let account = job.account.clone();
            Ok(queue::send_job(app, &account, &Job::Recover(Recover { after: Some(next), ..job })).await?)
        }
        None => Ok(()),
    }
}

fn is_recovered(stored: Option<&Delivery>, webhook: &Webhook) -> bool {
    stored.is_none_or(|delivery| delivery.is_recoverable(webhook.generation))
}
