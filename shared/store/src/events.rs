//! Events in their table.

use crate::{
    Store,
    item::{Item, StoreError, names, number, text},
    keys,
    shards::{self, Listing, Row, Source},
};
use aws_sdk_dynamodb::{operation::put_item::PutItemError, primitives::Blob, types::AttributeValue};
use domain::{
    account::AccountId,
    answer::{ANSWER_BYTES_MAX, escaped_len},
    event::{Event, EventSummary},
    event_type::EventType,
    id::EventId,
    page::{Order, Page},
};
use std::time::Duration;

/// The attributes of an [`EventSummary`].
pub(super) const SUMMARY: &[&str] = &[keys::ID, "event_type", "test"];
/// The age at which an inconsistent read is sure to find an event. DynamoDB's copies are usually within a second of each other.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// Stores an event. Storing it twice is harmless: the first payload under an id stays.
pub async fn put(store: &Store, event: &Event) -> Result<(), StoreError> {
    let mut item = keys::event(&event.account, event.id);
    item.insert("payload".to_owned(), AttributeValue::B(Blob::new(event.payload.to_vec())));
    item.insert("event_type".to_owned(), text(&event.event_type));
    item.insert(keys::EXPIRES_AT.to_owned(), number(event.id.made_at().plus(store.settings.retention).unix_seconds()));
    if event.test {
        item.insert("test".to_owned(), AttributeValue::Bool(true));
    }
    let call = store.dynamodb.put_item().table_name(&store.settings.events).set_item(Some(item));
    let call =
        call.condition_expression("attribute_not_exists(#id)").set_expression_attribute_names(Some(names(&[keys::ID])));
    match call.send().await {
        Err(error) if !error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
            Err(error.into())
        }
        _ => Ok(()),
    }
}

/// Reads an event.
pub async fn get(store: &Store, account: &AccountId, id: EventId) -> Result<Option<Event>, StoreError> {
    let call = store.dynamodb.get_item().table_name(&store.settings.events).consistent_read(true);
    let found = call.set_key(Some(keys::event(account, id))).send().await?;
    found.item.filter(|_| !is_expired(store, id)).map(|item| read(account, item)).transpose()
}

/// Whether the event's retention has ended. DynamoDB deletes such items late.
pub(super) fn is_expired(store: &Store, id: EventId) -> bool {
    id.made_at().plus(store.settings.retention) <= store.clock.now()
}

/// Reads an event from its item.
pub(super) fn read(account: &AccountId, mut item: Item) -> Result<Event, StoreError> {
    let id = shards::id_of(&item).ok_or_else(|| missing("an id"))?;
    let event_type = item.remove("event_type").and_then(|name| match name {
        AttributeValue::S(name) => name.parse::<EventType>().ok(),
        _ => None,
    });
    let Some(AttributeValue::B(payload)) = item.remove("payload") else { return Err(missing("a payload")) };
    Ok(Event {
        account: account.clone(),
        id,
        event_type: event_type.ok_or_else(|| missing("a type"))?,
        payload: payload.into_inner().into(),
        test: item.contains_key("test"),
    })
}

/// Reads an event's summary from an item without the payload.
pub(super) fn read_summary(item: &Item) -> Result<EventSummary, StoreError> {
    let id = shards::id_of(item).ok_or_else(|| missing("an id"))?;
    let event_type = item.get("event_type").and_then(|name| name.as_s().ok()?.parse::<EventType>().ok());
    Ok(EventSummary { id, event_type: event_type.ok_or_else(|| missing("a type"))?, test: item.contains_key("test") })
}

fn missing(what: &str) -> StoreError {
    StoreError::Malformed(format!("an event without {what}"))
}

/// Whether the page after `after` of a list of events, newest first, must be read consistently. The first page must show what
/// its reader has just published. A later page need not, once its events are so old that every copy of the table has them:
/// events never change.
pub(super) fn may_be_fresh(store: &Store, after: Option<EventId>) -> bool {
    after.is_none_or(|after| after.made_at().plus(SETTLED_AFTER) > store.clock.now())
}

/// Lists the account's events, newest first: those of `event_type`, if it is given.
pub async fn list(
    store: &Store,
    account: &AccountId,
    event_type: Option<&EventType>,
    after: Option<EventId>,
    limit: usize,
) -> Result<Page<Event, EventId>, StoreError> {
    let source = Source {
        table: &store.settings.events,
        partitions: keys::event_partitions(account),
        window: (None, None),
        attributes: &[],
        consistent: may_be_fresh(store, after),
    };
    let order = Order::Newest;
    let listing = Listing { sources: vec![source], order, after, limit, weight_max: ANSWER_BYTES_MAX };
    let keep = |mut row: Row| {
        let event = row.first().map(|item| read(account, item)).transpose()?;
        Ok(event.filter(|event| event_type.is_none_or(|wanted| event.event_type == *wanted)))
    };
    shards::list(store, listing, keep, |event| escaped_len(&event.payload) + 1).await
}

/// Lists the account's events in `window` (the first and the last id), oldest first, without test events and without payloads.
/// The page contains every such event that was stored before the call.
pub async fn oldest_first(
    store: &Store,
    account: &AccountId,
    window: (EventId, EventId),
    after: Option<EventId>,
    limit: usize,
) -> Result<Page<EventSummary, EventId>, StoreError> {
    let source = Source {
        table: &store.settings.events,
        partitions: keys::event_partitions(account),
        window: (Some(window.0), Some(window.1)),
        attributes: SUMMARY,
        consistent: true,
    };
    let listing = Listing { sources: vec![source], order: Order::Oldest, after, limit, weight_max: usize::MAX };
    let keep = |mut row: Row| {
        let event = row.first().as_ref().map(read_summary).transpose()?;
        Ok(event.filter(|event| !event.test))
    };
    shards::list(store, listing, keep, |_| 0).await
}
