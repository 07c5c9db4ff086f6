//! The tables, page by page: what is held in memory at once is bounded, however large they are.

use super::decision::OVERDUE_MIN;
use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::{operation::scan::builders::ScanFluentBuilder, types::AttributeValue};
use hookline::{
    app::{App, causes},
    delivery::{Delivery, DeliveryStatus},
    event_type::EventType,
    id::{AccountId, EventId},
    store::{Item, keys, pace},
    time::Timestamp,
    webhook::Webhook,
};
use serde::Deserialize;
use std::time::Duration;

/// Items that one call looks at. A delivery has up to some 25 KB, an event up to 256 KB, of which only its key is answered.
const PAGE: i32 = 100;

/// A page of a table.
#[derive(Debug)]
pub(super) struct Page<T> {
    /// What was found.
    pub(super) items: Vec<T>,
    /// Items that were looked at for it.
    pub(super) looked_at: usize,
    /// Where to go on, where there may be more.
    pub(super) next: Option<Item>,
}

/// An event that is old enough to have been attempted, without its payload.
#[derive(Clone, Debug)]
pub(super) struct OldEvent {
    /// Whose it is.
    pub(super) account: AccountId,
    /// Its id.
    pub(super) id: EventId,
    /// Its type.
    pub(super) event_type: EventType,
}

/// Reads a page of pending deliveries.
pub(super) async fn pending(
    app: &App,
    account: Option<&AccountId>,
    start: Option<Item>,
) -> anyhow::Result<Page<Delivery>> {
    let call =
        app.dynamodb.scan().table_name(&app.config.deliveries_table).expression_attribute_names("#status", "status");
    let call = call.expression_attribute_values(":pending", text(DeliveryStatus::Pending.as_str()));
    let page = scan(call, "#status = :pending", account, start).await?;
    let items = page.items.into_iter().map(serde_dynamo::from_item).collect::<Result<_, _>>();
    Ok(Page { items: items.context("a delivery cannot be read")?, looked_at: page.looked_at, next: page.next })
}

/// Reads a page of events that are old enough to have been attempted. Tests are left out: their one attempt has a stored
/// delivery, or nobody waits for it any more.
pub(super) async fn old_events(
    app: &App,
    account: Option<&AccountId>,
    start: Option<Item>,
) -> anyhow::Result<Page<OldEvent>> {
    #[derive(Deserialize)]
    struct Key {
        partition: String,
        id: EventId,
        event_type: EventType,
    }

    let now = app.clock.now();
    // Idempotency keys are in the same table, under other ids; and DynamoDB deletes expired events late.
    let filter = "#id BETWEEN :first AND :last AND attribute_not_exists(#test) AND #expires_at > :now";
    let call = app.dynamodb.scan().table_name(&app.config.events_table);
    let call = call.expression_attribute_names("#id", keys::ID).expression_attribute_names("#test", "test");
    let call = call.expression_attribute_names("#expires_at", keys::EXPIRES_AT);
    let call = call.expression_attribute_names("#event_type", "event_type");
    let call = call.expression_attribute_names("#partition", keys::PARTITION);
    let call = call.projection_expression("#partition, #id, #event_type");
    let call = call.expression_attribute_values(":first", text(EventId::first_at(Timestamp::EPOCH)));
    let call = call.expression_attribute_values(":last", text(EventId::first_at(now.minus(OVERDUE_MIN))));
    let call = call.expression_attribute_values(":now", AttributeValue::N(now.unix_seconds().to_string()));
    let page = scan(call, filter, account, start).await?;
    let read = |item| {
        let Key { partition, id, event_type } = serde_dynamo::from_item(item).context("an event cannot be read")?;
        let account = partition.split('#').next().and_then(|account| account.parse().ok());
        Ok(OldEvent { account: account.with_context(|| format!("{partition} names no account"))?, id, event_type })
    };
    let items = page.items.into_iter().map(read).collect::<anyhow::Result<_>>()?;
    Ok(Page { items, looked_at: page.looked_at, next: page.next })
}

/// Asks for a page, of one account's items where it is given.
async fn scan(
    call: ScanFluentBuilder,
    filter: &str,
    account: Option<&AccountId>,
    start: Option<Item>,
) -> anyhow::Result<Page<Item>> {
    let call = match account {
        // An account's name holds no `#`.
        Some(account) => call
            .filter_expression(format!("{filter} AND begins_with(#partition, :account)"))
            .expression_attribute_names("#partition", keys::PARTITION)
            .expression_attribute_values(":account", text(format!("{account}#"))),
        None => call.filter_expression(filter),
    };
    let found =
        call.limit(PAGE).set_exclusive_start_key(start).send().await.map_err(|error| anyhow!(causes(&error)))?;
    let looked_at = usize::try_from(found.scanned_count).unwrap_or_default();
    Ok(Page { items: found.items.unwrap_or_default(), looked_at, next: found.last_evaluated_key })
}

/// How long a delivery that reserved a rate slot now would wait for it.
pub(super) async fn line(app: &App, webhook: &Webhook) -> anyhow::Result<Duration> {
    if webhook.rate_limit.is_none() {
        return Ok(Duration::ZERO);
    }
    Ok(pace::line(app, &webhook.account, webhook.id).await?)
}

fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}
