//! Fan-out: enqueues a task for each webhook that receives an event, page by page.

use crate::{App, Error};
use domain::{
    delivery::Task,
    id::WebhookId,
    job::{FanOut, Job, next_hop},
    page::Order,
    webhook::Webhook,
};
use futures::future::try_join_all;
use std::slice;
use store::{QueueError, jobs, tasks, webhooks};

/// The most webhooks of one further page. In the local runner, where one process does everything, a larger page would delay
/// other work.
const PAGE: usize = 100;
/// The most pages of one job. There are several, so that jobs cost little beside the tasks that they enqueue.
const JOB_PAGES: usize = 5;

/// Continues a fan-out: enqueues the tasks of some pages of webhooks, and a job for the pages after them.
pub async fn continue_with(app: &App, mut fan_out: FanOut) -> Result<(), Error> {
    for _ in 0..JOB_PAGES {
        let page = webhooks::page(&app.store, &fan_out.account, fan_out.after, PAGE, Order::Oldest).await?;
        enqueue_tasks(app, slice::from_ref(&fan_out), &page.items).await?;
        if page.next.is_none() {
            return Ok(());
        }
        fan_out.after = page.next;
    }
    fan_out.hops = next_hop(fan_out.hops)?;
    Ok(enqueue_jobs(app, slice::from_ref(&fan_out), fan_out.after).await?)
}

/// Enqueues the tasks of each event for one page of webhooks.
pub(crate) async fn enqueue_tasks(app: &App, fan_outs: &[FanOut], webhooks: &[Webhook]) -> Result<(), QueueError> {
    let pairs = fan_outs.iter().flat_map(|fan_out| webhooks.iter().map(move |webhook| (fan_out, webhook)));
    let wanted = pairs.filter(|(fan_out, webhook)| webhook.receives(fan_out.event, &fan_out.event_type));
    let tasks: Vec<_> = wanted.map(|(fan_out, webhook)| Task::first(webhook, fan_out.event)).collect();
    tasks::enqueue(&app.queues, &tasks, app.retry_schedule.first_wait()).await
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
