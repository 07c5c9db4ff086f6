//! A webhook: a registered endpoint with its subscriptions, secret and status. No I/O here.

use crate::{
    endpoint::EndpointUrl,
    event_type::{self, EventType, Subscription},
    id::{AccountId, EventId, WebhookId},
    secret::Secret,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Most subscriptions of one webhook.
pub const SUBSCRIPTIONS_MAX: usize = 50;
/// Most characters of a description.
pub const DESCRIPTION_MAX: usize = 1024;
/// Most deliveries a second that a rate limit may allow.
pub const RATE_LIMIT_MAX: u32 = 1000;

/// Disablings that are kept: messages that have still to tell of one are not nearly as many.
const DISABLINGS_KEPT: usize = 8;

/// Whether deliveries are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum WebhookStatus {
    /// They are.
    Enabled,
    /// They are not, until somebody enables the webhook again.
    Disabled,
}

/// Why a webhook is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DisabledReason {
    /// The last attempt of a delivery failed.
    Failures,
    /// The endpoint answered 410.
    Gone,
    /// A user said so.
    Manual,
}

/// The secret before the present one, which still signs until `until`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: Secret,
    /// When it stops signing.
    pub until: Timestamp,
}

/// A disabling by Hookline itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabling {
    /// The webhook's generation after it.
    pub generation: u32,
    /// Why.
    pub reason: DisabledReason,
    /// When.
    pub at: Timestamp,
    /// Whether the event that tells of it is on its way, for good.
    #[serde(default)]
    pub told: bool,
}

/// A webhook as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// Whose it is.
    pub account: AccountId,
    /// Its id.
    pub id: WebhookId,
    /// Where deliveries go.
    pub url: EndpointUrl,
    /// Which events it gets.
    pub events: Vec<Subscription>,
    /// The user's own words.
    pub description: Option<String>,
    /// What deliveries are signed with.
    pub secret: Secret,
    /// The secret before, during a rotation.
    pub previous_secret: Option<PreviousSecret>,
    /// Whether deliveries are sent.
    pub status: WebhookStatus,
    /// Why not.
    pub disabled_reason: Option<DisabledReason>,
    /// Since when not.
    pub disabled_at: Option<Timestamp>,
    /// Deliveries a second, or as many as come.
    pub rate_limit: Option<u32>,
    /// How often it was disabled. A delivery that was on its way at an earlier count is `held`.
    pub generation: u32,
    /// The latest disablings by Hookline itself, oldest first. They outlast an enabling, after which the account's other
    /// webhooks may still have to be told.
    #[serde(default)]
    pub disablings: Vec<Disabling>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When a user, or its disabling, last changed it.
    pub updated_at: Timestamp,
}

