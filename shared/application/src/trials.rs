//! Trials: a webhook that was disabled for failures is tried again by itself, and enabled and recovered when a trial succeeds.
//!
//! A trial has a task, like any attempt, which is scheduled when the trial before has ended. When the task is due, the event of the
//! trial is chosen, stored with the webhook, and a task for its delivery enqueued. The attempt then follows the path of any other.
//!
//! Invariant: while the webhook waits for a trial, the trial has a task. The next trial's task is scheduled before the webhook waits
//! for it, and the task in hand is deleted last.

use crate::{App, Error, disabling, enabling};
use domain::{
    delivery::{Delivery, Task, Trigger, is_recovered},
    event::{EventSummary, ListedEvent},
    id::{DeliveryId, EventId},
    page::Order,
    time::{CLOCK_SKEW, Timestamp},
    webhook::{TrialOutcome, TrialStep, Trials, Webhook},
};
use std::time::Duration;
use store::{
    StoreError, deliveries,
    events::{self, Window},
    queues::DELAY_MAX,
    tasks, webhooks,
};
use telemetry::metrics;

/// The events of one page.
const PAGE: usize = 100;
/// The pages that are searched for a held event. An event that is further away is not tried, but recovered like all others.
const PAGES_MAX: usize = 10;
/// A search that has taken this long reads no further page: the function's timeout is 45 s, and it has other tasks in hand.
const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);

/// Enqueues the task of the trial that `webhook` waits for, if it does. A task that is received long before it is due is scheduled then:
/// `api`, which calls this too, creates no schedules. Repeating it is harmless.
pub async fn place(app: &App, webhook: &Webhook) -> Result<(), Error> {
    if let Some((task, due)) = awaited(webhook) {
        let wait = due.since(app.clock.now()).min(DELAY_MAX);
        tasks::enqueue(&app.queues, &[task], wait).await?;
    }
    Ok(())
}

/// Returns the task of the trial that `webhook` waits for, and when it is due.
fn awaited(webhook: &Webhook) -> Option<(Task, Timestamp)> {
    Task::of_trial(webhook).zip(webhook.awaited_trial()?.due_at)
}

/// Does what the task of a trial asks for, unless that is an attempt of its delivery: chooses the event of the trial, and enqueues the
/// task for its delivery. `refused` is the event of the task if its delivery cannot be sent.
pub async fn prepare(app: &App, task: &Task, refused: Option<EventId>) -> Result<(), Error> {
    let Trigger::Trial { epoch, number } = task.trigger else { return Ok(()) };
    let Some(webhook) = webhooks::get(&app.store, &task.account, task.webhook()).await? else { return Ok(()) };
    let chosen = match webhook.trial_step(epoch, number, app.clock.now()) {
        TrialStep::Nothing => {
            tracing::debug!(number, "the webhook does not wait for this trial");
            return Ok(());
        }
        TrialStep::Wait(due) => return Ok(tasks::schedule(&app.queues, task, due).await?),
        TrialStep::Attempt(event) if refused != Some(event) => webhook,
        TrialStep::Attempt(_) | TrialStep::Choose => match choose(app, &webhook, refused).await? {
            Some(event) => {
                let store = |webhook: &mut Webhook| -> Result<(), StoreError> {
                    if webhook.epoch == epoch {
                        webhook.choose_for_trial(number, event, refused);
                    }
                    Ok(())
                };
                let stored = webhooks::change(&app.store, &task.account, task.webhook(), store).await?;
                let Some(stored) = stored else { return Ok(()) };
                stored
            }
            None => {
                tracing::info!(number, "there is nothing to try the webhook with");
                return end(app, task, TrialOutcome::Failed).await;
            }
        },
    };
    let next = Task::of_trial(&chosen).filter(|next| next.trigger == task.trigger);
    if let Some(next) = next {
        tracing::info!(number, event_id = %next.delivery.event, "the event of a trial is chosen");
        tasks::enqueue(&app.queues, &[next], Duration::ZERO).await?;
    }
    Ok(())
}

/// Makes what follows from a trial durable. Repeating it is harmless. Once the webhook has moved on, it writes nothing and enqueues no
/// task, or each copy of a trial's task would lead to one of the next trial.
pub async fn end(app: &App, task: &Task, outcome: TrialOutcome) -> Result<(), Error> {
    let Trigger::Trial { epoch, number } = task.trigger else { return Ok(()) };
    let Some(webhook) = webhooks::get(&app.store, &task.account, task.webhook()).await? else { return Ok(()) };
    let is_awaited = webhook.awaits_trial(epoch, number);
    if outcome == TrialOutcome::Succeeded {
        let enabled = if is_awaited { enable(app, task, epoch).await? } else { Some(webhook) };
        let Some(enabled) = enabled else { return Ok(()) };
        enabling::recover_held(app, &enabled).await?;
        return disabling::announce(app, &enabled).await;
    }
    if is_awaited { move_on(app, task, (webhook, outcome)).await } else { Ok(()) }
}

/// Enables the webhook of a trial of `epoch` that has succeeded.
async fn enable(app: &App, task: &Task, epoch: u32) -> Result<Option<Webhook>, StoreError> {
    let now = app.clock.now();
    let enable = |webhook: &mut Webhook| -> Result<(), StoreError> {
        webhook.recover_by_trial(epoch, now);
        Ok(())
    };
    webhooks::change(&app.store, &task.account, task.webhook(), enable).await
}

