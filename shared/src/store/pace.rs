//! Rate limits: the lines of [`rate_limit`] for a webhook's deliveries, and one such line for an account's publications (the
//! generic cell rate algorithm). A place in a line is one conditional write, whatever the number of workers. Nothing is
//! written for what has no limit.

use super::{Item, StoreError, keys, names, number};
use crate::{
    app::App,
    id::{AccountId, WebhookId},
    rate_limit::{self, Ask, Change, Grant, Lines, Step},
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

/// What a task of a webhook with a rate limit was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Its attempt may be made at that moment, at most [`rate_limit::WAIT_MAX`] or its lead from now.
    Permit(Timestamp),
    /// It must come back at that moment, further from now than [`rate_limit::WAIT_MAX`].
    ComeBack(Timestamp),
}

/// A task of a webhook with a rate limit, in hand.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The webhook's account.
    pub account: &'a AccountId,
    /// The webhook.
    pub webhook: WebhookId,
    /// Its limit, in deliveries a second.
    pub rate_limit: u32,
    /// Whether its slot has come.
    pub has_slot: bool,
}

/// Takes a permit for `task`, at least `lead` from now, or the moment at which it must come back; see [`rate_limit`].
///
/// One conditional write where nobody waits, and for a task that comes back in line; else a second one, which knows the lines.
pub async fn take_slot(app: &App, task: Task<'_>, lead: Duration) -> Result<Slot, StoreError> {
    let lead_us = i64::try_from(lead.as_micros()).unwrap_or(i64::MAX / 4);
    let interval_us = rate_limit::interval_us(task.rate_limit);
    let mut lines = None;
    for _ in 0..TRIES {
        let now_us = app.clock.now().unix_ms() * 1000;
        let ask = Ask { now_us, lead_us, interval_us, has_slot: task.has_slot };
        let step = lines.map_or_else(|| ask.guess(), |lines| ask.decide(lines));
        match write(app, keys::pace(task.account, task.webhook), ask, step).await? {
            Outcome::Given(slot) => return Ok(slot),
            Outcome::Refused(present) => lines = Some(present),
        }
    }
    Err(StoreError::Contended(format!("the pace of {}", task.webhook)))
}

/// What came of a step.
enum Outcome {
    Given(Slot),
    /// The lines are not as the step expected them: these they are.
    Refused(Lines),
}

const WAITING: &str = "end_us";
const SENT: &str = "sent_us";
const LATE: &str = "late_us";

/// Makes `step`, in one conditional write.
async fn write(app: &App, key: Item, ask: Ask, step: Step) -> Result<Outcome, StoreError> {
    let expires_at = Timestamp::from_unix_ms(ask.now_us / 1000).plus(KEPT).unix_seconds();
    let mut written = Expressions::default();
    written.set(keys::EXPIRES_AT, "expires_at", expires_at);
    for (line, change) in [(WAITING, step.waiting), (SENT, step.sent), (LATE, step.late)] {
        written.change(line, change, ask.interval_us);
    }
    let call = app.dynamodb.update_item().table_name(&app.config.webhooks_table).set_key(Some(key));
    let call = call
        .condition_expression(written.conditions.join(" AND "))
        .update_expression(format!("SET {}", written.updates.join(", ")))
        .set_expression_attribute_names(Some(names(&written.names)))
        .set_expression_attribute_values(Some(written.values))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .return_values(ReturnValue::UpdatedNew);
    match call.send().await {
        Ok(answer) => {
            let line = if step.grant == Grant::Permit {
                SENT
            } else if step.grant == Grant::Slot {
                WAITING
            } else {
                LATE
            };
            let end_us = answer.attributes.as_ref().and_then(|item| microseconds(item, line));
            let end_us = end_us.ok_or_else(|| StoreError::DynamoDb("a line without an end".to_owned()))?;
            // Rounded up: no place is used before it begins.
            let begin = Timestamp::from_unix_ms((end_us - ask.interval_us).saturating_add(999) / 1000);
            Ok(Outcome::Given(match step.grant {
                Grant::Permit => Slot::Permit(begin),
                Grant::Slot | Grant::LateSlot => Slot::ComeBack(begin),
            }))
        }
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                let line = |name| refused.item.as_ref().and_then(|item| microseconds(item, name)).unwrap_or_default();
                Ok(Outcome::Refused(Lines { waiting_us: line(WAITING), sent_us: line(SENT), late_us: line(LATE) }))
            }
            _ => Err(error.into()),
        },
    }
}

