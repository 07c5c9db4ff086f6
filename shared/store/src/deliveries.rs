//! Deliveries in their table. The domain decides on the version that was read, and each write has that version as its
//! condition, so that a decision about an older version has no effect.

use crate::{
    Store,
    batch_get::{self, batch_get},
    events,
    item::{Item, StoreError, Written, from_item, number, put_version, to_item, version_of},
    keys,
    shards::{self, Listing, Row, Source},
};
use domain::{
    account::AccountId,
    answer::ANSWER_BYTES_MAX,
    delivery::Delivery,
    event::ListedEvent,
    id::{DeliveryId, EventId, WebhookId},
    page::{Order, Page},
    webhook::Webhook,
};
use std::collections::HashMap;

/// A delivery as it was read, with the version that the next write gives it.
#[derive(Clone, Debug)]
pub struct Versioned {
    /// The delivery, or `None` if it is not stored yet.
    pub delivery: Option<Delivery>,
    next_version: u64,
}

impl Versioned {
    /// A delivery that is not stored yet.
    pub const NONE: Self = Self { delivery: None, next_version: 0 };

    pub(crate) fn read(item: Option<Item>) -> Result<Self, StoreError> {
        let Some(item) = item else { return Ok(Self::NONE) };
        let next_version = version_of(&item) + 1;
        Ok(Self { delivery: Some(from_item(item)?), next_version })
    }
}

/// Reads the deliveries of one event to `webhooks`. Deliveries that are not stored yet are left out.
pub async fn of_event(
    store: &Store,
    account: &AccountId,
    event: EventId,
    webhooks: &[WebhookId],
) -> Result<HashMap<WebhookId, Delivery>, StoreError> {
    let ids = webhooks.iter().map(|webhook| DeliveryId { event, webhook: *webhook });
    let found = get_many(store, account, ids.collect()).await?;
    Ok(found.into_iter().map(|delivery| (delivery.delivery.webhook, delivery)).collect())
}

/// Reads the deliveries of `events` to one webhook. Deliveries that are not stored yet are left out.
pub async fn of_webhook(
    store: &Store,
    account: &AccountId,
    webhook: WebhookId,
    events: &[EventId],
) -> Result<HashMap<EventId, Delivery>, StoreError> {
    let ids = events.iter().map(|event| DeliveryId { event: *event, webhook });
    let found = get_many(store, account, ids.collect()).await?;
    Ok(found.into_iter().map(|delivery| (delivery.delivery.event, delivery)).collect())
}

/// Reads those of `ids` that are stored, in no particular order.
async fn get_many(store: &Store, account: &AccountId, ids: Vec<DeliveryId>) -> Result<Vec<Delivery>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(batch_get::KEYS_MAX) {
        let keys = ids.iter().map(|id| keys::delivery(account, *id)).collect();
        for (_, item) in batch_get(store, [(&store.settings.deliveries, keys)]).await? {
            found.push(from_item(item)?);
        }
    }
    Ok(found)
}

/// Reads a delivery.
pub async fn get(store: &Store, account: &AccountId, id: DeliveryId) -> Result<Versioned, StoreError> {
    let call = store.dynamodb.get_item().table_name(&store.settings.deliveries).consistent_read(true);
    Versioned::read(call.set_key(Some(keys::delivery(account, id))).send().await?.item)
}

/// The result of a conditional write.
#[derive(Debug)]
pub enum Put {
    /// The delivery was written. The next write replaces this version.
    Written(Versioned),
    /// Another worker wrote first. This is what it wrote.
    Conflict(Versioned),
}

/// Writes `delivery`, if what was read is still what is stored.
pub async fn put(store: &Store, read: &Versioned, delivery: Delivery) -> Result<Put, StoreError> {
    let mut item = to_item(&delivery)?;
    item.extend(keys::delivery(&delivery.account, delivery.delivery));
    let expires_at = store.clock.now().plus(store.settings.retention).unix_seconds();
    item.insert(keys::EXPIRES_AT.to_owned(), number(expires_at));
    match put_version(store, &store.settings.deliveries, item, read.next_version).await? {
        Written::Yes => Ok(Put::Written(Versioned { delivery: Some(delivery), next_version: read.next_version + 1 })),
        Written::No(present) => Ok(Put::Conflict(Versioned::read(present)?)),
    }
}

