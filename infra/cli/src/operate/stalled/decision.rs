//! Decides which deliveries are stalled. It does no I/O: each decision follows from the delivery, the webhook as it is now, the
//! wait for its rate limit, and the time.

use super::tables::OldEvent;
use domain::{
    delivery::{Delivery, DeliveryStatus, STALLED_AFTER, Task, Trigger, unattempted_status},
    event::EventSummary,
    time::Timestamp,
    webhook::Webhook,
};
use std::{fmt, time::Duration};

/// A stalled delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stalled {
    /// The task that it should have.
    pub(super) task: Task,
    /// Why it counts as stalled.
    pub(super) reason: Reason,
    /// How long ago the attempt was due.
    pub(super) overdue: Duration,
}

/// Why a delivery counts as stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Its next attempt was due, but was not made.
    AttemptOverdue,
    /// Its lease is over, but the worker that held it did not record an attempt.
    LeaseOver,
    /// It is pending, and no attempt is due.
    NoAttemptDue,
    /// The event was published, but no delivery is stored.
    NeverAttempted,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AttemptOverdue => "attempt overdue",
            Self::LeaseOver => "lease over",
            Self::NoAttemptDue => "no attempt due",
            Self::NeverAttempted => "never attempted",
        })
    }
}

/// How long the first attempt of an event may be delayed, without the delivery being stalled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// The first wait of the retry schedule.
    pub(super) first: Duration,
    /// The wait for the webhook's rate limit.
    pub(super) rate_limit: Duration,
}

/// Returns when a pending delivery should have been attempted next, and the reason if it was not.
fn due(delivery: &Delivery) -> (Timestamp, Reason) {
    if let Some(due) = delivery.next_attempt_at {
        return (due, Reason::AttemptOverdue);
    }
    if let Some(lease) = &delivery.lease {
        return (lease.until, Reason::LeaseOver);
    }
    let ended =
        delivery.attempts.values().map(|attempt| attempt.started_at.plus(Duration::from_millis(attempt.duration_ms)));
    (ended.max().unwrap_or_else(|| delivery.delivery.event.made_at()), Reason::NoAttemptDue)
}

/// Whether a delivery is stalled, provided that its webhook is enabled and has no rate limit.
pub(super) fn is_overdue(delivery: &Delivery, now: Timestamp) -> bool {
    let is_leased = delivery.lease.as_ref().is_some_and(|lease| now < lease.until);
    delivery.is_pending() && !is_leased && now.since(due(delivery).0) > STALLED_AFTER
}

/// Returns a stored delivery as stalled, if it is. `rate_limit_wait` is the wait for its webhook's rate limit. A delivery that
/// a disabling holds is not stalled: a recovery sends it. Nor is one that unsubscribing has cancelled.
pub(super) fn stored(
    delivery: &Delivery,
    webhook: &Webhook,
    rate_limit_wait: Duration,
    now: Timestamp,
) -> Option<Stalled> {
    let (due, reason) = due(delivery);
    let overdue = now.since(due);
    let is_pending = delivery.shown_status(Some(webhook)) == DeliveryStatus::Pending && webhook.is_enabled();
    if !is_overdue(delivery, now) || !is_pending || overdue <= STALLED_AFTER + rate_limit_wait {
        return None;
    }
    let trigger = Trigger::Scheduled { run: delivery.run, step: delivery.step + 1 };
    let (account, epoch, revision) = (delivery.account.clone(), delivery.epoch, delivery.revision);
    let task = Task { account, delivery: delivery.delivery, epoch, revision, trigger, slot: None, slow: false };
    Some(Stalled { task, reason, overdue })
}

