//! Reads the tables page by page, so that memory is bounded however large they are.

use anyhow::{Context, anyhow};
use application::App;
use aws_sdk_dynamodb::{operation::scan::builders::ScanFluentBuilder, types::AttributeValue};
use domain::{
    account::AccountId,
    delivery::{Delivery, DeliveryStatus, STALLED_AFTER},
    event_type::EventType,
    id::EventId,
    time::Timestamp,
    webhook::Webhook,
};
use serde::Deserialize;
use std::time::Duration;
use store::{Item, aws::causes, keys, rate_limits};

/// The most items that one call reads. A delivery has up to about 25 KB and an event up to 256 KB, of which the call returns
/// only the key and the type.
const PAGE: i32 = 100;

/// A page of a table.
#[derive(Debug)]
pub(super) struct Page<T> {
    /// The items that match.
    pub(super) items: Vec<T>,
    /// How many items were read to find them.
    pub(super) scanned: usize,
    /// The start of the next page, if there may be one.
    pub(super) next: Option<Item>,
}

/// An event that is old enough to have been attempted. Its payload is left out.
#[derive(Clone, Debug)]
pub(super) struct OldEvent {
    /// Its account.
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
    let call = app
        .store
        .dynamodb
        .scan()
        .table_name(&app.store.settings.deliveries)
        .expression_attribute_names("#status", "status");
    let call = call.expression_attribute_values(":pending", text(DeliveryStatus::Pending.as_str()));
    let page = scan(call, "#status = :pending", account, start).await?;
    let items = page.items.into_iter().map(serde_dynamo::from_item).collect::<Result<_, _>>();
    Ok(Page { items: items.context("a delivery cannot be read")?, scanned: page.scanned, next: page.next })
}

/// Reads a page of events that are old enough to have been attempted. Events of test deliveries are left out: either a delivery
/// is stored, or nobody waits for the test any more.
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
    // The same table holds idempotency keys, which have other ids. DynamoDB deletes expired events late.
    let filter = "#id BETWEEN :first AND :last AND attribute_not_exists(#test) AND #expires_at > :now";
    let call = app.store.dynamodb.scan().table_name(&app.store.settings.events);
    let call = call.expression_attribute_names("#id", keys::ID).expression_attribute_names("#test", "test");
    let call = call.expression_attribute_names("#expires_at", keys::EXPIRES_AT);
    let call = call.expression_attribute_names("#event_type", "event_type");
    let call = call.expression_attribute_names("#partition", keys::PARTITION);
    let call = call.projection_expression("#partition, #id, #event_type");
    let call = call.expression_attribute_values(":first", text(EventId::first_at(Timestamp::EPOCH)));
    let call = call.expression_attribute_values(":last", text(EventId::first_at(now.minus(STALLED_AFTER))));
    let call = call.expression_attribute_values(":now", AttributeValue::N(now.unix_seconds().to_string()));
    let page = scan(call, filter, account, start).await?;
    let read = |item| {
        let Key { partition, id, event_type } = serde_dynamo::from_item(item).context("an event cannot be read")?;
        let account = partition.split('#').next().and_then(|account| account.parse().ok());
        Ok(OldEvent { account: account.with_context(|| format!("{partition} names no account"))?, id, event_type })
    };
    let items = page.items.into_iter().map(read).collect::<anyhow::Result<_>>()?;
    Ok(Page { items, scanned: page.scanned, next: page.next })
}

/// Reads a page. If `account` is given, only items of that account match.
async fn scan(
    call: ScanFluentBuilder,
    filter: &str,
    account: Option<&AccountId>,
    start: Option<Item>,
) -> anyhow::Result<Page<Item>> {
    let call = match account {
        // An account's name contains no `#`.
        Some(account) => call
            .filter_expression(format!("{filter} AND begins_with(#partition, :account)"))
            .expression_attribute_names("#partition", keys::PARTITION)
            .expression_attribute_values(":account", text(format!("{account}#"))),
        None => call.filter_expression(filter),
    };
    let found =
        call.limit(PAGE).set_exclusive_start_key(start).send().await.map_err(|error| anyhow!(causes(&error)))?;
    let scanned = usize::try_from(found.scanned_count).unwrap_or_default();
    Ok(Page { items: found.items.unwrap_or_default(), scanned, next: found.last_evaluated_key })
}

/// Returns how long a task that reserves a rate slot now would wait for it.
pub(super) async fn rate_limit_wait(app: &App, webhook: &Webhook) -> anyhow::Result<Duration> {
    if webhook.rate_limit.is_none() {
        return Ok(Duration::ZERO);
    }
    Ok(rate_limits::wait(&app.store, &webhook.account, webhook.id).await?)
}

fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}
