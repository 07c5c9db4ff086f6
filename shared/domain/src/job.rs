//! Jobs: the work that Hookline enqueues for its own `publish` function, one page after another.

use crate::{
    account::AccountId,
    event_type::EventType,
    id::{EventId, WebhookId},
    webhook::{RecoveryWindow, Webhook},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Work for the `publish` function: a message on the events queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Continues an event's fan-out with its next page.
    FanOut(FanOut),
    /// Continues a webhook's recovery with its next page.
    Recover(Recover),
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
    /// The last event that was handled.
    pub after: Option<EventId>,
    /// How many jobs of this recovery preceded this one; see [`next_hop`].
    #[serde(default)]
    pub hops: u32,
}

impl Recover {
    /// Creates the first job of the recovery of `window`, which the webhook has stored.
    pub fn begin(webhook: &Webhook, window: RecoveryWindow) -> Self {
        Self {
            account: webhook.account.clone(),
            webhook: webhook.id,
            epoch: webhook.epoch,
            run: window.run,
            first: window.first,
            last: window.last,
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
        assert_eq!((job.epoch, job.run, job.hops), (2, 7, 0));
    }

    #[test]
    fn a_chain_of_jobs_ends() {
        assert_eq!(next_hop(0), Ok(1));
        assert_eq!(next_hop(HOPS_MAX), Err(TooManyHops));
    }
}
