//! A webhook: a registered endpoint with its subscriptions, secret, status and options.
//!
//! | file | holds |
//! |---|---|
//! | `subscriptions.rs` | which events a webhook receives, and since when |
//! | `disabling.rs` | disabling, enabling, and the disablings that have to be announced |
//! | `recovery.rs` | the windows of recoveries |
//! | `rotation.rs` | the secrets that sign during a rotation |
//! | `view.rs` | a webhook as users see it |

mod disabling;
mod recovery;
mod rotation;
mod subscriptions;
mod view;

pub use disabling::{DisabledReason, Disabling, WebhookStatus};
pub use recovery::RecoveryWindow;
pub use rotation::{PreviousSecret, SIGNING_SECRETS_MAX, SecretsFull};
pub use subscriptions::{SUBSCRIPTIONS_MAX, Subscribed};
pub use view::WebhookView;

use crate::{
    account::AccountId, endpoint_policy::EndpointUrl, event_type::Subscription, id::WebhookId, secret::Secret,
    time::Timestamp,
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
    /// Where deliveries are sent.
    pub url: EndpointUrl,
    /// Which events it receives.
    pub events: Vec<Subscription>,
    /// Since when each entry of `events` is subscribed, and each earlier entry that one of `events` includes. If this is empty,
    /// all entries are subscribed since the registration.
    #[serde(default)]
    pub subscribed: Vec<Subscribed>,
    /// The user's description.
    pub description: Option<String>,
    /// The secret that signs deliveries.
    pub secret: Secret,
    /// Earlier secrets that still sign, newest first. Version 0.1 stored at most one, as `previous_secret`.
    #[serde(default, alias = "previous_secret", deserialize_with = "rotation::one_or_many")]
    pub previous_secrets: Vec<PreviousSecret>,
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
    /// The most deliveries a second, or `None` for no limit.
    pub rate_limit: Option<u32>,
    /// How often it was disabled. A delivery that was pending at an earlier epoch is held.
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
    pub fn new(account: AccountId, id: WebhookId, url: EndpointUrl, events: Vec<Subscription>, secret: Secret) -> Self {
        Self {
            account,
            id,
            url,
            events,
            subscribed: vec![],
            description: None,
            secret,
            previous_secrets: vec![],
            status: WebhookStatus::Enabled,
            disabled_reason: None,
            disabled_at: None,
            enabled_at: None,
            recoveries: vec![],
            rate_limit: None,
            epoch: 0,
            disablings: vec![],
            created_at: id.made_at(),
            updated_at: id.made_at(),
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
mod fixtures {
    //! Webhooks for the tests of this module. Moments are small numbers of milliseconds.

    use super::Webhook;
    use crate::{
        endpoint_policy::EndpointPolicy,
        event_type::Subscription,
        id::{EventId, WebhookId},
        secret::Secret,
        time::Timestamp,
    };

    pub(super) fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    pub(super) fn published(ms: i64) -> EventId {
        EventId::first_at(at(ms))
    }

    pub(super) fn entries(names: &[&str]) -> Vec<Subscription> {
        names.iter().map(|name| name.parse().expect("a subscription")).collect()
    }

    /// A webhook that was registered at `ms`.
    pub(super) fn registered_at(ms: i64, events: &[&str]) -> Webhook {
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
        for later in ["subscribed", "enabled_at", "recoveries"] {
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
