//! Accounts are isolated: another account's objects do not exist for the caller.

use serde_json::json;

use crate::harness::client::{Api, data, text};
use crate::harness::random::random_hex;
use crate::harness::receiver::Receiver;
use crate::harness::stack::Stack;

/// An account that no other test and no earlier run has used. A deployed stack keeps all accounts.
fn named(name: &str) -> String {
    format!("{name}-{}", random_hex())
}

/// Issues an account token; returns a client that uses it.
async fn token(platform: &Api, account: &str, scopes: &[&str]) -> Api {
    let issued = platform.post("/v1/tokens", &json!({ "account": account, "scopes": scopes })).await.expect(201);
    let token = text(&issued["token"]);
    let listed = platform.get("/v1/tokens?limit=100").await;
    listed.expect(200);
    assert!(!listed.text.contains(&token), "the token itself is shown once");
    // With an account token no account needs to be named.
    Api::new(platform.base(), Some(&token), None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_accounts_objects_do_not_exist() {
    let stack = Stack::start().await;
    let [acme, rival] = ["acme", "rival"].map(named);
    let (acme, rival) = (
        token(&stack.api(), &acme, &["manage", "publish"]).await,
        token(&stack.api(), &rival, &["manage", "publish"]).await,
    );
    let receiver = Receiver::answering(200).await;
    let webhook = acme.register(&receiver.url("/"), &["user.created"]).await.id;
    let event = acme.publish("user.created").await.id();
    let delivery = acme.delivery_when(&event, &webhook, |delivery| delivery["status"] == "delivered").await;
    let delivery = text(&delivery["id"]);
    let recovery = acme.post(&format!("/v1/webhooks/{webhook}/recover"), &json!({})).await.expect(202);
    for path in [
        format!("/v1/webhooks/{webhook}"),
        format!("/v1/webhooks/{webhook}/recoveries"),
        format!("/v1/webhooks/{webhook}/recoveries/{}", text(&recovery["id"])),
        format!("/v1/webhooks/{webhook}/deliveries"),
        format!("/v1/webhooks/{webhook}/health"),
        format!("/v1/deliveries/{delivery}"),
        format!("/v1/events/{event}"),
    ] {
        acme.get(&path).await.expect(200);
        rival.get(&path).await.problem(404);
    }
    rival.patch(&format!("/v1/webhooks/{webhook}"), &json!({ "status": "disabled" })).await.problem(404);
    rival.delete(&format!("/v1/webhooks/{webhook}")).await.problem(404);
    rival.post(&format!("/v1/webhooks/{webhook}/rotate-secret"), &json!({})).await.problem(404);
    rival.post(&format!("/v1/webhooks/{webhook}/rotate-secret/finish"), &json!({})).await.problem(404);
    rival
        .post(&format!("/v1/webhooks/{webhook}/recover"), &json!({ "since": "2020-01-01T00:00:00Z" }))
        .await
        .problem(404);
    rival.post(&format!("/v1/deliveries/{delivery}/retry"), &json!({})).await.problem(404);
    let test = json!({ "webhook_id": webhook, "event_type": "user.created" });
    rival.post("/v1/webhooks/test", &test).await.problem(404);
    for list in ["/v1/webhooks", "/v1/events"] {
        assert_eq!(data(&rival.get(list).await.expect(200)).len(), 0, "{list}");
        // A cursor from another account's list is a position, and no access to an object.
        let cursor = if list.ends_with("events") { &event } else { &webhook };
        assert_eq!(data(&rival.get(&format!("{list}?cursor={cursor}")).await.expect(200)).len(), 0, "{list}");
    }
    rival.publish("user.created").await;
    let marker = acme.publish("user.created").await.id();
    receiver.wait_for_event(&marker, 1).await;
    assert_eq!(receiver.seen().len(), 2, "another account's event arrived");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_may_only_do_what_its_scopes_allow() {
    let stack = Stack::start().await;
    let platform = stack.api();
    let [acme, rival] = ["acme", "rival"].map(named);
    let publisher = token(&platform, &acme, &["publish"]).await;
    let manager = token(&platform, &acme, &["manage"]).await;
    publisher.publish("user.created").await;
    publisher.get("/v1/webhooks").await.problem(403);
    manager.get("/v1/webhooks").await.expect(200);
    manager.post("/v1/events", &json!({})).await.problem(403);
    for account_token in [&publisher, &manager] {
        account_token.get("/v1/tokens").await.problem(403);
        account_token.post("/v1/event-types", &json!({ "name": "a.b" })).await.problem(403);
        account_token.with_account(&rival).get("/v1/events").await.problem(403);
    }
    platform.with_account(&acme).get("/v1/webhooks").await.expect(200);
}
