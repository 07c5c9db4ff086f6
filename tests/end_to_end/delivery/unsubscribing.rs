//! Unsubscribing a type: what is pending for it is cancelled, and stays so.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stage::Stage;

/// Longer than the whole retry schedule.
const SCHEDULE: Duration = Duration::from_secs(4 * 60 * 60);

async fn subscribe(stage: &Stage, webhook: &str, entry: &str) {
    stage.change(webhook, json!({ "events": [entry] })).await;
}

async fn status(stage: &Stage, webhook: &str, event: &str) -> Value {
    stage.delivery(webhook, event).await["status"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pending_for_an_unsubscribed_type_is_cancelled_even_if_it_is_subscribed_again() {
    let (stage, receiver) = (Stage::new().await, Receiver::in_turn([500, 200].map(Answer::status).to_vec()).await);
    let webhook = stage.register(&receiver, None).await;
    let attempted = stage.publish().await;
    stage.world.work().await;
    let waiting = stage.publish().await;
    assert_eq!(status(&stage, &webhook, &waiting).await, "pending");
    for entry in ["user.updated", "user.*"] {
        subscribe(&stage, &webhook, entry).await;
        let expected = [&waiting, &attempted].map(|event| (event.clone(), "cancelled".to_owned()));
        assert_eq!(stage.listed(&webhook, "").await, expected, "{entry}");
        assert_eq!(stage.listed(&webhook, "&status=cancelled").await, expected, "{entry}");
    }
    let later = stage.publish().await;
    stage.world.pass(SCHEDULE).await;
    stage.recover(&webhook).await;
    stage.world.pass(SCHEDULE).await;
    let sent: Vec<_> = receiver.seen().iter().map(|request| request.event().to_owned()).collect();
    assert_eq!(sent, [attempted.clone(), later.clone()], "only what was published after the new subscription");
    for (event, expected) in [(&attempted, "cancelled"), (&waiting, "cancelled"), (&later, "delivered")] {
        assert_eq!(status(&stage, &webhook, event).await, expected);
    }
    assert_eq!(stage.listed(&webhook, "&status=pending").await, []);
    let shown = stage.ask("GET", &format!("/v1/events/{waiting}"), &Value::Null).await;
    assert_eq!(shown["deliveries"][0]["status"], "cancelled", "{shown:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_another_entry_still_covers_is_not_cancelled() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = stage.register(&receiver, None).await;
    let event = stage.publish().await;
    for entry in ["user.*", "user.created"] {
        subscribe(&stage, &webhook, entry).await;
        assert_eq!(status(&stage, &webhook, &event).await, "pending");
    }
    stage.world.work().await;
    assert_eq!(status(&stage, &webhook, &event).await, "delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_stays_held_when_its_type_is_unsubscribed() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = stage.register(&receiver, None).await;
    let pending = stage.publish().await;
    stage.change(&webhook, json!({ "status": "disabled" })).await;
    let missed = stage.publish().await;
    subscribe(&stage, &webhook, "user.updated").await;
    stage.world.work().await;
    for event in [&pending, &missed] {
        assert_eq!(status(&stage, &webhook, event).await, "held");
    }
    stage.change(&webhook, json!({ "events": ["user.created"], "status": "enabled" })).await;
    stage.world.work().await;
    for event in [&pending, &missed] {
        assert_eq!(status(&stage, &webhook, event).await, "delivered");
    }
    assert_eq!(receiver.seen().len(), 2);
}
