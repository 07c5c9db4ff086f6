//! Webhooks in their table.

use crate::{
    Store,
    item::{Item, StoreError, Written, from_item, names, number, put_version, text, to_item, version_of},
    keys, quota,
    shards::UNITS_MAX,
};
use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::ReturnConsumedCapacity};
use domain::{
    account::AccountId,
    id::WebhookId,
    page::{Order, Page},
    webhook::Webhook,
};
use std::time::Duration;

/// The most tries of a change. A try fails if another worker writes first.
const CHANGE_TRIES: usize = 8;

/// The most webhooks that a filtered list reads at once. They stay near [`UNITS_MAX`], however large they are.
const CHUNK_MAX: usize = 200;

/// The result of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The webhook is stored.
    Stored,
    /// The account has as many webhooks as it may have.
    QuotaFull,
}

/// Stores a new webhook, if the account's quota has room.
pub async fn create(store: &Store, webhook: &Webhook) -> Result<Created, StoreError> {
    if !quota::reserve(store, &webhook.account).await? {
        return Ok(Created::QuotaFull);
    }
    match put_version(store, &store.settings.webhooks, to_item(webhook)?, 0).await? {
        Written::Yes => Ok(Created::Stored),
        Written::No(_) => Err(StoreError::Contended(webhook.id.to_string())),
    }
}

/// Reads a webhook as it is now. An expired one counts as deleted.
pub async fn get(store: &Store, account: &AccountId, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
    let found: Option<Webhook> = get_item(store, account, id).await?.map(from_item).transpose()?;
    Ok(found.filter(|webhook| !webhook.has_expired(store.clock.now())))
}

async fn get_item(store: &Store, account: &AccountId, id: WebhookId) -> Result<Option<Item>, StoreError> {
    let call = store.dynamodb.get_item().table_name(&store.settings.webhooks).consistent_read(true);
    Ok(call.set_key(Some(keys::webhook(account, id))).send().await?.item)
}

/// The time limit for the first call of a function that starts. Lambda limits a start to 10 s and bills it. If the call does
/// not succeed, the first request opens the connection.
const WARM_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens the connection to DynamoDB. A failure is only logged, because the first request tries again.
pub async fn warm(store: &Store) {
    match tokio::time::timeout(WARM_TIMEOUT, touch(store)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the first call to DynamoDB failed"),
        Err(_) => tracing::warn!("the first call to DynamoDB was not answered in time"),
    }
}

/// Makes the cheapest call: an inconsistent read of an item that does not exist.
pub(crate) async fn touch(store: &Store) -> Result<(), StoreError> {
    let key = keys::event_type("-");
    store.dynamodb.get_item().table_name(&store.settings.webhooks).set_key(Some(key)).send().await?;
    Ok(())
}

/// Changes a webhook with `change`. Returns the changed webhook, or `None` if there is none. If another worker writes first,
/// `change` is called again with the newer webhook. If `change` returns an error, nothing is written.
pub async fn change<E: From<StoreError>>(
    store: &Store,
    account: &AccountId,
    id: WebhookId,
    change: impl Fn(&mut Webhook) -> Result<(), E>,
) -> Result<Option<Webhook>, E> {
    let mut read = get_item(store, account, id).await?;
    for _ in 0..CHANGE_TRIES {
        let Some(item) = read else { return Ok(None) };
        let version = version_of(&item);
        let mut webhook: Webhook = from_item(item)?;
        if webhook.has_expired(store.clock.now()) {
            return Ok(None);
        }
        change(&mut webhook)?;
        match put_version(store, &store.settings.webhooks, to_item(&webhook)?, version + 1).await? {
            Written::Yes => return Ok(Some(webhook)),
            Written::No(newer) => read = newer,
        }
    }
    Err(StoreError::Contended(id.to_string()).into())
}

/// Deletes a webhook. Returns false if there is none. A marker of the deletion is kept for as long as the webhook's deliveries.
pub async fn delete(store: &Store, account: &AccountId, id: WebhookId) -> Result<bool, StoreError> {
    if get(store, account, id).await?.is_none() {
        return Ok(false);
    }
    let mut deleted = keys::deleted_webhook(account, id);
    let expires_at = store.clock.now().plus(store.settings.retention).unix_seconds();
    deleted.insert(keys::EXPIRES_AT.to_owned(), number(expires_at));
    store.dynamodb.put_item().table_name(&store.settings.webhooks).set_item(Some(deleted)).send().await?;
    let call = store.dynamodb.delete_item().table_name(&store.settings.webhooks);
    let call = call.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
    let deleted = call.set_key(Some(keys::webhook(account, id))).send().await?;
    let is_deleted = deleted.attributes.is_some_and(|item| !item.is_empty());
    if is_deleted && let Err(error) = quota::release(store, account).await {
        // The webhook is deleted all the same, and a recount will correct the counter.
        tracing::warn!(%account, %error, "a deleted webhook is still counted");
    }
    Ok(is_deleted)
}

