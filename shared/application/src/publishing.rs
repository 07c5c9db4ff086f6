//! Publishing: stores an event and begins its fan-out.
//!
//! Invariant: an event is acknowledged (a 202, or a deleted message) only after it is stored, and the tasks of the first page
//! of webhooks and the job for the further pages are on their queues.

use crate::{App, Error, fan_out};
use domain::{
    account::AccountId,
    event::{Event, NewEvent},
    findings::Findings,
    id::EventId,
    job::FanOut,
    page::Order,
    polling::LATE_AFTER,
    trace::TraceParent,
};
use futures::future::try_join_all;
use store::{
    StoreError, events,
    idempotency::{self, FirstUse},
    queues::BATCH_MAX,
    webhooks,
};
use telemetry::metrics;

/// The most webhooks of the first page, which the request waits for.
const FIRST_PAGE: usize = BATCH_MAX;
/// The most markers of one event that are stored, until one is stored in time.
const MARKER_TRIES: usize = 4;
/// The most events that are stored concurrently.
const PUTS_AT_ONCE: usize = 16;

/// Stores `events`, all of `account`, and enqueues tasks for the first page of webhooks; jobs continue with the further pages.
/// Publishing an event twice is harmless.
pub async fn publish(app: &App, account: &AccountId, events: &[Event]) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    let read = || webhooks::page(&app.store, account, None, FIRST_PAGE, Order::Oldest);
    let ((), mut page) = futures::try_join!(put(app, events), read())?;
    if page.items.iter().any(|webhook| !webhook.is_enabled()) {
        // The webhooks are read while the events are stored. A webhook that was enabled and recovered in between would miss the
        // events, so read again now that they are stored. A webhook that is still disabled receives them when it is recovered.
        page = read().await?;
    }
    let fan_outs: Vec<_> = events
        .iter()
        .map(|event| FanOut {
            account: event.account.clone(),
            event: event.id,
            event_type: event.event_type.clone(),
            after: None,
            hops: 0,
        })
        .collect();
    let payloads: Vec<_> = events.iter().map(|event| Some(event.payload.clone())).collect();
    let tasks = fan_out::enqueue_tasks(app, &fan_outs, &payloads, &page.items);
    let (enqueued, ()) = futures::try_join!(tasks, fan_out::enqueue_jobs(app, &fan_outs, page.next))?;
    metrics::published(events, enqueued);
    Ok(())
}

async fn put(app: &App, events: &[Event]) -> Result<(), StoreError> {
    for some in events.chunks(PUTS_AT_ONCE) {
        try_join_all(some.iter().map(|event| put_one(app, event))).await?;
    }
    Ok(())
}

/// Stores an event, and if that came late, a marker that leads polls to it.
async fn put_one(app: &App, event: &Event) -> Result<(), StoreError> {
    events::put(&app.store, event).await?;
    let mut stored = event.id;
    for _ in 0..MARKER_TRIES {
        let now = app.clock.now();
        if event.test || now.since(stored.made_at()) <= LATE_AFTER {
            return Ok(());
        }
        // The marker itself may be stored late.
        stored = EventId::new(now, &app.random);
        events::mark_late(&app.store, event, stored).await?;
    }
    Err(StoreError::Contended(format!("the marker of {}", event.id)))
}

/// The publication of one request. All requests with the same idempotency key are one publication, even concurrent ones.
#[derive(Debug)]
pub struct Publication {
    account: AccountId,
    first_use: Option<(String, FirstUse)>,
    trace: Option<TraceParent>,
}

/// What a request published.
#[derive(Debug)]
pub struct Published {
    /// The events, in the order of the request.
    pub events: Vec<Event>,
    /// Whether an earlier request with the same key published them.
    pub replayed: bool,
}

impl Publication {
    /// Creates the publication of a request without a key.
    pub fn new(account: AccountId) -> Self {
        Self { account, first_use: None, trace: None }
    }

    /// Returns the publication of `key`, or `None` if the key was used for another request. `parts` distinguish requests, and
    /// `findings` are what the answer to this request says about its events.
    pub async fn under_key(
        app: &App,
        account: AccountId,
        key: String,
        parts: &[&[u8]],
        findings: &Findings,
    ) -> Result<Option<Self>, StoreError> {
        let first = idempotency::begin(&app.store, &account, &key, parts, findings).await?;
        Ok(first.map(|first| Self { account, first_use: Some((key, first)), trace: None }))
    }

    /// Adds the trace of the request.
    #[must_use]
    pub fn traced(self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self }
    }

    /// Returns the findings of the first request with the key, or `None` without a key. The catalogue may have changed since,
    /// but the answer must stay the same.
    pub fn findings(&self) -> Option<&Findings> {
        self.first_use.as_ref().map(|(_, first)| &first.findings)
    }

    /// Publishes the request's valid events.
    pub async fn publish(self, app: &App, new: &[NewEvent]) -> Result<Published, Error> {
        let (now, account) = (app.clock.now(), self.account);
        let id = |index| match &self.first_use {
            Some((_, first)) => first.event_id(index),
            None => EventId::new(now, &app.random),
        };
        let event = |(index, new)| Event::new(account.clone(), id(index), new).traced(self.trace.clone());
        let events = new.iter().enumerate().map(event).collect();
        let replayed = self.first_use.as_ref().is_some_and(|(_, first)| first.done);
        let published = Published { events, replayed };
        if !replayed {
            publish(app, &account, &published.events).await?;
            if let Some((key, first)) = &self.first_use {
                idempotency::finish(&app.store, &account, key, first).await?;
            }
        }
        Ok(published)
    }
}
