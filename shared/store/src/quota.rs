//! The counter of an account's webhooks, which keeps the account within its quota. A registration costs one more write for it,
//! and usually no count of the webhooks.
//!
//! The counter is raised before a webhook is stored and lowered after one is deleted. A worker that dies in between leaves it
//! too high. A recount corrects it when the counter says that the quota is used up. A recount does not see registrations that
//! are under way, so the quota may be exceeded by as many as there are, and no more.

use crate::{
    Store,
    item::{Item, StoreError, names, number, number_of, text},
    keys,
};
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{ReturnValuesOnConditionCheckFailure, Select},
};
use domain::{account::AccountId, id::WebhookId, time::Timestamp};
use std::time::Duration;

/// The most tries of a change. A try fails if another worker writes first.
const TRIES: usize = 8;
/// How long after a recount that found the quota used up no other recount is made, because each reads every webhook of the
/// account.
const RECOUNT_AFTER: Duration = Duration::from_secs(60);

const COUNT: &str = "count";
const FULL_AT: &str = "full_at";

/// Counts one more webhook of the account. Returns false if the quota is used up.
pub(super) async fn reserve(store: &Store, account: &AccountId) -> Result<bool, StoreError> {
    for _ in 0..TRIES {
        let Some(seen) = raise(store, account).await? else { return Ok(true) };
        let now = store.clock.now();
        let is_recent = |full_at: Timestamp| now < full_at.plus(RECOUNT_AFTER);
        if seen.count.is_some_and(|count| count >= store.settings.webhooks_max) && seen.full_at.is_some_and(is_recent) {
            return Ok(false);
        }
        let counted = count(store, account).await?;
        let is_full = counted >= store.settings.webhooks_max;
        let taken = if is_full { counted } else { counted + 1 };
        if set(store, account, seen.count, Counter { count: Some(taken), full_at: is_full.then_some(now) }).await? {
            return Ok(!is_full);
        }
    }
    Err(StoreError::Contended(format!("the number of webhooks of {account}")))
}

/// Counts one webhook less, after it was deleted. If other workers write first each time, it stays counted until a recount.
pub(super) async fn release(store: &Store, account: &AccountId) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let call = store.dynamodb.get_item().table_name(&store.settings.webhooks).consistent_read(true);
        let seen = Counter::read(call.set_key(Some(keys::webhook_count(account))).send().await?.item.as_ref());
        let Some(count) = seen.count.filter(|count| *count > 0) else { return Ok(()) };
        // The condition names the value that was read. The SDK repeats a write whose answer was lost, and must not lower the
        // counter twice.
        if set(store, account, Some(count), Counter { count: Some(count - 1), full_at: None }).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// The counter.
#[derive(Clone, Copy, Debug)]
struct Counter {
    /// The number of webhooks, or `None` if they were never counted.
    count: Option<usize>,
    /// When a recount found the quota used up. `None`, or long ago, if there was room later.
    full_at: Option<Timestamp>,
}

impl Counter {
    fn read(item: Option<&Item>) -> Self {
        let value = |name| number_of::<i64>(item?, name);
        Self {
            count: value(COUNT).and_then(|count| usize::try_from(count).ok()),
            full_at: value(FULL_AT).map(Timestamp::from_unix_ms),
        }
    }
}

/// Raises the counter by one if the quota has room. Returns the counter if it was not raised.
async fn raise(store: &Store, account: &AccountId) -> Result<Option<Counter>, StoreError> {
    let call = store.dynamodb.update_item().table_name(&store.settings.webhooks);
    let call = call
        .set_key(Some(keys::webhook_count(account)))
        .condition_expression("#count < :max")
        .update_expression("SET #count = #count + :one")
        .set_expression_attribute_names(Some(names(&[COUNT])))
        .expression_attribute_values(":max", number(store.settings.webhooks_max))
        .expression_attribute_values(":one", number(1))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    match call.send().await {
        Ok(_) => Ok(None),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                Ok(Some(Counter::read(refused.item.as_ref())))
            }
            _ => Err(error.into()),
        },
    }
}

/// Sets the counter to `new` if its number is still `before`. Returns whether it was set.
async fn set(store: &Store, account: &AccountId, before: Option<usize>, new: Counter) -> Result<bool, StoreError> {
    let call = store.dynamodb.update_item().table_name(&store.settings.webhooks);
    let call = call
        .set_key(Some(keys::webhook_count(account)))
        .update_expression("SET #count = :count, #full_at = :full_at")
        .set_expression_attribute_names(Some(names(&[COUNT, FULL_AT])))
        .expression_attribute_values(":count", number(new.count.unwrap_or_default()))
        .expression_attribute_values(":full_at", number(new.full_at.unwrap_or(Timestamp::EPOCH).unix_ms()));
    let call = match before {
        None => call.condition_expression("attribute_not_exists(#count)"),
        Some(before) => {
            call.condition_expression("#count = :before").expression_attribute_values(":before", number(before))
        }
    };
    match call.send().await {
        Ok(_) => Ok(true),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            _ => Err(error.into()),
        },
    }
}

/// Counts the account's webhooks. Expired ones do not count.
async fn count(store: &Store, account: &AccountId) -> Result<usize, StoreError> {
    let (mut counted, mut start) = (0, None);
    loop {
        let call = store.dynamodb.query().table_name(&store.settings.webhooks).consistent_read(true);
        let found = call
            .key_condition_expression("#account = :account AND begins_with(#id, :prefix)")
            .filter_expression("attribute_not_exists(#expires_at) OR #expires_at > :now")
            .set_expression_attribute_names(Some(names(&[keys::ACCOUNT, keys::ID, keys::EXPIRES_AT])))
            .expression_attribute_values(":now", number(store.clock.now().unix_seconds()))
            .expression_attribute_values(":account", text(account))
            .expression_attribute_values(":prefix", text(WebhookId::PREFIX))
            .select(Select::Count)
            .set_exclusive_start_key(start)
            .send()
            .await?;
        counted += usize::try_from(found.count).unwrap_or_default();
        start = found.last_evaluated_key;
        if start.is_none() {
            return Ok(counted);
        }
    }
}
