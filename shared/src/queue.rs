//! The two queues and the one-time schedules: where wake-ups and jobs live until they are done.

use crate::{
    app::{self, App},
    delivery::{Turn, Wakeup},
    event_type::EventType,
    id::{AccountId, EventId, WebhookId},
    time::Timestamp,
};
use aws_sdk_scheduler::{
    operation::create_schedule::CreateScheduleError,
    types::{ActionAfterCompletion, DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, Target},
};
use aws_sdk_sqs::{
    error::{ProvideErrorMetadata, SdkError},
    types::SendMessageBatchRequestEntry,
};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{error::Error, time::Duration};
use time::{OffsetDateTime, macros::format_description};

/// Entries that one `SendMessageBatch` takes.
pub const BATCH_MAX: usize = 10;
/// Longest delay of an SQS message; what is due later waits in a schedule.
pub const DELAY_MAX: Duration = Duration::from_secs(900);
/// Tries of the entries that SQS refused out of a batch.
const BATCH_TRIES: usize = 5;

/// A queue or the scheduler did not do what was asked; nothing is known of whether the call took effect.
#[derive(Debug, thiserror::Error)]
#[error("{service}: {cause}")]
pub struct QueueError {
    service: &'static str,
    cause: String,
    is_throttled: bool,
}

impl QueueError {
    fn new<E, R>(service: &'static str, error: SdkError<E, R>) -> Self
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        Self { service, cause: app::causes(&error), is_throttled: app::is_throttling(error.code()) }
    }

    /// Whether the service takes no more requests now, and did nothing.
    pub fn is_throttled(&self) -> bool {
        self.is_throttled
    }
}

/// Work for the `publish` function that Hookline gives itself through the `events` queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// The further pages of an event's fan-out.
    FanOut(FanOut),
    /// A page of a webhook's recovery.
    Recover(Recover),
    /// An event that Hookline itself publishes.
    Publish(OwnEvent),
}

/// An event that Hookline itself publishes. Its id is fixed when the job is made, so that the job done twice is one event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OwnEvent {
    /// Whose it is.
    pub account: AccountId,
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// The JSON object under `data.object`.
    pub object: Box<RawValue>,
}

/// Where a fan-out goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOut {
    /// The event's account.
    pub account: AccountId,
    /// The event.
    pub event: EventId,
    /// Its type.
    pub event_type: EventType,
    /// The last webhook that was dealt with.
    pub after: Option<WebhookId>,
}

/// Where a recovery goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recover {
    /// The webhook's account.
    pub account: AccountId,
    /// The webhook.
    pub webhook: WebhookId,
    /// The webhook's generation when the recovery began; it ends where that is past.
    pub generation: u32,
    /// The run of the schedule that it begins, as in [`Turn::Scheduled`].
    pub round: i64,
    /// The window's first id.
    pub first: EventId,
    /// The window's last id.
    pub last: EventId,
    /// The last event that was dealt with.
    pub after: Option<EventId>,
}

/// Puts wake-ups on the `deliveries` queue, to be received after `delay` (whole seconds, rounded up).
pub async fn send_wakeups(app: &App, wakeups: &[Wakeup], delay: Duration) -> Result<(), QueueError> {
    try_join_all(wakeups.chunks(BATCH_MAX).map(|batch| send_batch(app, batch, delay))).await?;
    Ok(())
}

/// Sends one batch, and again those of its entries that SQS refused.
async fn send_batch(app: &App, wakeups: &[Wakeup], delay: Duration) -> Result<(), QueueError> {
    let mut entries = wakeups.iter().enumerate().map(|(index, wakeup)| entry(index, wakeup, delay)).collect::<Vec<_>>();
    for _ in 0..BATCH_TRIES {
        let call = app.sqs.send_message_batch().queue_url(&app.config.deliveries_queue_url);
        let answer =
            call.set_entries(Some(entries.clone())).send().await.map_err(|error| QueueError::new("SQS", error))?;
        entries.retain(|entry| answer.failed.iter().any(|failed| failed.id == entry.id));
        if entries.is_empty() {
            return Ok(());
        }
    }
    Err(QueueError { service: "SQS", cause: format!("{} messages were refused", entries.len()), is_throttled: false })
}

fn entry(index: usize, wakeup: &Wakeup, delay: Duration) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_body(json(wakeup))
        .message_group_id(wakeup.webhook().to_string())
        .set_delay_seconds((!delay.is_zero()).then(|| whole_seconds(delay)))
        .build()
        .expect("an id and a body are all that an entry needs")
}

/// Puts a job on the `events` queue.
pub async fn send_job(app: &App, account: &AccountId, job: &Job) -> Result<(), QueueError> {
    let call = app.sqs.send_message().queue_url(&app.config.events_queue_url).message_body(json(job));
    call.message_group_id(account.to_string()).send().await.map_err(|error| QueueError::new("SQS", error))?;
    Ok(())
}

