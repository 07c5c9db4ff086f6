//! A webhook: a registered endpoint with its subscriptions, secret, status and options.
//!
//! | file | holds |
//! |---|---|
//! | `subscriptions.rs` | which events a webhook receives, and since when |
//! | `unsubscribing.rs` | which types it has given up, so that what was pending is cancelled |
//! | `disabling.rs` | disabling, enabling, and the disablings that have to be announced |
//! | `enabling.rs` | what becomes of held deliveries when it is enabled |
//! | `trials.rs` | the trials of a webhook that was disabled for failures |
//! | `reports.rs` | the ids of the operational events that report what happens to it |
//! | `recovery.rs` | the windows of recoveries |
//! | `options/` | how its deliveries are sent, retried and signed |
//! | `rotation.rs` | the secrets that sign during a rotation |
//! | `view.rs` | a webhook as users see it |

mod disabling;
mod enabling;
pub mod options;
mod recovery;
pub(crate) mod reports;
mod rotation;
mod subscriptions;
mod trials;
mod unsubscribing;
mod view;

pub use disabling::{DisabledReason, Disabling, WebhookStatus};
pub use enabling::{Held, HeldCancelled, HeldRecovery};
pub use options::Options;
pub use recovery::RecoveryWindow;
pub(crate) use recovery::without_exception;
pub use reports::Failing;
pub use rotation::{KeyedRotations, PreviousSecret, Rotation, SIGNING_SECRETS_MAX, SecretsFull};
pub use subscriptions::{SUBSCRIPTIONS_MAX, Subscribed};
pub use trials::{DEFAULT as DEFAULT_TRIALS, TrialOutcome, TrialSchedule, TrialStep, Trials};
pub use unsubscribing::Unsubscribed;
pub use view::{DeliveryMode, WebhookView};

use crate::{
    account::AccountId,
    endpoint_policy::EndpointUrl,
    event_type::Subscription,
    filter::Filter,
    id::WebhookId,
    secret::Secret,
    time::{self, Timestamp},
};
use serde::{Deserialize, Serialize};

/// The most characters of a description.
pub const DESCRIPTION_MAX: usize = 1024;
/// The most deliveries a second that a rate limit may allow.
pub const RATE_LIMIT_MAX: u32 = 1000;

/// A webhook as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// The account that registered it.
    pub account: AccountId,
    /// Its id.
    pub id: WebhookId,
    /// Where deliveries are sent, or `None` if nothing is sent: the events are polled.
    pub url: Option<EndpointUrl>,
    /// When it is deleted by itself, or `None` if it stays. Only a polled webhook has it. DynamoDB deletes the item some time later.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::unix_seconds")]
    pub expires_at: Option<Timestamp>,
    /// Which events it receives.
    pub events: Vec<Subscription>,
    /// Since when each entry of `events` is subscribed, and each earlier entry that one of `events` includes. If this is empty,
    /// all entries are subscribed since the registration.
    #[serde(default)]
    pub subscribed: Vec<Subscribed>,
    /// How often a change of `events` has given something up. A run that began in an earlier revision may be cancelled.
    #[serde(default)]
    pub revision: u32,
    /// The latest of these changes, oldest first.
    #[serde(default)]
    pub unsubscribed: Vec<Unsubscribed>,
    /// The user's description.
    pub description: Option<String>,
    /// The secret that signs deliveries.
    pub secret: Secret,
    /// Earlier secrets that still sign, newest first. Version 0.1 stored at most one, as `previous_secret`.
    #[serde(default, alias = "previous_secret", deserialize_with = "rotation::one_or_many")]
    pub previous_secrets: Vec<PreviousSecret>,
    /// The rotations under idempotency keys, or `None` if there was none yet.
    #[serde(default)]
    pub keyed_rotations: Option<KeyedRotations>,
    /// Whether deliveries are sent.
    pub status: WebhookStatus,
    /// Why it is disabled, if it is.
    pub disabled_reason: Option<DisabledReason>,
    /// When it was disabled, if it is.
    pub disabled_at: Option<Timestamp>,
    /// When it was last enabled, or `None` if it was never disabled.
    #[serde(default)]
    pub enabled_at: Option<Timestamp>,
    /// The windows of the recoveries that have begun since `enabled_at`, oldest first.
    #[serde(default)]
    pub recoveries: Vec<RecoveryWindow>,
    /// The recovery that the latest enabling began, if it did.
    #[serde(default)]
    pub held_recovery: Option<HeldRecovery>,
    /// The run of the latest recovery, or 0 before the first.
    #[serde(default)]
    pub latest_run: i64,
    /// The latest enabling that cancelled what was held, if one did.
    #[serde(default)]
    pub held_cancelled: Option<HeldCancelled>,
    /// The trials of the present disabling, if it was for failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trials: Option<Trials>,
    /// The delivery that was failing first, if one has since the last success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// The most deliveries a second, or `None` for no limit.
    pub rate_limit: Option<u32>,
    /// How its deliveries are sent, retried and signed.
    #[serde(default, skip_serializing_if = "Options::is_default")]
    pub options: Options,
    /// Which events it receives by their payload, or `None` for all.
    #[serde(default)]
    pub filter: Option<Filter>,
    /// When the filter was last changed, or `None` if it is the one of the registration.
    #[serde(default)]
    pub filter_changed_at: Option<Timestamp>,
    /// How often it was disabled, and enabled with a cancel of what was held. A delivery that was pending at an earlier epoch is
    /// held or cancelled.
    #[serde(alias = "generation")]
    pub epoch: u32,
    /// The latest disablings by Hookline itself, oldest first. They are kept after an enabling, because they may not be
    /// announced yet.
    #[serde(default)]
    pub disablings: Vec<Disabling>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When a user, or a disabling, last changed it.
    pub updated_at: Timestamp,
}

