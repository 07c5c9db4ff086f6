//! Names of things: `wh_…`, `evt_…`, `dlv_…`, `tok_…` and accounts. Each is a type of its own that is parsed once, at the
//! edge. Behind the prefix stands a ULID (48 bits of milliseconds, 80 random bits, Crockford's base 32), so ids sort by
//! the time they were made and hold neither a dot nor a separator of our keys.

use crate::{random::Random, time::Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use ulid::Ulid;

/// What was given is not the text of such an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a valid id")]
pub struct InvalidId;

/// Characters of a ULID's text.
const ULID_CHARS: usize = ulid::ULID_LEN;

/// Reads the one canonical text of a ULID: upper case, no look-alike letters.
fn parse_ulid(text: &str) -> Result<Ulid, InvalidId> {
    let parsed = Ulid::from_string(text).map_err(|_| InvalidId)?;
    if parsed.to_string() == text { Ok(parsed) } else { Err(InvalidId) }
}

/// The serde and text forms of an id that has `Display` and `FromStr`.
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

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Ulid);

        impl $name {
            /// What every such id begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, made at `now`.
            pub fn new(now: Timestamp, random: &Random) -> Self {
                Self(Ulid::from_parts(now.unix_ms() as u64, random.number()))
            }

            /// The id that `seed` always gives for `made_at`: the same input names the same thing.
            pub fn derived(made_at: Timestamp, seed: &[u8]) -> Self {
                let digest: [u8; 32] = Sha256::digest(seed).into();
                let random = digest.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
                Self(Ulid::from_parts(made_at.unix_ms() as u64, random))
            }

            /// The smallest id made at `moment`: every id made before it sorts before this one.
            pub fn first_at(moment: Timestamp) -> Self {
                Self(Ulid::from_parts(moment.unix_ms() as u64, 0))
            }

            /// When the id was made.
            pub fn made_at(self) -> Timestamp {
                Timestamp::from_unix_ms(i64::try_from(self.0.timestamp_ms()).unwrap_or(i64::MAX))
            }

            /// Random bits of the id: even spread for shards.
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
    /// A webhook: a registered endpoint.
    WebhookId, "wh_"
);
prefixed_id!(
    /// An event: something that happened, published once.
    EventId, "evt_"
);
prefixed_id!(
    /// An API token. The id is public; the token itself is known to its holder alone.
    TokenId, "tok_"
);

/// A delivery: one event on its way to one webhook, and nothing but those two ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeliveryId {
    /// The event delivered.
    pub event: EventId,
    /// The webhook it goes to.
    pub webhook: WebhookId,
}

impl DeliveryId {
    /// What every delivery id begins with.
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

/// An isolated tenant, by the name its operator gives it: 1 to 64 letters, digits, `-` and `_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

impl AccountId {
    /// The account's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId)
        }
    }
}

text_form!(AccountId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(ms: i64, bits: u8) -> EventId {
        EventId::new(Timestamp::from_unix_ms(ms), &Random::new(move |bytes| bytes.fill(bits)))
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
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
    fn accounts_hold_no_separator() {
        for wrong in ["", "a b", "a#b", "a/b", "ä", &"x".repeat(65)] {
            assert!(wrong.parse::<AccountId>().is_err(), "{wrong}");
        }
        assert_eq!("acme-1_EU".parse::<AccountId>().expect("valid").as_str(), "acme-1_EU");
    }

    proptest! {
        #[test]
        fn delivery_ids_read_back(event in any::<u128>(), webhook in any::<u128>()) {
            let id = DeliveryId { event: EventId(Ulid(event)), webhook: WebhookId(Ulid(webhook)) };
            prop_assert_eq!(id.to_string().parse::<DeliveryId>(), Ok(id));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in ".{0,80}") {
            let _ = (text.parse::<DeliveryId>(), text.parse::<EventId>(), text.parse::<AccountId>());
        }
    }
}
