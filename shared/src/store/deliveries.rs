//! Deliveries in their table. Each write is conditional on the version it was decided on, so the domain decides alone and
//! the table only says whether that decision still held.

use super::{
    Item, StoreError, Written,
    event_cache::EventCache,
    events, from_item, keys, number, put_version,
    sharded::{self, Listing, Page, Row, Source},
    to_item, version_of,
    webhooks::Order,
};
use crate::{
    answer::ANSWER_BYTES_MAX,
    app::{self, App},
    delivery::{Delivery, Turn, Wakeup},
    event::{Event, EventSummary},
    id::{AccountId, DeliveryId, EventId, WebhookId},
    webhook::Webhook,
};
use aws_sdk_dynamodb::types::KeysAndAttributes;
use std::collections::{HashMap, HashSet};

/// Tries of one `BatchGetItem` that DynamoDB answered in part, with growing waits in between: some three seconds in all.
const BATCH_TRIES: u32 = 7;
/// Keys that one `BatchGetItem` takes.
const BATCH_MAX: usize = 100;

/// A delivery and the version it was read at, so that it can be written over.
#[derive(Clone, Debug)]
pub struct Versioned {
    /// The delivery, or `None` where nothing is stored yet.
    pub delivery: Option<Delivery>,
    next_version: u64,
}

impl Versioned {
    /// Nothing is stored yet.
    pub const NONE: Self = Self { delivery: None, next_version: 0 };

    fn read(item: Option<Item>) -> Result<Self, StoreError> {
        let Some(item) = item else { return Ok(Self::NONE) };
        let next_version = version_of(&item) + 1;
        Ok(Self { delivery: Some(from_item(item)?), next_version })
    }
}

/// What the wake-ups of a batch name, as it is now.
#[derive(Debug, Default)]
pub struct Subjects {
    /// Events by id; one that is missing has expired.
    pub events: HashMap<(AccountId, EventId), Event>,
    /// Webhooks by id; one that is missing was deleted.
    pub webhooks: HashMap<(AccountId, WebhookId), Webhook>,
    /// Deliveries by id; one that is missing is not stored yet, or was not asked for since its wake-up is the first.
    pub deliveries: HashMap<(AccountId, DeliveryId), Versioned>,
}

impl Subjects {
    /// Takes an event in, unless its time is up.
    fn keep(&mut self, app: &App, event: Event) {
        if !events::is_expired(app, event.id) {
            self.events.insert((event.account.clone(), event.id), event);
        }
    }
}

