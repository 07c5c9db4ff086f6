//! A list shows every delivery that exists, those that were never attempted included, as each stands.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::receiver::Receiver;
use crate::simulated_day::World;

const EVENTS: usize = 50;

/// A world in which nothing is delivered before a test says so, and its API.
struct Stage {
    world: World,
    process: Router,
    token: String,
}

impl Stage {
    async fn new() -> Self {
        let world = World::new().await;
        let (process, token) = (api::router(world.api.clone()), world.platform_token().await);
        Self { world, process, token }
    }

    /// Asks the API a millisecond after what was before; the answer must be a success.
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.world.wait(Duration::from_millis(1));
        let request = Request::builder().method(method).uri(path).header("Hookline-Account", "acme");
        let request = request.header("Authorization", format!("Bearer {}", self.token));
        let request = request.header("Content-Type", "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let answer = self.process.clone().oneshot(request.body(body).expect("a request")).await;
        let answer = answer.expect("a router always answers");
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        assert!(status.is_success(), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }

    /// Registers a webhook for `user.created`; gives its path.
    async fn register(&self, receiver: &Receiver, rate_limit: Option<u32>) -> String {
        let body = json!({ "url": receiver.url("/"), "events": ["user.created"], "rate_limit": rate_limit });
        let body = if rate_limit.is_none() { json!({ "url": body["url"], "events": body["events"] }) } else { body };
        let webhook = self.ask("POST", "/v1/webhooks", &body).await;
        format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"))
    }

    async fn publish(&self) -> String {
        let event = json!({ "type": "user.created", "data": { "object": {} } });
        self.ask("POST", "/v1/events", &event).await["id"].as_str().expect("an id").to_owned()
    }

    /// The events and statuses that a webhook's list shows, page by page. Each delivery reads the same by itself.
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

fn all(events: &[String], status: &str) -> Vec<(String, String)> {
    events.iter().rev().map(|event| (event.clone(), status.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_its_rate_limit_is_listed() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = stage.register(&receiver, Some(1)).await;
    let mut published = Vec::new();
    for _ in 0..EVENTS {
        published.push(stage.publish().await);
    }
    assert_eq!(stage.listed(&webhook, "").await, all(&published, "pending"), "newest first, each once");
    assert_eq!(stage.listed(&webhook, "&status=pending").await.len(), EVENTS);
    assert_eq!(stage.listed(&webhook, "&status=held").await, []);
    stage.world.work().await;
    let listed = stage.listed(&webhook, "").await;
    let delivered = listed.iter().filter(|(_, status)| status == "delivered").count();
    assert_eq!((listed.len(), delivered), (EVENTS, receiver.seen().len()), "{listed:#?}");
    assert!(delivered > 0);
    assert_eq!(stage.listed(&webhook, "&status=delivered").await.len(), delivered);
    let health = stage.ask("GET", &format!("{webhook}/health"), &Value::Null).await;
    assert_eq!(health["deliveries"], json!(delivered), "health tells of what was attempted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_while_disabled_is_held_until_it_is_recovered() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = stage.register(&receiver, None).await;
    stage.ask("PATCH", &webhook, &json!({ "status": "disabled" })).await;
    // Longer than the clocks of two workers may differ: just after a disabling an event may still have a task.
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
    assert_eq!(stage.listed(&webhook, "").await, all(&both, "pending"), "it is on its way");
    stage.world.work().await;
    assert_eq!(stage.listed(&webhook, "").await, all(&both, "delivered"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_while_unsubscribed_is_not_listed() {
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
