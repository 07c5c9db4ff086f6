//! Unsubscribing: what is pending for a type when the webhook gives the type up is cancelled, without a write for each delivery.
//!
//! A webhook counts the changes of `events` that gave something up: its revision. A task and a delivery carry the revision they
//! were made in. So a run that began before such a change is told from one that began after it exactly, without comparing
//! clocks, even if the type is subscribed again before the run's task arrives.

use super::{Subscribed, Webhook};
use crate::{
    event_type::{EventType, Subscription},
    id::EventId,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// The most changes that are kept. If one is forgotten, runs that it cancelled go on: an event is rather sent than lost.
const CHANGES_MAX: usize = 16;
/// The most entries of all changes together.
const ENTRIES_MAX: usize = 200;

/// A change of `events` that gave something up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribed {
    /// The entries that were given up, wholly or in part.
    pub entries: Vec<Subscribed>,
    /// The new entries that keep a part of them.
    pub kept: Vec<Subscription>,
    /// When it happened.
    pub at: Timestamp,
    /// The webhook's revision after it.
    pub revision: u32,
    /// The webhook's epoch at that moment.
    pub epoch: u32,
    /// Whether the webhook was enabled. If not, everything was held, and stayed so.
    pub enabled: bool,
}

impl Unsubscribed {
    /// Whether the change gave up `event_type`.
    fn gave_up(&self, event_type: &EventType) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|subscribed| subscribed.entry.covers(event_type)) && self.keeps_no(event_type)
    }

    /// Whether the change gave up a subscription that `event` belongs to.
    fn gave_up_event(&self, event: EventId, event_type: &EventType) -> bool {
        let published_at = event.made_at();
        let belonged = |entry: &Subscribed| entry.since <= published_at && entry.entry.covers(event_type);
        published_at < self.at && self.entries.iter().any(belonged) && self.keeps_no(event_type)
    }

    fn keeps_no(&self, event_type: &EventType) -> bool {
        !self.kept.iter().any(|entry| entry.covers(event_type))
    }
}

impl Webhook {
    /// Records what a change from `before` to `events` at `now` gives up, if anything. Of more changes than are kept, the oldest
    /// are dropped.
    pub(super) fn note_unsubscribed(&mut self, before: &[Subscribed], events: &[Subscription], now: Timestamp) {
        let is_kept = |subscribed: &&Subscribed| events.iter().any(|entry| entry.includes(&subscribed.entry));
        let entries: Vec<_> = before.iter().filter(|subscribed| !is_kept(subscribed)).cloned().collect();
        if entries.is_empty() {
            return;
        }
        let keeps_part = |entry: &&Subscription| entries.iter().any(|subscribed| subscribed.entry.includes(entry));
        let kept = events.iter().filter(keeps_part).cloned().collect();
        self.revision += 1;
        let (revision, epoch, enabled) = (self.revision, self.epoch, self.is_enabled());
        self.unsubscribed.push(Unsubscribed { entries, kept, at: now, revision, epoch, enabled });
        let size = |all: &[Unsubscribed]| all.iter().map(|one| one.entries.len() + one.kept.len()).sum::<usize>();
        while self.unsubscribed.len() > CHANGES_MAX
            || self.unsubscribed.len() > 1 && size(&self.unsubscribed) > ENTRIES_MAX
        {
            self.unsubscribed.remove(0);
        }
    }

    /// Whether unsubscribing has cancelled the run of a delivery of `event_type` that began at `epoch` and `revision`.
    ///
    /// If the webhook was disabled between the run's beginning and the change, the run was held then and is not cancelled.
    pub(super) fn has_unsubscribed(&self, event_type: &EventType, epoch: u32, revision: u32) -> bool {
        let cancels = |change: &Unsubscribed| change.enabled && change.epoch == epoch && revision < change.revision;
        self.unsubscribed.iter().any(|change| cancels(change) && change.gave_up(event_type))
    }

