//! Rotating a secret: the old and the new secret sign during the overlap, only the new one after
//! it.

use domain::secret::Secret;
use domain::signature;
use serde_json::json;
use standardwebhooks::Webhook;

use crate::harness::receiver::{Received, Receiver};
use crate::harness::stack::Stack;

/// Whether the published verifier accepts the request with this secret.
fn verifies(secret: &str, request: &Received) -> bool {
    let verifier = Webhook::new(secret).expect("a whsec_ secret");
    verifier.verify(&request.body, &request.headers).is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_secrets_sign_during_the_overlap() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    let path = format!("/v1/webhooks/{}/rotate-secret", webhook.id);
    let rotated = api.post(&path, &json!({})).await.expect(200);
    let new = rotated["secret"].as_str().expect("the new secret is shown");
    assert_ne!(new, webhook.secret);

    let event = api.publish("user.created").await.id();
    let seen = receiver.wait_for_event(&event, 1).await;
    assert_eq!(seen[0].header("webhook-signature").split(' ').count(), 2);
    assert!(verifies(new, &seen[0]) && verifies(&webhook.secret, &seen[0]));

    let last = api.post(&path, &json!({ "overlap_seconds": 0 })).await.expect(200);
    let event = api.publish("user.created").await.id();
    let seen = receiver.wait_for_event(&event, 1).await;
    assert_eq!(seen[0].header("webhook-signature").split(' ').count(), 1);
    assert!(verifies(last["secret"].as_str().expect("shown"), &seen[0]));
    assert!(!verifies(new, &seen[0]) && !verifies(&webhook.secret, &seen[0]));
    assert!(api.get(&format!("/v1/webhooks/{}", webhook.id)).await.expect(200).get("secret").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_rotation_keeps_the_old_secret() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    let path = format!("/v1/webhooks/{}/rotate-secret", webhook.id);
    let new = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for _ in 0..2 {
        api.post(&path, &json!({ "secret": new })).await.expect(200);
    }
    let event = api.publish("user.created").await.id();
    let seen = receiver.wait_for_event(&event, 1).await;
    assert!(verifies(new, &seen[0]) && verifies(&webhook.secret, &seen[0]));

    api.post(&path, &json!({ "secret": new, "overlap_seconds": 0 })).await.expect(200);
    let event = api.publish("user.created").await.id();
    let seen = receiver.wait_for_event(&event, 1).await;
    assert!(verifies(new, &seen[0]) && !verifies(&webhook.secret, &seen[0]), "the overlap should have ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_secret_that_is_still_valid_signs() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    let path = format!("/v1/webhooks/{}/rotate-secret", webhook.id);
    let mut secrets = vec![webhook.secret.clone()];
    for _ in 0..3 {
        let rotated = api.post(&path, &json!({})).await.expect(200);
        secrets.insert(0, rotated["secret"].as_str().expect("the new secret is shown").to_owned());
    }
    let event = api.publish("user.created").await.id();
    let seen = receiver.wait_for_event(&event, 1).await;
    assert!(secrets.iter().all(|secret| verifies(secret, &seen[0])), "a valid secret did not sign");
    assert_eq!(seen[0].header("webhook-signature").split(' ').count(), 4);
    let oldest = signature::body_hmac(&Secret::parse(&webhook.secret).expect("a secret"), &seen[0].body);
    assert_eq!(seen[0].header("x-webhook-signature"), oldest, "X-Webhook-Signature uses the oldest valid secret");

    let refused = api.post(&path, &json!({})).await.problem(409);
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("4 secrets")), "{refused:#}");
    api.post(&path, &json!({ "secret": secrets[0] })).await.expect(200);
    let last = api.post(&path, &json!({ "overlap_seconds": 0 })).await.expect(200);
    let event = api.publish("user.created").await.id();
    let seen = receiver.wait_for_event(&event, 1).await;
    assert!(verifies(last["secret"].as_str().expect("shown"), &seen[0]));
    assert!(!secrets.iter().any(|secret| verifies(secret, &seen[0])), "an earlier secret signed");
}
