//! Which failed deliveries disable the webhook.

use crate::{
    delivery::{Delivery, Trigger},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// How many of the webhook's latest deliveries [`DisableOn::NoSuccess`] looks at.
pub const LATEST_LOOKED_AT: usize = 1000;

/// Which deliveries disable their webhook when their last attempt has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DisableOn {
    /// Every one.
    #[default]
    FailedDelivery,
    /// Only one since whose first attempt no other delivery to the webhook has succeeded, as far as the latest 1,000 deliveries
    /// show. An event that the receiver always refuses then does not stop all others.
    NoSuccess,
}

impl DisableOn {
    /// Returns the word in the API and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailedDelivery => "failed_delivery",
            Self::NoSuccess => "no_success",
        }
    }
}

impl Delivery {
    /// Returns when the first attempt of the present run began, as far as its attempts are kept.
    pub fn run_began_at(&self) -> Option<Timestamp> {
        let of_run = |trigger: &Trigger| matches!(trigger, Trigger::Scheduled { run, .. } if *run == self.run);
        self.attempts.iter().filter(|(trigger, _)| of_run(trigger)).map(|(_, attempt)| attempt.started_at).min()
    }

    /// Whether an attempt of this delivery has succeeded at `since` or later. The attempt of a test does not count.
    pub fn has_succeeded_since(&self, since: Timestamp) -> bool {
        let mut attempts = self.attempts.iter().filter(|(trigger, _)| **trigger != Trigger::Test);
        attempts.any(|(_, attempt)| attempt.succeeded() && attempt.ended_at() >= since)
    }
}

#[cfg(test)]
mod tests {
    use crate::delivery::fixtures::{NOW, after, attempt, manual, recovery, test};
    use std::time::Duration;

    #[test]
    fn a_success_counts_from_the_first_attempt_of_the_failed_run_on() {
        let delivered = after(&[500, 200]);
        assert!(delivered.has_succeeded_since(NOW));
        let later = NOW.plus(Duration::from_secs(1));
        assert!(!delivered.has_succeeded_since(later), "it succeeded before");
        assert!(!after(&[500, 410]).has_succeeded_since(NOW));
        assert!(attempt(after(&[500]), &manual("a"), 204).has_succeeded_since(NOW));
        assert!(!attempt(after(&[]), &test(), 200).has_succeeded_since(NOW), "a test proves nothing");
    }

    #[test]
    fn the_attempts_of_an_earlier_run_do_not_count_as_the_beginning() {
        let mut failed = after(&[500; 5]);
        assert_eq!(failed.run_began_at(), Some(NOW));
        failed.run = 9;
        assert_eq!(failed.run_began_at(), None);
        let again = attempt(failed, &recovery(9), 500);
        assert_eq!(again.run_began_at(), Some(NOW));
    }
}
