//! Trials: a webhook that was disabled for failures is tried again, one delivery at a time, and a success enables
//! and recovers it.

use std::collections::BTreeMap;

use domain::delivery::{Attempt, Trigger};
use domain::id::{DeliveryId, RecoveryId, WebhookId};
use domain::time::{CLOCK_SKEW, Timestamp};
use domain::webhook::{DisabledReason, Webhook};

use super::deliveries::INVOCATION_MAX_MS;
use super::{Facts, Violations};
use crate::world::World;

/// The attempt of a trial.
struct Trial<'a> {
    delivery: DeliveryId,
    epoch: u32,
    number: u32,
    attempt: &'a Attempt,
}

/// Records a violation for each webhook that waits for a trial, although nothing is left to do.
pub(crate) fn check_idle(world: &World) {
    let waiting: Vec<_> = {
        let record = world.record();
        let last = record.webhooks.values().filter_map(|writes| writes.last()?.webhook.as_ref());
        last.filter(|webhook| webhook.awaited_trial().is_some()).map(|webhook| webhook.id).collect()
    };
    for webhook in waiting {
        world.record_violation(format!("{webhook}: waits for a trial that has no task"));
    }
}

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    let mut trials: BTreeMap<WebhookId, Vec<Trial<'_>>> = BTreeMap::new();
    for (id, delivery) in &facts.deliveries {
        for (trigger, attempt) in &delivery.attempts {
            if let Trigger::Trial { epoch, number } = *trigger {
                trials.entry(id.webhook).or_default().push(Trial { delivery: *id, epoch, number, attempt });
            }
        }
    }
    for of_webhook in trials.values_mut() {
        of_webhook.sort_by_key(|trial| (trial.epoch, trial.number));
        check_one_at_a_time(facts, of_webhook, violations);
        for trial in of_webhook {
            check_is_awaited(facts, trial, violations);
        }
    }
    for webhook in facts.record.webhooks.keys() {
        check_writes(facts, *webhook, violations);
    }
}

/// Checks that each trial has one attempt, and that no two are under way at once.
fn check_one_at_a_time(facts: &Facts<'_>, trials: &[Trial<'_>], violations: &mut Violations) {
    for pair in trials.windows(2) {
        let (one, next) = (&pair[0], &pair[1]);
        violations.unless((one.epoch, one.number) != (next.epoch, next.number), || {
            format!("{} and {}: both are trial {} of epoch {}", one.delivery, next.delivery, one.number, one.epoch)
        });
        let ended = one.attempt.ended_at().unix_ms();
        let began = next.attempt.started_at.plus(facts.skew()).unix_ms();
        violations.unless(ended <= began, || format!("{}: two trials at once", one.delivery));
        let is_gone = one.attempt.status_code == Some(410) && one.attempt.error.is_none();
        violations.unless(!is_gone || one.epoch != next.epoch, || {
            format!("{}: was tried again after trial {} was answered 410", next.delivery, one.number)
        });
    }
}

/// Checks that the webhook waited for the trial when it was made, and that the trial was due.
fn check_is_awaited(facts: &Facts<'_>, trial: &Trial<'_>, violations: &mut Violations) {
    let (webhook, started_ms) = (trial.delivery.webhook, trial.attempt.started_at.unix_ms());
    let skew_ms = facts.plan.skew_ms;
    let states = facts.states(webhook, started_ms - INVOCATION_MAX_MS - skew_ms, started_ms + skew_ms);
    let is_awaited = |webhook: &&Webhook| webhook.epoch == trial.epoch && webhook.awaited_trial().is_some();
    let Some(state) = states.into_iter().flatten().find(is_awaited) else {
        violations.0.push(format!("{}: trial {} was not awaited", trial.delivery, trial.number));
        return;
    };
    let disabled_at = state.disabled_at.unwrap_or(Timestamp::EPOCH);
    let schedule = facts.plan.trial_schedule();
    let due = schedule.next(disabled_at, trial.number - 1, disabled_at).map(|(_, due)| due);
    let latest = trial.attempt.started_at.plus(CLOCK_SKEW + facts.skew());
    violations.unless(due.is_some_and(|due| due <= latest), || {
        format!("{}: trial {} was early, at {}", trial.delivery, trial.number, trial.attempt.started_at)
    });
}

/// Checks what each write does to the webhook's epoch, and that a trial that enables it recovers what is held.
fn check_writes(facts: &Facts<'_>, id: WebhookId, violations: &mut Violations) {
    for pair in facts.writes(id).windows(2) {
        let (Some(before), Some(after)) = (&pair[0].webhook, &pair[1].webhook) else { continue };
        let is_switched = before.is_enabled() != after.is_enabled();
        violations.unless(before.epoch == after.epoch || is_switched, || {
            format!("{id}: its epoch changed although it was neither disabled nor enabled")
        });
        if let Some(at) = newly_recovered(before, after) {
            check_recovery(facts, before, after, at, violations);
        }
    }
}

/// Returns when a trial has enabled the webhook, if this write says so.
fn newly_recovered(before: &Webhook, after: &Webhook) -> Option<Timestamp> {
    let was = |epoch| before.disablings.iter().any(|one| one.epoch == epoch && one.recovered_at.is_some());
    after.disablings.iter().find(|disabling| !was(disabling.epoch)).and_then(|disabling| disabling.recovered_at)
}

fn check_recovery(facts: &Facts<'_>, before: &Webhook, after: &Webhook, at: Timestamp, violations: &mut Violations) {
    let id = after.id;
    violations.unless(before.disabled_reason == Some(DisabledReason::Failures), || {
        format!("{id}: a trial enabled it although it was disabled as {:?}", before.disabled_reason)
    });
    let succeeded = facts.record.deliveries.iter().map(|write| &write.delivery).any(|delivery| {
        let mut attempts = delivery.attempts.iter();
        delivery.delivery.webhook == id
            && attempts.any(|(trigger, attempt)| {
                matches!(trigger, Trigger::Trial { epoch, .. } if *epoch == before.epoch) && attempt.succeeded()
            })
    });
    violations.unless(succeeded, || format!("{id}: was enabled at {at} without a trial that succeeded"));
    let Some(held) = after.held_recovery else {
        violations.0.push(format!("{id}: a trial enabled it at {at} and recovered nothing"));
        return;
    };
    let states = facts.states(id, at.unix_ms() - facts.plan.skew_ms, facts.end_ms);
    // Once the webhook is disabled again, there is nothing to recover.
    let stays = states.iter().skip(1).all(|state| state.is_some_and(|state| state.epoch == after.epoch));
    let recovery = RecoveryId::derived(Timestamp::from_unix_ms(held.window.run), id.to_string().as_bytes());
    violations.unless(!stays || facts.record.recoveries.contains_key(&recovery), || {
        format!("{id}: the recovery after the trial at {at} was never begun")
    });
}
