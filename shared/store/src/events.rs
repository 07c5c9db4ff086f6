//! Events in their table.

use crate::{
    Store,
    item::{Item, StoreError, names, number, number_of, text},
    keys,
    shards::{self, Listing, Row, Source},
};
use aws_sdk_dynamodb::{operation::put_item::PutItemError, primitives::Blob, types::AttributeValue};
use domain::{
    account::AccountId,
    answer::{ANSWER_BYTES_MAX, escaped_len},
    event::{Event, EventSummary, ListedEvent},
    event_type::EventType,
    id::EventId,
    page::{Order, Page},
    polling,
};
use std::time::Duration;

/// The attributes of an [`EventSummary`].
const SUMMARY: &[&str] = &[keys::ID, "event_type", "test"];
/// The attributes of an [`EventSummary`], and the payload.
const SUMMARY_AND_PAYLOAD: &[&str] = &[keys::ID, "event_type", "test", "payload"];
/// The attribute with the trace of an event's publication. Events without one do not have it.
const TRACE: &str = "traceparent";
/// The attribute of an event that was late when it was stored.
const LATE: &str = "late";
/// The attribute of a marker with the id of the late event.
const LATE_EVENT: &str = "event";
/// The attribute of a marker with the bytes of the event's payload, by which a poll knows how many late events fit into its answer.
const LATE_BYTES: &str = "bytes";
/// The age at which an inconsistent read is sure to find an event. DynamoDB's copies are usually within a second of each other.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// Stores an event. Storing it twice is harmless: the first payload under an id stays.
///
/// An event whose id is settled already is stored as late: polls return it by its marker alone, which [`mark_late`] stores. If this
/// worker dies before it stores the marker, whoever repeats the publication finds the event late by any clock, and stores one.
pub async fn put(store: &Store, event: &Event) -> Result<(), StoreError> {
    let mut item = keys::event(&event.account, event.id);
    item.insert("payload".to_owned(), AttributeValue::B(Blob::new(event.payload.to_vec())));
    item.insert("event_type".to_owned(), text(&event.event_type));
    item.insert(keys::EXPIRES_AT.to_owned(), number(event.id.made_at().plus(store.settings.retention).unix_seconds()));
    if let Some(trace) = &event.trace {
        item.insert(TRACE.to_owned(), text(trace));
    }
    if event.test {
        item.insert("test".to_owned(), AttributeValue::Bool(true));
    }
    if store.clock.now().since(event.id.made_at()) > polling::SETTLED_AFTER {
        item.insert(LATE.to_owned(), AttributeValue::Bool(true));
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

/// Stores a marker for an event that was stored late, so that polls that have read beyond its id find it. `marker` is the id of
/// the marker, made now.
pub async fn mark_late(store: &Store, event: &Event, marker: EventId) -> Result<(), StoreError> {
    let mut item = keys::late_event(&event.account, marker);
    item.insert(LATE_EVENT.to_owned(), text(event.id));
    item.insert(LATE_BYTES.to_owned(), number(event.payload.len()));
    item.insert(keys::EXPIRES_AT.to_owned(), number(event.id.made_at().plus(store.settings.retention).unix_seconds()));
    store.dynamodb.put_item().table_name(&store.settings.events).set_item(Some(item)).send().await?;
    Ok(())
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
        trace: item.get(TRACE).and_then(|trace| trace.as_s().ok()?.parse().ok()),
    })
}

/// Returns the attributes of a [`ListedEvent`], with or without the payload.
pub(super) fn listed(payloads: bool) -> &'static [&'static str] {
    if payloads { SUMMARY_AND_PAYLOAD } else { SUMMARY }
}

/// Whether the event of an item was late when it was stored.
pub(super) fn is_late(item: &Item) -> bool {
    item.contains_key(LATE)
}

/// Reads the id of the late event, and the bytes of its payload, from its marker.
pub(super) fn late(marker: &Item) -> Result<(EventId, usize), StoreError> {
    let event = marker.get(LATE_EVENT).and_then(|event| event.as_s().ok()?.parse().ok());
    let found = event.zip(number_of(marker, LATE_BYTES));
    found.ok_or_else(|| StoreError::Malformed("a marker without an event".to_owned()))
}

/// Reads an event from an item that may have been read without the payload.
pub(super) fn read_listed(mut item: Item) -> Result<ListedEvent, StoreError> {
    let summary = read_summary(&item)?;
    let payload = match item.remove("payload") {
        Some(AttributeValue::B(payload)) => Some(payload.into_inner().into()),
        _ => None,
    };
    Ok(ListedEvent { summary, payload })
}

fn read_summary(item: &Item) -> Result<EventSummary, StoreError> {
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
    let listing = Listing { sources: vec![source], order, after, limit, weight_max: ANSWER_BYTES_MAX, left_out: 0 };
    let keep = |mut row: Row| {
        let event = row.first().map(|item| read(account, item)).transpose()?;
        Ok(event.filter(|event| event_type.is_none_or(|wanted| event.event_type == *wanted)))
    };
    shards::list(store, listing, keep, |event| escaped_len(&event.payload) + 1).await
}

/// Some of an account's events.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The first id.
    pub first: EventId,
    /// The last id.
    pub last: EventId,
    /// Whether to read the payloads, which a webhook's filter needs.
    pub payloads: bool,
}

/// Lists the account's events in `window`, oldest first, without test events. The page contains every such event that was stored
/// before the call.
pub async fn oldest_first(
    store: &Store,
    account: &AccountId,
    window: Window,
    after: Option<EventId>,
    limit: usize,
) -> Result<Page<ListedEvent, EventId>, StoreError> {
    in_window(store, account, window, (Order::Oldest, after), limit).await
}

/// Lists the account's events in `window` in an order, from the cursor of the page before on, as [`oldest_first`] does.
pub async fn in_window(
    store: &Store,
    account: &AccountId,
    window: Window,
    (order, after): (Order, Option<EventId>),
    limit: usize,
) -> Result<Page<ListedEvent, EventId>, StoreError> {
    let source = Source {
        table: &store.settings.events,
        partitions: keys::event_partitions(account),
        window: (Some(window.first), Some(window.last)),
        attributes: listed(window.payloads),
        consistent: true,
    };
    let listing = Listing { sources: vec![source], order, after, limit, weight_max: usize::MAX, left_out: 0 };
    let keep = |mut row: Row| {
        let event = row.first().map(read_listed).transpose()?;
        Ok(event.filter(|event| !event.summary.test))
    };
    shards::list(store, listing, keep, |_| 0).await
}
