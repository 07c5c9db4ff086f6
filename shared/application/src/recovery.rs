//! Recoveries: a webhook's undelivered events of a time window are sent again, oldest first, page by page.
//!
//! Invariant: the tasks of a job's pages are enqueued first, then the job for the next pages, and only then is the job's
//! message deleted. A recovery whose worker dies therefore continues where it was. All tasks of one recovery belong to one run,
//! so that repeated tasks begin nothing twice.

use crate::{App, Error};
use domain::{
    account::AccountId,
    delivery::{Delivery, Task, Trigger},
    id::{EventId, WebhookId},
    job::{Job, Recover, next_hop},
    time::{CLOCK_SKEW, Timestamp},
    webhook::{RecoveryWindow, Webhook},
};
use std::time::Duration;
use store::{StoreError, deliveries, events, jobs, queues::BATCH_MAX, rate_limits, tasks, webhooks};

/// The most events of one page.
const PAGE: usize = 100;
/// The most pages of one job. There are several, so that jobs cost little beside the tasks that they enqueue.
const JOB_PAGES: usize = 5;
/// A job that has taken this long begins no further page: the function's timeout is 30 s.
const JOB_TIME_MAX: Duration = Duration::from_secs(8);

/// The window of a recovery that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The first moment of the window.
    pub since: Timestamp,
    /// The last moment of the window.
    pub until: Timestamp,
}

/// Why a recovery could not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The account has no such webhook.
    #[error("there is no such webhook")]
    NotFound,
    /// The webhook is disabled.
    #[error("the webhook is disabled")]
    Disabled,
    /// AWS failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for BeginError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// Begins the recovery of the events published from `since` to `until` (default: 5 s from now).
pub async fn begin(
    app: &App,
    account: &AccountId,
    webhook: WebhookId,
    since: Timestamp,
    until: Option<Timestamp>,
) -> Result<Begun, BeginError> {
    let now = app.clock.now();
    let until = until.unwrap_or_else(|| now.plus(CLOCK_SKEW));
    let window = RecoveryWindow { run: now.unix_ms(), first: EventId::first_at(since), last: EventId::first_at(until) };
    // Store the window before the job is enqueued, so that no delivery of the recovery still shows as held.
    let changed = webhooks::change(&app.store, account, webhook, |webhook| {
        if !webhook.is_enabled() {
            return Err(BeginError::Disabled);
        }
        webhook.add_recovery(window);
        Ok(())
    });
    let webhook = changed.await?.ok_or(BeginError::NotFound)?;
    let job = Job::Recover(Recover::begin(&webhook, window));
    jobs::enqueue(&app.queues, account, &job).await.map_err(Error::from)?;
    Ok(Begun { since, until })
}

/// Continues a recovery: enqueues the tasks of some pages, and a job for the pages after them.
pub async fn continue_with(app: &App, mut job: Recover) -> Result<(), Error> {
    let began = app.clock.now();
    for _ in 0..JOB_PAGES {
        // Read again for each page, because the webhook may have been disabled meanwhile.
        let webhook = webhooks::get(&app.store, &job.account, job.webhook).await?;
        let Some(webhook) = webhook.filter(|webhook| webhook.is_enabled() && webhook.epoch == job.epoch) else {
            tracing::warn!(
                account = %job.account, webhook_id = %job.webhook, "a recovery stops: its webhook was disabled or deleted"
            );
            return Ok(());
        };
        let Some(next) = page(app, &job, &webhook).await? else { return Ok(()) };
        job.after = Some(next);
        if app.clock.now().since(began) >= JOB_TIME_MAX {
            break;
        }
    }
    job.hops = next_hop(job.hops)?;
    let account = job.account.clone();
    Ok(jobs::enqueue(&app.queues, &account, &Job::Recover(job)).await?)
}

/// Enqueues the tasks of one page, and returns the last event of the page if there may be more.
async fn page(app: &App, job: &Recover, webhook: &Webhook) -> Result<Option<EventId>, Error> {
    let (account, window) = (&job.account, (job.first, job.last));
    let page = events::oldest_first(&app.store, account, window, job.after, PAGE).await?;
    let wanted = page.items.iter().filter(|event| webhook.wants(event.id, &event.event_type));
    let ids: Vec<_> = wanted.map(|event| event.id).collect();
    let stored = deliveries::of_webhook(&app.store, account, job.webhook, &ids).await?;
    // The tasks of a rate-limited webhook may wait for long. A delivery that is overdue by no more than that wait is not
    // stalled.
    let wait = match webhook.rate_limit {
        Some(_) => rate_limits::wait(&app.store, account, job.webhook).await?,
        None => Duration::ZERO,
    };
    let as_of = app.clock.now().minus(wait);
    let is_recoverable = |delivery: &Delivery| delivery.is_recoverable(webhook.epoch, as_of);
    let undelivered = ids.iter().filter(|id| stored.get(id).is_none_or(is_recoverable));
    let trigger = Trigger::Scheduled { run: job.run, step: 1 };
    let tasks: Vec<_> =
        undelivered.map(|event| Task { trigger: trigger.clone(), ..Task::first(webhook, *event) }).collect();
    // One batch after the other, so that the receiver gets the oldest events first.
    for batch in tasks.chunks(BATCH_MAX) {
        tasks::enqueue(&app.queues, batch, Duration::ZERO).await?;
    }
    tracing::info!(
        %account, webhook_id = %job.webhook, looked_at = page.items.len(), sent = tasks.len(),
        "a page of a recovery is enqueued"
    );
    Ok(page.next)
}
