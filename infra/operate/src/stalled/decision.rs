//! What stands still. No I/O here: each decision follows from the delivery, the webhook as it is, the length of its rate-limit
//! line and the time.

use super::tables::OldEvent;
use hookline::{
    delivery::{Delivery, DeliveryStatus, STANDS_STILL_AFTER, Turn, Wakeup},
    event::EventSummary,
    publishing::status_before_claim,
    time::Timestamp,
    webhook::Webhook,
};
use std::{fmt, time::Duration};

/// What is overdue by less may still have a task: a message that is given back waits for minutes, a schedule fires up to one
/// minute late, and a busy queue takes its time.
pub(super) const OVERDUE_MIN: Duration = STANDS_STILL_AFTER;

/// A delivery that stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stalled {
    /// The task that it should have had.
    pub(super) task: Wakeup,
    /// How that shows.
    pub(super) why: Why,
    /// How long ago the attempt was due.
    pub(super) overdue: Duration,
}

/// How it shows that a delivery stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Its next attempt was due, and was not made.
    AttemptOverdue,
    /// The worker that held it did not record an attempt, and no other came.
    LeaseOver,
    /// It is pending, and no attempt is due.
    NoAttemptDue,
    /// The event was published, and nothing is stored of the delivery.
    NeverAttempted,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AttemptOverdue => "attempt overdue",
            Self::LeaseOver => "lease over",
            Self::NoAttemptDue => "no attempt due",
            Self::NeverAttempted => "never attempted",
        })
    }
}

/// Waits that are legitimate for an event that was never attempted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// The schedule's first.
    pub(super) first: Duration,
    /// The webhook's rate-limit line.
    pub(super) line: Duration,
}

/// When a pending delivery should have been attempted next, and how that is known.
fn due(delivery: &Delivery) -> (Timestamp, Why) {
    if let Some(due) = delivery.next_attempt_at {
        return (due, Why::AttemptOverdue);
    }
    if let Some(claim) = &delivery.claim {
        return (claim.until, Why::LeaseOver);
    }
    let ended =
        delivery.attempts.values().map(|attempt| attempt.started_at.plus(Duration::from_millis(attempt.duration_ms)));
    (ended.max().unwrap_or_else(|| delivery.delivery.event.made_at()), Why::NoAttemptDue)
}

/// Whether a delivery would stand still if its webhook were enabled and had no rate limit.
pub(super) fn is_overdue(delivery: &Delivery, now: Timestamp) -> bool {
    let is_leased = delivery.claim.as_ref().is_some_and(|claim| now < claim.until);
    delivery.status == DeliveryStatus::Pending && !is_leased && now.since(due(delivery).0) > OVERDUE_MIN
}

/// What is to be done about a stored delivery that stands still; `line` is the length of its webhook's rate-limit line. A
/// delivery that a disabling holds is left to be recovered.
pub(super) fn stored(delivery: &Delivery, webhook: &Webhook, line: Duration, now: Timestamp) -> Option<Stalled> {
    let (due, why) = due(delivery);
    let overdue = now.since(due);
    let is_held = !webhook.is_enabled() || webhook.generation != delivery.generation;
    if !is_overdue(delivery, now) || is_held || overdue <= OVERDUE_MIN + line {
        return None;
    }
    let turn = Turn::Scheduled { round: delivery.round, step: delivery.step + 1 };
    let (account, generation) = (delivery.account.clone(), delivery.generation);
    let task = Wakeup { account, delivery: delivery.delivery, generation, turn, slot: None, slow: false };
    Some(Stalled { task, why, overdue })
}

