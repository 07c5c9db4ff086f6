//! Events in their table.

use super::{
    Item, StoreError, keys, names, number,
    sharded::{self, Listing, Page},
    text,
    webhooks::Order,
};
use crate::{
    app::App,
    event::Event,
    event_type::EventType,
    id::{AccountId, EventId},
};
use aws_sdk_dynamodb::{operation::put_item::PutItemError, primitives::Blob, types::AttributeValue};

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
    let missing = |what: &str| StoreError::DynamoDb(format!("an event without {what}"));
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

/// Lists the account's events, newest first, of one type where it is given.
pub async fn list(
    app: &App,
    account: &AccountId,
    event_type: Option<&EventType>,
    after: Option<EventId>,
    limit: usize,
) -> Result<Page<Event>, StoreError> {
    let listing = Listing {
        table: &app.config.events_table,
        partitions: keys::event_partitions(account),
        order: Order::Newest,
        after,
        window: (None, None),
        limit,
    };
    let wanted = |event: &Event| event_type.is_none_or(|wanted| event.event_type == *wanted);
    sharded::list(app, listing, |item| Ok(Some(read(account, item)?).filter(wanted))).await
}

/// Reads the account's events from `window`'s first id to its last, oldest first, without tests.
pub async fn oldest_first(
    app: &App,
    account: &AccountId,
    window: (EventId, EventId),
    after: Option<EventId>,
    limit: usize,
) -> Result<Page<Event>, StoreError> {
    let listing = Listing {
        table: &app.config.events_table,
        partitions: keys::event_partitions(account),
        order: Order::Oldest,
        after,
        window: (Some(window.0), Some(window.1)),
        limit,
    };
    sharded::list(app, listing, |item| Ok(Some(read(account, item)?).filter(|event| !event.test))).await
}
