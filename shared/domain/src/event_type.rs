//! Event types, the subscriptions of webhooks, and the catalogue with its samples.

use crate::schema::{Schema, Validation, Version};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{collections::BTreeSet, fmt, str::FromStr};

/// The most characters of an event type's name.
pub const NAME_MAX: usize = 128;

/// The most custom event types. The catalogue is one page of the API, and one partition that one or two queries read.
pub const CUSTOM_TYPES_MAX: usize = 1000;

/// The most event types that a fault lists. A batch may have a hundred such faults, and a catalogue a thousand types.
const KNOWN_SHOWN: usize = 30;

/// The name of an event type: dotted words of letters, digits, `_` and `-`, such as `payment.succeeded`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventType(String);

/// Published when a delivery's third attempt fails, while no other delivery to the webhook was failing.
pub const WEBHOOK_FAILING: &str = "webhook.failing";
/// Published when Hookline itself disables a webhook.
pub const WEBHOOK_DISABLED: &str = "webhook.disabled";
/// Published when a trial enables a webhook again.
pub const WEBHOOK_RECOVERED: &str = "webhook.recovered";
/// Published when the last attempt of a delivery fails.
pub const DELIVERY_FAILED: &str = "delivery.failed";

/// The types of operational events, which Hookline itself publishes about webhooks and deliveries.
pub const OPERATIONAL: [&str; 4] = [WEBHOOK_FAILING, WEBHOOK_DISABLED, WEBHOOK_RECOVERED, DELIVERY_FAILED];

impl EventType {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the type of an operational event: one of [`OPERATIONAL`].
    pub fn operational(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// Whether it is one of [`OPERATIONAL`]: only Hookline itself may publish it.
    pub fn is_operational(&self) -> bool {
        OPERATIONAL.contains(&self.as_str())
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Refuses a name that is too long.
fn within_length(text: &str) -> Result<(), String> {
    if text.len() > NAME_MAX { Err(format!("must have at most {NAME_MAX} characters")) } else { Ok(()) }
}

impl FromStr for EventType {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        within_length(text)?;
        if text.contains('.') && text.split('.').all(is_word) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be a dotted name such as payment.succeeded".to_owned())
        }
    }
}

impl TryFrom<String> for EventType {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<EventType> for String {
    fn from(event_type: EventType) -> Self {
        event_type.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An entry of a webhook's `events`: an exact name, every type with a prefix (`resource.*`), or every type (`*`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subscription {
    /// Every type: `*`.
    Everything,
    /// Every type with a prefix, such as `resource.*`. The value is the prefix without the `*`: `resource.`.
    Below(String),
    /// One type, such as `resource.created`.
    Exactly(EventType),
}

impl Subscription {
    /// Whether the subscription includes events of `event_type`.
    pub fn covers(&self, event_type: &EventType) -> bool {
        match self {
            Self::Everything => true,
            Self::Below(prefix) => event_type.0.starts_with(prefix),
            Self::Exactly(name) => name == event_type,
        }
    }

    /// Whether the subscription covers every type that `other` covers.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (Self::Below(prefix), Self::Below(other)) => other.starts_with(prefix),
            (_, Self::Exactly(name)) => self.covers(name),
            _ => false,
        }
    }
}

impl FromStr for Subscription {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        within_length(text)?;
        match text.strip_suffix(".*") {
            Some(words) if words.split('.').all(is_word) => Ok(Self::Below(format!("{words}."))),
            Some(_) => Err("must be an event type, a prefix such as resource.*, or *".to_owned()),
            None => text.parse().map(Self::Exactly),
        }
    }
}

impl TryFrom<String> for Subscription {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Subscription> for String {
    fn from(subscription: Subscription) -> Self {
        subscription.to_string()
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("*"),
            Self::Below(prefix) => write!(f, "{prefix}*"),
            Self::Exactly(name) => write!(f, "{name}"),
        }
    }
}

/// A sample of an event type's data: `data.object` and, for an update, `previous_data`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// The JSON object under `data.object`.
    pub object: Box<RawValue>,
    /// The JSON object under `previous_data`, if the type has one.
    pub previous_data: Option<Box<RawValue>>,
}

