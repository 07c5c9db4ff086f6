//! A page of a recovery: the webhook's undelivered events of a window of time, put back on the queue oldest first.
//!
//! Invariant: the page's wake-ups are on the queue before the job for the next page is, and that is before this page's
//! message is dropped, so a recovery that dies half-way goes on where it was. Wake-ups of one recovery are all of one round,
//! so that those that come twice start nothing twice.

use hookline::{
    app::App,
    delivery::{Delivery, Turn, Wakeup},
    id::EventId,
    publishing::PublishError,
    queue::{self, Job, Recover},
    store::{deliveries, events, pace, webhooks},
    webhook::Webhook,
};
use std::time::Duration;

/// Events looked at for one page.
const PAGE: usize = 100;
/// Pages of one job, so that jobs cost little beside the tasks that they place.
const JOB_PAGES: usize = 5;
/// No further page is begun when a job has taken this long: the function has 30 s.
const JOB_TIME_MAX: Duration = Duration::from_secs(8);

/// Deals with some pages; more go on as a further job.
pub(crate) async fn recover(app: &App, mut job: Recover) -> Result<(), PublishError> {
    let began = app.clock.now();
    for _ in 0..JOB_PAGES {
        // Read anew for each page: it may have been disabled meanwhile.
        let webhook = webhooks::get(app, &job.account, job.webhook).await?;
        let Some(webhook) = webhook.filter(|webhook| webhook.is_enabled() && webhook.generation == job.generation)
        else {
            tracing::warn!(account = %job.account, webhook_id = %job.webhook, "a recovery ends: its webhook was disabled or deleted");
            return Ok(());
        };
        let Some(next) = page(app, &job, &webhook).await? else { return Ok(()) };
        job.after = Some(next);
        if app.clock.now().since(began) >= JOB_TIME_MAX {
            break;
        }
    }
    job.hops = queue::next_hop(job.hops)?;
    let account = job.account.clone();
    Ok(queue::send_job(app, &account, &Job::Recover(job)).await?)
}

/// Puts the undelivered events of one page on the queue; returns the last event looked at, where there may be more.
async fn page(app: &App, job: &Recover, webhook: &Webhook) -> Result<Option<EventId>, PublishError> {
    let page = events::oldest_first(app, &job.account, (job.first, job.last), job.after, PAGE).await?;
    let wanted = page.items.iter().filter(|event| webhook.wants(event.id, &event.event_type));
    let ids: Vec<_> = wanted.map(|event| event.id).collect();
    let stored = deliveries::of_webhook(app, &job.account, job.webhook, &ids).await?;
    // What waits for its rate slot is overdue for as long as the line is, and is not lost.
    let line = match webhook.rate_limit {
        Some(_) => pace::line(app, &job.account, job.webhook).await?,
        None => Duration::ZERO,
    };
    let as_of = app.clock.now().minus(line);
    let is_sent = |delivery: &Delivery| delivery.is_recoverable(webhook.generation, as_of);
    let undelivered = ids.iter().filter(|id| stored.get(id).is_none_or(is_sent));
    let turn = Turn::Scheduled { round: job.round, step: 1 };
    let tasks: Vec<_> =
        undelivered.map(|event| Wakeup { turn: turn.clone(), ..Wakeup::first(webhook, *event) }).collect();
    // Batch after batch: oldest first is what the receiver is to see.
    for batch in tasks.chunks(queue::BATCH_MAX) {
        queue::send_wakeups(app, batch, Duration::ZERO).await?;
    }
    tracing::info!(
        account = %job.account, webhook_id = %job.webhook, looked_at = page.items.len(), sent = tasks.len(), "recovery"
    );
    Ok(page.next)
}
