//! Trials: a webhook that was disabled for failures is tried again by itself.
//!
//! The trials of a disabling have numbers, from 1. Each is due at a fixed time after the disabling, and is one attempt of one delivery:
//! that of the oldest held event, or of the event whose failure disabled the webhook. The event is chosen and stored when the trial
//! is due, so that a repeated task of the trial sends the same delivery, whose lease permits one attempt at a time. A trial that
//! fails changes the webhook only here: its epoch stays, and so does what is held.

use super::{DisabledReason, Held, Webhook};
use crate::{
    backoff::{self, Wait},
    id::EventId,
    time::{CLOCK_SKEW, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// When trials are due, unless the operator sets other times.
pub const DEFAULT: &str = "5m,15m,1h,4h,12h,24h,48h,72h,96h,120h,144h,168h";

/// When the trials of a disabling are due: each at a time after the disabling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialSchedule(Vec<Wait>);

impl TrialSchedule {
    /// Returns the first trial after the one with the number `done` (0 for none) that is due after `now`, and when it is due. Returns
    /// `None` if there is none. Trials whose time has passed are left out.
    pub fn next(&self, disabled_at: Timestamp, done: u32, now: Timestamp) -> Option<(u32, Timestamp)> {
        let times = (1..).zip(self.0.iter().map(|wait| disabled_at.plus(wait.duration())));
        times.skip(done as usize).find(|(_, due)| *due > now)
    }
}

impl Default for TrialSchedule {
    fn default() -> Self {
        DEFAULT.parse().expect("the default is a valid schedule")
    }
}

/// Reads 1 to 20 ascending times separated by commas, such as `5m,15m,1h`.
impl FromStr for TrialSchedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let times = backoff::parse_waits(text, "time")?;
        if times[0].duration().is_zero() || !times.is_sorted_by(|one, next| one.duration() < next.duration()) {
            return Err("must have times that ascend from more than 0s".to_owned());
        }
        Ok(Self(times))
    }
}

impl fmt::Display for TrialSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(Wait::as_str).collect::<Vec<_>>().join(","))
    }
}

/// The trials of the present disabling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trials {
    /// The number of the next trial, or of the one that is under way.
    pub number: u32,
    /// When it is due, or `None` if there is no further trial.
    pub due_at: Option<Timestamp>,
    /// The event that it sends, once that is chosen.
    pub event: Option<EventId>,
    /// The choice of an event begins after this one, or at `first`.
    pub after: Option<EventId>,
    /// The first event that may be held.
    pub first: EventId,
    /// The event whose delivery disabled the webhook.
    pub cause: EventId,
}

/// What to do with the task of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialStep {
    /// Nothing: the webhook does not wait for this trial any more.
    Nothing,
    /// The trial is not due before this moment.
    Wait(Timestamp),
    /// Choose the event of the trial.
    Choose,
    /// The event is chosen: attempt its delivery.
    Attempt(EventId),
}

/// What a trial has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialOutcome {
    /// The receiver took the event: the webhook is enabled.
    Succeeded,
    /// The receiver is gone: there are no further trials.
    Gone,
    /// The receiver refused this event. The next trial takes the next held event.
    Refused,
    /// The receiver still fails.
    Failed,
}

impl TrialOutcome {
    /// Returns the word in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Webhook {
    /// Begins the trials of a webhook that the failed delivery of `cause` has just disabled. No event that was published before
    /// `first` is held.
    pub fn begin_trials(&mut self, cause: EventId, first: Timestamp, schedule: Option<&TrialSchedule>) {
        let first = EventId::first_at(first).min(EventId::first_at(cause.made_at()));
        self.trials = Some(Trials { number: 0, due_at: None, event: None, after: None, first, cause });
        self.schedule_trial(schedule, self.disabled_at.unwrap_or(self.updated_at));
    }

