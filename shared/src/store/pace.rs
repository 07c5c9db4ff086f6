//! Pace: slots that are handed out one by one, at most so many a second, to any number of workers. Nothing is written for
//! what has no limit.

use super::{StoreError, keys, names, number};
use crate::{
    app::App,
    id::{AccountId, WebhookId},
    time::Timestamp,
};
use aws_sdk_dynamodb::{operation::update_item::UpdateItemError, types::ReturnValue};
use std::time::Duration;

/// Times that a slot is asked for anew because another worker was faster.
const TRIES: usize = 8;
/// How long a pace that nobody uses is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Where the slot of a reservation is.
#[derive(Clone, Copy)]
enum Slot {
    /// Behind those that wait.
    Behind,
    /// Now, since nobody waits.
    Now,
}

/// Reserves the webhook's next slot at `per_second` deliveries a second: a moment of its own, now or later, and no other
/// within a `per_second`th of a second of it.
///
/// One conditional write where deliveries wait; a second one where none does.
pub async fn reserve(
    app: &App,
    account: &AccountId,
    webhook: WebhookId,
    per_second: u32,
) -> Result<Timestamp, StoreError> {
    let interval_us = 1_000_000 / i64::from(per_second.max(1));
    for _ in 0..TRIES {
        for slot in [Slot::Behind, Slot::Now] {
            if let Some(next_us) = advance(app, account, webhook, slot, interval_us).await? {
                return Ok(Timestamp::from_unix_ms((next_us - interval_us) / 1000));
            }
        }
    }
    Err(StoreError::Contended(format!("the pace of {webhook}")))
}

/// Moves the end of the last slot on by one; the new end in microseconds, or `None` where `slot` is not where one is free.
async fn advance(
    app: &App,
    account: &AccountId,
    webhook: WebhookId,
    slot: Slot,
    interval_us: i64,
) -> Result<Option<i64>, StoreError> {
    let now = app.clock.now();
    let now_us = now.unix_ms() * 1000;
    let (condition, end) = match slot {
        Slot::Behind => ("#end_us > :now", "#end_us + :interval"),
        Slot::Now => ("attribute_not_exists(#end_us) OR #end_us <= :now", ":now + :interval"),
    };
    let call = app.dynamodb.update_item().table_name(&app.config.webhooks_table);
    let call = call.set_key(Some(keys::pace(account, webhook))).condition_expression(condition);
    let call = call.update_expression(format!("SET #end_us = {end}, #expires_at = :expires_at"));
    let call = call.set_expression_attribute_names(Some(names(&["end_us", keys::EXPIRES_AT])));
    let call = call.expression_attribute_values(":now", number(now_us));
    let call = call.expression_attribute_values(":interval", number(interval_us));
    let call = call.expression_attribute_values(":expires_at", number(now.plus(KEPT).unix_seconds()));
    match call.return_values(ReturnValue::UpdatedNew).send().await {
        Ok(written) => {
            let end_us = written.attributes.as_ref().and_then(|item| item.get("end_us")?.as_n().ok()?.parse().ok());
            Ok(Some(end_us.ok_or_else(|| StoreError::DynamoDb("a pace without an end".to_owned()))?))
        }
        Err(error) if error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
