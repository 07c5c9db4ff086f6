//! Rotating a secret: the old and the new secret sign during the overlap, only the new one after
//! it.

use domain::secret::Secret;
use domain::signature;
use futures::future::join_all;
use serde_json::json;
use standardwebhooks::Webhook;

use crate::harness::client::{millis, text};
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
    let [changed_at, ends_at] = ["updated_at", "overlap_ends_at"].map(|name| millis(&rotated[name]));
    assert_eq!(ends_at - changed_at, 24 * 60 * 60 * 1000, "a day is the default");

    let event = api.publish("user.created").await.id();
    let seen = receiver.wait_for_event(&event, 1).await;
    assert_eq!(seen[0].header("webhook-signature").split(' ').count(), 2);
    assert!(verifies(new, &seen[0]) && verifies(&webhook.secret, &seen[0]));

    let last = api.post(&path, &json!({ "overlap_seconds": 0 })).await.expect(200);
    assert_eq!(last["overlap_ends_at"], json!(null));
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

/// The value that `X-Webhook-Signature` has if it is made with this secret.
fn body_hmac(secret: &str, request: &Received) -> String {
    signature::body_hmac(&Secret::parse(secret).expect("a secret"), &request.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finishing_a_rotation_ends_the_overlap() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    let path = format!("/v1/webhooks/{}/rotate-secret", webhook.id);
    let new = text(&api.post(&path, &json!({})).await.expect(200)["secret"]);
    for _ in 0..2 {
        let finished = api.post(&format!("{path}/finish"), &json!({})).await.expect(200);
        assert_eq!((&finished["id"], finished.get("secret")), (&json!(webhook.id), None), "{finished:#}");
        let event = api.publish("user.created").await.id();
        let seen = receiver.wait_for_event(&event, 1).await;
        assert!(verifies(&new, &seen[0]) && !verifies(&webhook.secret, &seen[0]));
        assert_eq!(seen[0].header("x-webhook-signature"), body_hmac(&new, &seen[0]));
    }
    api.post("/v1/webhooks/wh_00000000000000000000000000/rotate-secret/finish", &json!({})).await.problem(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_with_a_key_is_carried_out_once() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    let path = format!("/v1/webhooks/{}/rotate-secret", webhook.id);
    let keyed = api.with_idempotency_key("rotation-1");
    let body = json!({});
    let replies = join_all((0..16).map(|_| keyed.post(&path, &body))).await;
    for reply in &replies {
        reply.expect(200);
    }
    assert!(replies.iter().all(|reply| reply.text == replies[0].text), "the answers differ");
    let event = api.publish("user.created").await.id();
    let seen = receiver.wait_for_event(&event, 1).await;
    assert_eq!(seen[0].header("webhook-signature").split(' ').count(), 2, "the requests made several secrets");
    let first = text(&replies[0].json()["secret"]);
    assert!(verifies(&first, &seen[0]) && verifies(&webhook.secret, &seen[0]));

    // Neither a later rotation nor a later change alters the answer, and the replay alters nothing.
    let second = api.with_idempotency_key("rotation-2").post(&path, &json!({ "overlap_seconds": 0 })).await;
    let second = text(&second.expect(200)["secret"]);
    api.patch(&format!("/v1/webhooks/{}", webhook.id), &json!({ "description": "changed" })).await.expect(200);
    let again = keyed.post(&path, &json!({})).await;
    assert_eq!((&again.text, again.header("idempotent-replayed")), (&replies[0].text, Some("true")));
    let event = api.publish("user.created").await.id();
    let seen = receiver.wait_for_event(&event, 1).await;
    assert!(verifies(&second, &seen[0]) && !verifies(&first, &seen[0]), "the replay rotated again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotations_key_belongs_to_its_body_and_its_webhook() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let [webhook, other] =
        [api.register(&receiver.url("/"), &["*"]).await, api.register(&receiver.url("/"), &["*"]).await];
    let path = |id: &str| format!("/v1/webhooks/{id}/rotate-secret");
    let keyed = api.with_idempotency_key("rotation");
    let body = json!({ "secret": "a-secret-of-my-own", "overlap_seconds": 60 });
    let first = keyed.post(&path(&webhook.id), &body).await;
    assert_eq!(first.expect(200)["secret"], "a-secret-of-my-own");
    assert_eq!(first.header("idempotent-replayed"), None);
    keyed.post(&path(&webhook.id), &json!({})).await.problem(422);
    keyed.post(&path(&other.id), &body).await.problem(422);
    keyed.post("/v1/events", &json!({ "type": "user.created", "data": { "object": {} } })).await.problem(422);
    let again = keyed.post(&path(&webhook.id), &body).await;
    assert_eq!((&again.text, again.header("idempotent-replayed")), (&first.text, Some("true")));
    api.with_idempotency_key(&"k".repeat(256)).post(&path(&webhook.id), &body).await.problem(400);

    // A refusal is not kept: there is room once the rotation is finished.
    for _ in 0..2 {
        api.post(&path(&webhook.id), &json!({})).await.expect(200);
    }
    let keyed = api.with_idempotency_key("refused at first");
    keyed.post(&path(&webhook.id), &json!({})).await.problem(409);
    api.post(&format!("{}/finish", path(&webhook.id)), &json!({})).await.expect(200);
    keyed.post(&path(&webhook.id), &json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_verifier_takes_every_standard_secret_through_a_rotation() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let body = json!({ "url": receiver.url("/"), "events": ["user.created"], "secret": "your_webhook_secret" });
    let webhook = api.post("/v1/webhooks", &body).await.expect(201);
    let path = format!("/v1/webhooks/{}/rotate-secret", text(&webhook["id"]));
    let mut shown = vec![webhook];
    // Each time as documented: which secrets `webhook-signature` is made with, and which one
    // `X-Webhook-Signature` is made with.
    let check = async |shown: &[serde_json::Value], standard: &[usize], body: usize| {
        let event = api.publish("user.created").await.id();
        let seen = &receiver.wait_for_event(&event, 1).await[0];
        let taken: Vec<_> =
            (0..shown.len()).filter(|index| verifies(&text(&shown[*index]["standard_secret"]), seen)).collect();
        assert_eq!(taken, standard);
        assert_eq!(seen.header("x-webhook-signature"), body_hmac(&text(&shown[body]["secret"]), seen));
    };
    check(&shown, &[0], 0).await;
    for secret in [json!("another secret of mine"), json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), json!(null)] {
        shown.push(api.post(&path, &json!({ "secret": secret })).await.expect(200));
    }
    check(&shown, &[0, 1, 2, 3], 0).await;
    api.post(&format!("{path}/finish"), &json!({})).await.expect(200);
    check(&shown, &[3], 3).await;
    assert!(shown[2..].iter().all(|webhook| webhook["standard_secret"] == webhook["secret"]));
}
