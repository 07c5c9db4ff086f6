//! Ids: `wh_…`, `evt_…`, `dlv_…`, `rcv_…` and `tok_…`. Each kind has its own type, which is parsed once, at the edge. After the prefix
//! comes a ULID (48 bits of milliseconds and 80 random bits, in Crockford's base 32), or two in a delivery's id. So ids sort by
//! the time they were made, and contain no separator of the tables' keys.

use crate::{random::Random, time::Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use ulid::Ulid;

/// The text is not a valid id of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a valid id")]
pub struct InvalidId;

/// The characters of a ULID's text.
const ULID_CHARS: usize = ulid::ULID_LEN;

/// Reads a ULID. Accepts only its canonical text: upper case, without look-alike letters.
fn parse_ulid(text: &str) -> Result<Ulid, InvalidId> {
    let parsed = Ulid::from_string(text).map_err(|_| InvalidId)?;
    if parsed.to_string() == text { Ok(parsed) } else { Err(InvalidId) }
}

/// Implements the conversions for serde, and `Debug`, of an id that has `Display` and `FromStr`.
macro_rules! text_form {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

pub(crate) use text_form;

/// Defines the type of an id that consists of a prefix and a ULID.
macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Ulid);

        impl $name {
            /// The prefix of every such id.
            pub const PREFIX: &'static str = $prefix;

            /// Creates an id that is made at `now`.
            pub fn new(now: Timestamp, random: &Random) -> Self {
                Self(Ulid::from_parts(now.unix_ms() as u64, random.number()))
            }

            /// Creates the id that follows from `made_at` and `seed`. The same input always gives the same id.
            pub fn derived(made_at: Timestamp, seed: &[u8]) -> Self {
                let digest: [u8; 32] = Sha256::digest(seed).into();
                let random = digest.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
                Self(Ulid::from_parts(made_at.unix_ms() as u64, random))
            }

            /// Returns the smallest id that can be made at `moment`. Every id that was made before it sorts before this one.
            pub fn first_at(moment: Timestamp) -> Self {
                Self(Ulid::from_parts(moment.unix_ms() as u64, 0))
            }

            /// Returns when the id was made.
            pub fn made_at(self) -> Timestamp {
                Timestamp::from_unix_ms(i64::try_from(self.0.timestamp_ms()).unwrap_or(i64::MAX))
            }

            /// Returns the bytes of the id, which sort as the id does.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.0.to_be_bytes()
            }

            /// Reads an id from its bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Ulid(u128::from_be_bytes(bytes)))
            }

            /// Returns random bits of the id, which spread ids evenly over shards.
            pub fn spread(self) -> u64 {
                self.0.random() as u64
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; ULID_CHARS];
                write!(f, "{}{}", $prefix, self.0.array_to_str(&mut text))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_ulid(text.strip_prefix($prefix).ok_or(InvalidId)?).map(Self)
            }
        }

        text_form!($name);
    };
}

prefixed_id!(
    /// The id of a webhook: a registered endpoint.
    WebhookId, "wh_"
);
prefixed_id!(
    /// The id of an event: something that happened, published once.
    EventId, "evt_"
);
prefixed_id!(
    /// The id of a recovery: undelivered events of a time window that are sent to one webhook.
    RecoveryId, "rcv_"
);
prefixed_id!(
    /// The id of an API token. The id is public, while only its holder knows the token itself.
    TokenId, "tok_"
);

impl EventId {
    /// Creates the id of an event at `made_at` about `subject`, which [`EventId::is_about`] recognises. The same input always gives the
    /// same id.
    pub fn about(made_at: Timestamp, subject: &str, seed: &str) -> Self {
        let random = u128::from(digest_of(subject)) << 40 | u128::from(digest_of(seed));
        Self(Ulid::from_parts(made_at.unix_ms() as u64, random))
    }

    /// Whether [`EventId::about`] created the id for `subject`. Another id passes by chance, once in 10¹².
    pub fn is_about(self, subject: &str) -> bool {
        self.0.random() >> 40 == u128::from(digest_of(subject))
    }
}

/// Returns the first 40 bits of the SHA-256 digest of `text`.
fn digest_of(text: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    digest.iter().take(5).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

/// The id of a delivery: one event on its way to one webhook. It consists of their two ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeliveryId {
    /// The event to deliver.
    pub event: EventId,
    /// The webhook to deliver it to.
    pub webhook: WebhookId,
}

impl DeliveryId {
    /// The prefix of every delivery's id.
    pub const PREFIX: &'static str = "dlv_";
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut event, mut webhook) = ([0; ULID_CHARS], [0; ULID_CHARS]);
        let (event, webhook) = (self.event.0.array_to_str(&mut event), self.webhook.0.array_to_str(&mut webhook));
        write!(f, "{}{event}{webhook}", Self::PREFIX)
    }
}

impl FromStr for DeliveryId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let ids = text.strip_prefix(Self::PREFIX).ok_or(InvalidId)?;
        let (event, webhook) = ids.split_at_checked(ULID_CHARS).ok_or(InvalidId)?;
        Ok(Self { event: EventId(parse_ulid(event)?), webhook: WebhookId(parse_ulid(webhook)?) })
    }
}

text_form!(DeliveryId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(ms: i64, bits: u8) -> EventId {
        EventId::new(Timestamp::from_unix_ms(ms), &Random::new(move |bytes| bytes.fill(bits)))
    }

    #[test]
    fn ids_sort_by_the_time_at_which_they_were_made() {
        assert!(event(1_000, 0xff).to_string() < event(1_001, 0).to_string());
        assert_eq!(event(1_001, 9).made_at().unix_ms(), 1_001);
        assert!(EventId::first_at(Timestamp::from_unix_ms(1_000)) <= event(1_000, 0));
    }

    #[test]
    fn only_the_canonical_text_is_an_id() {
        let text = event(1_739_874_600_000, 0xab).to_string();
        assert_eq!(text.parse::<EventId>().expect("canonical").to_string(), text);
        for wrong in
            [text.to_lowercase(), text.replace("evt_", "wh_"), format!("{text}0"), text[..29].to_owned(), "evt_".into()]
        {
            assert_eq!(wrong.parse::<EventId>(), Err(InvalidId), "{wrong}");
        }
    }

    #[test]
    fn an_event_is_about_one_subject() {
        let about = |subject, seed| EventId::about(Timestamp::from_unix_ms(1_000), subject, seed);
        assert_eq!(about("a", "1"), about("a", "1"));
        assert_ne!(about("a", "1"), about("a", "2"));
        assert!(about("a", "1").is_about("a") && about("a", "2").is_about("a") && !about("a", "1").is_about("b"));
        assert!(!event(1_000, 0xab).is_about("a"));
    }

    proptest! {
        #[test]
        fn a_delivery_id_reads_back_from_its_text(event in any::<u128>(), webhook in any::<u128>()) {
            let id = DeliveryId { event: EventId(Ulid(event)), webhook: WebhookId(Ulid(webhook)) };
            prop_assert_eq!(id.to_string().parse::<DeliveryId>(), Ok(id));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in ".{0,80}") {
            let _ = (text.parse::<DeliveryId>(), text.parse::<EventId>());
        }
    }
}
