//! A webhook: a registered endpoint with its subscriptions, secret and status. No I/O here.

use crate::{
    endpoint::EndpointUrl,
    event_type::{self, EventType, Subscription},
    id::{AccountId, EventId, WebhookId},
    secret::Secret,
    time::Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// Most subscriptions of one webhook.
pub const SUBSCRIPTIONS_MAX: usize = 50;
/// Most characters of a description.
pub const DESCRIPTION_MAX: usize = 1024;
/// Most deliveries a second that a rate limit may allow.
pub const RATE_LIMIT_MAX: u32 = 1000;

/// Secrets that may sign at once: each is a signature in a header of every delivery.
pub const SIGNING_SECRETS_MAX: usize = 4;
/// Recoveries since the latest enabling whose windows are kept apart.
const RECOVERIES_MAX: usize = 16;
/// Entries of before that are remembered beside those of `events`: as many as a whole list that was widened.
const REMEMBERED_MAX: usize = SUBSCRIPTIONS_MAX;
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

/// A secret from before the present one, which still signs until `until`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: Secret,
    /// When it stops signing.
    pub until: Timestamp,
}

/// Since when something is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// What.
    pub entry: Subscription,
    /// Since when, without a break.
    pub since: Timestamp,
}

/// The events that a recovery sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryWindow {
    /// The run of the schedule that the recovery begins.
    pub round: i64,
    /// The window's first id.
    pub first: EventId,
    /// The window's last id.
    pub last: EventId,
}

