//! From an event to its wake-ups: store it, then put one wake-up for each subscribed webhook on the queue, page by page.
//!
//! Invariant: whoever answers for an event (a 202, or a deleted message) does so after the event is stored and the wake-ups
//! of a page, and the job for the pages after it, are on their queues.

use crate::{
    app::App,
    delivery::{DeliveryStatus, Wakeup},
    event::{Event, EventSummary, NewEvent},
    event_type::UnknownTypes,
    id::{AccountId, EventId, WebhookId},
    queue::{self, FanOut, Job, QueueError},
    store::{
        StoreError, events,
        idempotency::{self, FirstUse},
        webhooks::{self, Order, WebhookPage},
    },
    webhook::Webhook,
};
use futures::future::try_join_all;
use std::{slice, time::Duration};

/// Webhooks read for the page that a request waits for.
const FIRST_PAGE: usize = queue::BATCH_MAX;
/// Webhooks read for each later page: what is read at once keeps others waiting where one process does everything.
const LATER_PAGE: usize = 100;
/// Later pages of one job, so that jobs cost little beside the wake-ups that they place.
const JOB_PAGES: usize = 5;
/// Events of a batch that are stored at once.
const PUTS_AT_ONCE: usize = 16;
/// A webhook disabled within this time after an event was published gets the event as `held`, whichever page it is on:
/// the clocks of two workers may differ by as much.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// An event could not be published; it may be stored, and some of its wake-ups may be placed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl PublishError {
    /// Whether AWS takes no more requests now.
    pub fn is_throttled(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Throttled(_)),
            Self::Queue(error) => error.is_throttled(),
        }
    }
}

/// Stores `events`, all of `account`, and wakes the first page of webhooks for each; more go on as jobs. Publishing an event
/// twice is harmless.
pub async fn publish(app: &App, account: &AccountId, events: &[Event]) -> Result<(), PublishError> {
    if events.is_empty() {
        return Ok(());
    }
    let read = || webhooks::page(app, account, None, FIRST_PAGE, Order::Oldest);
    let ((), mut page) = futures::try_join!(store(app, events), read())?;
    if page.webhooks.iter().any(|webhook| !webhook.is_enabled()) {
        // One that was enabled and recovered meanwhile, before the events were stored, gets them by this second look; one
        // that still is disabled will find them when it is recovered.
        page = read().await?;
    }
    let fan_outs = events.iter().map(|event| FanOut {
        account: event.account.clone(),
        event: event.id,
        event_type: event.event_type.clone(),
        after: None,
        hops: 0,
    });
    let fan_outs: Vec<_> = fan_outs.collect();
    futures::try_join!(wake(app, &fan_outs, &page), go_on(app, &fan_outs, page.next))?;
    Ok(())
}

/// The publication that a request asks for: under an idempotency key it is one, however often and however concurrently it is
/// asked for.
#[derive(Debug)]
pub struct Publication {
    account: AccountId,
    first_use: Option<(String, FirstUse)>,
}

/// What a request's events have become.
#[derive(Debug)]
pub struct Published {
    /// The events, in the request's order.
    pub events: Vec<Event>,
    /// Whether an earlier request with the same key published them.
    pub replayed: bool,
}

impl Publication {
    /// One that was asked for without a key.
    pub fn new(account: AccountId) -> Self {
        Self { account, first_use: None }
    }

    /// The one of `key`; `None` where that was used for another request. This one is told from others by `parts` and judged by
    /// `unknown_types`.
    pub async fn under_key(
        app: &App,
        account: AccountId,
        key: String,
        parts: &[&[u8]],
        unknown_types: &UnknownTypes,
    ) -> Result<Option<Self>, StoreError> {
        let first = idempotency::begin(app, &account, &key, parts, unknown_types).await?;
        Ok(first.map(|first| Self { account, first_use: Some((key, first)) }))
    }

    /// What the key's first use was judged by: the catalogue may have changed since, its answer may not.
    pub fn unknown_types(&self) -> Option<&UnknownTypes> {
        self.first_use.as_ref().map(|(_, first)| &first.unknown_types)
    }

