//! A webhook's signing secret. It never shows in `Debug`, so it cannot reach a log by accident.

use crate::random::Random;
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Shown before the base64 of a secret that was made for the user, and by users of Standard Webhooks.
pub const WHSEC: &str = "whsec_";

/// Random bytes in a secret that is made for the user. Standard Webhooks asks for 24 to 64.
const MADE_BYTES: usize = 32;

/// What a webhook's deliveries are signed with: 16 to 256 characters of the user's own, or `whsec_` and the base64 of 24
/// to 64 bytes.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    /// A new secret, `whsec_…`.
    pub fn generate(random: &Random) -> Self {
        Self(format!("{WHSEC}{}", STANDARD.encode(random.bytes::<MADE_BYTES>())).into())
    }

    /// Takes a user's secret.
    ///
    /// # Errors
    /// A phrase for the user, which cannot repeat the secret.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !(16..=256).contains(&text.chars().count()) {
            return Err("must have 16 to 256 characters");
        }
        if text.chars().any(char::is_control) {
            return Err("must not contain control characters");
        }
        let secret = Self(text.to_owned().into());
        match text.strip_prefix(WHSEC) {
            Some(encoded) if !STANDARD.decode(encoded).is_ok_and(|bytes| (24..=64).contains(&bytes.len())) => {
                Err("must be whsec_ and the standard base64 of 24 to 64 bytes, or a text without that prefix")
            }
            _ => Ok(secret),
        }
    }

    /// The secret itself: for signing, storing, and the one answer that shows it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The key of Standard Webhooks: the bytes that `whsec_` encodes, or else the text's own bytes.
    pub fn standard_key(&self) -> Vec<u8> {
        let text = self.expose();
        match text.strip_prefix(WHSEC).map(|encoded| STANDARD.decode(encoded)) {
            Some(Ok(bytes)) => bytes,
            _ => text.as_bytes().to_vec(),
        }
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_secret_is_one_we_would_accept() {
        let made = Secret::generate(&Random::new(|bytes| bytes.fill(7)));
        let read = Secret::parse(made.expose()).expect("valid");
        assert_eq!(read.standard_key(), vec![7; MADE_BYTES]);
    }

    #[test]
    fn a_plain_text_is_its_own_key() {
        assert_eq!(Secret::parse("your_webhook_secret").expect("valid").standard_key(), b"your_webhook_secret");
    }

    #[test]
    fn refuses_what_breaks_a_rule() {
        for wrong in
            ["short", &"x".repeat(257), "sixteen chars\nand", "whsec_not-base64-at-all!", "whsec_c2hvcnQgYnV0IGI2NA=="]
        {
            assert!(Secret::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Secret::parse(&"ä".repeat(256)).is_ok(), "characters are counted, not bytes");
    }

    #[test]
    fn does_not_show_in_debug() {
        assert!(!format!("{:?}", Secret::parse("your_webhook_secret").expect("valid")).contains("your"));
    }
}
