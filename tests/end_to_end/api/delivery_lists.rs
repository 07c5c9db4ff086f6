//! The list of a webhook's deliveries shows every delivery that exists, with its status, attempted
//! or not.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::receiver::Receiver;
use crate::harness::router::ApiProcess;
use crate::harness::world::World;

const EVENTS: usize = 50;

/// A world in which nothing is delivered until the test says so, and its API.
struct Stage {
    world: World,
    process: ApiProcess,
}

impl Stage {
    async fn new() -> Self {
        let world = World::new().await;
        let process = world.api_process().await;
        Self { world, process }
    }

    /// Advances the clock by a millisecond and sends a request; returns the body of the answer,
    /// which must be a success.
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.world.wait(Duration::from_millis(1));
        let (status, answer) = self.process.ask(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer:#}");
        answer
    }

    /// Registers a webhook for `user.created`; returns its path.
    async fn register(&self, receiver: &Receiver, rate_limit: Option<u32>) -> String {
        let body = json!({ "url": receiver.url("/"), "events": ["user.created"], "rate_limit": rate_limit });
        let body = if rate_limit.is_none() { json!({ "url": body["url"], "events": body["events"] }) } else { body };
        let webhook = self.ask("POST", "/v1/webhooks", &body).await;
        format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"))
    }

    /// Publishes a `user.created` event; returns its id.
    async fn publish(&self) -> String {
        let event = json!({ "type": "user.created", "data": { "object": {} } });
        self.ask("POST", "/v1/events", &event).await["id"].as_str().expect("an id").to_owned()
    }

    /// Reads all pages of a webhook's list; returns each delivery's event and status. Checks that
    /// each delivery reads the same by itself.
    async fn listed(&self, webhook: &str, query: &str) -> Vec<(String, String)> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.ask("GET", &format!("{webhook}/deliveries?limit=7{query}{cursor}"), &Value::Null).await;
            for delivery in page["data"].as_array().expect("data") {
                let path = format!("/v1/deliveries/{}", delivery["id"].as_str().expect("an id"));
                assert_eq!(self.ask("GET", &path, &Value::Null).await, *delivery);
                let text = |name: &str| delivery[name].as_str().expect("text").to_owned();
                all.push((text("event_id"), text("status")));
            }
            let Some(next) = page["next_cursor"].as_str() else { return all };
            cursor = format!("&cursor={next}");
        }
    }
}

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
async fn an_event_published_while_the_webhook_is_disabled_is_held_until_recovery() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = stage.register(&receiver, None).await;
    stage.ask("PATCH", &webhook, &json!({ "status": "disabled" })).await;
    // Longer than the clocks of two processes may differ, since an event published just after the
    // disabling may still have a task.
    stage.world.wait(Duration::from_secs(10));
    let missed = [stage.publish().await];
    assert_eq!(stage.listed(&webhook, "").await, all(&missed, "held"));
    stage.ask("PATCH", &webhook, &json!({ "status": "enabled" })).await;
    stage.world.work().await;
    assert_eq!(stage.listed(&webhook, "").await, all(&missed, "held"), "enabling alone sends nothing");
    assert_eq!(stage.listed(&webhook, "&status=held").await, all(&missed, "held"));
    let later = stage.publish().await;
    let both = [missed[0].clone(), later];
    assert_eq!(stage.listed(&webhook, "&status=pending").await, all(&both[1..], "pending"));

    stage.ask("POST", &format!("{webhook}/recover"), &json!({ "since": "2020-01-01T00:00:00Z" })).await;
    assert_eq!(stage.listed(&webhook, "").await, all(&both, "pending"), "a recovery makes it pending at once");
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
