//! Jobs: the work that Hookline enqueues for its own `publish` function, one page after another.

use crate::{
    account::AccountId,
    event_type::EventType,
    id::{EventId, RecoveryId, WebhookId},
    webhook::{RecoveryWindow, Webhook, without_exception},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::num::NonZeroU32;

/// Work for the `publish` function: a message on the events queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Continues an event's fan-out with its next page.
    FanOut(FanOut),
    /// Continues a webhook's recovery with its next page.
    Recover(Recover),
    /// Makes sure that the recovery that enabling a webhook begins has its job.
    FinishEnabling(FinishEnabling),
    /// Publishes an event of Hookline's own.
    Publish(OwnEvent),
}

/// An event that Hookline itself publishes. Its id is fixed when the job is made, so that a repeated job publishes one event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OwnEvent {
    /// The event's account.
    pub account: AccountId,
    /// The event's id.
    pub id: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// The JSON object under `data.object`.
    pub object: Box<RawValue>,
}

/// A webhook that is about to be enabled. The job arrives when that has succeeded or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishEnabling {
    /// The webhook's account.
    pub account: AccountId,
    /// The webhook.
    pub webhook: WebhookId,
}

/// Where a fan-out continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOut {
    /// The event's account.
    pub account: AccountId,
    /// The event.
    pub event: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// The last webhook that was handled.
    pub after: Option<WebhookId>,
    /// How many jobs of this fan-out preceded this one; see [`next_hop`].
    #[serde(default)]
    pub hops: u32,
}

/// Where a recovery continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recover {
    /// The webhook's account.
    pub account: AccountId,
    /// The recovery, whose record has its progress. Version 0.1 kept no record.
    #[serde(default)]
    pub id: Option<RecoveryId>,
    /// The webhook.
    pub webhook: WebhookId,
    /// The webhook's epoch when the recovery began. The recovery stops when the webhook has another one.
    #[serde(alias = "generation")]
    pub epoch: u32,
    /// The run of the retry schedule that the recovery begins.
    #[serde(alias = "round")]
    pub run: i64,
    /// The first id of the window.
    pub first: EventId,
    /// The last id of the window.
    pub last: EventId,
    /// Whether it sends only what is held, as the recovery of an enabling does: no failed delivery, and no event that the webhook
    /// was not subscribed to when it was published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held_only: bool,
    /// The deliveries a second, if they are spread over time, as those of the recovery that follows a trial are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<NonZeroU32>,
    /// Whether failed deliveries are sent again.
    #[serde(default = "without_exception")]
    pub include_failed: bool,
    /// Whether events from before the webhook's registration are sent.
    #[serde(default = "without_exception")]
    pub backfill: bool,
    /// The last event that was handled.
    pub after: Option<EventId>,
    /// How many jobs of this recovery preceded this one; see [`next_hop`].
    #[serde(default)]
    pub hops: u32,
}

impl Recover {
    /// Creates the first job of the recovery of `window`, which the webhook has stored. The recovery has no record.
    pub fn of_window(webhook: &Webhook, window: RecoveryWindow) -> Self {
        Self {
            account: webhook.account.clone(),
            id: None,
            webhook: webhook.id,
            epoch: webhook.epoch,
            run: window.run,
            first: window.first,
            last: window.last,
            held_only: false,
            pace: None,
            include_failed: window.include_failed,
            backfill: window.backfill,
            after: None,
            hops: 0,
        }
    }
}

/// The most jobs of one fan-out or recovery: enough for fifty million events. The limit ends a chain that would otherwise never
/// end, because Lambda's own detection of recursive loops is switched off for the `publish` function.
const HOPS_MAX: u32 = 100_000;

/// A fan-out or a recovery needs too many jobs. Its message goes to the dead-letter queue, which has an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a chain of more than {HOPS_MAX} jobs")]
pub struct TooManyHops;

/// Returns the `hops` of the next job in a chain.
pub fn next_hop(hops: u32) -> Result<u32, TooManyHops> {
    let next = hops.saturating_add(1);
    if next <= HOPS_MAX { Ok(next) } else { Err(TooManyHops) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn a_recovery_of_version_0_1_is_read() {
        let (event, webhook) = (EventId::first_at(Timestamp::EPOCH), WebhookId::first_at(Timestamp::EPOCH));
        let before = format!(
            r#"{{"recover":{{"account":"acme","webhook":"{webhook}","generation":2,"round":7,"first":"{event}",
            "last":"{event}","after":null}}}}"#
        );
        let Job::Recover(job) = serde_json::from_str(&before).expect("a job") else { panic!("not a recovery") };
        assert_eq!((job.epoch, job.run, job.hops, job.held_only), (2, 7, 0, false));
        assert_eq!((job.id, job.include_failed, job.backfill), (None, true, true));
    }

    #[test]
    fn a_chain_of_jobs_ends() {
        assert_eq!(next_hop(0), Ok(1));
        assert_eq!(next_hop(HOPS_MAX), Err(TooManyHops));
    }
}
