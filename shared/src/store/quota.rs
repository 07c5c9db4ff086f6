//! How many webhooks an account has: a counter beside them, so that the quota costs a registration one write and not a count.
//!
//! The counter is raised before the webhook is stored and lowered after it is deleted. A worker that dies in between leaves it
//! too high, which a recount puts right as soon as the counter says that the quota is used up. Registrations under way
//! during a recount are not in it, so the quota may be exceeded by as many, and no more.

use super::{Item, StoreError, keys, names, number, webhooks};
use crate::{app::App, id::AccountId, time::Timestamp};
use aws_sdk_dynamodb::{operation::update_item::UpdateItemError, types::ReturnValuesOnConditionCheckFailure};
use std::time::Duration;

/// Times that the counter is asked anew because another registration was faster.
const TRIES: usize = 8;
/// How long a recount that found the quota used up is believed: a count reads every webhook of the account.
const RECOUNT_AFTER: Duration = Duration::from_secs(60);

const COUNT: &str = "count";
const FULL_AT: &str = "full_at";

/// Takes one of the account's webhooks; false where it has as many as it may.
pub(super) async fn take(app: &App, account: &AccountId) -> Result<bool, StoreError> {
    for _ in 0..TRIES {
        let Some(seen) = raise(app, account).await? else { return Ok(true) };
        let now = app.clock.now();
        let is_recent = |full_at: Timestamp| now < full_at.plus(RECOUNT_AFTER);
        if seen.count.is_some_and(|count| count >= app.config.webhooks_max) && seen.full_at.is_some_and(is_recent) {
            return Ok(false);
        }
        let counted = webhooks::count(app, account).await?;
        let is_full = counted >= app.config.webhooks_max;
        let taken = if is_full { counted } else { counted + 1 };
        if set(app, account, seen.count, Seen { count: Some(taken), full_at: is_full.then_some(now) }).await? {
            return Ok(!is_full);
        }
    }
    Err(StoreError::Contended(format!("the number of webhooks of {account}")))
}

/// Gives one back after its webhook was deleted. Where others are faster it stays counted, until a recount.
pub(super) async fn give_back(app: &App, account: &AccountId) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let call = app.dynamodb.get_item().table_name(&app.config.webhooks_table).consistent_read(true);
        let seen = Seen::of(call.set_key(Some(keys::webhook_count(account))).send().await?.item.as_ref());
        let Some(count) = seen.count.filter(|count| *count > 0) else { return Ok(()) };
        // By the value that was seen, so that the SDK's repeat of a write whose answer was lost lowers nothing twice.
        if set(app, account, Some(count), Seen { count: Some(count - 1), full_at: None }).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// What the counter says.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Webhooks; none where they were never counted.
    count: Option<usize>,
    /// When they were counted and found to be as many as there may be; none where they are fewer since.
    full_at: Option<Timestamp>,
}

impl Seen {
    fn of(item: Option<&Item>) -> Self {
        let read = |name| item.and_then(|item| item.get(name)?.as_n().ok()?.parse::<i64>().ok());
        Self {
            count: read(COUNT).and_then(|count| usize::try_from(count).ok()),
            full_at: read(FULL_AT).map(Timestamp::from_unix_ms),
        }
    }
}

/// Raises the counter by one if there is room; what it says where there is not.
async fn raise(app: &App, account: &AccountId) -> Result<Option<Seen>, StoreError> {
    let call = app.dynamodb.update_item().table_name(&app.config.webhooks_table);
    let call = call
        .set_key(Some(keys::webhook_count(account)))
        .condition_expression("#count < :max")
        .update_expression("SET #count = #count + :one")
        .set_expression_attribute_names(Some(names(&[COUNT])))
        .expression_attribute_values(":max", number(app.config.webhooks_max))
        .expression_attribute_values(":one", number(1))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    match call.send().await {
        Ok(_) => Ok(None),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                Ok(Some(Seen::of(refused.item.as_ref())))
            }
            _ => Err(error.into()),
        },
    }
}

/// Sets the counter to `new` if it still says `before`; false where it does not.
async fn set(app: &App, account: &AccountId, before: Option<usize>, new: Seen) -> Result<bool, StoreError> {
    let call = app.dynamodb.update_item().table_name(&app.config.webhooks_table);
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