impl Webhook {
    /// A webhook registered at `now`: enabled, with no description and no rate limit.
    pub fn new(
        account: AccountId,
        id: WebhookId,
        url: EndpointUrl,
        events: Vec<Subscription>,
        secret: Secret,
        now: Timestamp,
    ) -> Self {
        Self {
            account,
            id,
            url,
            events,
            description: None,
            secret,
            previous_secret: None,
            status: WebhookStatus::Enabled,
            disabled_reason: None,
            disabled_at: None,
            rate_limit: None,
            generation: 0,
            disablings: vec![],
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether deliveries are sent.
    pub fn is_enabled(&self) -> bool {
        self.status == WebhookStatus::Enabled
    }

    /// Whether events of `event_type` are asked for.
    pub fn subscribes_to(&self, event_type: &EventType) -> bool {
        self.events.iter().any(|subscription| subscription.covers(event_type))
    }

    /// Whether an event is this webhook's: it subscribes, and is not the one that the event tells of.
    pub fn wants(&self, event: EventId, event_type: &EventType) -> bool {
        let tells_of_it = || (1..=self.generation).any(|count| self.disabling(count, event.made_at()) == event);
        self.subscribes_to(event_type) && !(*event_type == EventType::webhook_disabled() && tells_of_it())
    }

    /// The event that tells the account's other webhooks of this one's disabling, its `generation`th, at `at`.
    pub fn disabling(&self, generation: u32, at: Timestamp) -> EventId {
        let seed = format!("{} {} {generation}", event_type::WEBHOOK_DISABLED, self.id);
        EventId::derived(at, seed.as_bytes())
    }

    /// The secrets that sign at `now`, the present one first.
    pub fn signing_secrets(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        let previous = self.previous_secret.as_ref().filter(|previous| now < previous.until);
        std::iter::once(&self.secret).chain(previous.map(|previous| &previous.secret))
    }

    /// The webhook, disabled at `now` for `reason`; nothing changes where it is disabled already.
    pub fn disable(&mut self, reason: DisabledReason, now: Timestamp) {
        if self.is_enabled() {
            self.status = WebhookStatus::Disabled;
            self.disabled_reason = Some(reason);
            self.disabled_at = Some(now);
            self.generation += 1;
            self.updated_at = now;
            if reason != DisabledReason::Manual {
                self.disablings.push(Disabling { generation: self.generation, reason, at: now, told: false });
                let over = self.disablings.len().saturating_sub(DISABLINGS_KEPT);
                self.disablings.drain(..over);
            }
        }
    }

    /// The webhook as one of its disablings left it, enabled since or not.
    #[must_use]
    pub fn as_disabled(&self, disabling: &Disabling) -> Self {
        let Disabling { generation, reason, at, .. } = *disabling;
        let (status, disabled_reason, disabled_at) = (WebhookStatus::Disabled, Some(reason), Some(at));
        Self { status, disabled_reason, disabled_at, generation, updated_at: at, ..self.clone() }
    }

    /// The disablings that the account's other webhooks have still to be told of.
    pub fn untold(&self) -> impl Iterator<Item = &Disabling> {
        self.disablings.iter().filter(|disabling| !disabling.told)
    }

    /// The webhook, its disablings up to `generation` told of.
    pub fn note_told(&mut self, generation: u32) {
        for disabling in self.disablings.iter_mut().filter(|disabling| disabling.generation <= generation) {
            disabling.told = true;
        }
    }

    /// The webhook, enabled at `now`.
    pub fn enable(&mut self, now: Timestamp) {
        self.status = WebhookStatus::Enabled;
        self.disabled_reason = None;
        self.disabled_at = None;
        self.updated_at = now;
    }
}

/// Reads a description.
///
/// # Errors
/// A sentence for the user.
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
/// A sentence for the user.
pub fn parse_rate_limit(number: i64) -> Result<u32, String> {
    match u32::try_from(number) {
        Ok(limit @ 1..=RATE_LIMIT_MAX) => Ok(limit),
        _ => Err(format!("must be a whole number from 1 to {RATE_LIMIT_MAX}")),
    }
}

/// A webhook as users see it: everything but its secrets.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Webhook))]
pub struct WebhookView {
    /// `wh_…`
    pub id: WebhookId,
    /// Where deliveries go.
    pub url: String,
    /// Exact names, `resource.*` and `*`.
    pub events: Vec<Subscription>,
    /// The user's own words.
    pub description: Option<String>,
    /// `enabled` or `disabled`
    pub status: WebhookStatus,
    /// Why it is disabled.
    pub disabled_reason: Option<DisabledReason>,
    /// Since when it is disabled.
    pub disabled_at: Option<String>,
    /// Deliveries a second.
    pub rate_limit: Option<u32>,
    /// When it was registered.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}

impl From<&Webhook> for WebhookView {
    fn from(webhook: &Webhook) -> Self {
        Self {
            id: webhook.id,
            url: webhook.url.to_string(),
            events: webhook.events.clone(),
            description: webhook.description.clone(),
            status: webhook.status,
            disabled_reason: webhook.disabled_reason,
            disabled_at: webhook.disabled_at.map(|at| at.to_string()),
            rate_limit: webhook.rate_limit,
            created_at: webhook.created_at.to_string(),
            updated_at: webhook.updated_at.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::EndpointPolicy;

    #[test]
    fn the_others_are_told_of_a_disabling() {
        let webhook = |id_ms| {
            let id = WebhookId::first_at(Timestamp::from_unix_ms(id_ms));
            let url = EndpointPolicy::Strict.judge_url("https://receiver.example/").expect("a URL");
            let events = vec!["*".parse().expect("a subscription")];
            let secret = Secret::parse("sixteen characters").expect("a secret");
            Webhook::new("acme".parse().expect("a name"), id, url, events, secret, Timestamp::EPOCH)
        };
        let (mut disabled, other) = (webhook(1), webhook(2));
        for count in 1..=2 {
            disabled.disable(DisabledReason::Failures, Timestamp::from_unix_ms(7));
            let event = disabled.disabling(count, Timestamp::from_unix_ms(7));
            disabled.enable(Timestamp::from_unix_ms(8));
            assert!(!disabled.wants(event, &EventType::webhook_disabled()), "{count}");
            assert!(other.wants(event, &EventType::webhook_disabled()), "{count}");
        }
        let untold: Vec<_> = disabled.untold().copied().collect();
        assert_eq!(untold.iter().map(|one| one.generation).collect::<Vec<_>>(), [1, 2]);
        let shown = disabled.as_disabled(&untold[0]);
        assert_eq!((shown.is_enabled(), shown.disabled_reason), (false, Some(DisabledReason::Failures)));
        disabled.note_told(1);
        assert_eq!(disabled.untold().map(|one| one.generation).collect::<Vec<_>>(), [2]);
        let others = other.disabling(1, Timestamp::from_unix_ms(7));
        assert!(disabled.wants(others, &EventType::webhook_disabled()));
    }
}