impl Webhook {
    /// Creates an enabled webhook without description and rate limit. It is registered at the moment when its id was made.
    pub fn new(
        account: AccountId,
        id: WebhookId,
        url: impl Into<Option<EndpointUrl>>,
        events: Vec<Subscription>,
        secret: Secret,
    ) -> Self {
        Self {
            account,
            id,
            url: url.into(),
            expires_at: None,
            events,
            subscribed: vec![],
            revision: 0,
            unsubscribed: vec![],
            description: None,
            secret,
            previous_secrets: vec![],
            keyed_rotations: None,
            status: WebhookStatus::Enabled,
            disabled_reason: None,
            disabled_at: None,
            enabled_at: None,
            recoveries: vec![],
            held_recovery: None,
            latest_run: 0,
            held_cancelled: None,
            trials: None,
            failing: None,
            rate_limit: None,
            options: Options::default(),
            filter: None,
            filter_changed_at: None,
            epoch: 0,
            disablings: vec![],
            created_at: id.made_at(),
            updated_at: id.made_at(),
        }
    }
}

impl Webhook {
    /// Whether its events are polled, and not sent.
    pub fn is_polled(&self) -> bool {
        self.url.is_none()
    }

    /// Whether it has expired at `now`, and so counts as deleted.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// Replaces the filter at `now`.
    pub fn set_filter(&mut self, filter: Option<Filter>, now: Timestamp) {
        if self.filter != filter {
            self.filter = filter;
            self.filter_changed_at = Some(now);
        }
    }
}

/// Reads a description.
///
/// # Errors
/// A phrase for the user.
pub fn parse_description(text: &str) -> Result<String, String> {
    if text.chars().count() <= DESCRIPTION_MAX {
        Ok(text.to_owned())
    } else {
        Err(format!("must have at most {DESCRIPTION_MAX} characters"))
    }
}

/// Reads a rate limit, in deliveries a second.
///
/// # Errors
/// A phrase for the user.
pub fn parse_rate_limit(number: i64) -> Result<u32, String> {
    match u32::try_from(number) {
        Ok(limit @ 1..=RATE_LIMIT_MAX) => Ok(limit),
        _ => Err(format!("must be a whole number from 1 to {RATE_LIMIT_MAX}")),
    }
}

#[cfg(test)]
pub(crate) mod fixtures {
    //! Webhooks for the tests of this module. Moments are small numbers of milliseconds.

    use super::Webhook;
    use crate::{
        endpoint_policy::EndpointPolicy,
        event_type::Subscription,
        id::{EventId, WebhookId},
        secret::Secret,
        time::Timestamp,
    };

    pub(crate) fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    pub(super) fn published(ms: i64) -> EventId {
        EventId::first_at(at(ms))
    }

    pub(super) fn entries(names: &[&str]) -> Vec<Subscription> {
        names.iter().map(|name| name.parse().expect("a subscription")).collect()
    }

    /// A webhook that was registered at `ms`.
    pub(crate) fn registered_at(ms: i64, events: &[&str]) -> Webhook {
        let url = EndpointPolicy::Strict.judge_url("https://receiver.example/").expect("a URL");
        let secret = Secret::parse("sixteen characters").expect("a secret");
        Webhook::new("acme".parse().expect("a name"), WebhookId::first_at(at(ms)), url, entries(events), secret)
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::{at, published, registered_at};
    use crate::{event_type::EventType, webhook::Webhook};

    #[test]
    fn a_webhook_of_version_0_1_is_read() {
        let mut webhook = registered_at(100, &["user.*"]);
        webhook.disable(super::DisabledReason::Failures, at(200));
        webhook.mark_announced(1);
        let mut json = serde_json::to_value(&webhook).expect("JSON");
        let item = json.as_object_mut().expect("an object");
        let added = [
            "subscribed",
            "revision",
            "unsubscribed",
            "enabled_at",
            "recoveries",
            "held_recovery",
            "held_cancelled",
            "keyed_rotations",
            "filter",
            "filter_changed_at",
        ];
        for later in added {
            item.remove(later).expect("it is stored");
        }
        let epoch = item.remove("epoch").expect("it is stored");
        item.insert("generation".to_owned(), epoch);
        let disabling = item["disablings"][0].as_object_mut().expect("an object");
        for (new, before) in [("epoch", "generation"), ("announced", "told")] {
            let value = disabling.remove(new).expect(new);
            disabling.insert(before.to_owned(), value);
        }
        let read: Webhook = serde_json::from_value(json).expect("a webhook");
        let created: EventType = "user.created".parse().expect("a type");
        assert_eq!([99, 100].map(|ms| read.subscribed_at_publication(published(ms), &created)), [false, true]);
        assert_eq!((read.enabled_at, read.recovery_of(published(100))), (None, None));
        assert_eq!((read.epoch, read.disablings), (1, webhook.disablings));
    }
}
