//! Finds stalled deliveries: they are pending and overdue, no disabling holds them, and no task will attempt them.
//!
//! A task is lost only if AWS loses a message or a schedule, or if somebody deletes one. This command finds the deliveries
//! whose task was lost, and puts the same task on the queue again. That does no harm if the first task still exists: one of the
//! two finds the attempt of the other recorded, and ends.
//!
//! | file | holds |
//! |---|---|
//! | `decision.rs` | which deliveries are stalled, as pure functions |
//! | `tables.rs` | the tables, read page by page |

mod decision;
mod tables;
#[cfg(test)]
mod tests;

use application::App;
use decision::{Stalled, Waits};
use domain::{
    account::AccountId,
    delivery::{Delivery, Trigger},
    id::WebhookId,
    page::Order,
    webhook::Webhook,
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    io::Write,
    time::Duration,
};
use store::{deliveries, events, tasks, webhooks};
use tables::OldEvent;

/// The most webhooks of an account that are in memory at once.
const WEBHOOKS_PAGE: usize = 100;

/// The options of the search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// The account to search, or `None` for all accounts.
    pub(crate) account: Option<AccountId>,
    /// Whether to put the task of each stalled delivery on the queue.
    pub(crate) enqueue: bool,
}

/// How many items were read, and how many deliveries are stalled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    deliveries: usize,
    events: usize,
    stalled: usize,
    enqueued: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deliveries, events, stalled, enqueued } = self;
        write!(f, "scanned {deliveries} deliveries and {events} events: {stalled} stalled, {enqueued} enqueued")
    }
}

/// Prints a line for each stalled delivery: account, delivery, reason, and for how long.
pub(crate) async fn find(app: &App, request: &Request, out: &mut impl Write) -> anyhow::Result<Summary> {
    let mut search = Search { app, request, out, summary: Summary::default() };
    search.stored_deliveries().await?;
    search.events().await?;
    Ok(search.summary)
}

struct Search<'a, W> {
    app: &'a App,
    request: &'a Request,
    out: &'a mut W,
    summary: Summary,
}

impl<W: Write> Search<'_, W> {
    async fn stored_deliveries(&mut self) -> anyhow::Result<()> {
        let mut start = None;
        loop {
            let page = tables::pending(self.app, self.request.account.as_ref(), start).await?;
            self.summary.deliveries += page.scanned;
            let stalled = stored(self.app, &page.items).await?;
            self.report(&stalled).await?;
            start = page.next;
            if start.is_none() {
                return Ok(());
            }
        }
    }

    async fn events(&mut self) -> anyhow::Result<()> {
        let mut start = None;
        loop {
            let page = tables::old_events(self.app, self.request.account.as_ref(), start).await?;
            self.summary.events += page.scanned;
            let mut by_account = BTreeMap::<AccountId, Vec<OldEvent>>::new();
            for event in page.items {
                by_account.entry(event.account.clone()).or_default().push(event);
            }
            for (account, events) in by_account {
                self.events_of(&account, &events).await?;
            }
            start = page.next;
            if start.is_none() {
                return Ok(());
            }
        }
    }

    async fn events_of(&mut self, account: &AccountId, events: &[OldEvent]) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let page = webhooks::page(&self.app.store, account, after, WEBHOOKS_PAGE, Order::Oldest).await?;
            for webhook in page.items.iter().filter(|webhook| webhook.is_enabled()) {
                let stalled = never_attempted(self.app, webhook, events).await?;
                self.report(&stalled).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Enqueues the tasks of stalled deliveries, if the request asks for it, and then prints the deliveries.
    async fn report(&mut self, stalled: &[Stalled]) -> anyhow::Result<()> {
        if self.request.enqueue {
            let tasks: Vec<_> = stalled.iter().map(|stalled| stalled.task.clone()).collect();
            tasks::enqueue(&self.app.queues, &tasks, Duration::ZERO).await?;
            self.summary.enqueued += stalled.len();
        }
        for Stalled { task, reason, overdue } in stalled {
            writeln!(self.out, "{}\t{}\t{reason}\t{} s", task.account, task.delivery, overdue.as_secs())?;
        }
        self.summary.stalled += stalled.len();
        Ok(())
    }
}

/// Returns the stalled ones of a page of stored deliveries.
async fn stored(app: &App, page: &[Delivery]) -> anyhow::Result<Vec<Stalled>> {
    let now = app.clock.now();
    let mut webhooks: HashMap<(AccountId, WebhookId), Option<(Webhook, Duration)>> = HashMap::new();
    let mut stalled = Vec::new();
    for delivery in page.iter().filter(|delivery| decision::is_overdue(delivery, now)) {
        let key = (delivery.account.clone(), delivery.delivery.webhook);
        if !webhooks.contains_key(&key) {
            let webhook = match webhooks::get(&app.store, &key.0, key.1).await? {
                Some(webhook) => {
                    let rate_limit_wait = tables::rate_limit_wait(app, &webhook).await?;
                    Some((webhook, rate_limit_wait))
                }
                None => None,
            };
            webhooks.insert(key.clone(), webhook);
        }
        let Some(Some((webhook, rate_limit_wait))) = webhooks.get(&key) else { continue };
        if let Some(mut found) = decision::stored(delivery, webhook, *rate_limit_wait, now) {
            // The only attempt of a test delivery is not a step of the schedule.
            let event = events::get(&app.store, &delivery.account, delivery.delivery.event).await?;
            if event.is_some_and(|event| event.test) {
                found.task.trigger = Trigger::Test;
            }
            stalled.push(found);
        }
    }
    Ok(stalled)
}

/// Returns the stalled deliveries of those `events` for which no delivery to `webhook` is stored.
async fn never_attempted(app: &App, webhook: &Webhook, events: &[OldEvent]) -> anyhow::Result<Vec<Stalled>> {
    let rate_limit = tables::rate_limit_wait(app, webhook).await?;
    let waits = Waits { first: webhook.options.retry_schedule(&app.retry_schedule).first_wait(), rate_limit };
    let now = app.clock.now();
    let stalled = events.iter().filter_map(|event| decision::never_attempted(webhook, event, waits, now));
    let mut stalled: Vec<_> = stalled.collect();
    let ids: Vec<_> = stalled.iter().map(|stalled| stalled.task.delivery.event).collect();
    let stored = deliveries::of_webhook(&app.store, &webhook.account, webhook.id, &ids).await?;
    stalled.retain(|stalled| !stored.contains_key(&stalled.task.delivery.event));
    if webhook.filter.is_some() {
        return passing(app, webhook, stalled).await;
    }
    Ok(stalled)
}

/// Returns those of `stalled` whose event passes the webhook's filter. Only a webhook with a filter needs the payloads.
async fn passing(app: &App, webhook: &Webhook, stalled: Vec<Stalled>) -> anyhow::Result<Vec<Stalled>> {
    let mut passing = vec![];
    for stalled in stalled {
        let event = events::get(&app.store, &webhook.account, stalled.task.delivery.event).await?;
        if event.is_some_and(|event| app.filters.matcher(Some(&event.payload)).passes(webhook)) {
            passing.push(stalled);
        }
    }
    Ok(passing)
}