    /// Publishes the events that the request has by that judgement.
    pub async fn publish(self, app: &App, new: &[NewEvent]) -> Result<Published, PublishError> {
        let (now, account) = (app.clock.now(), self.account);
        let id = |index| match &self.first_use {
            Some((_, first)) => first.event_id(index),
            None => EventId::new(now, &app.random),
        };
        let events = new.iter().enumerate().map(|(index, new)| Event::new(account.clone(), id(index), new)).collect();
        let replayed = self.first_use.as_ref().is_some_and(|(_, first)| first.done);
        let published = Published { events, replayed };
        if !replayed {
            publish(app, &account, &published.events).await?;
            if let Some((key, first)) = &self.first_use {
                idempotency::finish(app, &account, key, first).await?;
            }
        }
        Ok(published)
    }
}

async fn store(app: &App, events: &[Event]) -> Result<(), StoreError> {
    for some in events.chunks(PUTS_AT_ONCE) {
        let puts: Vec<_> = some.iter().map(|event| events::put(app, event)).collect();
        try_join_all(puts).await?;
    }
    Ok(())
}

/// Goes on with a fan-out: wakes the next pages of webhooks; more go on as a further job.
pub async fn fan_out(app: &App, mut fan_out: FanOut) -> Result<(), PublishError> {
    for _ in 0..JOB_PAGES {
        let page = webhooks::page(app, &fan_out.account, fan_out.after, LATER_PAGE, Order::Oldest).await?;
        wake(app, slice::from_ref(&fan_out), &page).await?;
        if page.next.is_none() {
            return Ok(());
        }
        fan_out.after = page.next;
    }
    fan_out.hops = queue::next_hop(fan_out.hops)?;
    Ok(go_on(app, slice::from_ref(&fan_out), fan_out.after).await?)
}

/// Places the wake-ups of one page of webhooks for each event.
async fn wake(app: &App, fan_outs: &[FanOut], page: &WebhookPage) -> Result<(), QueueError> {
    let pairs = fan_outs.iter().flat_map(|fan_out| page.webhooks.iter().map(move |webhook| (fan_out, webhook)));
    let wanted = pairs.filter(|(fan_out, webhook)| gets(webhook, fan_out));
    let wakeups: Vec<_> = wanted.map(|(fan_out, webhook)| Wakeup::first(webhook, fan_out.event)).collect();
    queue::send_wakeups(app, &wakeups, app.config.retry_schedule.first_wait()).await
}

/// Places the jobs for the webhooks after `after`, if there are any.
async fn go_on(app: &App, fan_outs: &[FanOut], after: Option<WebhookId>) -> Result<(), QueueError> {
    let wanted = fan_outs.iter().filter(|_| after.is_some());
    try_join_all(wanted.map(async |fan_out| {
        let job = Job::FanOut(FanOut { after, ..fan_out.clone() });
        queue::send_job(app, &fan_out.account, &job).await
    }))
    .await?;
    Ok(())
}

/// Whether the event is `webhook`'s: it subscribes, was there when the event was published, and is enabled, or was then.
fn gets(webhook: &Webhook, fan_out: &FanOut) -> bool {
    let published_at = fan_out.event.made_at();
    let disabled_since = webhook.disabled_at.is_some_and(|at| at.plus(CLOCK_SKEW) >= published_at);
    webhook.wants(fan_out.event, &fan_out.event_type)
        && webhook.created_at <= published_at.plus(CLOCK_SKEW)
        && (webhook.is_enabled() || disabled_since)
}

/// How a delivery that is not stored yet stands; none where it does not exist.
///
/// It exists if the webhook was registered and subscribed when the event was published, or if a recovery sends it. It is on
/// its way if the webhook has been enabled since before the event, or if a recovery has it since; a disabling holds it.
pub fn status_before_claim(webhook: &Webhook, event: &EventSummary) -> Option<DeliveryStatus> {
    if event.test || !webhook.wants(event.id, &event.event_type) {
        return None;
    }
    let is_recovered = webhook.recovery_of(event.id).is_some();
    if !is_recovered && !webhook.subscribed_at_publication(event.id, &event.event_type) {
        return None;
    }
    let is_newer = webhook.enabled_at.is_none_or(|enabled_at| enabled_at <= event.id.made_at());
    let is_pending = webhook.is_enabled() && (is_newer || is_recovered);
    Some(if is_pending { DeliveryStatus::Pending } else { DeliveryStatus::Held })
}
