//! The windows of a webhook's recoveries. They decide whether a delivery that is not stored yet shows as held or as pending.

use super::Webhook;
use crate::{id::EventId, time::Timestamp};
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
    /// Whether failed deliveries are sent again.
    #[serde(default = "without_exception")]
    pub include_failed: bool,
    /// Whether events from before the webhook's registration are sent.
    #[serde(default = "without_exception")]
    pub backfill: bool,
}

/// Earlier recoveries sent every undelivered event of their window.
pub(crate) fn without_exception() -> bool {
    true
}

impl RecoveryWindow {
    fn contains(self, event: EventId) -> bool {
        (self.first..=self.last).contains(&event)
    }

    /// Returns the smallest window that contains this one and a later one, with the later run.
    fn hull(self, later: Self) -> Self {
        let (first, last) = (self.first.min(later.first), self.last.max(later.last));
        Self { first, last, backfill: self.backfill || later.backfill, ..later }
    }

    /// Whether nothing of `other` is lost if this later window replaces it.
    fn replaces(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last && (self.backfill || !other.backfill)
    }
}

impl Webhook {
    /// Returns the run of a recovery that begins at `now`: later than every earlier one, although clocks differ and two recoveries may
    /// begin within a millisecond. An earlier run would begin nothing for a delivery that has had the later one.
    pub(crate) fn next_run(&self, now: Timestamp) -> i64 {
        now.unix_ms().max(self.latest_run + 1)
    }

    /// Adds the window of a recovery that begins. It replaces those within it, because the latest run of an event counts.
    /// Beyond [`RECOVERIES_MAX`] the two oldest are merged.
    pub fn add_recovery(&mut self, window: RecoveryWindow) {
        self.latest_run = self.latest_run.max(window.run);
        self.recoveries.retain(|earlier| !window.replaces(earlier));
        self.recoveries.push(window);
        if let [oldest, next, ..] = self.recoveries[..]
            && self.recoveries.len() > RECOVERIES_MAX
        {
            self.recoveries.splice(..2, [oldest.hull(next)]);
        }
    }

    /// Returns the run of the latest recovery since the webhook was enabled that sends the delivery of `event`, if one does. The
    /// delivery must exist, because the recovery that enabling begins adds none.
    pub fn recovery_of(&self, event: EventId) -> Option<i64> {
        self.windows().filter(|window| window.contains(event)).map(|window| window.run).max()
    }

    /// Returns the run of the latest recovery since the webhook was enabled that sends `event` even if it has no delivery yet. The
    /// webhook must have been registered when the event was published, unless the recovery is a backfill.
    pub fn adding_recovery_of(&self, event: EventId) -> Option<i64> {
        let windows = self.recoveries.iter().filter(|window| window.contains(event));
        let windows = windows.filter(|window| window.backfill || self.created_at <= event.made_at());
        windows.map(|window| window.run).max()
    }

    /// Returns the windows of all recoveries since the webhook was enabled, that of the enabling included.
    fn windows(&self) -> impl Iterator<Item = &RecoveryWindow> {
        self.recoveries.iter().chain(self.held_recovery.iter().map(|held| &held.window))
    }

    /// Whether the recovery that began `run` leaves failed deliveries alone.
    pub fn leaves_failed_alone(&self, run: i64) -> bool {
        self.windows().any(|window| window.run == run && !window.include_failed)
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
            DisabledReason, Held,
            fixtures::{at, published, registered_at},
        },
        *,
    };
    use crate::recovery::NewRecovery;
    use std::time::Duration;

    #[test]
    fn the_latest_recovery_of_an_event_counts_until_the_next_disabling() {
        let mut webhook = registered_at(100, &["*"]);
        webhook.disable(DisabledReason::Manual, at(200));
        webhook.enable(at(300));
        let window = |run, first, last| RecoveryWindow {
            run,
            first: published(first),
            last: published(last),
            include_failed: true,
            backfill: true,
        };
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
    fn a_window_replaces_those_within_it() {
        let mut webhook = registered_at(100, &["*"]);
        let window = |run, first, last, include_failed| RecoveryWindow {
            run,
            first: published(first),
            last: published(last),
            include_failed,
            backfill: false,
        };
        webhook.add_recovery(window(7, 150, 200, true));
        webhook.add_recovery(window(8, 180, 300, true));
        webhook.add_recovery(window(9, 150, 300, false));
        assert_eq!(webhook.recoveries, [window(9, 150, 300, false)]);
        assert_eq!([8, 9].map(|run| webhook.leaves_failed_alone(run)), [false, true]);
        webhook.add_recovery(window(10, 160, 170, true));
        assert_eq!([150, 160].map(|ms| webhook.recovery_of(published(ms))), [Some(9), Some(10)]);
    }

    #[test]
    fn each_recovery_has_a_later_run_whatever_the_clocks_say() {
        let mut webhook = registered_at(100, &["*"]);
        webhook.disable(DisabledReason::Manual, at(200));
        webhook.enable_with(Held::Recover, at(300));
        assert_eq!([300, 301, 302, 250].map(|ms| webhook.next_run(at(ms))), [301, 301, 302, 301]);
        let window = NewRecovery::default().window(&webhook, at(250), Duration::from_millis(200)).expect("a window");
        webhook.add_recovery(window);
        assert_eq!((webhook.recovery_of(published(150)), webhook.next_run(at(300))), (Some(301), 302));
        webhook.disable(DisabledReason::Manual, at(310));
        webhook.enable_with(Held::Recover, at(290));
        assert_eq!(webhook.recovery_of(published(150)), Some(302), "runs go on after a disabling");
    }

    #[test]
    fn a_window_of_version_0_1_is_read() {
        let window =
            RecoveryWindow { run: 7, first: published(1), last: published(2), include_failed: true, backfill: true };
        let before = format!(r#"{{"round":7,"first":"{}","last":"{}"}}"#, window.first, window.last);
        assert_eq!(serde_json::from_str::<RecoveryWindow>(&before).expect("a window"), window);
    }
}