/// What is to be done about an event for which no delivery to `webhook` is stored, although it is on its way. What a disabling holds
/// is left to be recovered.
pub(super) fn never_attempted(webhook: &Webhook, event: &OldEvent, waits: Waits, now: Timestamp) -> Option<Stalled> {
    let overdue = now.since(event.id.made_at().plus(waits.first));
    let summary = EventSummary { id: event.id, event_type: event.event_type.clone(), test: false };
    let is_owed = status_before_claim(webhook, &summary) == Some(DeliveryStatus::Pending);
    let first = Wakeup::first(webhook, event.id);
    let task = match webhook.recovery_of(event.id) {
        Some(round) => Wakeup { turn: Turn::Scheduled { round, step: 1 }, ..first },
        None => first,
    };
    let stalled = Stalled { task, why: Why::NeverAttempted, overdue };
    Some(stalled).filter(|_| is_owed && overdue > OVERDUE_MIN + waits.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stalled::tests::{ago, minutes, now, webhook};
    use hookline::{
        delivery::Claim,
        id::{DeliveryId, EventId},
        webhook::DisabledReason,
    };

    /// A delivery of an event of two hours ago, whose second attempt was due so many minutes ago.
    fn due_for(overdue: u64) -> Delivery {
        let webhook = webhook();
        let event = EventId::first_at(ago(minutes(120)));
        let task = Wakeup::first(&webhook, event);
        let mut delivery = Delivery::untouched(&task, "user.created".parse().expect("valid"));
        delivery.step = 1;
        delivery.next_attempt_at = Some(ago(minutes(overdue)));
        delivery
    }

    fn claimed(until: Timestamp) -> Delivery {
        Delivery { next_attempt_at: None, claim: Some(Claim { holder: "gone".to_owned(), until }), ..due_for(0) }
    }

    #[test]
    fn an_attempt_that_is_long_overdue_stands_still() {
        let found = stored(&due_for(31), &webhook(), Duration::ZERO, now()).expect("it stands still");
        assert_eq!((found.why, found.overdue), (Why::AttemptOverdue, minutes(31)));
        assert_eq!(found.task.turn, Turn::Scheduled { round: 0, step: 2 });
        assert!(due_for(31).wants(&found.task, now()));
        assert_eq!(stored(&due_for(30), &webhook(), Duration::ZERO, now()), None);
    }

    #[test]
    fn a_lease_that_is_over_stands_still_and_a_live_one_does_not() {
        let found = stored(&claimed(ago(minutes(40))), &webhook(), Duration::ZERO, now()).expect("it stands still");
        assert_eq!((found.why, found.overdue), (Why::LeaseOver, minutes(40)));
        let live = Delivery { next_attempt_at: Some(ago(minutes(60))), ..claimed(now().plus(minutes(1))) };
        assert_eq!(stored(&live, &webhook(), Duration::ZERO, now()), None);
    }

    #[test]
    fn a_pending_one_without_a_due_attempt_stands_still() {
        let orphan = Delivery { next_attempt_at: None, ..due_for(0) };
        let found = stored(&orphan, &webhook(), Duration::ZERO, now()).expect("it stands still");
        assert_eq!((found.why, found.overdue), (Why::NoAttemptDue, minutes(120)));
    }

    #[test]
    fn what_is_not_pending_does_not_stand_still() {
        for status in
            [DeliveryStatus::Delivered, DeliveryStatus::Failed, DeliveryStatus::Held, DeliveryStatus::Cancelled]
        {
            let delivery = Delivery { status, ..due_for(60) };
            assert_eq!(stored(&delivery, &webhook(), Duration::ZERO, now()), None, "{status:?}");
        }
    }

    #[test]
    fn what_a_disabling_holds_is_left_alone_even_when_it_is_enabled_again() {
        let mut webhook = webhook();
        webhook.disable(DisabledReason::Failures, ago(minutes(50)));
        assert_eq!(stored(&due_for(60), &webhook, Duration::ZERO, now()), None);
        webhook.enable(ago(minutes(45)));
        assert_eq!(stored(&due_for(60), &webhook, Duration::ZERO, now()), None);
    }

    #[test]
    fn the_rate_limit_line_is_a_legitimate_wait() {
        assert_eq!(stored(&due_for(60), &webhook(), minutes(30), now()), None);
        assert!(stored(&due_for(61), &webhook(), minutes(30), now()).is_some());
    }

    fn old_event(published_at: Timestamp) -> OldEvent {
        let id = EventId::first_at(published_at);
        OldEvent { account: webhook().account, id, event_type: "user.created".parse().expect("valid") }
    }

    fn owed(webhook: &Webhook, published: u64, waits: Waits) -> Option<Duration> {
        let event = old_event(ago(minutes(published)));
        let found = never_attempted(webhook, &event, waits, now())?;
        assert_eq!(found.task.delivery, DeliveryId { event: event.id, webhook: webhook.id });
        assert_eq!((found.why, &found.task.turn), (Why::NeverAttempted, &Turn::FIRST));
        Some(found.overdue)
    }

    #[test]
    fn an_event_that_was_never_attempted_is_owed() {
        let waits = |first, line| Waits { first: minutes(first), line: minutes(line) };
        assert_eq!(owed(&webhook(), 31, waits(0, 0)), Some(minutes(31)));
        assert_eq!(owed(&webhook(), 30, waits(0, 0)), None);
        assert_eq!(owed(&webhook(), 40, waits(15, 0)), None, "the schedule's first wait");
        assert_eq!(owed(&webhook(), 40, waits(0, 15)), None, "the rate-limit line");
    }

    #[test]
    fn what_a_disabling_holds_or_was_not_subscribed_to_is_not_owed() {
        let waits = Waits { first: Duration::ZERO, line: Duration::ZERO };
        let mut changed = webhook();
        changed.disable(DisabledReason::Manual, ago(minutes(70)));
        assert_eq!(owed(&changed, 60, waits), None, "it is disabled");
        changed.enable(ago(minutes(50)));
        assert_eq!(owed(&changed, 60, waits), None, "it was disabled then");
        assert_eq!(owed(&changed, 40, waits), Some(minutes(40)));
        let narrow = Webhook { events: vec!["order.*".parse().expect("a subscription")], ..webhook() };
        assert_eq!(owed(&narrow, 60, waits), None, "it does not subscribe");
        let young = Webhook { created_at: ago(minutes(50)), ..webhook() };
        assert_eq!(owed(&young, 60, waits), None, "it was not registered then");
    }
}
