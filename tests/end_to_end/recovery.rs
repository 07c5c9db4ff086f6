//! What a disabled webhook missed is held, and recovered when the user says so.

use serde_json::{Value, json};

use crate::api::{data, text};
use crate::process::Stack;
use crate::receiver::{Answer, Receiver};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_sends_what_was_held_and_what_was_published_meanwhile_once() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::in_turn(vec![Answer::status(200), Answer::status(500), Answer::status(200)]).await;
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    let path = format!("/v1/webhooks/{}", webhook.id);
    let delivered = api.publish("user.created").await.id();
    api.delivery_when(&delivered, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    let failing = api.publish("user.created").await.id();
    api.delivery_when(&failing, &webhook.id, |delivery| !data_of(delivery).is_empty()).await;

    api.patch(&path, &json!({ "status": "disabled" })).await.expect(200);
    let held = api.delivery(&failing, &webhook.id).await;
    assert_eq!((&held["status"], &held["next_attempt_at"]), (&json!("held"), &Value::Null));
    let missed = api.publish("user.created").await.id();
    let recover = json!({ "since": "2020-01-01T00:00:00Z" });
    api.post(&format!("{path}/recover"), &recover).await.problem(409);

    let enabled = api.patch(&path, &json!({ "status": "enabled" })).await.expect(200);
    assert_eq!((&enabled["disabled_reason"], &enabled["disabled_at"]), (&Value::Null, &Value::Null));
    assert_eq!(api.delivery(&failing, &webhook.id).await["status"], "held", "enabling alone sends nothing again");
    api.post(&format!("{path}/recover"), &recover).await.expect(202);
    for event in [&failing, &missed] {
        api.delivery_when(event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    }
    // A second recovery finds nothing to do; the marker after it comes when it is through.
    api.post(&format!("{path}/recover"), &recover).await.expect(202);
    let marker = api.publish("user.created").await.id();
    api.delivery_when(&marker, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    let arrivals = |event: &str| receiver.seen().iter().filter(|request| request.event() == event).count();
    assert_eq!([&delivered, &failing, &missed, &marker].map(|event| arrivals(event)), [1, 2, 1, 1]);
    let page = api.get(&format!("{path}/deliveries")).await.expect(200);
    assert!(data(&page).iter().all(|delivery| delivery["status"] == "delivered"), "{page:#}");
    assert_eq!(text(&data(&page)[0]["event_id"]), marker, "newest first");
}

fn data_of(delivery: &Value) -> &[Value] {
    delivery["attempts"].as_array().map_or(&[], Vec::as_slice)
}
