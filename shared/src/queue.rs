//! The two queues and the one-time schedules: where wake-ups and jobs live until they are done.

use crate::{
    app::{self, App},
    delivery::{Turn, Wakeup},
    event_type::EventType,
    id::{AccountId, EventId, WebhookId},
    time::Timestamp,
    webhook::{RecoveryWindow, Webhook},
};
use aws_sdk_scheduler::{
    operation::create_schedule::CreateScheduleError,
    types::{ActionAfterCompletion, DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, Target},
};
use aws_sdk_sqs::{
    error::{ProvideErrorMetadata, SdkError},
    types::{ChangeMessageVisibilityBatchRequestEntry, SendMessageBatchRequestEntry},
};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::{error::Error, time::Duration};
use time::{OffsetDateTime, macros::format_description};

/// Entries that one `SendMessageBatch` takes.
pub const BATCH_MAX: usize = 10;
/// Longest delay of an SQS message; what is due later waits in a schedule.
pub const DELAY_MAX: Duration = Duration::from_secs(900);
/// Tries of the entries that SQS refused out of a batch.
const BATCH_TRIES: u32 = 6;

/// The longest wait before a message whose handling failed comes again.
pub const REDELIVERY_WAIT_MAX: Duration = Duration::from_secs(180);

/// The wait before a message that was received `receives` times (from 1) and could not be dealt with comes again: 1 s, 2 s, 4 s …
/// up to [`REDELIVERY_WAIT_MAX`], less up to a quarter by `jitter` (0 to 1). Trouble that passes costs seconds, and the 30
/// receipts that the queues allow last for more than half an hour.
pub fn redelivery_wait(receives: u32, jitter: f64) -> Duration {
    let doubled = Duration::from_secs(1 << receives.saturating_sub(1).min(8));
    doubled.min(REDELIVERY_WAIT_MAX).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 4.0)
}

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
    /// Jobs of this fan-out before this one; see [`next_hop`].
    #[serde(default)]
    pub hops: u32,
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
    /// Jobs of this recovery before this one; see [`next_hop`].
    #[serde(default)]
    pub hops: u32,
}

impl Recover {
    /// The first job of the recovery of `window`, which the webhook has noted.
    pub fn begin(webhook: &Webhook, window: RecoveryWindow) -> Self {
        Self {
            account: webhook.account.clone(),
            webhook: webhook.id,
            generation: webhook.generation,
            round: window.round,
            first: window.first,
            last: window.last,
            after: None,
            hops: 0,
        }
    }
}

/// The most jobs in a row that one fan-out or recovery may come to: enough for fifty million events, and an end for a chain that
/// would otherwise go round for ever, which Lambda is told not to look for.
const HOPS_MAX: u32 = 100_000;

/// Counts one more job of a chain.
///
/// # Errors
/// There were too many: the message ends in the dead-letter queue, where an alarm tells of it.
pub fn next_hop(hops: u32) -> Result<u32, QueueError> {
    let next = hops.saturating_add(1);
    if next <= HOPS_MAX {
        Ok(next)
    } else {
        Err(QueueError { service: "SQS", is_throttled: false, cause: format!("a chain of more than {HOPS_MAX} jobs") })
    }
}

/// Puts tasks on the `deliveries` queue, to be received after `delay` (whole seconds, rounded up). For tasks that may be
/// [slow](Wakeup::slow), see [`send_routed`].
pub async fn send_wakeups(app: &App, wakeups: &[Wakeup], delay: Duration) -> Result<(), QueueError> {
    let batches = wakeups.chunks(BATCH_MAX);
    let sent = batches.map(|batch| send_batch(app, &app.config.deliveries_queue_url, batch.iter().collect(), delay));
    try_join_all(sent).await?;
    Ok(())
}

/// Puts a task on the queue that it goes through: `deliveries`, or the one for endpoints that have just timed out.
pub async fn send_routed(app: &App, wakeup: &Wakeup, delay: Duration) -> Result<(), QueueError> {
    if wakeup.slow {
        send_batch(app, &app.config.slow_deliveries_queue_url, vec![wakeup], delay).await
    } else {
        send_batch(app, &app.config.deliveries_queue_url, vec![wakeup], delay).await
    }
}

