//! The rate limits of accounts: one GCRA counter (generic cell rate algorithm) for each account and each thing that is limited, such
//! as publications.

use crate::{
    Store,
    item::{Item, StoreError, names, number, number_of},
    keys,
};
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use domain::{account::AccountId, time::Timestamp};
use std::time::Duration;

/// The most tries of a reservation. A try fails if another worker writes first.
const TRIES: usize = 8;
/// How long a counter is kept after its last reservation.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The attribute of the counter: when the next use is due at the account's rate.
const NEXT: &str = "end_us";

/// What an account does that is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// The publication of an event.
    Publication,
    /// The diagnosis of a request's signatures.
    Diagnosis,
}

/// How often an account may do it.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// How often in a second.
    pub per_second: u32,
    /// How far its uses may run ahead of the rate: a burst of this many seconds' uses is allowed.
    pub burst: Duration,
}

/// The result of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// It may be done now.
    Granted,
    /// The account has used its burst: nothing may be done until this time has passed.
    After(Duration),
}

/// Reserves `uses` by `account` at a rate, all or none.
pub async fn reserve(
    store: &Store,
    account: &AccountId,
    limited: Limited,
    uses: u32,
    rate: Rate,
) -> Result<Permit, StoreError> {
    let interval_us = 1_000_000 / i64::from(rate.per_second.max(1));
    let length_us = interval_us.saturating_mul(i64::from(uses));
    let burst_us = i64::try_from(rate.burst.as_micros()).unwrap_or(i64::MAX);
    let key = match limited {
        Limited::Publication => keys::publish_limit(account),
        Limited::Diagnosis => keys::diagnosis_limit(account),
    };
    for _ in 0..TRIES {
        let now_us = store.clock.now().unix_ms() * 1000;
        let last_us = now_us.saturating_add(burst_us);
        let append = Advance { start: Start::Counter { last_us }, length_us, now_us };
        match advance(store, key.clone(), append).await? {
            Advanced::Done => return Ok(Permit::Granted),
            Advanced::Refused { next_us } if next_us > last_us => {
                return Ok(Permit::After(Duration::from_micros(next_us.abs_diff(last_us))));
            }
            Advanced::Refused { .. } => {}
        }
        let begin = Advance { start: Start::Now, length_us, now_us };
        if let Advanced::Done = advance(store, key.clone(), begin).await? {
            return Ok(Permit::Granted);
        }
    }
    Err(StoreError::Contended("the rate limit of an account".to_owned()))
}

/// Where a reservation begins.
#[derive(Clone, Copy)]
enum Start {
    /// At the counter, if that is after now and at most `last_us`.
    Counter { last_us: i64 },
    /// Now, if the counter is in the past.
    Now,
}

#[derive(Clone, Copy)]
struct Advance {
    start: Start,
    length_us: i64,
    now_us: i64,
}

enum Advanced {
    Done,
    /// The counter did not meet the condition. This is its present value.
    Refused {
        next_us: i64,
    },
}

/// Advances the counter in one conditional write.
async fn advance(store: &Store, key: Item, by: Advance) -> Result<Advanced, StoreError> {
    let Advance { start, length_us, now_us } = by;
    let (condition, end) = match start {
        Start::Counter { .. } => ("#end_us > :now AND #end_us <= :last", "#end_us + :length"),
        Start::Now => ("attribute_not_exists(#end_us) OR #end_us <= :now", ":now + :length"),
    };
    let expires_at = Timestamp::from_unix_ms(now_us / 1000).plus(KEPT).unix_seconds();
    let call = store.dynamodb.update_item().table_name(&store.settings.webhooks);
    let call = call
        .set_key(Some(key))
        .condition_expression(condition)
        .update_expression(format!("SET #end_us = {end}, #expires_at = :expires_at"))
        .set_expression_attribute_names(Some(names(&[NEXT, keys::EXPIRES_AT])))
        .expression_attribute_values(":now", number(now_us))
        .expression_attribute_values(":length", number(length_us))
        .expression_attribute_values(":expires_at", number(expires_at))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .return_values(ReturnValue::UpdatedNew);
    let call = match start {
        Start::Counter { last_us } => call.expression_attribute_values(":last", number(last_us)),
        Start::Now => call,
    };
    match call.send().await {
        Ok(_) => Ok(Advanced::Done),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                let next_us = refused.item.as_ref().and_then(|item| number_of(item, NEXT));
                Ok(Advanced::Refused { next_us: next_us.unwrap_or_default() })
            }
            _ => Err(error.into()),
        },
    }
}
