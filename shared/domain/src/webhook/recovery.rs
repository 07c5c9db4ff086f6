//! The windows of a webhook's recoveries. They decide whether a delivery that is not stored yet shows as held or as pending.

use super::Webhook;
use crate::id::EventId;
use serde::{Deserialize, Serialize};

/// The most recoveries since the latest enabling that have their own windows.
const RECOVERIES_MAX: usize = 16;

/// The events that a recovery sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryWindow {
    /// The run of the retry schedule that the recovery begins.
    #[serde(alias = "round")]
    pub run: i64,
    /// The first id of the window.
    pub first: EventId,
    /// The last id of the window.
    pub last: EventId,
}

impl RecoveryWindow {
    /// Returns the smallest window that contains both, with the later run.
    fn hull(self, other: Self) -> Self {
        Self { run: self.run.max(other.run), first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

impl Webhook {
    /// Adds the window of a recovery that begins. Beyond [`RECOVERIES_MAX`] the two oldest are merged.
    pub fn add_recovery(&mut self, window: RecoveryWindow) {
        self.recoveries.push(window);
        if let [oldest, next, ..] = self.recoveries[..]
            && self.recoveries.len() > RECOVERIES_MAX
        {
            self.recoveries.splice(..2, [oldest.hull(next)]);
        }
    }

    /// Returns the run of the latest recovery since the webhook was enabled that sends `event`, if one does.
    pub fn recovery_of(&self, event: EventId) -> Option<i64> {
        let windows = self.recoveries.iter().filter(|window| (window.first..=window.last).contains(&event));
        windows.map(|window| window.run).max()
    }

    /// Returns the earliest id of an event that can have an unstored delivery: the start of the earliest window, or the
    /// moment of the registration if that is earlier.
    pub fn first_event(&self) -> EventId {
        let registered = EventId::first_at(self.created_at);
        self.recoveries.iter().map(|window| window.first).fold(registered, EventId::min)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            DisabledReason,
            fixtures::{at, published, registered_at},
        },
        *,
    };

    #[test]
    fn the_latest_recovery_of_an_event_counts_until_the_next_disabling() {
        let mut webhook = registered_at(100, &["*"]);
        webhook.disable(DisabledReason::Manual, at(200));
        webhook.enable(at(300));
        let window = |run, first, last| RecoveryWindow { run, first: published(first), last: published(last) };
        webhook.add_recovery(window(7, 50, 250));
        webhook.add_recovery(window(8, 150, 250));
        assert_eq!(
            [49, 50, 150, 250, 251].map(|ms| webhook.recovery_of(published(ms))),
            [None, Some(7), Some(8), Some(8), None]
        );
        assert_eq!(webhook.first_event(), published(50), "a recovery may begin before the registration");
        for run in 9..40 {
            webhook.add_recovery(window(run, 1000 * run, 1000 * run + 10));
        }
        assert_eq!(webhook.recoveries.len(), RECOVERIES_MAX);
        assert_eq!(webhook.recovery_of(published(50)), Some(24), "merged windows have the latest run");
        webhook.disable(DisabledReason::Manual, at(400));
        assert_eq!((webhook.recovery_of(published(50)), webhook.enabled_at), (None, Some(at(300))));
    }

    #[test]
    fn a_window_of_version_0_1_is_read() {
        let window = RecoveryWindow { run: 7, first: published(1), last: published(2) };
        let before = format!(r#"{{"round":7,"first":"{}","last":"{}"}}"#, window.first, window.last);
        assert_eq!(serde_json::from_str::<RecoveryWindow>(&before).expect("a window"), window);
    }
}