/// Sends one batch, and after a growing wait again those of its entries that SQS refused.
async fn send_batch(app: &App, queue_url: &str, wakeups: Vec<&Wakeup>, delay: Duration) -> Result<(), QueueError> {
    let mut entries = wakeups.iter().enumerate().map(|(index, wakeup)| entry(index, wakeup, delay)).collect::<Vec<_>>();
    for tries in 0..BATCH_TRIES {
        app::back_off(app, tries).await;
        let call = app.sqs.send_message_batch().queue_url(queue_url);
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

/// A message that comes again.
#[derive(Clone, Debug)]
pub struct GivenBack {
    /// The receipt handle of the message.
    pub receipt: String,
    /// When it becomes visible again, from now.
    pub wait: Duration,
}

/// Makes messages of the queue at `queue_url` that are being handled visible again after their waits (whole seconds, rounded
/// up). One for which that fails comes again after the queue's own visibility timeout.
pub async fn give_back(app: &App, queue_url: &str, messages: &[GivenBack]) {
    let batches = messages.chunks(BATCH_MAX).map(async |batch| {
        let entries = batch.iter().enumerate().map(|(index, message)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
            let entry = entry.receipt_handle(&message.receipt).visibility_timeout(whole_seconds(message.wait));
            entry.build().expect("an id and a receipt are all that an entry needs")
        });
        let call = app.sqs.change_message_visibility_batch().queue_url(queue_url);
        match call.set_entries(Some(entries.collect())).send().await {
            Ok(answer) if answer.failed.is_empty() => {}
            Ok(answer) => tracing::warn!(messages = answer.failed.len(), "messages could not be given back"),
            Err(error) => {
                let error = QueueError::new("SQS", error);
                tracing::warn!(%error, messages = batch.len(), "messages could not be given back");
            }
        }
    });
    futures::future::join_all(batches).await;
}

/// Makes `wakeup` come at `due`, or up to a second later: by a delayed message, or by a one-time schedule where that is
/// further away than a message can be delayed. Placing it twice is harmless.
pub async fn place(app: &App, wakeup: &Wakeup, due: Timestamp) -> Result<(), QueueError> {
    let wait = due.since(app.clock.now());
    if wait <= DELAY_MAX { send_routed(app, wakeup, wait).await } else { schedule(app, wakeup, due).await }
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
/// base 36 (at most 9) and the step. A task that waits for a slot may be scheduled once for each: its name ends in 11
/// characters of a hash of the attempt and the slot.
pub fn schedule_name(wakeup: &Wakeup) -> String {
    let delivery = wakeup.delivery.to_string();
    let delivery = delivery.trim_start_matches(crate::id::DeliveryId::PREFIX);
    if let Some(slot) = wakeup.slot {
        let digest = Sha256::digest(format!("{} {} {}", wakeup.turn, slot.at.unix_ms(), slot.requeues));
        let hash = digest.iter().take(7).fold(0, |bits: i64, byte| bits << 8 | i64::from(*byte));
        return format!("{delivery}-{}", base36(hash));
    }
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
    use crate::{delivery::RateSlot, id::DeliveryId};
    use std::collections::HashSet;

    #[test]
    fn a_schedules_name_is_within_the_schedulers_limit() {
        let last = Timestamp::from_unix_ms(i64::MAX);
        let delivery = DeliveryId { event: EventId::first_at(last), webhook: WebhookId::first_at(last) };
        let turn = Turn::Scheduled { round: 4_000_000_000_000, step: 9 };
        let account: AccountId = "acme".parse().expect("valid");
        let name = |slot| {
            let (account, turn) = (account.clone(), turn.clone());
            let name = schedule_name(&Wakeup { account, delivery, generation: 0, turn, slot, slow: false });
            assert!(name.len() <= 64, "{} {name}", name.len());
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
            name
        };
        let slot = |ms, requeues| Some(RateSlot { at: Timestamp::from_unix_ms(ms), requeues });
        let slots = (0..1000).map(|ms| slot(1_800_000_000_000 + ms, 1)).chain([None, slot(1_800_000_000_000, 2)]);
        let names: HashSet<_> = slots.map(name).collect();
        assert_eq!(names.len(), 1002, "one for each slot of an attempt");
        assert_eq!(name(slot(1, 1)), name(slot(1, 1)), "and no other");
    }

    #[test]
    fn passing_trouble_costs_seconds_and_half_an_hour_of_it_ends_nothing() {
        assert_eq!(redelivery_wait(1, 0.0), Duration::from_secs(1));
        assert_eq!(redelivery_wait(4, 1.0), Duration::from_secs(6));
        let shortest: Duration = (1..30).map(|receives| redelivery_wait(receives, 1.0)).sum();
        assert!(shortest > Duration::from_secs(30 * 60), "{shortest:?}");
        assert_eq!(redelivery_wait(u32::MAX, 0.0), REDELIVERY_WAIT_MAX);
    }

    #[test]
    fn a_schedule_is_never_early() {
        assert_eq!(at_expression(Timestamp::from_unix_ms(1_739_874_600_001)), "at(2025-02-18T10:30:01)");
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(whole_seconds(DELAY_MAX), 900);
    }
}
