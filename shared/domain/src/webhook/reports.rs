//! Operational events: the ids of the events that report what happens to a webhook and its deliveries.
//!
//! The id follows from what the event reports, so that reporting it twice publishes one event. It also shows which webhook the event
//! is about, because that webhook does not receive it.

use super::Webhook;
use crate::{
    event_type::{self, EventType},
    id::{EventId, WebhookId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// The delivery by which a webhook began to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Its event.
    pub event: EventId,
    /// Its run.
    pub run: i64,
    /// When its attempt failed.
    pub at: Timestamp,
}

impl Failing {
    /// Returns the id of the event that reports it.
    pub fn report(&self, webhook: WebhookId) -> EventId {
        let seed = format!("{} {}", self.event, self.run);
        EventId::about(self.at, &subject(event_type::WEBHOOK_FAILING, webhook), &seed)
    }
}

impl Webhook {
    /// Whether the event is an operational one about this webhook.
    pub fn is_subject_of(&self, event: EventId, event_type: &EventType) -> bool {
        // Version 0.1 published this type already, under other ids.
        let announces_disabling = || (1..=self.epoch).any(|epoch| self.announcement(epoch, event.made_at()) == event);
        match event_type.as_str() {
            event_type::WEBHOOK_DISABLED => announces_disabling(),
            name => event_type.is_operational() && event.is_about(&subject(name, self.id)),
        }
    }

    /// Returns the id of the event that reports that a trial has enabled the webhook at `at`, after the disabling of `epoch`.
    pub fn recovery_report(&self, epoch: u32, at: Timestamp) -> EventId {
        EventId::about(at, &subject(event_type::WEBHOOK_RECOVERED, self.id), &epoch.to_string())
    }
}

/// Returns what an operational event of `event_type` about `webhook` is about.
pub(crate) fn subject(event_type: &str, webhook: WebhookId) -> String {
    format!("{event_type} {webhook}")
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixtures::{at, registered_at},
        *,
    };

    #[test]
    fn a_webhook_receives_the_reports_about_others() {
        let (subject, other) = (registered_at(1, &["*"]), registered_at(2, &["*"]));
        let failing = Failing { event: EventId::first_at(at(5)), run: 0, at: at(7) };
        for (name, id) in [
            (event_type::WEBHOOK_FAILING, failing.report(subject.id)),
            (event_type::WEBHOOK_RECOVERED, subject.recovery_report(1, at(7))),
        ] {
            let event_type = EventType::operational(name);
            assert!(!subject.wants(id, &event_type) && other.wants(id, &event_type), "{name}");
            assert_eq!(id.made_at(), at(7));
        }
        assert_ne!(failing.report(subject.id), Failing { run: 9, ..failing }.report(subject.id));
    }
}