impl RecoveryWindow {
    /// The smallest window that has all of both, under the later one's round.
    fn hull(self, other: Self) -> Self {
        let round = self.round.max(other.round);
        Self { round, first: self.first.min(other.first), last: self.last.max(other.last) }
    }
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

/// As many secrets sign as may; the next of them ends at `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{SIGNING_SECRETS_MAX} secrets are valid already, until {until}")]
pub struct SecretsFull {
    /// When there is room for another one.
    pub until: Timestamp,
}

/// Reads the secrets of before: a list, or the one or none that earlier versions stored.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PreviousSecret>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Many(Vec<PreviousSecret>),
        One(PreviousSecret),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => vec![],
        Some(Stored::One(secret)) => vec![secret],
        Some(Stored::Many(secrets)) => secrets,
    })
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
    /// Since when each entry of `events` is subscribed to, and entries of before that one of `events` includes. Without any,
    /// all are since the registration.
    #[serde(default)]
    pub subscribed: Vec<Subscribed>,
    /// The user's own words.
    pub description: Option<String>,
    /// What deliveries are signed with.
    pub secret: Secret,
    /// The secrets before it, newest first, during rotations. Items of before have at most one, under another name.
    #[serde(default, alias = "previous_secret", deserialize_with = "one_or_many")]
    pub previous_secrets: Vec<PreviousSecret>,
    /// Whether deliveries are sent.
    pub status: WebhookStatus,
    /// Why not.
    pub disabled_reason: Option<DisabledReason>,
    /// Since when not.
    pub disabled_at: Option<Timestamp>,
    /// When it was last enabled; none where it never was disabled.
    #[serde(default)]
    pub enabled_at: Option<Timestamp>,
    /// The windows of the recoveries begun since then, oldest first.
    #[serde(default)]
    pub recoveries: Vec<RecoveryWindow>,
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

    /// Sets what the webhook asks for, from `now` on.
    ///
    /// An entry that stays, and one that an entry of before includes, is subscribed to since that one was. An entry that goes
    /// is remembered while a new one includes it, so that widening a subscription forgets nothing.
    pub fn set_events(&mut self, events: Vec<Subscription>, now: Timestamp) {
        let before = match self.subscribed.as_slice() {
            [] => self.events.iter().map(|entry| Subscribed { entry: entry.clone(), since: self.created_at }).collect(),
            subscribed => subscribed.to_vec(),
        };
        let since = |entry: &Subscription| {
            let including = before.iter().filter(|earlier| earlier.entry.includes(entry));
            including.map(|earlier| earlier.since).min().unwrap_or(now)
        };
        let mut subscribed: Vec<_> =
            events.iter().map(|entry| Subscribed { entry: entry.clone(), since: since(entry) }).collect();
        let gone = before.iter().filter(|earlier| !events.contains(&earlier.entry));
        let remembered = gone.filter(|earlier| events.iter().any(|entry| entry.includes(&earlier.entry)));
        subscribed.extend(remembered.take(REMEMBERED_MAX).cloned());
        self.subscribed = subscribed;
        self.events = events;
    }

    /// Whether the webhook was registered, and subscribed to `event_type`, when `event` was published.
    pub fn subscribed_at_publication(&self, event: EventId, event_type: &EventType) -> bool {
        let published_at = event.made_at();
        let was = |entry: &Subscribed| entry.since <= published_at && entry.entry.covers(event_type);
        let was_subscribed =
            if self.subscribed.is_empty() { self.subscribes_to(event_type) } else { self.subscribed.iter().any(was) };
        self.created_at <= published_at && was_subscribed
    }

    /// Notes that a recovery begins. Beyond [`RECOVERIES_MAX`] the two oldest become one.
    pub fn note_recovery(&mut self, window: RecoveryWindow) {
        self.recoveries.push(window);
        if let [oldest, next, ..] = self.recoveries[..]
            && self.recoveries.len() > RECOVERIES_MAX
        {
            self.recoveries.splice(..2, [oldest.hull(next)]);
        }
    }

    /// The round of the latest recovery since the webhook was enabled that sends `event`, if one does.
    pub fn recovery_of(&self, event: EventId) -> Option<i64> {
        let windows = self.recoveries.iter().filter(|window| (window.first..=window.last).contains(&event));
        windows.map(|window| window.round).max()
    }

    /// No event before this one can have a delivery that is not stored.
    pub fn first_event(&self) -> EventId {
        let registered = EventId::first_at(self.created_at);
        self.recoveries.iter().map(|window| window.first).fold(registered, EventId::min)
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

    /// The secrets that sign at `now`, newest first.
    pub fn signing_secrets(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        let previous = self.previous_secrets.iter().filter(move |previous| now < previous.until);
        std::iter::once(&self.secret).chain(previous.map(|previous| &previous.secret))
    }

    /// The oldest secret that signs at `now`: what a receiver has that was told of no rotation yet.
    pub fn oldest_signing_secret(&self, now: Timestamp) -> &Secret {
        self.signing_secrets(now).last().unwrap_or(&self.secret)
    }

    /// Makes `secret` the present one at `now`. Those before it sign on: the one that it replaces for `overlap`, the others as
    /// long as their own rotations said. No overlap ends them all.
    ///
    /// Done again with the same secret, it forgets none of those before it, and lets none sign for longer than `overlap`.
    pub fn rotate_secret(&mut self, secret: &Secret, overlap: Duration, now: Timestamp) -> Result<(), SecretsFull> {
        let until = now.plus(overlap);
        let mut previous = self.previous_secrets.clone();
        previous.retain(|previous| now < previous.until && previous.secret.expose() != secret.expose());
        if self.secret.expose() == secret.expose() {
            for previous in &mut previous {
                previous.until = previous.until.min(until);
            }
        } else if overlap.is_zero() {
            previous.clear();
        } else {
            previous.insert(0, PreviousSecret { secret: self.secret.clone(), until });
        }
        previous.retain(|previous| now < previous.until);
        if previous.len() >= SIGNING_SECRETS_MAX {
            let ends = previous[1..].iter().map(|previous| previous.until).min();
            return Err(SecretsFull { until: ends.unwrap_or(until) });
        }
        self.secret = secret.clone();
        self.previous_secrets = previous;
        self.updated_at = now;
        Ok(())
    }

    /// The webhook, disabled at `now` for `reason`; nothing changes where it is disabled already.
    pub fn disable(&mut self, reason: DisabledReason, now: Timestamp) {
        if self.is_enabled() {
            self.status = WebhookStatus::Disabled;
            self.disabled_reason = Some(reason);
            self.disabled_at = Some(now);
            self.generation += 1;
            self.recoveries.clear();
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
        self.enabled_at = Some(now);
        self.recoveries.clear();
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

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn published(ms: i64) -> EventId {
        EventId::first_at(at(ms))
    }

    fn entries(names: &[&str]) -> Vec<Subscription> {
        names.iter().map(|name| name.parse().expect("a subscription")).collect()
    }

    /// A webhook registered at 100.
    fn registered(events: &[&str]) -> Webhook {
        let url = EndpointPolicy::Strict.judge_url("https://receiver.example/").expect("a URL");
        let secret = Secret::parse("sixteen characters").expect("a secret");
        let id = WebhookId::first_at(at(100));
        Webhook::new("acme".parse().expect("a name"), id, url, entries(events), secret, at(100))
    }

    #[test]
    fn an_event_is_a_webhooks_if_it_was_subscribed_then() {
        let created: EventType = "user.created".parse().expect("a name");
        let mut webhook = registered(&["user.created"]);
        let was = |webhook: &Webhook, ms| webhook.subscribed_at_publication(published(ms), &created);
        assert_eq!([99, 100, 101].map(|ms| was(&webhook, ms)), [false, true, true]);
        webhook.set_events(entries(&["user.*", "payment.failed"]), at(200));
        assert_eq!([99, 150, 201].map(|ms| was(&webhook, ms)), [false, true, true], "widening forgets nothing");
        webhook.set_events(entries(&["user.created"]), at(300));
        assert_eq!([150, 250, 301].map(|ms| was(&webhook, ms)), [true; 3], "nor does narrowing");
        webhook.set_events(entries(&["payment.failed"]), at(400));
        webhook.set_events(entries(&["*"]), at(500));
        assert_eq!([150, 450, 500].map(|ms| was(&webhook, ms)), [false, false, true], "a break does");
        assert!(webhook.subscribed.len() <= SUBSCRIPTIONS_MAX + REMEMBERED_MAX);
    }

    #[test]
    fn the_latest_recovery_of_an_event_counts_until_the_next_disabling() {
        let mut webhook = registered(&["*"]);
        webhook.disable(DisabledReason::Manual, at(200));
        webhook.enable(at(300));
        let window = |round, first, last| RecoveryWindow { round, first: published(first), last: published(last) };
        webhook.note_recovery(window(7, 50, 250));
        webhook.note_recovery(window(8, 150, 250));
        assert_eq!(
            [49, 50, 150, 250, 251].map(|ms| webhook.recovery_of(published(ms))),
            [None, Some(7), Some(8), Some(8), None]
        );
        assert_eq!(webhook.first_event(), published(50), "a recovery reaches behind the registration");
        for round in 9..40 {
            webhook.note_recovery(window(round, 1000 * round, 1000 * round + 10));
        }
        assert_eq!(webhook.recoveries.len(), RECOVERIES_MAX);
        assert_eq!(webhook.recovery_of(published(50)), Some(24), "of the windows that became one, the latest round");
        webhook.disable(DisabledReason::Manual, at(400));
        assert_eq!((webhook.recovery_of(published(50)), webhook.enabled_at), (None, Some(at(300))));
    }

    #[test]
    fn a_webhook_of_before_is_subscribed_since_its_registration() {
        let mut json = serde_json::to_value(registered(&["user.*"])).expect("JSON");
        for later in ["subscribed", "enabled_at", "recoveries"] {
            json.as_object_mut().expect("an object").remove(later).expect("it is stored");
        }
        let webhook: Webhook = serde_json::from_value(json).expect("it is read");
        let created: EventType = "user.created".parse().expect("a name");
        assert_eq!([99, 100].map(|ms| webhook.subscribed_at_publication(published(ms), &created)), [false, true]);
        assert_eq!((webhook.enabled_at, webhook.recovery_of(published(100))), (None, None));
    }

    /// What signs at `ms`, newest first, without the words around each one's letter.
    fn signing(webhook: &Webhook, ms: i64) -> String {
        webhook.signing_secrets(at(ms)).filter_map(|secret| secret.expose().chars().last()).collect()
    }

    fn secret(letter: char) -> Secret {
        Secret::parse(&format!("the secret that ends in {letter}")).expect("a secret")
    }

    #[test]
    fn every_secret_signs_until_its_own_overlap_ends() {
        let mut webhook = Webhook { secret: secret('a'), ..registered(&["*"]) };
        let mut rotate = |letter, overlap_ms, now| {
            webhook.rotate_secret(&secret(letter), Duration::from_millis(overlap_ms), at(now)).map(|()| webhook.clone())
        };
        assert_eq!(signing(&rotate('b', 1000, 200).expect("room"), 201), "ba");
        let rotated = rotate('c', 100, 300).expect("room");
        assert_eq!([301, 400, 1199, 1200].map(|ms| signing(&rotated, ms)), ["cba", "ca", "ca", "c"]);
        assert_eq!(rotated.oldest_signing_secret(at(301)).expose(), secret('a').expose());
        assert_eq!(signing(&rotate('d', 1000, 350).expect("room"), 351), "dcba");
        assert_eq!(rotate('e', 1000, 360).map(|_| ()), Err(SecretsFull { until: at(400) }));
        assert_eq!(signing(&rotate('e', 1000, 400).expect("one has ended"), 401), "edca");
        assert_eq!(signing(&rotate('e', 500, 410).expect("a repeat"), 909), "edca");
        assert_eq!(signing(&rotate('e', 500, 410).expect("a repeat"), 910), "e");
        assert_eq!(signing(&rotate('d', 500, 420).expect("back again"), 421), "deca", "none twice");
        assert_eq!(signing(&rotate('f', 0, 430).expect("no overlap"), 430), "f");
    }

    #[test]
    fn the_one_secret_of_before_is_read_from_its_item() {
        type Item = std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>;
        let mut webhook = registered(&["*"]);
        webhook.rotate_secret(&secret('b'), Duration::from_secs(1), at(200)).expect("room");
        let read = |item: Item| serde_dynamo::from_item::<_, Webhook>(item).expect("it is read").previous_secrets;
        let mut item: Item = serde_dynamo::to_item(&webhook).expect("an item");
        assert_eq!(read(item.clone()).len(), 1);
        item.remove("previous_secrets").expect("it is stored");
        assert!(read(item.clone()).is_empty(), "none at all");
        let mut of_before = item.clone();
        let previous = serde_dynamo::to_attribute_value(&webhook.previous_secrets[0]).expect("a value");
        of_before.insert("previous_secret".to_owned(), previous);
        let secrets = read(of_before);
        assert_eq!(
            (secrets[0].secret.expose(), secrets[0].until),
            (webhook.previous_secrets[0].secret.expose(), at(1200))
        );
        item.insert("previous_secret".to_owned(), aws_sdk_dynamodb::types::AttributeValue::Null(true));
        assert!(read(item).is_empty(), "a null");
    }
}
