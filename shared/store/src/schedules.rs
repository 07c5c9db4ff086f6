//! One-time schedules of EventBridge Scheduler: tasks that are due later than an SQS message can be delayed.

use crate::queues::{QueueError, Queues};
use aws_sdk_scheduler::{
    operation::create_schedule::CreateScheduleError,
    types::{ActionAfterCompletion, DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, Target},
};
use domain::{
    delivery::{Task, Trigger},
    id::DeliveryId,
    time::Timestamp,
};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, macros::format_description};

/// Creates the one-time schedule that invokes the `retry` function with `task` at `due`. Creating it again is harmless: its
/// name is the attempt's own.
pub(crate) async fn create(queues: &Queues, task: &Task, due: Timestamp) -> Result<(), QueueError> {
    let dead_letters =
        queues.settings.scheduler_dead_letter_arn.as_ref().map(|arn| DeadLetterConfig::builder().arn(arn).build());
    let target = Target::builder()
        .arn(&queues.settings.retry_function_arn)
        .role_arn(&queues.settings.scheduler_role_arn)
        .set_dead_letter_config(dead_letters)
        .input(serde_json::to_string(task).expect("a task of ids and numbers is JSON"))
        .build()
        .expect("the target has an ARN and a role");
    let window =
        FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build().expect("the window has a mode");
    let call = queues.scheduler.create_schedule().group_name(&queues.settings.schedule_group).name(name(task));
    let call = call.schedule_expression(at_expression(due)).schedule_expression_timezone("UTC");
    let call = call.flexible_time_window(window).action_after_completion(ActionAfterCompletion::Delete).target(target);
    match call.send().await {
        Ok(_) => Ok(()),
        // An earlier try created it.
        Err(error) if error.as_service_error().is_some_and(CreateScheduleError::is_conflict_exception) => Ok(()),
        Err(error) => Err(QueueError::new("EventBridge Scheduler", error)),
    }
}

/// Returns the name of an attempt's schedule, at most 64 characters: the delivery without its prefix (52), the run in base 36
/// (at most 9) and the step. A task that waits for a rate slot may be scheduled once for each slot: its name ends in 11
/// characters of a hash of the attempt and the slot.
pub fn name(task: &Task) -> String {
    let delivery = task.delivery.to_string();
    let delivery = delivery.trim_start_matches(DeliveryId::PREFIX);
    if let Some(slot) = task.slot {
        let digest = Sha256::digest(format!("{} {} {}", task.trigger, slot.at.unix_ms(), slot.requeues));
        let hash = digest.iter().take(7).fold(0, |bits: i64, byte| bits << 8 | i64::from(*byte));
        return format!("{delivery}-{}", base36(hash));
    }
    match &task.trigger {
        Trigger::Scheduled { run, step } => format!("{delivery}-{}-{step}", base36(*run)),
        Trigger::Manual { nonce } => format!("{delivery}-{nonce}"),
        Trigger::Test => format!("{delivery}-test"),
        Trigger::Trial { epoch, number } => format!("{delivery}-t{}-{number}", base36(i64::from(*epoch))),
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

/// Returns `at(yyyy-mm-ddThh:mm:ss)`, rounded up so that it is never before `due`.
fn at_expression(due: Timestamp) -> String {
    let due = OffsetDateTime::from_unix_timestamp(due.rounded_up_to_second().unix_seconds())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = format_description!("at([year]-[month]-[day]T[hour]:[minute]:[second])");
    due.format(format).expect("a time of four-digit years has this form")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        account::AccountId,
        delivery::RateSlot,
        id::{EventId, WebhookId},
    };
    use std::collections::HashSet;

    #[test]
    fn a_name_is_unique_to_its_slot_and_within_the_limit() {
        let last = Timestamp::from_unix_ms(i64::MAX);
        let delivery = DeliveryId { event: EventId::first_at(last), webhook: WebhookId::first_at(last) };
        let scheduled = Trigger::Scheduled { run: 4_000_000_000_000, step: 9 };
        let account: AccountId = "acme".parse().expect("valid");
        let name_of = |trigger: &Trigger, slot| {
            let (account, trigger) = (account.clone(), trigger.clone());
            let name = super::name(&Task { account, delivery, epoch: 0, revision: 0, trigger, slot, slow: false });
            assert!(name.len() <= 64, "{} {name}", name.len());
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
            name
        };
        let name = |slot| name_of(&scheduled, slot);
        let slot = |ms, requeues| Some(RateSlot { at: Timestamp::from_unix_ms(ms), requeues });
        let slots = (0..1000).map(|ms| slot(1_800_000_000_000 + ms, 1)).chain([None, slot(1_800_000_000_000, 2)]);
        let names: HashSet<_> = slots.map(name).collect();
        assert_eq!(names.len(), 1002, "one for each slot of an attempt");
        assert_eq!(name(slot(1, 1)), name(slot(1, 1)), "and no other");
        let trial = |epoch, number| name_of(&Trigger::Trial { epoch, number }, None);
        assert_ne!(trial(u32::MAX, 19), trial(u32::MAX, 20));
        assert_ne!(trial(1, 12), trial(11, 2));
    }

    #[test]
    fn a_schedule_is_never_early() {
        assert_eq!(at_expression(Timestamp::from_unix_ms(1_739_874_600_001)), "at(2025-02-18T10:30:01)");
    }
}
