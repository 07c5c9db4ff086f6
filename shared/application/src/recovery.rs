//! Recoveries: a webhook's undelivered events of a time window are sent again, oldest first, page by page.
//!
//! Invariant: the tasks of a job's pages are enqueued first, then the job for the next pages, and only then is the job's
//! message deleted. A recovery whose worker dies therefore continues where it was. All tasks of one recovery belong to one run,
//! so that repeated tasks begin nothing twice.
//!
//! Between the tasks and the next job, a job records the recovery's progress, with one conditional write. A repeated job finds
//! its record: it looks at no event again, and only makes sure of the next job. A job after which a later one has recorded its
//! own has nothing left to do.

use crate::{App, Error};
use domain::{
    account::AccountId,
    delivery::{Delivery, DeliveryStatus, Task, Trigger, is_recovered},
    event::{EventSummary, ListedEvent},
    id::{EventId, RecoveryId, WebhookId},
    job::{Job, Recover, next_hop},
    recovery::{EmptyWindow, NewRecovery, Pass, Recovery, RecoveryStatus},
    time::Timestamp,
    webhook::Webhook,
};
use std::{num::NonZeroU32, time::Duration};
use store::{
    StoreError, deliveries,
    events::{self, Window},
    jobs,
    queues::{BATCH_MAX, DELAY_MAX},
    rate_limits, recoveries, tasks, webhooks,
};

/// The most events of one page.
const PAGE: usize = 100;
/// The most pages of one job. There are several, so that jobs cost little beside the tasks that they enqueue.
const JOB_PAGES: usize = 5;
/// The deliveries a second of the recovery that follows a trial, if the webhook has no rate limit of its own.
pub(crate) const PACE: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// The tasks of one job fit into the longest delay of a message.
const _: () = assert!(PAGE * JOB_PAGES / PACE.get() as usize <= DELAY_MAX.as_secs() as usize);
/// A job that has taken this long begins no further page: the function's timeout is 45 s.
const JOB_TIME_MAX: Duration = Duration::from_secs(8);

