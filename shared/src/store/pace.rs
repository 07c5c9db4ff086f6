//! Pace: a line in which whoever comes takes a place of some length, so that places are handed out at a steady rate to any
//! number of workers at once (the generic cell rate algorithm, one conditional write a place). A webhook's deliveries stand
//! in one, and an account's publications. Nothing is written for what has no limit.

use super::{Item, StoreError, keys, names, number};
use crate::{
    app::App,
    id::{AccountId, WebhookId},
    time::Timestamp,
};
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use std::time::Duration;

/// Times that a place is asked for anew because another worker was faster.
const TRIES: usize = 8;
/// How long a line that nobody stands in is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How far an account's publications may run ahead of their rate: what a burst may have at once.
const PUBLISH_BURST: Duration = Duration::from_secs(1);

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
    let interval_us = interval_us(per_second);
    match take(app, keys::pace(account, webhook), interval_us, Duration::MAX).await? {
        Place::Taken { end_us } => Ok(Timestamp::from_unix_ms((end_us - interval_us) / 1000)),
        Place::TooFar { .. } => Err(StoreError::Contended(format!("the pace of {webhook}"))),
    }
}

/// Takes `events` of what `account` may publish at `per_second` events a second, all or none: how long to wait where it has
/// run a burst ahead of that already.
pub async fn publish(
    app: &App,
    account: &AccountId,
    events: u32,
    per_second: u32,
) -> Result<Result<(), Duration>, StoreError> {
    let length_us = interval_us(per_second).saturating_mul(i64::from(events));
    Ok(match take(app, keys::publish_pace(account), length_us, PUBLISH_BURST).await? {
        Place::Taken { .. } => Ok(()),
        Place::TooFar { wait } => Err(wait),
    })
}

/// How long the line of the webhook's deliveries is: a task that joins it now waits for as long.
pub async fn line(app: &App, account: &AccountId, webhook: WebhookId) -> Result<Duration, StoreError> {
    let call = app.dynamodb.get_item().table_name(&app.config.webhooks_table).consistent_read(true);
    let found = call.set_key(Some(keys::pace(account, webhook))).send().await?.item;
    let end_us: Option<i64> = found.and_then(|item| item.get("end_us")?.as_n().ok()?.parse().ok());
    Ok(Timestamp::from_unix_ms(end_us.unwrap_or_default() / 1000).since(app.clock.now()))
}

fn interval_us(per_second: u32) -> i64 {
    1_000_000 / i64::from(per_second.max(1))
}

/// What came of standing in line.
enum Place {
    /// A place that ends then, in microseconds since the Unix epoch.
    Taken { end_us: i64 },
    /// The line is longer than is waited for: it is short enough after this time.
    TooFar { wait: Duration },
}

/// Takes a place of `length_us` in the line at `key`, if its end is at most `ahead` from now.
async fn take(app: &App, key: Item, length_us: i64, ahead: Duration) -> Result<Place, StoreError> {
    let ahead_us = i64::try_from(ahead.as_micros()).unwrap_or(i64::MAX);
    for _ in 0..TRIES {
        let now_us = app.clock.now().unix_ms() * 1000;
        let last_us = now_us.saturating_add(ahead_us);
        let behind = Step { from: From::End { last_us }, length_us, now_us };
        match advance(app, key.clone(), behind).await? {
            Ok(end_us) => return Ok(Place::Taken { end_us }),
            Err(Some(end_us)) if end_us > last_us => {
                return Ok(Place::TooFar { wait: Duration::from_micros(end_us.abs_diff(last_us)) });
            }
            Err(_) => {}
        }
        if let Ok(end_us) = advance(app, key.clone(), Step { from: From::Now, length_us, now_us }).await? {
            return Ok(Place::Taken { end_us });
        }
    }
    Err(StoreError::Contended("a pace".to_owned()))
}

/// Where a place begins.
#[derive(Clone, Copy)]
enum From {
    /// Behind the others, if the line ends after now and not after `last_us`.
    End { last_us: i64 },
    /// Now, if nobody is in line.
    Now,
}

#[derive(Clone, Copy)]
struct Step {
    from: From,
    length_us: i64,
    now_us: i64,
}

/// Moves the end of the line on: the new end in microseconds, or the present one where `step` does not begin there.
async fn advance(app: &App, key: Item, step: Step) -> Result<Result<i64, Option<i64>>, StoreError> {
    let Step { from, length_us, now_us } = step;
    let (condition, end) = match from {
        From::End { .. } => ("#end_us > :now AND #end_us <= :last", "#end_us + :length"),
        From::Now => ("attribute_not_exists(#end_us) OR #end_us <= :now", ":now + :length"),
    };
    let expires_at = Timestamp::from_unix_ms(now_us / 1000).plus(KEPT).unix_seconds();
    let call = app.dynamodb.update_item().table_name(&app.config.webhooks_table);
    let call = call.set_key(Some(key)).condition_expression(condition);
    let call = call.update_expression(format!("SET #end_us = {end}, #expires_at = :expires_at"));
    let call = call.set_expression_attribute_names(Some(names(&["end_us", keys::EXPIRES_AT])));
    let call = call.expression_attribute_values(":now", number(now_us));
    let call = call.expression_attribute_values(":length", number(length_us));
    let call = call.expression_attribute_values(":expires_at", number(expires_at));
    let call = match from {
        From::End { last_us } => call.expression_attribute_values(":last", number(last_us)),
        From::Now => call,
    };
    let call = call.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let end_of = |item: Option<&Item>| item.and_then(|item| item.get("end_us")?.as_n().ok()?.parse().ok());
    match call.return_values(ReturnValue::UpdatedNew).send().await {
        Ok(written) => {
            let end_us = end_of(written.attributes.as_ref());
            Ok(Ok(end_us.ok_or_else(|| StoreError::DynamoDb("a pace without an end".to_owned()))?))
        }
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => Ok(Err(end_of(refused.item.as_ref()))),
            _ => Err(error.into()),
        },
    }
}