/// An entry of the catalogue.
#[derive(Clone, Debug)]
pub struct CatalogueEntry {
    /// The name of the type.
    pub name: EventType,
    /// What the type means, in one sentence.
    pub description: String,
    /// The data of a test delivery.
    pub sample: Sample,
    /// The schema of `data.object`, which the sample fits.
    pub schema: Option<Schema>,
    /// The platform's name for this version of the type.
    pub version: Option<Version>,
    /// Whether events are judged by the schema.
    pub validation: Validation,
}

impl CatalogueEntry {
    /// Creates an entry without a schema.
    pub fn new(name: EventType, description: impl Into<String>, sample: Sample) -> Self {
        let (schema, version, validation) = (None, None, Validation::Off);
        Self { name, description: description.into(), sample, schema, version, validation }
    }
}

/// Returns the detail of the fault for a type that is not in `catalogue`.
pub fn unknown_type(catalogue: &[CatalogueEntry]) -> String {
    let known: Vec<_> = catalogue.iter().take(KNOWN_SHOWN).map(|entry| entry.name.as_str()).collect();
    let more = if catalogue.len() > KNOWN_SHOWN { " and others" } else { "" };
    format!("is not a known event type; the known types are {}{more}", known.join(", "))
}

/// The types of a request's events that were not in the catalogue when the request was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownTypes {
    names: BTreeSet<EventType>,
    /// The detail of the fault for each of them.
    detail: String,
}