/// Why a recovery could not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The account has no such webhook.
    #[error("there is no such webhook")]
    NotFound,
    /// The webhook is disabled.
    #[error("the webhook is disabled")]
    Disabled,
    /// The webhook's events are polled.
    #[error("the webhook's events are polled")]
    Polled,
    /// The window ends before the webhook was registered.
    #[error(transparent)]
    Empty(#[from] EmptyWindow),
    /// AWS failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for BeginError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// Begins a recovery of an enabled webhook, and returns its record.
pub async fn begin(
    app: &App,
    account: &AccountId,
    webhook: WebhookId,
    new: NewRecovery,
) -> Result<Recovery, BeginError> {
    let (now, retention) = (app.clock.now(), app.store.settings.retention);
    // Store the window before the job is enqueued, so that no delivery of the recovery still shows as held.
    let changed = webhooks::change(&app.store, account, webhook, |webhook| {
        if webhook.is_polled() {
            return Err(BeginError::Polled);
        }
        if !webhook.is_enabled() {
            return Err(BeginError::Disabled);
        }
        webhook.add_recovery(new.window(webhook, now, retention)?);
        Ok(())
    });
    let webhook = changed.await?.ok_or(BeginError::NotFound)?;
    let window = *webhook.recoveries.last().expect("the window that was added");
    let id = RecoveryId::new(Timestamp::from_unix_ms(window.run), &app.random);
    let job = Recover { id: Some(id), ..Recover::of_window(&webhook, window) };
    let begun = Recovery::begun_by(id, &job);
    // Store the record last, so that none is left without a job. A job that is faster stores it itself.
    jobs::enqueue(&app.queues, account, &Job::Recover(job)).await.map_err(Error::from)?;
    recoveries::create(&app.store, account, &begun).await?;
    Ok(begun)
}

/// Continues a recovery: enqueues the tasks of some pages, records its progress, and enqueues a job for the pages after them.
pub async fn continue_with(app: &App, job: Recover) -> Result<(), Error> {
    let account = &job.account;
    let before = match job.id {
        Some(id) if job.hops == 0 => {
            Some(recoveries::create(&app.store, account, &Recovery::begun_by(id, &job)).await?)
        }
        Some(id) => recoveries::get(&app.store, account, job.webhook, id).await?,
        None => None,
    };
    let Some(before) = before else {
        // It began in version 0.1, or so long ago that its record is no longer kept.
        let Pass { status, after, .. } = pass(app, &job).await?;
        return enqueue_next(app, &job, (status, after), Duration::ZERO).await;
    };
    let (recorded, wait) = if before.jobs > job.hops {
        (before, Duration::ZERO)
    } else {
        let pass = pass(app, &job).await?;
        let after = before.after_pass(&pass, app.clock.now());
        let recorded = recoveries::record(&app.store, account, &after).await?.unwrap_or(after);
        (recorded, delay_after(job.pace, pass.sent))
    };
    let is_latest = recorded.jobs <= job.hops + 1;
    if is_latest { enqueue_next(app, &job, (recorded.status, recorded.after), wait).await } else { Ok(()) }
}

/// Enqueues the job that continues after an event, to be received after `wait`, if the recovery still runs.
async fn enqueue_next(
    app: &App,
    job: &Recover,
    (status, after): (RecoveryStatus, Option<EventId>),
    wait: Duration,
) -> Result<(), Error> {
    if status != RecoveryStatus::Running {
        return Ok(());
    }
    let next = Recover { after, hops: next_hop(job.hops)?, ..job.clone() };
    Ok(jobs::enqueue_later(&app.queues, &job.account, &Job::Recover(next), wait).await?)
}

/// Returns how long a job's delivery waits that has `before` others before it.
fn delay_after(pace: Option<NonZeroU32>, before: u64) -> Duration {
    pace.map_or(Duration::ZERO, |pace| Duration::from_secs(before / u64::from(pace.get())))
}

/// Enqueues the tasks of a job's pages.
async fn pass(app: &App, job: &Recover) -> Result<Pass, Error> {
    let began = app.clock.now();
    let mut pass = Pass { status: RecoveryStatus::Running, after: job.after, looked_at: 0, sent: 0 };
    for _ in 0..JOB_PAGES {
        // Read again for each page, because the webhook may have been disabled meanwhile.
        let webhook = webhooks::get(&app.store, &job.account, job.webhook).await?;
        let Some(webhook) = webhook.filter(|webhook| webhook.is_enabled() && webhook.epoch == job.epoch) else {
            tracing::warn!(
                account = %job.account, webhook_id = %job.webhook, "a recovery stops: its webhook was disabled or deleted"
            );
            return Ok(Pass { status: RecoveryStatus::Stopped, ..pass });
        };
        let page = page(app, job, &pass, &webhook).await?;
        pass.looked_at += page.looked_at as u64;
        pass.sent += page.sent as u64;
        match page.next {
            Some(next) => pass.after = Some(next),
            None => return Ok(Pass { status: RecoveryStatus::Done, ..pass }),
        }
        if app.clock.now().since(began) >= JOB_TIME_MAX {
            break;
        }
    }
    Ok(pass)
}

/// What a page of a recovery came to.
struct Enqueued {
    looked_at: usize,
    sent: usize,
    /// The last event of the page, if there may be more.
    next: Option<EventId>,
}

/// Enqueues the tasks of the page after what `pass` has looked at.
async fn page(app: &App, job: &Recover, pass: &Pass, webhook: &Webhook) -> Result<Enqueued, Error> {
    let (account, after) = (&job.account, pass.after);
    let window = Window { first: job.first, last: job.last, payloads: webhook.filter.is_some() };
    let page = events::oldest_first(&app.store, account, window, after, PAGE).await?;
    let wanted: Vec<_> =
        page.items.iter().filter(|event| is_wanted(app, webhook, event)).map(|event| &event.summary).collect();
    let ids: Vec<_> = wanted.iter().map(|event| event.id).collect();
    let stored = deliveries::of_webhook(&app.store, account, job.webhook, &ids).await?;
    // The tasks of a rate-limited webhook may wait for long. A delivery that is overdue by no more than that wait is not
    // stalled.
    let wait = match webhook.rate_limit {
        Some(_) => rate_limits::wait(&app.store, account, job.webhook).await?,
        None => Duration::ZERO,
    };
    let as_of = app.clock.now().minus(wait);
    // Before the registration only a publisher's clock that was behind explains a delivery, so it must be stored.
    let is_within = |event: &EventSummary| job.backfill || webhook.created_at <= event.id.made_at();
    let is_failed = |delivery: &Delivery| delivery.status == DeliveryStatus::Failed;
    let sent = wanted.iter().filter(|event| {
        let stored = stored.get(&event.id);
        let is_included = stored.map_or(is_within(event), |delivery| job.include_failed || !is_failed(delivery));
        is_included && is_recovered(webhook, event, stored, job.held_only, as_of)
    });
    let trigger = Trigger::Scheduled { run: job.run, step: 1 };
    let tasks: Vec<_> = sent.map(|event| Task { trigger: trigger.clone(), ..Task::first(webhook, event.id) }).collect();
    // One batch after the other, so that the receiver gets the oldest events first.
    for (before, batch) in (pass.sent..).step_by(BATCH_MAX).zip(tasks.chunks(BATCH_MAX)) {
        tasks::enqueue(&app.queues, batch, delay_after(job.pace, before)).await?;
    }
    let looked_at = page.items.iter().map(|event| &event.summary);
    let looked_at = looked_at.filter(|event| is_within(event) || stored.contains_key(&event.id)).count();
    let enqueued = Enqueued { looked_at, sent: tasks.len(), next: page.next };
    tracing::info!(
        %account, webhook_id = %job.webhook, looked_at = enqueued.looked_at, sent = enqueued.sent,
        "a page of a recovery is enqueued"
    );
    Ok(enqueued)
}

/// Whether the webhook receives an event now, and the event passes its filter.
fn is_wanted(app: &App, webhook: &Webhook, event: &ListedEvent) -> bool {
    let ListedEvent { summary, payload } = event;
    webhook.wants(summary.id, &summary.event_type) && app.filters.matcher(payload.as_ref()).passes(webhook)
}