/// Lists the stored deliveries of a webhook that `keep` accepts, newest first.
pub async fn list(
    store: &Store,
    webhook: &Webhook,
    after: Option<EventId>,
    limit: usize,
    keep: impl Fn(&Delivery) -> bool,
) -> Result<Page<Delivery, EventId>, StoreError> {
    let (sources, order) = (vec![stored(&store.settings.deliveries, webhook)], Order::Newest);
    let listing = Listing { sources, order, after, limit, weight_max: usize::MAX, left_out: 0 };
    let keep = |mut row: Row| {
        let delivery = row.first().map(from_item).transpose()?;
        Ok(delivery.filter(&keep))
    };
    shards::list(store, listing, keep, |_| 0).await
}

/// The deliveries of one page of [`any_of_latest`].
const LATEST_PAGE: usize = 100;

/// Whether `is_wanted` accepts one of the webhook's `latest` stored deliveries.
pub async fn any_of_latest(
    store: &Store,
    webhook: &Webhook,
    latest: usize,
    is_wanted: impl Fn(&Delivery) -> bool,
) -> Result<bool, StoreError> {
    let (mut after, mut looked_at) = (None, 0);
    while looked_at < latest {
        let page = list(store, webhook, after, LATEST_PAGE.min(latest - looked_at), |_| true).await?;
        if page.items.iter().any(&is_wanted) {
            return Ok(true);
        }
        looked_at += page.items.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(false)
}

/// Returns the source of a webhook's deliveries in `table`. It is read consistently, because statuses change, and users who have
/// just asked for a retry expect to see its result.
fn stored<'a>(table: &'a str, webhook: &Webhook) -> Source<'a> {
    Source {
        table,
        partitions: keys::delivery_partitions(&webhook.account, webhook.id),
        window: (None, None),
        attributes: &[],
        consistent: true,
    }
}

/// A delivery in a list.
#[derive(Debug)]
pub enum Listed {
    /// A stored delivery.
    Stored(Delivery),
    /// The event of a delivery that is not stored, because nothing was attempted yet. The delivery exists if the webhook
    /// receives the event.
    Unattempted(ListedEvent),
}

/// Which deliveries a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The last event of the page before, or `None` for the first page.
    pub after: Option<EventId>,
    /// The most deliveries of the page.
    pub limit: usize,
    /// Whether to include deliveries that were never attempted. Without them, the account's events are not read.
    pub unattempted: bool,
}

/// Lists a webhook's deliveries, newest first, including those that were never attempted. `show` converts a delivery to an
/// entry or leaves it out. `weigh` returns the bytes that an entry takes in the answer.
pub async fn list_all<T>(
    store: &Store,
    webhook: &Webhook,
    wanted: Wanted,
    show: impl Fn(Listed) -> Option<T>,
    weigh: impl Fn(&T) -> usize,
) -> Result<Page<T, EventId>, StoreError> {
    let Wanted { after, limit, unattempted } = wanted;
    let events = Source {
        table: &store.settings.events,
        partitions: keys::event_partitions(&webhook.account),
        window: (Some(webhook.first_event()), None),
        attributes: events::listed(webhook.filter.is_some()),
        consistent: events::may_be_fresh(store, after),
    };
    let sources = [Some(stored(&store.settings.deliveries, webhook)), Some(events).filter(|_| unattempted)]
        .into_iter()
        .flatten()
        .collect();
    let listing = Listing { sources, order: Order::Newest, after, limit, weight_max: ANSWER_BYTES_MAX, left_out: 0 };
    let keep = |mut row: Row| match row.first() {
        Some(stored) => Ok(show(Listed::Stored(from_item(stored)?))),
        None => {
            let event = row.items.pop().flatten();
            Ok(event.map(events::read_listed).transpose()?.and_then(|event| show(Listed::Unattempted(event))))
        }
    };
    shards::list(store, listing, keep, weigh).await
}