    /// Makes the first trial of `schedule` after the present one that is due after `now` the next one. There is no further trial if
    /// `schedule` is `None` or has none left. Does nothing for a webhook that is not disabled for failures.
    pub fn schedule_trial(&mut self, schedule: Option<&TrialSchedule>, now: Timestamp) {
        let disabled_at = self.disabled_at.unwrap_or(now);
        let Some(trials) = &mut self.trials else { return };
        let next = schedule.and_then(|schedule| schedule.next(disabled_at, trials.number, now));
        trials.event = None;
        trials.due_at = next.map(|(_, due)| due);
        trials.number = next.map_or(trials.number, |(number, _)| number);
    }

    /// Begins or ends trials at `now`, because the option `auto_recover` has changed.
    pub fn set_trials(&mut self, schedule: Option<&TrialSchedule>, now: Timestamp) {
        let Some(trials) = &mut self.trials else { return };
        match schedule {
            Some(_) if trials.due_at.is_none() => self.schedule_trial(schedule, now),
            // The trial that was awaited is not made yet.
            None if trials.due_at.is_some() => {
                trials.number -= 1;
                self.schedule_trial(None, now);
            }
            _ => {}
        }
    }

    /// Returns the trial that the webhook waits for, if it does.
    pub fn awaited_trial(&self) -> Option<&Trials> {
        let is_tried = self.disabled_reason == Some(DisabledReason::Failures) && !self.is_enabled();
        self.trials.as_ref().filter(|trials| is_tried && trials.due_at.is_some())
    }

    /// Whether the webhook waits for the trial `number` that was made at `epoch`.
    pub fn awaits_trial(&self, epoch: u32, number: u32) -> bool {
        self.trials_until(epoch, number).is_some()
    }

    /// Returns the trials if the trial `number` that was made at `epoch` is not over. A later trial than the webhook waits for counts:
    /// the sender of its task had no time to say so.
    fn trials_until(&self, epoch: u32, number: u32) -> Option<&Trials> {
        self.awaited_trial().filter(|trials| epoch == self.epoch && number >= trials.number)
    }

    /// Decides what to do at `now` with the task of the trial `number` that was made at `epoch`.
    pub fn trial_step(&self, epoch: u32, number: u32, now: Timestamp) -> TrialStep {
        let Some(trials) = self.trials_until(epoch, number) else { return TrialStep::Nothing };
        match (trials.due_at, trials.event) {
            _ if number > trials.number => TrialStep::Choose,
            // Clocks differ.
            (Some(due), _) if now.plus(CLOCK_SKEW) < due => TrialStep::Wait(due),
            (_, Some(event)) => TrialStep::Attempt(event),
            _ => TrialStep::Choose,
        }
    }

    /// Stores the choice of `event` for the trial `number`. An earlier choice stays, unless it is `refused`.
    pub fn choose_for_trial(&mut self, number: u32, event: EventId, refused: Option<EventId>) {
        let Some(trials) = &mut self.trials else { return };
        if trials.event.is_none() || trials.event == refused || trials.number < number {
            trials.number = trials.number.max(number);
            trials.event = Some(event);
        }
    }

    /// Ends the trial `number` of `event`, which failed: what comes next is the first trial of `schedule` that is due after `now`.
    pub fn end_trial(&mut self, number: u32, outcome: TrialOutcome, schedule: Option<&TrialSchedule>, now: Timestamp) {
        if !self.awaits_trial(self.epoch, number) {
            return;
        }
        if let Some(trials) = self.trials.as_mut() {
            trials.number = number;
            trials.after = if outcome == TrialOutcome::Refused { trials.event } else { trials.after };
        }
        if outcome == TrialOutcome::Gone {
            self.disabled_reason = Some(DisabledReason::Gone);
            self.trials = None;
            self.updated_at = now;
        } else {
            self.schedule_trial(schedule, now);
        }
    }

