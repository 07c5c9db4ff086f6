//! Test deliveries: one attempt sends a type's sample to one webhook, through the same path as any delivery.

use crate::{App, Error};
use domain::{
    delivery::{Delivery, Task, Trigger},
    event::{Event, NewEvent},
    event_type::CatalogueEntry,
    id::EventId,
    webhook::Webhook,
};
use std::time::Duration;
use store::{
    deliveries::{self, Versioned},
    events, tasks,
};

/// Enqueues the one attempt that sends the sample of `entry` to `webhook`. Returns the delivery before the attempt.
pub async fn send(app: &App, webhook: &Webhook, entry: CatalogueEntry) -> Result<Delivery, Error> {
    let sample =
        NewEvent { event_type: entry.name, object: entry.sample.object, previous_data: entry.sample.previous_data };
    let id = EventId::new(app.clock.now(), &app.random);
    let event = Event { test: true, ..Event::new(webhook.account.clone(), id, &sample) };
    let task = Task { trigger: Trigger::Test, ..Task::first(webhook, event.id) };
    let delivery = Delivery::new(&task, event.event_type.clone());
    events::put(&app.store, &event).await?;
    // Enqueue first, so that a stored delivery never stays pending without a task.
    tasks::enqueue(&app.queues, &[task], Duration::ZERO).await?;
    // A conflict means that the task was handled already: its worker has stored the delivery.
    deliveries::put(&app.store, &Versioned::NONE, delivery.clone()).await?;
    Ok(delivery)
}
