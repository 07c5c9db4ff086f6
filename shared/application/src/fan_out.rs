//! Fan-out: enqueues a task for each webhook that receives an event, page by page.

use crate::{App, Error, filters::Matcher};
use bytes::Bytes;
use domain::{
    delivery::Task,
    event_type::EventType,
    id::{EventId, WebhookId},
    job::{FanOut, Job, next_hop},
    page::Order,
    webhook::Webhook,
};
use futures::future::try_join_all;
use std::{slice, time::Duration};
use store::{
    QueueError, StoreError, events, jobs,
    tasks::{self, Delayed},
    webhooks,
};
use telemetry::metrics;

/// The most webhooks of one further page. In the local runner, where one process does everything, a larger page would delay
/// other work.
const PAGE: usize = 100;
/// The most pages of one job. There are several, so that jobs cost little beside the tasks that they enqueue.
const JOB_PAGES: usize = 5;
/// A job that has taken this long begins no further page: the function's timeout is 45 s, and filters may be many and slow.
const JOB_TIME_MAX: Duration = Duration::from_secs(8);

/// Continues a fan-out: enqueues the tasks of some pages of webhooks, and a job for the pages after them.
pub async fn continue_with(app: &App, mut fan_out: FanOut) -> Result<(), Error> {
    let (began, mut payload, mut enqueued) = (app.clock.now(), None, 0);
    for _ in 0..JOB_PAGES {
        let page = webhooks::page(&app.store, &fan_out.account, fan_out.after, PAGE, Order::Oldest).await?;
        if payload.is_none() && page.items.iter().any(|webhook| webhook.filter.is_some()) {
            payload = read_payload(app, &fan_out).await?;
        }
        enqueued += enqueue_tasks(app, slice::from_ref(&fan_out), slice::from_ref(&payload), &page.items).await?;
        fan_out.after = page.next;
        if page.next.is_none() || app.clock.now().since(began) >= JOB_TIME_MAX {
            break;
        }
    }
    if fan_out.after.is_some() {
        fan_out.hops = next_hop(fan_out.hops)?;
        enqueue_jobs(app, slice::from_ref(&fan_out), fan_out.after).await?;
    }
    metrics::fanned_out(&fan_out, enqueued);
    Ok(())
}

/// Reads the payload that filters judge, or `None` if the event has expired.
async fn read_payload(app: &App, fan_out: &FanOut) -> Result<Option<Bytes>, StoreError> {
    Ok(events::get(&app.store, &fan_out.account, fan_out.event).await?.map(|event| event.payload))
}

/// Enqueues the tasks of each event for one page of webhooks, and returns their number. `payloads` has the payload of each event. It
/// may be `None` if no webhook of the page has a filter.
pub(crate) async fn enqueue_tasks(
    app: &App,
    fan_outs: &[FanOut],
    payloads: &[Option<Bytes>],
    webhooks: &[Webhook],
) -> Result<usize, QueueError> {
    let mut enqueued = vec![];
    for (fan_out, payload) in fan_outs.iter().zip(payloads) {
        let matcher = app.filters.matcher(payload.as_ref());
        let receivers = receivers(&matcher, fan_out.event, &fan_out.event_type, webhooks);
        enqueued.extend(receivers.into_iter().map(|webhook| {
            let delay = webhook.options.retry_schedule(&app.retry_schedule).first_wait();
            Delayed { task: Task::first(webhook, fan_out.event), delay }
        }));
    }
    tasks::enqueue_delayed(&app.queues, &enqueued).await?;
    Ok(enqueued.len())
}

/// Returns those of `webhooks` that get a task for an event, which `matcher` matches.
pub(crate) fn receivers<'w>(
    matcher: &Matcher,
    event: EventId,
    event_type: &EventType,
    webhooks: &'w [Webhook],
) -> Vec<&'w Webhook> {
    matcher.passing(webhooks.iter().filter(|webhook| webhook.receives(event, event_type)))
}

/// Enqueues a job of each event for the webhooks after `after`. `None` means that there are no more webhooks.
pub(crate) async fn enqueue_jobs(app: &App, fan_outs: &[FanOut], after: Option<WebhookId>) -> Result<(), QueueError> {
    let wanted = fan_outs.iter().filter(|_| after.is_some());
    try_join_all(wanted.map(async |fan_out| {
        let job = Job::FanOut(FanOut { after, ..fan_out.clone() });
        jobs::enqueue(&app.queues, &fan_out.account, &job).await
    }))
    .await?;
    Ok(())
}
