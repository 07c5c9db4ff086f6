//! The two signatures of a delivery: the body HMAC in `X-Webhook-Signature`, and that of Standard Webhooks 1.0.0 in
//! `webhook-signature`.

use crate::secret::Secret;
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Returns the HMAC-SHA256 of the parts, one after another.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC accepts a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Returns the value of `X-Webhook-Signature`: the HMAC-SHA256 of the body in lowercase hex, keyed with the secret's UTF-8
/// bytes.
pub fn body_hmac(secret: &Secret, body: &[u8]) -> String {
    hex::encode(hmac_sha256(secret.expose().as_bytes(), &[body]))
}

/// Returns the value of `webhook-signature` (Standard Webhooks 1.0.0): for each secret `v1,` and the base64 of the
/// HMAC-SHA256 of `{id}.{timestamp}.{body}`, separated by spaces. During a rotation every valid secret signs. The timestamp
/// is in seconds.
pub fn standard<'a>(secrets: impl IntoIterator<Item = &'a Secret>, id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let timestamp = timestamp_s.to_string();
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let signatures = secrets.into_iter().map(|secret| {
        let mac = hmac_sha256(&secret.standard_key(), &signed);
        format!("v1,{}", STANDARD.encode(mac))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use standardwebhooks::Webhook;

    fn secret(text: &str) -> Secret {
        Secret::parse(text).expect("valid")
    }

    #[test]
    fn signatures_match_the_published_vectors_of_standard_webhooks() {
        let vectors = [
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                r#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
        ];
        for (key, id, timestamp_s, body, expected) in vectors {
            assert_eq!(standard([&secret(key)], id, timestamp_s, body.as_bytes()), expected);
        }
    }

    /// The keys of RFC 4231's test cases are too short, so this vector comes from Python's `hmac` module.
    #[test]
    fn the_body_hmac_matches_pythons() {
        assert_eq!(
            body_hmac(&secret("your_webhook_secret"), br#"{"id":"evt_abc123"}"#),
            "e22acdf812e8bb696a59c45469d4bffd1d63b4096013cf4a13496e99156a14cb"
        );
    }

    #[test]
    fn each_secret_adds_a_signature() {
        let both = [secret("the-new-secret-of-mine"), secret("the-old-secret-of-mine")];
        let listed = standard(&both, "evt_1", 1, b"{}");
        let each: Vec<_> = both.iter().map(|secret| standard([secret], "evt_1", 1, b"{}")).collect();
        assert_eq!(listed, each.join(" "));
    }

    proptest! {
        /// For any key and body, the published verifier computes the same signature, and a changed byte changes it.
        #[test]
        fn the_published_verifier_agrees(
            key in vec(any::<u8>(), 24..=64),
            text in "[ -~äß€]{16,256}",
            timestamp_s in 0..4_000_000_000_i64,
            body in ".{1,200}",
            changed in any::<prop::sample::Index>(),
        ) {
            let encoded = format!("whsec_{}", STANDARD.encode(&key));
            prop_assume!(!text.starts_with("whsec_"));
            let (body, mut other) = (body.as_bytes(), body.clone().into_bytes());
            other[changed.index(body.len())] ^= 1;
            for (secret, key) in [(secret(&encoded), key.as_slice()), (secret(&text), text.as_bytes())] {
                let theirs = Webhook::from_bytes(key.to_vec()).expect("a key");
                let ours = standard([&secret], "evt_1", timestamp_s, body);
                prop_assert_eq!(&ours, &theirs.sign("evt_1", timestamp_s, body).expect("signed"));
                prop_assert!(ours != standard([&secret], "evt_1", timestamp_s, &other));
                prop_assert!(body_hmac(&secret, body) != body_hmac(&secret, &other));
            }
        }
    }
}
