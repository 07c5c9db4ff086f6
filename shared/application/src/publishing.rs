//! Publishing: stores an event and begins its fan-out.
//!
//! Invariant: an event is acknowledged (a 202, or a deleted message) only after it is stored, and the tasks of the first page
//! of webhooks and the job for the further pages are on their queues.

use crate::{App, Error, fan_out};
use domain::{
    account::AccountId,
    event::{Event, NewEvent},
    event_type::UnknownTypes,
    id::EventId,
    job::FanOut,
    page::Order,
};
use futures::future::try_join_all;
use store::{
    StoreError, events,
    idempotency::{self, FirstUse},
    queues::BATCH_MAX,
    webhooks,
};

/// The most webhooks of the first page, which the request waits for.
const FIRST_PAGE: usize = BATCH_MAX;
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
    let tasks = fan_out::enqueue_tasks(app, &fan_outs, &page.items);
    futures::try_join!(tasks, fan_out::enqueue_jobs(app, &fan_outs, page.next))?;
    Ok(())
}

async fn put(app: &App, events: &[Event]) -> Result<(), StoreError> {
    for some in events.chunks(PUTS_AT_ONCE) {
        try_join_all(some.iter().map(|event| events::put(&app.store, event))).await?;
    }
    Ok(())
}

/// The publication of one request. All requests with the same idempotency key are one publication, even concurrent ones.
#[derive(Debug)]
pub struct Publication {
    account: AccountId,
    first_use: Option<(String, FirstUse)>,
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
        Self { account, first_use: None }
    }

    /// Returns the publication of `key`, or `None` if the key was used for another request. `parts` distinguish requests, and
    /// `unknown_types` are the types for which this request is refused.
    pub async fn under_key(
        app: &App,
        account: AccountId,
        key: String,
        parts: &[&[u8]],
        unknown_types: &UnknownTypes,
    ) -> Result<Option<Self>, StoreError> {
        let first = idempotency::begin(&app.store, &account, &key, parts, unknown_types).await?;
        Ok(first.map(|first| Self { account, first_use: Some((key, first)) }))
    }

    /// Returns the unknown types for which the first request with the key was refused, or `None` without a key. The catalogue
    /// may have changed since, but the answer must stay the same.
    pub fn unknown_types(&self) -> Option<&UnknownTypes> {
        self.first_use.as_ref().map(|(_, first)| &first.unknown_types)
    }

    /// Publishes the request's valid events.
    pub async fn publish(self, app: &App, new: &[NewEvent]) -> Result<Published, Error> {
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
                idempotency::finish(&app.store, &account, key, first).await?;
            }
        }
        Ok(published)
    }
}