fn microseconds(item: &Item, line: &str) -> Option<i64> {
    item.get(line)?.as_n().ok()?.parse().ok()
}

/// A step as DynamoDB takes it.
#[derive(Default)]
struct Expressions<'a> {
    conditions: Vec<String>,
    updates: Vec<String>,
    names: Vec<&'a str>,
    values: Item,
}

impl<'a> Expressions<'a> {
    fn change(&mut self, line: &'a str, change: Change, interval_us: i64) {
        let ends_within = format!("(attribute_not_exists(#{line}) OR #{line} <= :{line}_last)");
        match change {
            Change::Keep => {}
            Change::KeepWithin(last_us) => {
                self.names.push(line);
                self.value(&format!("{line}_last"), last_us);
                self.conditions.push(ends_within);
            }
            Change::Begin(first_us) => {
                self.value(&format!("{line}_last"), first_us);
                self.conditions.push(ends_within);
                self.set(line, line, first_us.saturating_add(interval_us));
            }
            Change::Append { after_us, last_us } => {
                self.names.push(line);
                self.value(&format!("{line}_after"), after_us);
                self.value(&format!("{line}_last"), last_us);
                self.value("interval", interval_us);
                self.conditions.push(format!("#{line} > :{line}_after AND #{line} <= :{line}_last"));
                self.updates.push(format!("#{line} = #{line} + :interval"));
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

/// Takes `events` of what `account` may publish at `per_second` events a second, all or none: how long to wait where it has
/// run a burst ahead of that already.
pub async fn publish(
    app: &App,
    account: &AccountId,
    events: u32,
    per_second: u32,
) -> Result<Result<(), Duration>, StoreError> {
    let interval_us = 1_000_000 / i64::from(per_second.max(1));
    let length_us = interval_us.saturating_mul(i64::from(events));
    Ok(match take(app, keys::publish_pace(account), length_us, PUBLISH_BURST).await? {
        Place::Taken => Ok(()),
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

/// What came of standing in line.
enum Place {
    /// A place.
    Taken,
    /// The line is longer than is waited for: it is short enough after this time.
    TooFar { wait: Duration },
}

/// Takes a place of `length_us` in the line at `key`, if its end is at most `ahead` from now.
async fn take(app: &App, key: Item, length_us: i64, ahead: Duration) -> Result<Place, StoreError> {
    let ahead_us = i64::try_from(ahead.as_micros()).unwrap_or(i64::MAX);
    for _ in 0..TRIES {
        let now_us = app.clock.now().unix_ms() * 1000;
        let last_us = now_us.saturating_add(ahead_us);
        let behind = Advance { from: From::End { last_us }, length_us, now_us };
        match advance(app, key.clone(), behind).await? {
            Ok(_) => return Ok(Place::Taken),
            Err(Some(end_us)) if end_us > last_us => {
                return Ok(Place::TooFar { wait: Duration::from_micros(end_us.abs_diff(last_us)) });
            }
            Err(_) => {}
        }
        if advance(app, key.clone(), Advance { from: From::Now, length_us, now_us }).await?.is_ok() {
            return Ok(Place::Taken);
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
struct Advance {
    from: From,
    length_us: i64,
    now_us: i64,
}

/// Moves the end of the line on: the new end in microseconds, or the present one where `by` does not begin there.
async fn advance(app: &App, key: Item, by: Advance) -> Result<Result<i64, Option<i64>>, StoreError> {
    let Advance { from, length_us, now_us } = by;
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