    /// Enables the webhook at `now`, because a trial that was made at `epoch` has succeeded, and recovers what is held. Does nothing if
    /// the webhook was enabled or disabled again meanwhile.
    pub fn recover_by_trial(&mut self, epoch: u32, now: Timestamp) {
        if self.epoch != epoch || self.awaited_trial().is_none() {
            return;
        }
        self.enable_with(Held::Recover, now);
        if let Some(recovery) = &mut self.held_recovery {
            recovery.paced = true;
        }
        if let Some(disabling) = self.disablings.iter_mut().find(|disabling| disabling.epoch == epoch) {
            disabling.recovered_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixtures::{at, published, registered_at},
        *,
    };

    const MINUTE: i64 = 60_000;

    /// A webhook that the delivery of an event of 500 has disabled at 1,000.
    fn disabled() -> Webhook {
        let mut webhook = registered_at(100, &["*"]);
        webhook.disable(DisabledReason::Failures, at(1_000));
        webhook.begin_trials(published(500), at(700), Some(&TrialSchedule::default()));
        webhook
    }

    fn due(webhook: &Webhook) -> Option<(u32, i64)> {
        webhook.awaited_trial().map(|trials| (trials.number, trials.due_at.map_or(0, |due| due.unix_ms() - 1_000)))
    }

    fn fail(webhook: &mut Webhook, number: u32, outcome: TrialOutcome, ms: i64) {
        webhook.end_trial(number, outcome, Some(&TrialSchedule::default()), at(ms));
    }

    #[test]
    fn trials_ascend_to_a_day_and_end_after_seven() {
        let mut webhook = disabled();
        let mut hours = vec![];
        while let Some((number, after_ms)) = due(&webhook) {
            hours.push(after_ms / MINUTE);
            fail(&mut webhook, number, TrialOutcome::Failed, 1_000 + after_ms);
        }
        assert_eq!(hours[..5], [5, 15, 60, 240, 720]);
        assert_eq!(hours[5..], [1, 2, 3, 4, 5, 6, 7].map(|day| day * 24 * 60));
        assert_eq!(webhook.epoch, 1, "a trial that fails changes no epoch");
        assert!(!webhook.is_enabled() && webhook.disabled_reason == Some(DisabledReason::Failures));
    }

    #[test]
    fn trials_whose_time_has_passed_are_left_out() {
        let mut webhook = disabled();
        fail(&mut webhook, 1, TrialOutcome::Failed, 1_000 + 61 * MINUTE);
        assert_eq!(due(&webhook), Some((4, 240 * MINUTE)));
    }

    #[test]
    fn a_trial_waits_is_chosen_and_is_attempted_once() {
        let mut webhook = disabled();
        let step = |webhook: &Webhook, number, ms| webhook.trial_step(1, number, at(ms));
        let time = 1_000 + 5 * MINUTE;
        assert_eq!(step(&webhook, 1, time - 6_000), TrialStep::Wait(at(time)));
        assert_eq!(step(&webhook, 1, time - 4_000), TrialStep::Choose, "clocks differ");
        webhook.choose_for_trial(1, published(800), None);
        webhook.choose_for_trial(1, published(900), None);
        assert_eq!(step(&webhook, 1, time), TrialStep::Attempt(published(800)), "the first choice stays");
        webhook.choose_for_trial(1, published(900), Some(published(800)));
        assert_eq!(step(&webhook, 1, time), TrialStep::Attempt(published(900)), "the other could not be sent");
        assert_eq!(webhook.trial_step(0, 1, at(time)), TrialStep::Nothing, "another epoch");
        fail(&mut webhook, 1, TrialOutcome::Failed, time);
        fail(&mut webhook, 1, TrialOutcome::Failed, time);
        assert_eq!(step(&webhook, 1, time), TrialStep::Nothing, "the trial is over");
        let time = 1_000 + 60 * MINUTE;
        assert_eq!(step(&webhook, 3, time), TrialStep::Choose, "its sender had no time to write");
        webhook.choose_for_trial(3, published(800), None);
        assert_eq!(step(&webhook, 3, time), TrialStep::Attempt(published(800)));
        assert_eq!(step(&webhook, 2, time), TrialStep::Nothing);
    }

    #[test]
    fn a_refused_event_is_passed_over_by_the_next_trials() {
        let mut webhook = disabled();
        let after = |webhook: &Webhook| webhook.trials.as_ref().and_then(|trials| trials.after);
        webhook.choose_for_trial(1, published(800), None);
        fail(&mut webhook, 1, TrialOutcome::Refused, 1_000 + 5 * MINUTE);
        assert_eq!(after(&webhook), Some(published(800)));
        webhook.choose_for_trial(2, published(900), None);
        fail(&mut webhook, 2, TrialOutcome::Failed, 1_000 + 15 * MINUTE);
        assert_eq!(after(&webhook), Some(published(800)), "a failure says nothing about the event");
    }

    #[test]
    fn a_success_enables_the_webhook_and_recovers_once() {
        let mut webhook = disabled();
        webhook.recover_by_trial(0, at(2_000));
        assert!(!webhook.is_enabled(), "the trial was of another epoch");
        webhook.recover_by_trial(1, at(2_000));
        assert!(webhook.is_enabled() && webhook.trials.is_none());
        let recovery = webhook.unenqueued_recovery().expect("a recovery");
        assert!(recovery.paced);
        assert_eq!(webhook.unannounced_recoveries().collect::<Vec<_>>(), [(1, at(2_000))]);
        webhook.recover_by_trial(1, at(3_000));
        assert_eq!(webhook.unenqueued_recovery(), Some(recovery), "a repeat begins no second recovery");
        webhook.mark_recovery_announced(1);
        assert_eq!(webhook.unannounced_recoveries().count(), 0);
    }

    #[test]
    fn whatever_a_person_does_ends_the_trials() {
        let mut webhook = disabled();
        webhook.enable_with(Held::Recover, at(2_000));
        webhook.recover_by_trial(1, at(3_000));
        assert!(!webhook.unenqueued_recovery().expect("the person's recovery").paced);
        assert_eq!(webhook.unannounced_recoveries().count(), 0);
        webhook.disable(DisabledReason::Manual, at(4_000));
        assert_eq!((due(&webhook), webhook.trial_step(2, 1, at(5_000))), (None, TrialStep::Nothing));
        let mut gone = disabled();
        fail(&mut gone, 1, TrialOutcome::Gone, 2_000);
        assert_eq!((gone.disabled_reason, due(&gone), gone.epoch), (Some(DisabledReason::Gone), None, 1));
    }

    #[test]
    fn the_option_ends_trials_and_begins_them_again() {
        let (mut webhook, schedule) = (disabled(), TrialSchedule::default());
        webhook.set_trials(None, at(2_000));
        assert_eq!((due(&webhook), webhook.trial_step(1, 1, at(2_000))), (None, TrialStep::Nothing));
        webhook.set_trials(Some(&schedule), at(3_000));
        assert_eq!(due(&webhook), Some((1, 5 * MINUTE)));
        webhook.set_trials(None, at(2_000));
        webhook.set_trials(Some(&schedule), at(1_000 + 16 * MINUTE));
        assert_eq!(due(&webhook), Some((3, 60 * MINUTE)));
        let mut off = registered_at(100, &["*"]);
        off.disable(DisabledReason::Failures, at(1_000));
        off.begin_trials(published(500), at(700), None);
        assert_eq!(due(&off), None);
        off.set_trials(Some(&schedule), at(2_000));
        assert_eq!(due(&off), Some((1, 5 * MINUTE)));
    }

    #[test]
    fn a_schedule_of_trials_ascends() {
        for wrong in ["", "0s", "5m,5m", "15m,5m", "5m,", "1d", "169h", &vec!["1s"; 21].join(",")] {
            assert!(wrong.parse::<TrialSchedule>().is_err(), "{wrong}");
        }
        assert_eq!("1s, 2s".parse::<TrialSchedule>().expect("a schedule").to_string(), "1s,2s");
    }
}