/// Lets `webhook` wait for the trial after that of `task`, which had this outcome.
async fn move_on(app: &App, task: &Task, (webhook, outcome): (Webhook, TrialOutcome)) -> Result<(), Error> {
    let Trigger::Trial { epoch, number } = task.trigger else { return Ok(()) };
    let (schedule, now) = (app.trials_of(&webhook), app.clock.now());
    let mut ended = webhook.clone();
    ended.end_trial(number, outcome, schedule, now);
    // Schedule first, so that the webhook never waits for a trial without a task.
    if let Some((next, due)) = awaited(&ended) {
        tasks::schedule(&app.queues, &next, due).await?;
    }
    let store = |webhook: &mut Webhook| -> Result<(), StoreError> {
        if webhook.awaits_trial(epoch, number) {
            webhook.end_trial(number, outcome, app.trials_of(webhook), now);
        }
        Ok(())
    };
    webhooks::change(&app.store, &task.account, task.webhook(), store).await?;
    metrics::trial_failed(outcome);
    Ok(())
}

/// Chooses the event of a trial: the oldest held one after those that trials were refused with, or else the oldest held one, or else
/// the one that disabled the webhook, if its delivery may still be sent.
async fn choose(app: &App, webhook: &Webhook, refused: Option<EventId>) -> Result<Option<EventId>, Error> {
    let Some(trials) = &webhook.trials else { return Ok(None) };
    let search = Search { app, webhook, refused, began: app.clock.now() };
    if let Some(after) = trials.after
        && let Some(event) = search.forward(after).await?
    {
        return Ok(Some(event));
    }
    if let Some(event) = search.before(trials).await? {
        return Ok(Some(event));
    }
    match search.forward(trials.cause).await? {
        Some(event) => Ok(Some(event)),
        None => Ok(search.may_send(trials.cause).await?.then_some(trials.cause)),
    }
}

/// The search for a held event.
struct Search<'a> {
    app: &'a App,
    webhook: &'a Webhook,
    /// An event that cannot be sent.
    refused: Option<EventId>,
    began: Timestamp,
}

impl Search<'_> {
    /// Returns the oldest held event among the last ones up to the cause of the disabling.
    async fn before(&self, trials: &Trials) -> Result<Option<EventId>, Error> {
        let page = self.page((trials.first, trials.cause), None, Order::Newest).await?;
        Ok(self.held(&page.0).await?.into_iter().min())
    }

    /// Returns the oldest held event after `after`, among those that are searched.
    async fn forward(&self, after: EventId) -> Result<Option<EventId>, Error> {
        let last = EventId::first_at(self.app.clock.now().plus(CLOCK_SKEW));
        let mut next = Some(after);
        for _ in 0..PAGES_MAX {
            let is_late = self.app.clock.now().since(self.began) >= SEARCH_TIME_MAX;
            let Some(after) = next.filter(|_| !is_late) else { return Ok(None) };
            let (events, further) = self.page((after, last), Some(after), Order::Oldest).await?;
            if let Some(event) = self.held(&events).await?.into_iter().min() {
                return Ok(Some(event));
            }
            next = further;
        }
        Ok(None)
    }

    async fn page(
        &self,
        (first, last): (EventId, EventId),
        after: Option<EventId>,
        order: Order,
    ) -> Result<(Vec<ListedEvent>, Option<EventId>), StoreError> {
        let window = Window { first, last, payloads: self.webhook.filter.is_some() };
        let page = events::in_window(&self.app.store, &self.webhook.account, window, (order, after), PAGE).await?;
        Ok((page.items, page.next))
    }

    /// Returns those of `events` that are held for the webhook.
    async fn held(&self, events: &[ListedEvent]) -> Result<Vec<EventId>, StoreError> {
        let Self { app, webhook, refused, .. } = self;
        let mut wanted: Vec<&EventSummary> = vec![];
        for ListedEvent { summary, payload } in events.iter().filter(|event| Some(event.summary.id) != *refused) {
            let passes = || app.filters.matcher(payload.as_ref()).passes(webhook);
            if webhook.wants(summary.id, &summary.event_type) && passes() {
                wanted.push(summary);
            }
        }
        let ids: Vec<_> = wanted.iter().map(|event| event.id).collect();
        let stored = deliveries::of_webhook(&app.store, &webhook.account, webhook.id, &ids).await?;
        let now = app.clock.now();
        wanted.retain(|event| is_recovered(webhook, event, stored.get(&event.id), true, now));
        Ok(wanted.into_iter().map(|event| event.id).collect())
    }

    /// Whether the delivery of `event` may be sent.
    async fn may_send(&self, event: EventId) -> Result<bool, StoreError> {
        let Self { app, webhook, refused, .. } = self;
        if *refused == Some(event) || events::get(&app.store, &webhook.account, event).await?.is_none() {
            return Ok(false);
        }
        let delivery = DeliveryId { event, webhook: webhook.id };
        let stored = deliveries::get(&app.store, &webhook.account, delivery).await?.delivery;
        Ok(stored.as_ref().is_some_and(|delivery: &Delivery| delivery.may_be_tried(webhook)))
    }
}
