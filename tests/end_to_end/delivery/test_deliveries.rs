//! A test delivery takes the real delivery path: it is signed, sent once and recorded. It is
//! neither retried nor counted towards disabling.

use serde_json::{Value, json};

use crate::harness::client::{data, text};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::signature;
use crate::harness::stack::Stack;

/// The event types of the table in `infra/docs/receiving.md`.
const TYPES: [&str; 7] = [
    "resource.created",
    "resource.updated",
    "resource.deleted",
    "user.created",
    "user.updated",
    "payment.succeeded",
    "payment.failed",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_type_has_a_sample_that_is_delivered_like_an_event() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let webhook = api.register(&receiver.url("/hook"), &["*"]).await;
    for (before, kind) in TYPES.iter().enumerate() {
        let body = json!({ "webhook_id": webhook.id, "event_type": kind });
        let delivery = api.post("/v1/webhooks/test", &body).await.expect(202);
        assert_eq!((&delivery["event_type"], &delivery["webhook_id"]), (&json!(kind), &json!(webhook.id)));
        assert_eq!(delivery["test"], true);

        let seen = receiver.wait_for(before + 1).await;
        let sent = &seen[before];
        assert_eq!((sent.header("x-webhook-event"), sent.attempt()), (*kind, 1));
        assert_eq!(delivery["event_id"], sent.event());
        signature::check(sent, &webhook.secret);
        let event: Value = serde_json::from_slice(&sent.body).expect("a JSON body");
        assert_eq!(event["type"], *kind);
        assert!(event["data"]["object"].as_object().is_some_and(|object| !object.is_empty()), "{event:#}");
        assert_eq!(event["previous_data"].is_object(), kind.ends_with(".updated"), "{event:#}");

        let path = format!("/v1/deliveries/{}", text(&delivery["id"]));
        let shown = api.get_when(&path, |delivery| delivery["status"] == "delivered").await;
        assert_eq!(shown["attempts"].as_array().map(Vec::len), Some(1), "{shown:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_is_sent_only_to_the_named_webhook() {
    let stack = Stack::start().await;
    let api = stack.api();
    let (named, other) = (Receiver::answering(200).await, Receiver::answering(200).await);
    let webhook = api.register(&named.url("/"), &["user.created"]).await;
    api.register(&other.url("/"), &["*"]).await;
    let body = json!({ "webhook_id": webhook.id, "event_type": "user.created" });
    api.post("/v1/webhooks/test", &body).await.expect(202);
    named.wait_for(1).await;

    // The first request at the other webhook is the event published afterwards.
    let event = api.publish("payment.failed").await.id();
    assert_eq!(other.wait_for(1).await[0].event(), event);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_tests_are_not_retried_and_do_not_disable_the_webhook() {
    let Some(stack) = Stack::with_schedule("0s,1s,1s,1s,1s").await else { return };
    let api = stack.api();
    let receiver = Receiver::answering(500).await;
    let webhook = api.register(&receiver.url("/"), &["resource.created"]).await;
    let body = json!({ "webhook_id": webhook.id, "event_type": "resource.created" });
    let mut deliveries = Vec::new();
    for _ in 0..6 {
        deliveries.push(api.post("/v1/webhooks/test", &body).await.expect(202));
    }
    let seen = receiver.wait_for(6).await;
    for delivery in deliveries {
        let path = format!("/v1/deliveries/{}", text(&delivery["id"]));
        let shown = api.get_when(&path, |delivery| delivery["status"] == "failed").await;
        assert_eq!(shown["attempts"].as_array().map(Vec::len), Some(1), "{shown:#}");
        assert_eq!(shown["next_attempt_at"], Value::Null, "{shown:#}");
    }
    receiver.no_more_than(6, seen[5].at + std::time::Duration::from_millis(2200)).await;
    let shown = api.get(&format!("/v1/webhooks/{}", webhook.id)).await.expect(200);
    assert_eq!((&shown["status"], &shown["disabled_reason"]), (&json!("enabled"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_410_to_a_test_does_not_disable_the_webhook() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(410).await;
    let webhook = api.register(&receiver.url("/"), &["resource.created"]).await;
    let body = json!({ "webhook_id": webhook.id, "event_type": "resource.created" });
    let delivery = api.post("/v1/webhooks/test", &body).await.expect(202);
    let path = format!("/v1/deliveries/{}", text(&delivery["id"]));
    api.get_when(&path, |delivery| delivery["status"] == "failed").await;
    let shown = api.get(&format!("/v1/webhooks/{}", webhook.id)).await.expect(200);
    assert_eq!(shown["status"], "enabled", "{shown:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_is_marked_wherever_it_is_shown_and_does_not_count_for_health() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::in_turn([200, 500].map(Answer::status).to_vec()).await;
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    let event = api.publish("user.created").await.id();
    api.delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    let body = json!({ "webhook_id": webhook.id, "event_type": "user.created" });
    let test = api.post("/v1/webhooks/test", &body).await.expect(202);
    let failed = |delivery: &Value| delivery["status"] == "failed";
    let read = api.get_when(&format!("/v1/deliveries/{}", text(&test["id"])), failed).await;
    let of_event = api.get(&format!("/v1/events/{}", text(&test["event_id"]))).await.expect(200);
    let list = api.get(&format!("/v1/webhooks/{}/deliveries", webhook.id)).await.expect(200);
    let marks: Vec<_> = data(&list).iter().map(|delivery| delivery["test"].clone()).collect();
    assert_eq!(marks, [true, false], "newest first");
    assert_eq!((&read["test"], &of_event["deliveries"][0]["test"]), (&json!(true), &json!(true)));
    let health = api.get(&format!("/v1/webhooks/{}/health", webhook.id)).await.expect(200);
    assert_eq!((&health["deliveries"], &health["delivered_share"]), (&json!(1), &json!(1.0)));
    assert_eq!(health["last_failure"], Value::Null, "the test has failed, but it does not count");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_test_request_is_refused() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let webhook = api.register(&receiver.url("/"), &["*"]).await;
    let post = async |body: Value| api.post("/v1/webhooks/test", &body).await;

    assert_eq!(post(json!({})).await.faults(), ["/event_type", "/webhook_id"]);
    assert_eq!(post(json!({ "webhook_id": 5, "event_type": [] })).await.faults(), ["/event_type", "/webhook_id"]);
    let unknown = json!({ "webhook_id": webhook.id, "event_type": "resource.painted" });
    assert_eq!(post(unknown).await.faults(), ["/event_type"]);
    let extra = json!({ "webhook_id": webhook.id, "event_type": "user.created", "count": 2 });
    assert_eq!(post(extra).await.faults(), ["/count"]);
    api.delete(&format!("/v1/webhooks/{}", webhook.id)).await.expect(204);
    post(json!({ "webhook_id": webhook.id, "event_type": "user.created" })).await.problem(404);
}
