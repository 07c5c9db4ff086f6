//! A world and its API, for tests that decide when anything is delivered.

use std::time::Duration;

use serde_json::{Value, json};

use super::receiver::Receiver;
use super::router::ApiProcess;
use super::world::World;

/// A world in which nothing is delivered until the test says so, and its API.
pub(crate) struct Stage {
    pub(crate) world: World,
    process: ApiProcess,
}

impl Stage {
    /// A stage with the default settings.
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let process = world.api_process().await;
        Self { world, process }
    }

    /// Advances the clock by a millisecond and sends a request; returns the body of the answer,
    /// which must be a success.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.try_to_ask(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer:#}");
        answer
    }

    /// Advances the clock by a millisecond and sends a request; returns the status and the body of
    /// the answer.
    pub(crate) async fn try_to_ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.world.wait(Duration::from_millis(1));
        self.process.ask(method, path, body).await
    }

    /// Changes a webhook; returns it.
    pub(crate) async fn change(&self, webhook: &str, change: Value) -> Value {
        self.ask("PATCH", webhook, &change).await
    }

    /// Begins a recovery of all that a webhook has missed.
    pub(crate) async fn recover(&self, webhook: &str) {
        self.ask("POST", &format!("{webhook}/recover"), &json!({ "since": "2020-01-01T00:00:00Z" })).await;
    }

    /// Reads the delivery of an event to a webhook.
    pub(crate) async fn delivery(&self, webhook: &str, event: &str) -> Value {
        self.ask("GET", &delivery_path(webhook, event), &Value::Null).await
    }

    /// Registers a webhook for `user.created`; returns its path.
    pub(crate) async fn register(&self, receiver: &Receiver, rate_limit: Option<u32>) -> String {
        let body = json!({ "url": receiver.url("/"), "events": ["user.created"], "rate_limit": rate_limit });
        let body = if rate_limit.is_none() { json!({ "url": body["url"], "events": body["events"] }) } else { body };
        let webhook = self.ask("POST", "/v1/webhooks", &body).await;
        format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"))
    }

    /// Publishes a `user.created` event; returns its id.
    pub(crate) async fn publish(&self) -> String {
        let event = json!({ "type": "user.created", "data": { "object": {} } });
        self.ask("POST", "/v1/events", &event).await["id"].as_str().expect("an id").to_owned()
    }

    /// Reads all pages of a webhook's list; returns each delivery's event and status. Checks that
    /// each delivery reads the same by itself.
    pub(crate) async fn listed(&self, webhook: &str, query: &str) -> Vec<(String, String)> {
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

/// The path of the delivery of an event to a webhook.
pub(crate) fn delivery_path(webhook: &str, event: &str) -> String {
    let webhook = webhook.trim_start_matches("/v1/webhooks/wh_");
    format!("/v1/deliveries/dlv_{}{webhook}", event.trim_start_matches("evt_"))
}
