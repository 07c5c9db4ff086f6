//! What the tasks of a batch are about: their events, webhooks and deliveries, read in one call.

use crate::{
    Store,
    batch_get::batch_get,
    deliveries::Versioned,
    event_cache::EventCache,
    events,
    item::{Item, StoreError, from_item},
    keys,
};
use domain::{
    account::AccountId,
    delivery::{Task, Trigger},
    event::Event,
    id::{DeliveryId, EventId, WebhookId},
    webhook::Webhook,
};
use std::collections::{HashMap, HashSet};

/// What the tasks of a batch are about, as it is now.
#[derive(Debug, Default)]
pub struct Subjects {
    /// Events by id. A missing one has expired.
    pub events: HashMap<(AccountId, EventId), Event>,
    /// Webhooks by id. A missing one was deleted.
    pub webhooks: HashMap<(AccountId, WebhookId), Webhook>,
    /// Deliveries by id. A missing one is not stored yet, or was not read because its task is the first.
    pub deliveries: HashMap<(AccountId, DeliveryId), Versioned>,
}

impl Subjects {
    /// Adds an event, unless it has expired.
    fn keep(&mut self, store: &Store, event: Event) {
        if !events::is_expired(store, event.id) {
            self.events.insert((event.account.clone(), event.id), event);
        }
    }
}

/// Reads what `tasks` (at most 33, three keys each) are about, in one call. Events that are in `cache` are not read again. The
/// delivery of a first attempt is not read either: usually there is none yet, and if there is, the write of the lease finds it.
pub async fn load(store: &Store, tasks: &[&Task], cache: &EventCache) -> Result<Subjects, StoreError> {
    let mut found = Subjects::default();
    let mut events: HashSet<_> = tasks.iter().map(|task| (&task.account, task.delivery.event)).collect();
    events.retain(|(account, id)| match cache.get(account, *id) {
        Some(event) => {
            found.keep(store, event);
            false
        }
        None => true,
    });
    let webhooks: HashSet<_> = tasks.iter().map(|task| (&task.account, task.webhook())).collect();
    let later = tasks.iter().filter(|task| task.trigger != Trigger::FIRST);
    let deliveries: HashSet<_> = later.map(|task| (&task.account, task.delivery)).collect();
    let wanted = [
        (&store.settings.events, events.into_iter().map(|(account, id)| keys::event(account, id)).collect::<Vec<_>>()),
        (&store.settings.webhooks, webhooks.into_iter().map(|(account, id)| keys::webhook(account, id)).collect()),
        (&store.settings.deliveries, deliveries.into_iter().map(|(account, id)| keys::delivery(account, id)).collect()),
    ];
    for (table, item) in batch_get(store, wanted.into_iter().filter(|(_, keys)| !keys.is_empty())).await? {
        if table == store.settings.events {
            let event = events::read(&account_of(&item)?, item)?;
            cache.keep(&event);
            found.keep(store, event);
        } else if table == store.settings.webhooks {
            let webhook: Webhook = from_item(item)?;
            found.webhooks.insert((webhook.account.clone(), webhook.id), webhook);
        } else {
            let read = Versioned::read(Some(item))?;
            if let Some(delivery) = &read.delivery {
                found.deliveries.insert((delivery.account.clone(), delivery.delivery), read);
            }
        }
    }
    Ok(found)
}

fn account_of(item: &Item) -> Result<AccountId, StoreError> {
    let partition = item.get(keys::PARTITION).and_then(|partition| partition.as_s().ok());
    let account = partition.and_then(|partition| partition.split('#').next()?.parse().ok());
    account.ok_or_else(|| StoreError::Malformed("an item without an account".to_owned()))
}
