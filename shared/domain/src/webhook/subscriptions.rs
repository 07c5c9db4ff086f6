//! Which events a webhook receives, and since when.

use super::Webhook;
use crate::{
    event_type::{EventType, Subscription},
    id::EventId,
    time::{CLOCK_SKEW, Timestamp},
};
use serde::{Deserialize, Serialize};

/// The most subscriptions of one webhook.
pub const SUBSCRIPTIONS_MAX: usize = 50;
/// The most earlier entries that are kept beside those of `events`: enough for a whole list that was widened.
const EARLIER_MAX: usize = SUBSCRIPTIONS_MAX;

/// Since when an entry is subscribed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The entry.
    pub entry: Subscription,
    /// Since when, without interruption.
    pub since: Timestamp,
}

impl Webhook {
    /// Whether the webhook subscribes to `event_type` now.
    pub fn subscribes_to(&self, event_type: &EventType) -> bool {
        self.events.iter().any(|subscription| subscription.covers(event_type))
    }

    /// Whether the webhook receives an event: it subscribes to the type, and the event is not about the webhook itself.
    pub fn wants(&self, event: EventId, event_type: &EventType) -> bool {
        self.subscribes_to(event_type) && !self.is_subject_of(event, event_type)
    }

    /// Whether the webhook was registered when an event was published, as far as another worker's clock can tell: up to
    /// [`CLOCK_SKEW`] later.
    pub fn is_registered_for(&self, event: EventId) -> bool {
        self.created_at <= event.made_at().plus(CLOCK_SKEW)
    }

    /// Whether an event's fan-out enqueues a task for the webhook: it subscribes to the type, was registered when the event was
    /// published, and is enabled now or was enabled then. A polled webhook gets none.
    ///
    /// The event's time comes from another worker's clock. So a webhook that was disabled up to [`CLOCK_SKEW`] before the event, or
    /// registered up to that long after it, gets a task too. The task of a disabled webhook ends as held.
    pub fn receives(&self, event: EventId, event_type: &EventType) -> bool {
        let published_at = event.made_at();
        let was_enabled = self.disabled_at.is_some_and(|at| at.plus(CLOCK_SKEW) >= published_at);
        !self.is_polled()
            && self.wants(event, event_type)
            && self.is_registered_for(event)
            && (self.is_enabled() || was_enabled)
    }

    /// Replaces the subscriptions from `now` on.
    ///
    /// An entry that stays, or that an earlier entry includes, is subscribed since the earlier one was. An entry that is
    /// removed is still kept while a new entry includes it, so that widening a subscription loses nothing. What is pending for
    /// a type that is given up is cancelled.
    pub fn set_events(&mut self, events: Vec<Subscription>, now: Timestamp) {
        let before = match self.subscribed.as_slice() {
            [] => self.events.iter().map(|entry| Subscribed { entry: entry.clone(), since: self.created_at }).collect(),
            subscribed => subscribed.to_vec(),
        };
        self.note_unsubscribed(&before, &events, now);
        let since = |entry: &Subscription| {
            let including = before.iter().filter(|earlier| earlier.entry.includes(entry));
            including.map(|earlier| earlier.since).min().unwrap_or(now)
        };
        let mut subscribed: Vec<_> =
            events.iter().map(|entry| Subscribed { entry: entry.clone(), since: since(entry) }).collect();
        let gone = before.iter().filter(|earlier| !events.contains(&earlier.entry));
        let included = gone.filter(|earlier| events.iter().any(|entry| entry.includes(&earlier.entry)));
        subscribed.extend(included.take(EARLIER_MAX).cloned());
        self.subscribed = subscribed;
        self.events = events;
    }

    /// Whether the webhook was registered when `event` was published, and has been subscribed to `event_type` since then.
    pub fn subscribed_at_publication(&self, event: EventId, event_type: &EventType) -> bool {
        let published_at = event.made_at();
        let was = |entry: &Subscribed| entry.since <= published_at && entry.entry.covers(event_type);
        let was_subscribed =
            if self.subscribed.is_empty() { self.subscribes_to(event_type) } else { self.subscribed.iter().any(was) };
        self.created_at <= published_at && was_subscribed
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

    #[test]
    fn an_event_belongs_to_a_webhook_that_was_subscribed_at_its_publication() {
        let created: EventType = "user.created".parse().expect("a type");
        let mut webhook = registered_at(100, &["user.created"]);
        let was = |webhook: &Webhook, ms| webhook.subscribed_at_publication(published(ms), &created);
        assert_eq!([99, 100, 101].map(|ms| was(&webhook, ms)), [false, true, true]);
        webhook.set_events(entries(&["user.*", "payment.failed"]), at(200));
        assert_eq!([99, 150, 201].map(|ms| was(&webhook, ms)), [false, true, true], "widening loses nothing");
        webhook.set_events(entries(&["user.created"]), at(300));
        assert_eq!([150, 250, 301].map(|ms| was(&webhook, ms)), [true; 3], "nor does narrowing");
        webhook.set_events(entries(&["payment.failed"]), at(400));
        webhook.set_events(entries(&["*"]), at(500));
        assert_eq!([150, 450, 500].map(|ms| was(&webhook, ms)), [false, false, true], "an interruption does");
        assert!(webhook.subscribed.len() <= SUBSCRIPTIONS_MAX + EARLIER_MAX);
    }

    #[test]
    fn a_fan_out_reaches_a_webhook_that_was_enabled_at_the_publication() {
        let created: EventType = "user.created".parse().expect("a type");
        let mut webhook = registered_at(10_000, &["*"]);
        assert!(!webhook.receives(published(4_999), &created), "published before the registration");
        assert!(webhook.receives(published(5_000), &created), "the clocks may differ");
        webhook.disable(DisabledReason::Manual, at(20_000));
        assert!(webhook.receives(published(25_000), &created), "its task ends as held");
        assert!(!webhook.receives(published(25_001), &created));
    }
}
