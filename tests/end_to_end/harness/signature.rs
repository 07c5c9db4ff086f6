//! The signatures of a delivery, checked by code that shares nothing with the product.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use standardwebhooks::Webhook;

use crate::harness::receiver::Received;

/// `X-Webhook-Signature`: the HMAC-SHA256 of the body in lowercase hexadecimal, keyed with the
/// secret's UTF-8 bytes.
pub(crate) fn body_signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// The published verifier of Standard Webhooks 1.0.0. It decodes a secret that starts with
/// `whsec_`; any other secret is its own key.
pub(crate) fn verifier(secret: &str) -> Webhook {
    if secret.starts_with("whsec_") {
        Webhook::new(secret).expect("what follows whsec_ is base64")
    } else {
        Webhook::from_bytes(secret.as_bytes().to_vec()).expect("any bytes are a key")
    }
}

/// Checks that both signatures are valid, and that neither is valid for a body with one byte
/// changed.
#[track_caller]
pub(crate) fn check(delivery: &Received, secret: &str) {
    let verifier = verifier(secret);
    verifier.verify(&delivery.body, &delivery.headers).expect("the standard verifier accepts the delivery");
    assert_eq!(delivery.header("x-webhook-signature"), body_signature(secret, &delivery.body));

    let changed = one_byte_changed(&delivery.body);
    verifier.verify(&changed, &delivery.headers).expect_err("the standard verifier refuses a changed body");
    assert_ne!(delivery.header("x-webhook-signature"), body_signature(secret, &changed));
}

/// The body with one character of the event's id replaced. It is still JSON, but no longer what was
/// signed.
pub(crate) fn one_byte_changed(body: &[u8]) -> Vec<u8> {
    let mut changed = body.to_vec();
    let at = body.windows(4).position(|window| window == b"evt_").expect("a delivery carries its event's id") + 4;
    changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
    changed
}

/// The vector of RFC 4231, case 2.
#[test]
fn the_body_signature_is_a_published_test_vector() {
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(body_signature("Jefe", b"what do ya want for nothing?"), expected);
}

#[test]
fn a_changed_body_keeps_its_length() {
    assert_eq!(one_byte_changed(br#"{"id":"evt_01"}"#), br#"{"id":"evt_11"}"#);
}
