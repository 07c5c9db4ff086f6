//! Events in their table.

use super::{
    Item, StoreError, keys, names, number,
    sharded::{self, Listing, Page, Row, Source},
    text,
    webhooks::Order,
};
use crate::{
    answer::{ANSWER_BYTES_MAX, escaped_len},
    app::App,
    event::{Event, EventSummary},
    event_type::EventType,
    id::{AccountId, EventId},
};
use aws_sdk_dynamodb::{operation::put_item::PutItemError, primitives::Blob, types::AttributeValue};
use std::time::Duration;

/// The attributes of an [`EventSummary`].
pub(super) const SUMMARY: &[&str] = &[keys::ID, "event_type", "test"];
/// When an inconsistent read is sure to find an event: DynamoDB's copies are usually within a second of each other.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// Stores an event. Storing it twice is harmless: the first bytes under an id are the ones that stay.
pub async fn put(app: &App, event: &Event) -> Result<(), StoreError> {
    let mut item = keys::event(&event.account, event.id);
    item.insert("payload".to_owned(), AttributeValue::B(Blob::new(event.payload.to_vec())));
    item.insert("event_type".to_owned(), text(&event.event_type));
    item.insert(keys::EXPIRES_AT.to_owned(), number(event.id.made_at().plus(app.config.retention).unix_seconds()));
    if event.test {
        item.insert("test".to_owned(), AttributeValue::Bool(true));
    }
    let call = app.dynamodb.put_item().table_name(&app.config.events_table).set_item(Some(item));
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
pub async fn get(app: &App, account: &AccountId, id: EventId) -> Result<Option<Event>, StoreError> {
    let call = app.dynamodb.get_item().table_name(&app.config.events_table).consistent_read(true);
    let found = call.set_key(Some(keys::event(account, id))).send().await?;
    found.item.filter(|_| !is_expired(app, id)).map(|item| read(account, item)).transpose()
}

/// Whether the event's time is up; DynamoDB deletes such items when it comes to it.
pub(super) fn is_expired(app: &App, id: EventId) -> bool {
    id.made_at().plus(app.config.retention) <= app.clock.now()
}

/// Reads an event's item.
pub(super) fn read(account: &AccountId, mut item: Item) -> Result<Event, StoreError> {
    let id = sharded::id_of(&item).ok_or_else(|| missing("an id"))?;
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

/// Reads what an item that was read without its payload says of its event.
pub(super) fn read_summary(item: &Item) -> Result<EventSummary, StoreError> {
    let id = sharded::id_of(item).ok_or_else(|| missing("an id"))?;
    let event_type = item.get("event_type").and_then(|name| name.as_s().ok()?.parse::<EventType>().ok());
    Ok(EventSummary { id, event_type: event_type.ok_or_else(|| missing("a type"))?, test: item.contains_key("test") })
}

fn missing(what: &str) -> StoreError {
    StoreError::DynamoDb(format!("an event without {what}"))
}

/// Whether a list of events that goes on after `after`, newest first, must be read consistently. The first page must show
/// what its reader has just published. What a later page shows was stored long before a copy could still lack it, and never
/// changes.
pub(super) fn may_be_fresh(app: &App, after: Option<EventId>) -> bool {
    after.is_none_or(|after| after.made_at().plus(SETTLED_AFTER) > app.clock.now())
}

/// Lists the account's events, newest first, of one type where it is given.
pub async fn list(
    app: &App,
    account: &AccountId,
    event_type: Option<&EventType>,
    after: Option<EventId>,
    limit: usize,
) -> Result<Page<Event>, StoreError> {
    let source = Source {
        table: &app.config.events_table,
        partitions: keys::event_partitions(account),
        window: (None, None),
        attributes: &[],
        consistent: may_be_fresh(app, after),
    };
    let order = Order::Newest;
    let listing = Listing { sources: vec![source], order, after, limit, weight_max: ANSWER_BYTES_MAX };
    let keep = |mut row: Row| {
        let event = row.first().map(|item| read(account, item)).transpose()?;
        Ok(event.filter(|event| event_type.is_none_or(|wanted| event.event_type == *wanted)))
    };
    sharded::list(app, listing, keep, |event| escaped_len(&event.payload) + 1).await
}

/// Reads which events the account has from `window`'s first id to its last, oldest first, without tests and without their
/// payloads. None is missing that was stored before.
pub async fn oldest_first(
    app: &App,
    account: &AccountId,
    window: (EventId, EventId),
    after: Option<EventId>,
    limit: usize,
) -> Result<Page<EventSummary>, StoreError> {
    let source = Source {
        table: &app.config.events_table,
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
    sharded::list(app, listing, keep, |_| 0).await
}
