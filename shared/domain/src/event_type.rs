//! Event types, the subscriptions of webhooks, and the catalogue with its samples.

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

/// The event type that Hookline itself publishes when it disables a webhook.
pub const WEBHOOK_DISABLED: &str = "webhook.disabled";

impl EventType {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the type [`WEBHOOK_DISABLED`].
    pub fn webhook_disabled() -> Self {
        Self(WEBHOOK_DISABLED.to_owned())
    }

    /// Whether only Hookline itself may publish this type.
    pub fn is_reserved(&self) -> bool {
        self.0 == WEBHOOK_DISABLED
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

impl FromStr for EventType {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() <= NAME_MAX && text.contains('.') && text.split('.').all(is_word) {
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
        match text.strip_suffix(".*") {
            Some(words) if text.len() <= NAME_MAX && words.split('.').all(is_word) => {
                Ok(Self::Below(format!("{words}.")))
            }
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

const BUILT_IN: [BuiltIn; 8] = [
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
        WEBHOOK_DISABLED,
        "Hookline disabled a webhook after failed attempts",
        r#"{"id":"wh_01JMC6Y3D0EXAMP1E0000000AA","url":"https://your-app.com/webhooks","status":"disabled","disabled_reason":"failures","disabled_at":"2025-02-18T10:30:00Z"}"#,
        None,
    ),
];

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("built-in samples are JSON")
}

/// Returns the event types that every account has: seven for resources, users and payments, and [`WEBHOOK_DISABLED`].
pub fn built_in() -> impl Iterator<Item = CatalogueEntry> {
    BUILT_IN.iter().map(|(name, description, object, previous)| CatalogueEntry {
        name: EventType((*name).to_owned()),
        description: (*description).to_owned(),
        sample: Sample { object: raw(object), previous_data: previous.map(raw) },
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
        assert!(format!("a.{}", "b".repeat(NAME_MAX)).parse::<EventType>().is_err());
    }
}
