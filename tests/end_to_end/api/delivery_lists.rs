//! The list of a webhook's deliveries shows every delivery that exists, with its status, attempted
//! or not.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::receiver::Receiver;
use crate::harness::stage::Stage;

const EVENTS: usize = 50;

/// What a list shows if all these events have the same status.
fn all(events: &[String], status: &str) -> Vec<(String, String)> {
    events.iter().rev().map(|event| (event.clone(), status.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_wait_for_the_rate_limit_are_listed_as_pending() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = stage.register(&receiver, Some(1)).await;
    let mut published = Vec::new();
    for _ in 0..EVENTS {
        published.push(stage.publish().await);
    }
    assert_eq!(stage.listed(&webhook, "").await, all(&published, "pending"), "each once, newest first");
    assert_eq!(stage.listed(&webhook, "&status=pending").await.len(), EVENTS);
    assert_eq!(stage.listed(&webhook, "&status=held").await, []);
    stage.world.work().await;
    let listed = stage.listed(&webhook, "").await;
    let delivered = listed.iter().filter(|(_, status)| status == "delivered").count();
    assert_eq!((listed.len(), delivered), (EVENTS, receiver.seen().len()), "{listed:#?}");
    assert!(delivered > 0);
    assert_eq!(stage.listed(&webhook, "&status=delivered").await.len(), delivered);
    let health = stage.ask("GET", &format!("{webhook}/health"), &Value::Null).await;
    assert_eq!(health["deliveries"], json!(delivered), "health counts the deliveries that were attempted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_published_while_the_webhook_is_disabled_is_held_until_it_is_enabled() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = stage.register(&receiver, None).await;
    stage.ask("PATCH", &webhook, &json!({ "status": "disabled" })).await;
    // Longer than the clocks of two processes may differ, since an event published just after the
    // disabling may still have a task.
    stage.world.wait(Duration::from_secs(10));
    let missed = [stage.publish().await];
    stage.world.work().await;
    assert_eq!(stage.listed(&webhook, "").await, all(&missed, "held"));
    assert_eq!(stage.listed(&webhook, "&status=held").await, all(&missed, "held"));
    assert_eq!(stage.listed(&webhook, "&status=pending").await, []);

    stage.ask("PATCH", &webhook, &json!({ "status": "enabled" })).await;
    let both = [missed[0].clone(), stage.publish().await];
    assert_eq!(stage.listed(&webhook, "").await, all(&both, "pending"), "enabling makes it pending at once");
    stage.world.work().await;
    assert_eq!(stage.listed(&webhook, "").await, all(&both, "delivered"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_published_while_its_type_is_unsubscribed_is_not_listed() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = stage.register(&receiver, None).await;
    stage.ask("PATCH", &webhook, &json!({ "events": ["user.updated"] })).await;
    let missed = stage.publish().await;
    stage.ask("PATCH", &webhook, &json!({ "events": ["user.*"] })).await;
    assert_eq!(stage.listed(&webhook, "").await, []);
    let shown = stage.ask("GET", &format!("/v1/events/{missed}"), &Value::Null).await;
    assert_eq!(shown["deliveries"], json!([]), "{shown:#}");
    let event = [stage.publish().await];
    assert_eq!(stage.listed(&webhook, "").await, all(&event, "pending"));
    stage.world.work().await;
    assert_eq!(stage.listed(&webhook, "").await, all(&event, "delivered"));
    assert_eq!(receiver.seen().len(), 1);
}