/// Returns the delivery of `event` to `webhook` as stalled, if it should have been attempted by now. The caller checks that no
/// such delivery is stored. An event that a disabling holds is not stalled: a recovery sends it.
pub(super) fn never_attempted(webhook: &Webhook, event: &OldEvent, waits: Waits, now: Timestamp) -> Option<Stalled> {
    let overdue = now.since(event.id.made_at().plus(waits.first));
    let summary = EventSummary { id: event.id, event_type: event.event_type.clone(), test: false };
    // Whether the event passes the webhook's filter is judged later, because that needs the payload.
    let is_pending = unattempted_status(webhook, &summary, true) == Some(DeliveryStatus::Pending);
    let first = Task::first(webhook, event.id);
    let task = match webhook.recovery_of(event.id) {
        Some(run) => Task { trigger: Trigger::Scheduled { run, step: 1 }, ..first },
        None => first,
    };
    let stalled = Stalled { task, reason: Reason::NeverAttempted, overdue };
    Some(stalled).filter(|_| is_pending && overdue > STALLED_AFTER + waits.rate_limit)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ago, minutes, now, webhook};
    use super::*;
    use domain::{
        delivery::Lease,
        id::{DeliveryId, EventId},
        webhook::DisabledReason,
    };

    /// A delivery of an event of two hours ago, whose second attempt was due `overdue` minutes ago.
    fn due_for(overdue: u64) -> Delivery {
        let webhook = webhook();
        let event = EventId::first_at(ago(minutes(120)));
        let task = Task::first(&webhook, event);
        let mut delivery = Delivery::new(&task, "user.created".parse().expect("valid"));
        delivery.step = 1;
        delivery.next_attempt_at = Some(ago(minutes(overdue)));
        delivery
    }

    fn leased(until: Timestamp) -> Delivery {
        Delivery { next_attempt_at: None, lease: Some(Lease { holder: "gone".to_owned(), until }), ..due_for(0) }
    }

    #[test]
    fn a_delivery_whose_attempt_is_long_overdue_is_stalled() {
        let found = stored(&due_for(31), &webhook(), Duration::ZERO, now()).expect("it is stalled");
        assert_eq!((found.reason, found.overdue), (Reason::AttemptOverdue, minutes(31)));
        assert_eq!(found.task.trigger, Trigger::Scheduled { run: 0, step: 2 });
        assert!(due_for(31).wants(&found.task, now()));
        assert_eq!(stored(&due_for(30), &webhook(), Duration::ZERO, now()), None);
    }

    #[test]
    fn a_delivery_whose_lease_is_over_is_stalled_and_a_leased_one_is_not() {
        let found = stored(&leased(ago(minutes(40))), &webhook(), Duration::ZERO, now()).expect("it is stalled");
        assert_eq!((found.reason, found.overdue), (Reason::LeaseOver, minutes(40)));
        let live = Delivery { next_attempt_at: Some(ago(minutes(60))), ..leased(now().plus(minutes(1))) };
        assert_eq!(stored(&live, &webhook(), Duration::ZERO, now()), None);
    }

    #[test]
    fn a_pending_delivery_without_a_due_attempt_is_stalled() {
        let orphan = Delivery { next_attempt_at: None, ..due_for(0) };
        let found = stored(&orphan, &webhook(), Duration::ZERO, now()).expect("it is stalled");
        assert_eq!((found.reason, found.overdue), (Reason::NoAttemptDue, minutes(120)));
    }

    #[test]
    fn a_delivery_that_is_not_pending_is_not_stalled() {
        for status in
            [DeliveryStatus::Delivered, DeliveryStatus::Failed, DeliveryStatus::Held, DeliveryStatus::Cancelled]
        {
            let delivery = Delivery { status, ..due_for(60) };
            assert_eq!(stored(&delivery, &webhook(), Duration::ZERO, now()), None, "{status:?}");
        }
    }

    #[test]
    fn a_delivery_that_a_disabling_holds_is_not_stalled_even_after_enabling() {
        let mut webhook = webhook();
        webhook.disable(DisabledReason::Failures, ago(minutes(50)));
        assert_eq!(stored(&due_for(60), &webhook, Duration::ZERO, now()), None);
        webhook.enable(ago(minutes(45)));
        assert_eq!(stored(&due_for(60), &webhook, Duration::ZERO, now()), None);
    }

    #[test]
    fn the_wait_for_the_rate_limit_is_added() {
        assert_eq!(stored(&due_for(60), &webhook(), minutes(30), now()), None);
        assert!(stored(&due_for(61), &webhook(), minutes(30), now()).is_some());
    }

    fn old_event(published_at: Timestamp) -> OldEvent {
        let id = EventId::first_at(published_at);
        OldEvent { account: webhook().account, id, event_type: "user.created".parse().expect("valid") }
    }

    /// How long the delivery of an event that was published so many minutes ago has been overdue, if it is stalled.
    fn never_attempted_for(webhook: &Webhook, published: u64, waits: Waits) -> Option<Duration> {
        let event = old_event(ago(minutes(published)));
        let found = never_attempted(webhook, &event, waits, now())?;
        assert_eq!(found.task.delivery, DeliveryId { event: event.id, webhook: webhook.id });
        assert_eq!((found.reason, &found.task.trigger), (Reason::NeverAttempted, &Trigger::FIRST));
        Some(found.overdue)
    }

    #[test]
    fn a_delivery_that_was_never_attempted_is_stalled() {
        let waits = |first, rate_limit| Waits { first: minutes(first), rate_limit: minutes(rate_limit) };
        assert_eq!(never_attempted_for(&webhook(), 31, waits(0, 0)), Some(minutes(31)));
        assert_eq!(never_attempted_for(&webhook(), 30, waits(0, 0)), None);
        assert_eq!(never_attempted_for(&webhook(), 40, waits(15, 0)), None, "the schedule's first wait");
        assert_eq!(never_attempted_for(&webhook(), 40, waits(0, 15)), None, "the wait for the rate limit");
    }

    #[test]
    fn an_event_that_is_held_or_not_subscribed_to_is_not_stalled() {
        let waits = Waits { first: Duration::ZERO, rate_limit: Duration::ZERO };
        let mut changed = webhook();
        changed.disable(DisabledReason::Manual, ago(minutes(70)));
        assert_eq!(never_attempted_for(&changed, 60, waits), None, "the webhook is disabled");
        changed.enable(ago(minutes(50)));
        assert_eq!(never_attempted_for(&changed, 60, waits), None, "the webhook was disabled then");
        assert_eq!(never_attempted_for(&changed, 40, waits), Some(minutes(40)));
        let narrow = Webhook { events: vec!["order.*".parse().expect("a subscription")], ..webhook() };
        assert_eq!(never_attempted_for(&narrow, 60, waits), None, "the webhook does not subscribe to it");
        let young = Webhook { created_at: ago(minutes(50)), ..webhook() };
        assert_eq!(never_attempted_for(&young, 60, waits), None, "the webhook was not registered then");
    }
}