/// Reads what `wakeups` (at most 33) name, all in one call, without the events that are in `cache`. A first attempt's delivery is
/// not read: there is none yet, and where there is, the claim says so.
pub async fn subjects(app: &App, wakeups: &[&Wakeup], cache: &EventCache) -> Result<Subjects, StoreError> {
    let mut found = Subjects::default();
    let mut events: HashSet<_> = wakeups.iter().map(|wakeup| (&wakeup.account, wakeup.delivery.event)).collect();
    events.retain(|(account, id)| match cache.get(account, *id) {
        Some(event) => {
            found.keep(app, event);
            false
        }
        None => true,
    });
    let webhooks: HashSet<_> = wakeups.iter().map(|wakeup| (&wakeup.account, wakeup.webhook())).collect();
    let later = wakeups.iter().filter(|wakeup| wakeup.turn != Turn::FIRST);
    let deliveries: HashSet<_> = later.map(|wakeup| (&wakeup.account, wakeup.delivery)).collect();
    let wanted = [
        (
            &app.config.events_table,
            events.into_iter().map(|(account, id)| keys::event(account, id)).collect::<Vec<_>>(),
        ),
        (&app.config.webhooks_table, webhooks.into_iter().map(|(account, id)| keys::webhook(account, id)).collect()),
        (
            &app.config.deliveries_table,
            deliveries.into_iter().map(|(account, id)| keys::delivery(account, id)).collect(),
        ),
    ];
    for (table, item) in batch_get(app, wanted.into_iter().filter(|(_, keys)| !keys.is_empty())).await? {
        if table == app.config.events_table {
            let event = events::read(&account_of(&item)?, item)?;
            cache.keep(&event);
            found.keep(app, event);
        } else if table == app.config.webhooks_table {
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

/// Reads the deliveries of one event to `webhooks`; those not stored yet are missing.
pub async fn of_event(
    app: &App,
    account: &AccountId,
    event: EventId,
    webhooks: &[WebhookId],
) -> Result<HashMap<WebhookId, Delivery>, StoreError> {
    let ids = webhooks.iter().map(|webhook| DeliveryId { event, webhook: *webhook });
    let found = get_many(app, account, ids.collect()).await?;
    Ok(found.into_iter().map(|delivery| (delivery.delivery.webhook, delivery)).collect())
}

/// Reads the deliveries of `events` to one webhook; those not stored yet are missing.
pub async fn of_webhook(
    app: &App,
    account: &AccountId,
    webhook: WebhookId,
    events: &[EventId],
) -> Result<HashMap<EventId, Delivery>, StoreError> {
    let ids = events.iter().map(|event| DeliveryId { event: *event, webhook });
    let found = get_many(app, account, ids.collect()).await?;
    Ok(found.into_iter().map(|delivery| (delivery.delivery.event, delivery)).collect())
}

/// Reads those of `ids` that are stored, in no order.
async fn get_many(app: &App, account: &AccountId, ids: Vec<DeliveryId>) -> Result<Vec<Delivery>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(BATCH_MAX) {
        let keys = ids.iter().map(|id| keys::delivery(account, *id)).collect();
        for (_, item) in batch_get(app, [(&app.config.deliveries_table, keys)]).await? {
            found.push(from_item(item)?);
        }
    }
    Ok(found)
}

/// Reads at most 100 items of some tables, each with its table's name.
async fn batch_get<'a>(
    app: &App,
    wanted: impl IntoIterator<Item = (&'a String, Vec<Item>)>,
) -> Result<Vec<(String, Item)>, StoreError> {
    let wanted = wanted.into_iter().map(|(table, keys)| {
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        keys.map(|keys| (table.clone(), keys)).map_err(|error| StoreError::DynamoDb(error.to_string()))
    });
    let mut wanted = wanted.collect::<Result<HashMap<_, _>, _>>()?;
    let mut found = Vec::new();
    for tries in 0..BATCH_TRIES {
        if wanted.is_empty() {
            return Ok(found);
        }
        app::back_off(app, tries).await;
        let answer = app.dynamodb.batch_get_item().set_request_items(Some(wanted)).send().await?;
        for (table, items) in answer.responses.unwrap_or_default() {
            found.extend(items.into_iter().map(|item| (table.clone(), item)));
        }
        wanted = answer.unprocessed_keys.unwrap_or_default();
    }
    if wanted.is_empty() {
        Ok(found)
    } else {
        Err(StoreError::Throttled("a batch was answered in part too often".to_owned()))
    }
}

fn account_of(item: &Item) -> Result<AccountId, StoreError> {
    let partition = item.get(keys::PARTITION).and_then(|partition| partition.as_s().ok());
    let account = partition.and_then(|partition| partition.split('#').next()?.parse().ok());
    account.ok_or_else(|| StoreError::DynamoDb("an item without an account".to_owned()))
}

/// Reads a delivery.
pub async fn get(app: &App, account: &AccountId, id: DeliveryId) -> Result<Versioned, StoreError> {
    let call = app.dynamodb.get_item().table_name(&app.config.deliveries_table).consistent_read(true);
    Versioned::read(call.set_key(Some(keys::delivery(account, id))).send().await?.item)
}

/// Writes `delivery` over what was read. Gives back the version to write over next, or where another writer was faster, what
/// stands there now.
pub async fn put(app: &App, read: &Versioned, delivery: Delivery) -> Result<Result<Versioned, Versioned>, StoreError> {
    let mut item = to_item(&delivery)?;
    item.extend(keys::delivery(&delivery.account, delivery.delivery));
    let expires_at = app.clock.now().plus(app.config.retention).unix_seconds();
    item.insert(keys::EXPIRES_AT.to_owned(), number(expires_at));
    match put_version(app, &app.config.deliveries_table, item, read.next_version).await? {
        Written::Yes => Ok(Ok(Versioned { delivery: Some(delivery), next_version: read.next_version + 1 })),
        Written::No(present) => Ok(Err(Versioned::read(present)?)),
    }
}

/// Lists a webhook's deliveries that are stored, newest first, that `keep` keeps.
pub async fn list(
    app: &App,
    webhook: &Webhook,
    after: Option<EventId>,
    limit: usize,
    keep: impl Fn(&Delivery) -> bool,
) -> Result<Page<Delivery>, StoreError> {
    let (sources, order) = (vec![stored(app, webhook)], Order::Newest);
    let listing = Listing { sources, order, after, limit, weight_max: usize::MAX };
    let keep = |mut row: Row| {
        let delivery = row.first().map(from_item).transpose()?;
        Ok(delivery.filter(&keep))
    };
    sharded::list(app, listing, keep, |_| 0).await
}

/// Where a webhook's deliveries are. They are read consistently: how each stands changes, and who has just asked for a retry
/// or seen an answer looks for it here.
fn stored<'a>(app: &'a App, webhook: &Webhook) -> Source<'a> {
    Source {
        table: &app.config.deliveries_table,
        partitions: keys::delivery_partitions(&webhook.account, webhook.id),
        window: (None, None),
        attributes: &[],
        consistent: true,
    }
}

/// A delivery of a list.
#[derive(Debug)]
pub enum Listed {
    /// As it is stored.
    Stored(Delivery),
    /// Not stored, since nothing was attempted yet: it exists if the event is the webhook's.
    Unattempted(EventSummary),
}

/// What a page of deliveries is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Where it goes on.
    pub after: Option<EventId>,
    /// How many, at most.
    pub limit: usize,
    /// Whether those that were never attempted are wanted; reading the account's events is saved where they are not.
    pub unattempted: bool,
}

/// Lists a webhook's deliveries, those that were never attempted included, newest first, as `show` makes them; `weigh` says
/// how many bytes of the answer each takes.
pub async fn list_all<T>(
    app: &App,
    webhook: &Webhook,
    wanted: Wanted,
    show: impl Fn(Listed) -> Option<T>,
    weigh: impl Fn(&T) -> usize,
) -> Result<Page<T>, StoreError> {
    let Wanted { after, limit, unattempted } = wanted;
    let events = Source {
        table: &app.config.events_table,
        partitions: keys::event_partitions(&webhook.account),
        window: (Some(webhook.first_event()), None),
        attributes: events::SUMMARY,
        consistent: events::may_be_fresh(app, after),
    };
    let sources = [Some(stored(app, webhook)), Some(events).filter(|_| unattempted)].into_iter().flatten().collect();
    let listing = Listing { sources, order: Order::Newest, after, limit, weight_max: ANSWER_BYTES_MAX };
    let keep = |mut row: Row| match row.first() {
        Some(stored) => Ok(show(Listed::Stored(from_item(stored)?))),
        None => {
            let event = row.items.pop().flatten();
            Ok(event
                .map(|item| events::read_summary(&item))
                .transpose()?
                .and_then(|event| show(Listed::Unattempted(event))))
        }
    };
    sharded::list(app, listing, keep, weigh).await
}