    /// Whether the webhook has given up `event_type` after `moment`, while it was enabled.
    pub fn has_unsubscribed_since(&self, event_type: &EventType, moment: Timestamp) -> bool {
        let mut changes = self.unsubscribed.iter();
        changes.any(|change| change.enabled && moment < change.at && change.gave_up(event_type))
    }

    /// Whether `event` belongs to a subscription that the webhook has given up since.
    pub fn was_subscribed_at_publication(&self, event: EventId, event_type: &EventType) -> bool {
        let mut changes = self.unsubscribed.iter();
        self.created_at <= event.made_at() && changes.any(|change| change.gave_up_event(event, event_type))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            DisabledReason,
            fixtures::{at, entries, published, registered_at},
        },
        *,
    };

    fn event_type(name: &str) -> EventType {
        name.parse().expect("a type")
    }

    #[test]
    fn only_the_runs_of_types_that_were_given_up_are_cancelled() {
        let mut webhook = registered_at(100, &["user.*", "payment.failed"]);
        webhook.set_events(entries(&["user.created", "payment.failed", "resource.*"]), at(200));
        let is_over = |webhook: &Webhook, name: &str| webhook.has_unsubscribed(&event_type(name), 0, 0);
        assert_eq!(
            ["user.created", "user.updated", "payment.failed", "resource.created"].map(|name| is_over(&webhook, name)),
            [false, true, false, false]
        );
        webhook.set_events(entries(&["*"]), at(300));
        assert!(is_over(&webhook, "user.updated"), "also when the type is subscribed again");
        assert_eq!(webhook.revision, 1, "widening gives up nothing");
        assert!(!webhook.has_unsubscribed(&event_type("user.updated"), 0, 1), "a run that began later goes on");
        let was = |ms| webhook.was_subscribed_at_publication(published(ms), &event_type("user.updated"));
        assert_eq!([99, 100, 199, 200].map(was), [false, true, true, false]);
        let since = |ms| webhook.has_unsubscribed_since(&event_type("user.updated"), at(ms));
        assert_eq!([199, 200].map(since), [true, false]);
    }

    #[test]
    fn what_was_held_is_not_cancelled() {
        let mut webhook = registered_at(100, &["user.*"]);
        let created = event_type("user.created");
        webhook.disable(DisabledReason::Manual, at(200));
        webhook.set_events(entries(&["payment.*"]), at(300));
        assert!(!webhook.has_unsubscribed(&created, 0, 0), "the disabling came first");
        assert!(!webhook.has_unsubscribed(&created, 1, 0), "it was made while the webhook was disabled");
        assert!(!webhook.has_unsubscribed_since(&created, at(100)));
        assert!(webhook.was_subscribed_at_publication(published(150), &created));
        webhook.set_events(entries(&["*"]), at(400));
        webhook.enable(at(500));
        webhook.set_events(entries(&["payment.*"]), at(600));
        assert!(webhook.has_unsubscribed(&created, 1, 1), "a recovery's run is cancelled");
        assert!(!webhook.has_unsubscribed(&created, 0, 0), "and what is still held is not");
    }

    #[test]
    fn the_changes_that_are_kept_are_bounded() {
        let mut webhook = registered_at(100, &["user.*"]);
        for ms in 0..100 {
            webhook.set_events(entries(&[if ms % 2 == 0 { "user.created" } else { "user.*" }]), at(200 + ms));
        }
        assert_eq!((webhook.unsubscribed.len(), webhook.revision), (CHANGES_MAX, 50));
        let many: Vec<_> = (0..50).map(|index| format!("a.b{index}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        for ms in 0..10 {
            webhook.set_events(entries(&many), at(400 + 2 * ms));
            webhook.set_events(entries(&["user.*"]), at(401 + 2 * ms));
        }
        let size: usize = webhook.unsubscribed.iter().map(|change| change.entries.len()).sum();
        assert!(size <= ENTRIES_MAX, "{size}");
    }
}
