//! The records of recoveries. They are kept as long as events.

use crate::{
    Store,
    item::{StoreError, Written, from_item, names, number, put_version, text, to_item},
    keys,
};
use domain::{
    account::AccountId,
    id::{RecoveryId, WebhookId},
    page::Page,
    recovery::Recovery,
};

/// Stores the record of a recovery that begins. Returns the stored one if there is one already.
pub async fn create(store: &Store, account: &AccountId, recovery: &Recovery) -> Result<Recovery, StoreError> {
    let present = put(store, account, recovery, 0).await?;
    Ok(present.unwrap_or_else(|| recovery.clone()))
}

/// Stores the progress of the job with which `recovery` has `jobs`, unless another worker has recorded that job or a later one.
/// Returns the record as it is then stored, or `None` if it is no longer kept.
pub async fn record(store: &Store, account: &AccountId, recovery: &Recovery) -> Result<Option<Recovery>, StoreError> {
    put(store, account, recovery, recovery.jobs.into()).await
}

/// Writes the record as version `version`, if the stored one is the version before it. Returns the record as it is then stored.
async fn put(
    store: &Store,
    account: &AccountId,
    recovery: &Recovery,
    version: u64,
) -> Result<Option<Recovery>, StoreError> {
    let mut item = to_item(recovery)?;
    item.extend(keys::recovery(account, recovery.webhook, recovery.id));
    let expires_at = recovery.id.made_at().plus(store.settings.retention).unix_seconds();
    item.insert(keys::EXPIRES_AT.to_owned(), number(expires_at));
    match put_version(store, &store.settings.webhooks, item, version).await? {
        Written::Yes => Ok(Some(recovery.clone())),
        Written::No(present) => present.map(from_item).transpose(),
    }
}

/// Reads a recovery as it is now.
pub async fn get(
    store: &Store,
    account: &AccountId,
    webhook: WebhookId,
    id: RecoveryId,
) -> Result<Option<Recovery>, StoreError> {
    let call = store.dynamodb.get_item().table_name(&store.settings.webhooks).consistent_read(true);
    let found = call.set_key(Some(keys::recovery(account, webhook, id))).send().await?;
    found.item.filter(|_| !is_expired(store, id)).map(from_item).transpose()
}

/// Reads up to `limit` of the webhook's recoveries that come after `after`, newest first, as they are now.
pub async fn page(
    store: &Store,
    account: &AccountId,
    webhook: WebhookId,
    after: Option<RecoveryId>,
    limit: usize,
) -> Result<Page<Recovery, RecoveryId>, StoreError> {
    let call = store.dynamodb.query().table_name(&store.settings.webhooks).consistent_read(true);
    let call = call.key_condition_expression("#account = :account");
    let call = call.set_expression_attribute_names(Some(names(&[keys::ACCOUNT])));
    let call = call.expression_attribute_values(":account", text(keys::recoveries(account, webhook)));
    let call = call.set_exclusive_start_key(after.map(|after| keys::recovery(account, webhook, after)));
    let call = call.limit(i32::try_from(limit + 1).unwrap_or(i32::MAX)).scan_index_forward(false);
    let found = call.send().await?;
    let read = found.items.unwrap_or_default().into_iter().map(from_item::<Recovery>);
    let mut recoveries = read.collect::<Result<Vec<_>, _>>()?;
    let unread = found.last_evaluated_key.is_some();
    // The oldest come last, so nothing follows one that has expired.
    let stored = recoveries.len();
    recoveries.retain(|recovery| !is_expired(store, recovery.id));
    let unread = unread && recoveries.len() == stored;
    Ok(Page::first(recoveries, limit, unread, |recovery: &Recovery| recovery.id))
}

/// Whether the record is no longer kept. DynamoDB deletes such items late.
fn is_expired(store: &Store, id: RecoveryId) -> bool {
    id.made_at().plus(store.settings.retention) <= store.clock.now()
}