/// Makes a message of the `deliveries` queue that is being handled visible again after `wait`.
pub async fn postpone(app: &App, receipt: &str, wait: Duration) -> Result<(), QueueError> {
    let call = app.sqs.change_message_visibility().queue_url(&app.config.deliveries_queue_url).receipt_handle(receipt);
    call.visibility_timeout(whole_seconds(wait)).send().await.map_err(|error| QueueError::new("SQS", error))?;
    Ok(())
}

/// Makes `wakeup` come at `due`, or up to a second later: by a delayed message, or by a one-time schedule where that is
/// further away than a message can be delayed. Placing it twice is harmless.
pub async fn place(app: &App, wakeup: &Wakeup, due: Timestamp) -> Result<(), QueueError> {
    let wait = due.since(app.clock.now());
    if wait <= DELAY_MAX {
        send_wakeups(app, std::slice::from_ref(wakeup), wait).await
    } else {
        schedule(app, wakeup, due).await
    }
}

async fn schedule(app: &App, wakeup: &Wakeup, due: Timestamp) -> Result<(), QueueError> {
    let dead_letters =
        app.config.scheduler_dead_letter_arn.as_ref().map(|arn| DeadLetterConfig::builder().arn(arn).build());
    let target = Target::builder()
        .arn(&app.config.retry_function_arn)
        .role_arn(&app.config.scheduler_role_arn)
        .set_dead_letter_config(dead_letters)
        .input(json(wakeup))
        .build()
        .expect("a target needs an ARN and a role");
    let window =
        FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build().expect("a window needs a mode");
    let call = app.scheduler.create_schedule().group_name(&app.config.schedule_group).name(schedule_name(wakeup));
    let call = call.schedule_expression(at_expression(due)).schedule_expression_timezone("UTC");
    let call = call.flexible_time_window(window).action_after_completion(ActionAfterCompletion::Delete).target(target);
    match call.send().await {
        Ok(_) => Ok(()),
        // The name is the attempt's own: the schedule was placed by an earlier try.
        Err(error) if error.as_service_error().is_some_and(CreateScheduleError::is_conflict_exception) => Ok(()),
        Err(error) => Err(QueueError::new("EventBridge Scheduler", error)),
    }
}

/// A name of at most 64 characters for the one schedule of this attempt: the delivery without its prefix (52), the round in
/// base 36 (at most 9) and the step.
pub fn schedule_name(wakeup: &Wakeup) -> String {
    let delivery = wakeup.delivery.to_string();
    let delivery = delivery.trim_start_matches(crate::id::DeliveryId::PREFIX);
    match &wakeup.turn {
        Turn::Scheduled { round, step } => format!("{delivery}-{}-{step}", base36(*round)),
        Turn::Manual { nonce } => format!("{delivery}-{nonce}"),
        Turn::Test => format!("{delivery}-test"),
    }
}

fn base36(number: i64) -> String {
    let mut rest = number.unsigned_abs();
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((rest % 36) as u32, 36).unwrap_or('0'));
        rest /= 36;
        if rest == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// `at(yyyy-mm-ddThh:mm:ss)`, never before `due`.
fn at_expression(due: Timestamp) -> String {
    let due = OffsetDateTime::from_unix_timestamp(due.rounded_up_to_second().unix_seconds())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = format_description!("at([year]-[month]-[day]T[hour]:[minute]:[second])");
    due.format(format).expect("a time of four-digit years has this form")
}

fn whole_seconds(delay: Duration) -> i32 {
    i32::try_from(delay.as_millis().div_ceil(1000)).unwrap_or(i32::MAX).min(DELAY_MAX.as_secs() as i32)
}

fn json(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("messages of ids and numbers are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::DeliveryId;

    #[test]
    fn a_schedules_name_is_within_the_schedulers_limit() {
        let last = Timestamp::from_unix_ms(i64::MAX);
        let delivery = DeliveryId { event: EventId::first_at(last), webhook: WebhookId::first_at(last) };
        let turn = Turn::Scheduled { round: 4_000_000_000_000, step: 9 };
        let name = schedule_name(&Wakeup {
            account: "acme".parse().expect("valid"),
            delivery,
            generation: 0,
            turn,
            slot: None,
        });
        assert!(name.len() <= 64, "{} {name}", name.len());
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    }

    #[test]
    fn a_schedule_is_never_early() {
        assert_eq!(at_expression(Timestamp::from_unix_ms(1_739_874_600_001)), "at(2025-02-18T10:30:01)");
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(whole_seconds(DELAY_MAX), 900);
    }
}