impl UnknownTypes {
    /// Creates the set from `names`, none of which is in `catalogue`.
    pub fn new(names: BTreeSet<EventType>, catalogue: &[CatalogueEntry]) -> Self {
        Self { names, detail: unknown_type(catalogue) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the detail of the fault for `name`, if it is one of them.
    pub fn fault(&self, name: &EventType) -> Option<&str> {
        self.names.contains(name).then_some(&self.detail)
    }
}

/// A built-in type: name, description, `data.object`, `previous_data`.
type BuiltIn = (&'static str, &'static str, &'static str, Option<&'static str>);

const BUILT_IN: [BuiltIn; 11] = [
    (
        "resource.created",
        "New resource created",
        r#"{"id":"res_xyz789","name":"New Resource","status":"active"}"#,
        None,
    ),
    (
        "resource.updated",
        "Resource updated",
        r#"{"id":"res_xyz789","name":"Updated Resource","status":"active"}"#,
        Some(r#"{"name":"Old Resource Name"}"#),
    ),
    (
        "resource.deleted",
        "Resource deleted",
        r#"{"id":"res_xyz789","name":"Deleted Resource","status":"deleted"}"#,
        None,
    ),
    (
        "user.created",
        "New user registered",
        r#"{"id":"usr_xyz789","name":"Ada Lovelace","email":"ada@example.com"}"#,
        None,
    ),
    (
        "user.updated",
        "User profile updated",
        r#"{"id":"usr_xyz789","name":"Ada King","email":"ada@example.com"}"#,
        Some(r#"{"name":"Ada Lovelace"}"#),
    ),
    (
        "payment.succeeded",
        "Payment completed",
        r#"{"id":"pay_xyz789","amount":4200,"currency":"eur","status":"succeeded"}"#,
        None,
    ),
    (
        "payment.failed",
        "Payment failed",
        r#"{"id":"pay_xyz789","amount":4200,"currency":"eur","status":"failed","reason":"card_declined"}"#,
        None,
    ),
    (
        WEBHOOK_FAILING,
        "The third attempt of a delivery to a webhook failed",
        r#"{"id":"wh_01JMC6Y3D0EXAMP1E0000000AA","delivery":"push","url":"https://your-app.com/webhooks","expires_at":null,"events":["*"],"description":null,"status":"enabled","disabled_reason":null,"disabled_at":null,"rate_limit":null,"headers":null,"auth":null,"retry_schedule":null,"timeout_seconds":null,"signature_header":null,"disable_on":"failed_delivery","auto_recover":true,"next_trial_at":null,"overlap_ends_at":null,"filter":null,"created_at":"2025-01-07T09:00:00Z","updated_at":"2025-01-07T09:00:00Z"}"#,
        None,
    ),
    (
        WEBHOOK_DISABLED,
        "Hookline disabled a webhook after failed attempts",
        r#"{"id":"wh_01JMC6Y3D0EXAMP1E0000000AA","delivery":"push","url":"https://your-app.com/webhooks","expires_at":null,"events":["*"],"description":null,"status":"disabled","disabled_reason":"failures","disabled_at":"2025-02-18T10:30:00Z","rate_limit":null,"headers":null,"auth":null,"retry_schedule":null,"timeout_seconds":null,"signature_header":null,"disable_on":"failed_delivery","auto_recover":true,"next_trial_at":"2025-02-18T10:35:00Z","overlap_ends_at":null,"filter":null,"created_at":"2025-01-07T09:00:00Z","updated_at":"2025-02-18T10:30:00Z"}"#,
        None,
    ),
    (
        WEBHOOK_RECOVERED,
        "A disabled webhook took an event again and was enabled",
        r#"{"id":"wh_01JMC6Y3D0EXAMP1E0000000AA","delivery":"push","url":"https://your-app.com/webhooks","expires_at":null,"events":["*"],"description":null,"status":"enabled","disabled_reason":null,"disabled_at":null,"rate_limit":null,"headers":null,"auth":null,"retry_schedule":null,"timeout_seconds":null,"signature_header":null,"disable_on":"failed_delivery","auto_recover":true,"next_trial_at":null,"overlap_ends_at":null,"filter":null,"created_at":"2025-01-07T09:00:00Z","updated_at":"2025-02-18T10:35:01Z"}"#,
        None,
    ),
    (
        DELIVERY_FAILED,
        "The last attempt of a delivery failed",
        r#"{"id":"dlv_01JMC6Y3D0EXAMP1E0000000BB01JMC6Y3D0EXAMP1E0000000AA","event_id":"evt_01JMC6Y3D0EXAMP1E0000000BB","event_type":"resource.created","webhook_id":"wh_01JMC6Y3D0EXAMP1E0000000AA","test":false,"status":"failed","attempts":[{"number":5,"started_at":"2025-02-18T10:30:00Z","duration_ms":12,"status_code":503,"error":null,"response_body":"maintenance"}],"next_attempt_at":null,"created_at":"2025-02-18T07:53:55Z"}"#,
        None,
    ),
];

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("built-in samples are JSON")
}

/// Returns the event types that every account has: seven for resources, users and payments, and the [operational](OPERATIONAL) ones.
pub fn built_in() -> impl Iterator<Item = CatalogueEntry> {
    BUILT_IN.iter().map(|(name, description, object, previous)| {
        let sample = Sample { object: raw(object), previous_data: previous.map(raw) };
        CatalogueEntry::new(EventType((*name).to_owned()), *description, sample)
    })
}

/// Whether `name` is a built-in type.
pub fn is_built_in(name: &EventType) -> bool {
    BUILT_IN.iter().any(|(built_in, ..)| *built_in == name.as_str())
}

/// Returns the built-in type `name`.
pub fn find_built_in(name: &EventType) -> Option<CatalogueEntry> {
    built_in().find(|entry| entry.name == *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_type(name: &str) -> EventType {
        name.parse().expect("valid")
    }

    #[test]
    fn every_built_in_name_and_sample_is_valid() {
        for entry in built_in() {
            assert_eq!(entry.name.as_str().parse::<EventType>(), Ok(entry.name.clone()));
            assert!(entry.sample.object.get().starts_with('{'));
        }
    }

    #[test]
    fn a_subscription_covers_its_types_and_no_others() {
        let cases = [
            ("*", "user.created", true),
            ("resource.*", "resource.created", true),
            ("resource.*", "resource.part.created", true),
            ("resource.*", "resources.created", false),
            ("resource.created", "resource.created", true),
            ("resource.created", "resource.created.twice", false),
        ];
        for (subscription, name, covered) in cases {
            let parsed: Subscription = subscription.parse().expect("valid");
            assert_eq!(parsed.covers(&event_type(name)), covered, "{subscription} {name}");
            assert_eq!(parsed.to_string(), subscription);
        }
    }

    #[test]
    fn invalid_names_are_refused() {
        for wrong in
            ["", "resource", ".created", "resource.", "a..b", "a b.c", "a#b.c", "ä.b", "**", "*.created", "a.*.b", ".*"]
        {
            assert!(wrong.parse::<Subscription>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_named_so() {
        for long in
            [format!("a.{}", "b".repeat(NAME_MAX)), "b".repeat(NAME_MAX + 1), format!("{}.*", "b".repeat(NAME_MAX))]
        {
            let fault = Err("must have at most 128 characters".to_owned());
            assert_eq!(long.parse::<EventType>().map(|_| ()), fault);
            assert_eq!(long.parse::<Subscription>().map(|_| ()), fault);
        }
    }
}
