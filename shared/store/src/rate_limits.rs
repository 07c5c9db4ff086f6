//! The rate limits of webhooks: the counters of [`rate_limit`], one item for each webhook that has a limit. A reservation is
//! one conditional write, however many workers there are. A webhook without a limit has no item.

use crate::{
    Store,
    item::{Item, StoreError, names, number, number_of},
    keys,
};
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use domain::{
    account::AccountId,
    id::WebhookId,
    rate_limit::{self, Change, Counters, Grant, Request, Reservation},
    time::Timestamp,
};
use std::time::Duration;

/// The most tries of a reservation. A try fails if another worker writes first.
const TRIES: usize = 8;
/// How long counters are kept after their last reservation.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The attributes of the counters.
const SLOTS: &str = "end_us";
const PERMITS: &str = "sent_us";
const LATE_SLOTS: &str = "late_us";

/// A task in hand whose webhook has a rate limit.
#[derive(Clone, Copy, Debug)]
pub struct RateLimited<'a> {
    /// The webhook's account.
    pub account: &'a AccountId,
    /// The webhook.
    pub webhook: WebhookId,
    /// Its limit, in deliveries a second.
    pub rate_limit: u32,
    /// Whether the task returns from a slot.
    pub has_slot: bool,
}

/// What was reserved for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// A permit: the attempt may begin at this time, at most [`rate_limit::WAIT_MAX`] or the lead from now.
    Permit(Timestamp),
    /// A slot: the task returns at this time, more than [`rate_limit::WAIT_MAX`] from now.
    Slot(Timestamp),
}

/// Reserves a permit for a task, at least `lead` from now, or a slot; see [`rate_limit`].
///
/// It takes one conditional write if no task waits, or if the task returns in order, and otherwise two.
pub async fn reserve(store: &Store, task: RateLimited<'_>, lead: Duration) -> Result<Reserved, StoreError> {
    let lead_us = i64::try_from(lead.as_micros()).unwrap_or(i64::MAX / 4);
    let interval_us = rate_limit::interval_us(task.rate_limit);
    let mut counters = None;
    for _ in 0..TRIES {
        let now_us = store.clock.now().unix_ms() * 1000;
        let request = Request { now_us, lead_us, interval_us, has_slot: task.has_slot };
        let reservation = counters.map_or_else(|| request.guess(), |counters| request.decide(counters));
        match write(store, keys::rate_limit(task.account, task.webhook), request, reservation).await? {
            Write::Done(reserved) => return Ok(reserved),
            Write::Refused(present) => counters = Some(present),
        }
    }
    Err(StoreError::Contended(format!("the rate limit of {}", task.webhook)))
}

/// Returns how long a task that joins the webhook's waiting tasks now would wait.
pub async fn wait(store: &Store, account: &AccountId, webhook: WebhookId) -> Result<Duration, StoreError> {
    let call = store.dynamodb.get_item().table_name(&store.settings.webhooks).consistent_read(true);
    let found = call.set_key(Some(keys::rate_limit(account, webhook))).send().await?.item;
    let end_us = found.and_then(|item| number_of::<i64>(&item, SLOTS)).unwrap_or_default();
    Ok(Timestamp::from_unix_ms(end_us / 1000).since(store.clock.now()))
}

/// The result of a conditional write.
enum Write {
    Done(Reserved),
    /// A counter did not meet its condition. These are the present counters.
    Refused(Counters),
}

/// Makes a reservation, in one conditional write.
async fn write(store: &Store, key: Item, request: Request, reservation: Reservation) -> Result<Write, StoreError> {
    let expires_at = Timestamp::from_unix_ms(request.now_us / 1000).plus(KEPT).unix_seconds();
    let mut written = Expressions::default();
    written.set(keys::EXPIRES_AT, "expires_at", expires_at);
    let changes = [(SLOTS, reservation.slots), (PERMITS, reservation.permits), (LATE_SLOTS, reservation.late_slots)];
    for (counter, change) in changes {
        written.change(counter, change, request.interval_us);
    }
    let call = store.dynamodb.update_item().table_name(&store.settings.webhooks).set_key(Some(key));
    let call = call
        .condition_expression(written.conditions.join(" AND "))
        .update_expression(format!("SET {}", written.updates.join(", ")))
        .set_expression_attribute_names(Some(names(&written.names)))
        .set_expression_attribute_values(Some(written.values))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .return_values(ReturnValue::UpdatedNew);
    match call.send().await {
        Ok(answer) => {
            let counter = match reservation.grant {
                Grant::Permit => PERMITS,
                Grant::Slot => SLOTS,
                Grant::LateSlot => LATE_SLOTS,
            };
            let end_us = answer.attributes.as_ref().and_then(|item| number_of::<i64>(item, counter));
            let end_us = end_us.ok_or_else(|| StoreError::Malformed("a rate limit without counters".to_owned()))?;
            // Rounded up, so that no permit is used before it begins.
            let begin = Timestamp::from_unix_ms((end_us - request.interval_us).saturating_add(999) / 1000);
            Ok(Write::Done(match reservation.grant {
                Grant::Permit => Reserved::Permit(begin),
                Grant::Slot | Grant::LateSlot => Reserved::Slot(begin),
            }))
        }
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                let counter = |name| refused.item.as_ref().and_then(|item| number_of(item, name)).unwrap_or_default();
                Ok(Write::Refused(Counters {
                    slots_us: counter(SLOTS),
                    permits_us: counter(PERMITS),
                    late_slots_us: counter(LATE_SLOTS),
                }))
            }
            _ => Err(error.into()),
        },
    }
}

/// A reservation as DynamoDB's expressions.
#[derive(Default)]
struct Expressions<'a> {
    conditions: Vec<String>,
    updates: Vec<String>,
    names: Vec<&'a str>,
    values: Item,
}

impl<'a> Expressions<'a> {
    fn change(&mut self, counter: &'a str, change: Change, interval_us: i64) {
        let ends_within = format!("(attribute_not_exists(#{counter}) OR #{counter} <= :{counter}_last)");
        match change {
            Change::Keep => {}
            Change::KeepWithin(last_us) => {
                self.names.push(counter);
                self.value(&format!("{counter}_last"), last_us);
                self.conditions.push(ends_within);
            }
            Change::Begin(first_us) => {
                self.value(&format!("{counter}_last"), first_us);
                self.conditions.push(ends_within);
                self.set(counter, counter, first_us.saturating_add(interval_us));
            }
            Change::Append { after_us, last_us } => {
                self.names.push(counter);
                self.value(&format!("{counter}_after"), after_us);
                self.value(&format!("{counter}_last"), last_us);
                self.value("interval", interval_us);
                self.conditions.push(format!("#{counter} > :{counter}_after AND #{counter} <= :{counter}_last"));
                self.updates.push(format!("#{counter} = #{counter} + :interval"));
            }
        }
    }

    fn set(&mut self, attribute: &'a str, value: &str, number: i64) {
        self.names.push(attribute);
        self.value(value, number);
        self.updates.push(format!("#{attribute} = :{value}"));
    }

    fn value(&mut self, name: &str, value: i64) {
        self.values.insert(format!(":{name}"), number(value));
    }
}