/// Returns the account's webhooks that were deleted lately: at most `limit`, the newest ones.
pub async fn deleted(store: &Store, account: &AccountId, limit: usize) -> Result<Vec<WebhookId>, StoreError> {
    let call = query(store, account, keys::DELETED).scan_index_forward(false);
    let found = call.limit(i32::try_from(limit).unwrap_or(i32::MAX)).send().await?;
    let ids = found.items.unwrap_or_default().into_iter().filter_map(|item| {
        let id = item.get(keys::ID)?.as_s().ok()?;
        id.strip_prefix(keys::DELETED)?.parse().ok()
    });
    Ok(ids.collect())
}

/// Begins a query of the account's items whose ids begin with `prefix`, as they are now.
fn query(store: &Store, account: &AccountId, prefix: &str) -> QueryFluentBuilder {
    let call = store.dynamodb.query().table_name(&store.settings.webhooks).consistent_read(true);
    let call = call.key_condition_expression("#account = :account AND begins_with(#id, :prefix)");
    let call = call.set_expression_attribute_names(Some(names(&[keys::ACCOUNT, keys::ID])));
    call.expression_attribute_values(":account", text(account)).expression_attribute_values(":prefix", text(prefix))
}

/// Reads up to `limit` of the account's webhooks that come after `after` in `order`, as they are now. Expired ones are among them
/// until DynamoDB deletes them: no event is sent to them.
pub async fn page(
    store: &Store,
    account: &AccountId,
    after: Option<WebhookId>,
    limit: usize,
    order: Order,
) -> Result<Page<Webhook, WebhookId>, StoreError> {
    let call = query(store, account, WebhookId::PREFIX)
        .set_exclusive_start_key(after.map(|after| keys::webhook(account, after)));
    let call = call.limit(i32::try_from(limit + 1).unwrap_or(i32::MAX)).scan_index_forward(order == Order::Oldest);
    let found = call.send().await?;
    let webhooks = found.items.unwrap_or_default().into_iter().map(from_item).collect::<Result<_, _>>()?;
    Ok(Page::first(webhooks, limit, found.last_evaluated_key.is_some(), |webhook: &Webhook| webhook.id))
}

/// Lists the account's webhooks that `keep` accepts and that come after `after`, newest first, without expired ones. It reads on
/// until the page is full.
/// If `keep` leaves most out, the page ends early once its read units are used up, with a cursor for the rest.
pub async fn newest_where(
    store: &Store,
    account: &AccountId,
    after: Option<WebhookId>,
    limit: usize,
    keep: impl Fn(&Webhook) -> bool,
) -> Result<Page<Webhook, WebhookId>, StoreError> {
    let (now, mut items, mut last, mut units) = (store.clock.now(), Vec::new(), after, 0.0);
    let mut start = after.map(|after| keys::webhook(account, after));
    let mut chunk = limit + 1;
    loop {
        let call = query(store, account, WebhookId::PREFIX).set_exclusive_start_key(start);
        let call = call.limit(i32::try_from(chunk).unwrap_or(i32::MAX)).scan_index_forward(false);
        let found = call.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await?;
        for item in found.items.unwrap_or_default() {
            let webhook: Webhook = from_item(item)?;
            let id = webhook.id;
            if keep(&webhook) && !webhook.has_expired(now) {
                if items.len() == limit {
                    return Ok(Page { items, next: last });
                }
                items.push(webhook);
            }
            last = Some(id);
        }
        units += found.consumed_capacity.and_then(|consumed| consumed.capacity_units).unwrap_or_default();
        start = found.last_evaluated_key;
        if start.is_none() {
            return Ok(Page { items, next: None });
        }
        if units >= UNITS_MAX {
            return Ok(Page { items, next: last });
        }
        chunk = (chunk * 4).min(CHUNK_MAX);
    }
}
