//! Deliveries that stand still: they are not delivered, no task will attempt them, and no rule says that they should wait.
//!
//! A task is lost only where AWS loses a message or a schedule, or where somebody deletes one. This command finds what that
//! leaves behind, and puts the same task on the queue again. It is never wrong to do so: a task that is still there somewhere
//! finds the attempt of the other, and ends.
//!
//! | file | holds |
//! |---|---|
//! | `decision.rs` | what stands still, as pure functions |
//! | `tables.rs` | the tables, page by page |

mod decision;
mod tables;
#[cfg(test)]
mod tests;

use decision::{Stalled, Waits};
use hookline::{
    app::App,
    delivery::{Delivery, Turn},
    id::{AccountId, WebhookId},
    queue,
    store::{
        deliveries, events,
        webhooks::{self, Order},
    },
    webhook::Webhook,
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    io::Write,
    time::Duration,
};
use tables::OldEvent;

/// Webhooks of an account that are held in memory at once.
const WEBHOOKS_PAGE: usize = 100;

/// What is looked at, and what is done with what is found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// The one account to look at; otherwise all of them.
    pub(crate) account: Option<AccountId>,
    /// Whether the task of each is put on the queue.
    pub(crate) enqueue: bool,
}

/// What was looked at and found.
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
        write!(f, "looked at {deliveries} deliveries and {events} events: {stalled} stand still, {enqueued} enqueued")
    }
}

/// Prints a line for each delivery that stands still: account, delivery, why, and for how long.
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
            self.summary.deliveries += page.looked_at;
            let stalled = of_deliveries(self.app, &page.items).await?;
            self.hand_over(&stalled).await?;
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
            self.summary.events += page.looked_at;
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
            let page = webhooks::page(self.app, account, after, WEBHOOKS_PAGE, Order::Oldest).await?;
            for webhook in page.webhooks.iter().filter(|webhook| webhook.is_enabled()) {
                let stalled = never_attempted(self.app, webhook, events).await?;
                self.hand_over(&stalled).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Enqueues what stands still, where that is asked for, and then prints it.
    async fn hand_over(&mut self, stalled: &[Stalled]) -> anyhow::Result<()> {
        if self.request.enqueue {
            let tasks: Vec<_> = stalled.iter().map(|stalled| stalled.task.clone()).collect();
            queue::send_wakeups(self.app, &tasks, Duration::ZERO).await?;
            self.summary.enqueued += stalled.len();
        }
        for Stalled { task, why, overdue } in stalled {
            writeln!(self.out, "{}\t{}\t{why}\t{} s", task.account, task.delivery, overdue.as_secs())?;
        }
        self.summary.stalled += stalled.len();
        Ok(())
    }
}

/// Those of a page of stored deliveries that stand still.
async fn of_deliveries(app: &App, page: &[Delivery]) -> anyhow::Result<Vec<Stalled>> {
    let now = app.clock.now();
    let mut webhooks: HashMap<(AccountId, WebhookId), Option<(Webhook, Duration)>> = HashMap::new();
    let mut stalled = Vec::new();
    for delivery in page.iter().filter(|delivery| decision::is_overdue(delivery, now)) {
        let key = (delivery.account.clone(), delivery.delivery.webhook);
        if !webhooks.contains_key(&key) {
            let webhook = match webhooks::get(app, &key.0, key.1).await? {
                Some(webhook) => {
                    let line = tables::line(app, &webhook).await?;
                    Some((webhook, line))
                }
                None => None,
            };
            webhooks.insert(key.clone(), webhook);
        }
        let Some(Some((webhook, line))) = webhooks.get(&key) else { continue };
        if let Some(mut found) = decision::stored(delivery, webhook, *line, now) {
            // The one attempt of a test is no step of the schedule.
            let event = events::get(app, &delivery.account, delivery.delivery.event).await?;
            if event.is_some_and(|event| event.test) {
                found.task.turn = Turn::Test;
            }
            stalled.push(found);
        }
    }
    Ok(stalled)
}

/// Those of `events` that `webhook` should have been sent by now, and that no delivery to it is stored for.
async fn never_attempted(app: &App, webhook: &Webhook, events: &[OldEvent]) -> anyhow::Result<Vec<Stalled>> {
    let waits = Waits { first: app.config.retry_schedule.first_wait(), line: tables::line(app, webhook).await? };
    let now = app.clock.now();
    let owed = events.iter().filter_map(|event| decision::never_attempted(webhook, event, waits, now));
    let mut owed: Vec<_> = owed.collect();
    let ids: Vec<_> = owed.iter().map(|stalled| stalled.task.delivery.event).collect();
    let stored = deliveries::of_webhook(app, &webhook.account, webhook.id, &ids).await?;
    owed.retain(|stalled| !stored.contains_key(&stalled.task.delivery.event));
    Ok(owed)
}
