//! A webhook's signing secret. `Debug` does not show it, so it cannot reach a log by accident.

use crate::random::Random;
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The prefix of a secret that is written in base64, as in Standard Webhooks. Every generated secret has it.
pub const WHSEC: &str = "whsec_";

/// The number of random bytes in a generated secret. Standard Webhooks requires 24 to 64.
const GENERATED_BYTES: usize = 32;

/// The secret that signs a webhook's deliveries: 16 to 256 characters, either the user's own text or `whsec_` followed by the
/// base64 of 24 to 64 bytes.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    /// Generates a secret, `whsec_…`.
    pub fn generate(random: &Random) -> Self {
        Self(format!("{WHSEC}{}", STANDARD.encode(random.bytes::<GENERATED_BYTES>())).into())
    }

    /// Reads a user's secret.
    ///
    /// # Errors
    /// A phrase for the user, which does not contain the secret.
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
                Err("must be whsec_ followed by the standard base64 of 24 to 64 bytes, or a text without that prefix")
            }
            _ => Ok(secret),
        }
    }

    /// Returns the secret itself, for signing, for storing, and for the one answer that shows it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns the key for Standard Webhooks: the decoded bytes after `whsec_`, or the text's own bytes if it has no such
    /// prefix.
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
    fn a_generated_secret_is_accepted() {
        let generated = Secret::generate(&Random::new(|bytes| bytes.fill(7)));
        let read = Secret::parse(generated.expose()).expect("valid");
        assert_eq!(read.standard_key(), vec![7; GENERATED_BYTES]);
    }

    #[test]
    fn the_key_of_a_plain_text_is_its_bytes() {
        assert_eq!(Secret::parse("your_webhook_secret").expect("valid").standard_key(), b"your_webhook_secret");
    }

    #[test]
    fn invalid_secrets_are_refused() {
        for wrong in
            ["short", &"x".repeat(257), "sixteen chars\nand", "whsec_not-base64-at-all!", "whsec_c2hvcnQgYnV0IGI2NA=="]
        {
            assert!(Secret::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Secret::parse(&"ä".repeat(256)).is_ok(), "the limit counts characters, not bytes");
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        assert!(!format!("{:?}", Secret::parse("your_webhook_secret").expect("valid")).contains("your"));
    }
}
