//! What a receiver checks on a delivery, by code that shares nothing with the product.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use standardwebhooks::Webhook;

use crate::receiver::Received;

/// `X-Webhook-Signature`: lowercase hexadecimal HMAC-SHA256 of the body under the secret's own characters.
pub(crate) fn body_signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// A published verifier of Standard Webhooks 1.0.0, keyed as its text says.
pub(crate) fn verifier(secret: &str) -> Webhook {
    if secret.starts_with("whsec_") {
        Webhook::new(secret).expect("what follows whsec_ is base64")
    } else {
        Webhook::from_bytes(secret.as_bytes().to_vec()).expect("any bytes are a key")
    }
}

/// Checks both signatures, and that a body with one byte changed fails both.
#[track_caller]
pub(crate) fn check(delivery: &Received, secret: &str) {
    let verifier = verifier(secret);
    verifier.verify(&delivery.body, &delivery.headers).expect("the standard verifier accepts the delivery");
    assert_eq!(delivery.header("x-webhook-signature"), body_signature(secret, &delivery.body));

    let changed = one_byte_changed(&delivery.body);
    verifier.verify(&changed, &delivery.headers).expect_err("the standard verifier refuses a changed body");
    assert_ne!(delivery.header("x-webhook-signature"), body_signature(secret, &changed));
}

/// The same text with one letter in it replaced by another: still JSON, no longer what was signed.
pub(crate) fn one_byte_changed(body: &[u8]) -> Vec<u8> {
    let mut changed = body.to_vec();
    let at = body.windows(4).position(|window| window == b"evt_").expect("a delivery carries its event's id") + 4;
    changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
    changed
}
