//! A webhook's signing secret. `Debug` does not show it, so it cannot reach a log by accident.

use crate::{credential::Credential, random::Random};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// The prefix of a secret that is written in base64, as in Standard Webhooks. Every generated secret has it.
pub const WHSEC: &str = "whsec_";

/// The number of random bytes in a generated secret. Standard Webhooks requires 24 to 64.
const GENERATED_BYTES: usize = 32;

/// The secret that signs a webhook's deliveries: 16 to 256 characters, either the user's own text or `whsec_` followed by the
/// base64 of 24 to 64 bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Credential);

impl Secret {
    /// Generates a secret, `whsec_…`.
    pub fn generate(random: &Random) -> Self {
        Self::from_key(&random.bytes())
    }

    /// Returns the secret `whsec_…` that stands for `key`.
    pub fn from_key(key: &[u8; GENERATED_BYTES]) -> Self {
        Self(whsec(key).into())
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

    /// Returns the secret itself, for signing, for storing, and for the answers that show it.
    pub fn expose(&self) -> &str {
        self.0.expose()
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

    /// Returns the secret in the form that the published verifiers of Standard Webhooks take: itself if it starts with
    /// `whsec_`, and `whsec_` followed by the base64 of its UTF-8 bytes otherwise.
    pub fn standard_form(&self) -> String {
        let text = self.expose();
        if text.starts_with(WHSEC) { text.to_owned() } else { whsec(text.as_bytes()) }
    }
}

/// Returns `whsec_` followed by the base64 of `key`.
fn whsec(key: &[u8]) -> String {
    format!("{WHSEC}{}", STANDARD.encode(key))
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
    fn the_standard_form_has_the_standard_key() {
        let generated = Secret::generate(&Random::new(|bytes| bytes.fill(7)));
        assert_eq!(generated.standard_form(), generated.expose());
        let plain = Secret::parse("your_webhook_secret").expect("valid");
        assert_eq!(plain.standard_form(), "whsec_eW91cl93ZWJob29rX3NlY3JldA==");
        let long = Secret::parse(&"ä".repeat(256)).expect("valid");
        for secret in [plain, long] {
            let decoded = STANDARD.decode(&secret.standard_form()[WHSEC.len()..]).expect("base64");
            assert_eq!(decoded, secret.standard_key());
        }
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
