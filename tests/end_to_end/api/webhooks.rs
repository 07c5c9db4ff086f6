//! Registering, reading, changing and deleting webhooks. The secret is shown at registration and
//! never again.

use serde_json::{Value, json};

use crate::harness::client::{Api, data, millis, text};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;
use crate::harness::world::World;

/// A URL that every endpoint policy accepts, and to which no test publishes.
const URL: &str = "https://hooks.example.com/in";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_webhook_has_every_documented_field() {
    let stack = Stack::start().await;
    let api = stack.api();
    let body = json!({ "url": URL, "events": ["resource.*", "user.created"], "description": "Rechnungen, täglich" });
    let webhook = api.post("/v1/webhooks", &body).await.expect(201);
    assert!(text(&webhook["id"]).starts_with("wh_"), "{webhook:#}");
    assert_eq!((&webhook["url"], &webhook["events"]), (&body["url"], &body["events"]));
    assert_eq!(webhook["description"], body["description"]);
    assert_eq!(webhook["status"], "enabled");
    assert!(text(&webhook["secret"]).starts_with("whsec_"), "{webhook:#}");
    for member in ["disabled_reason", "disabled_at", "rate_limit"] {
        assert_eq!(webhook.get(member), Some(&Value::Null), "{member}: {webhook:#}");
    }
    assert_eq!(millis(&webhook["created_at"]), millis(&webhook["updated_at"]));

    let mut expected = webhook.clone();
    for shown_once in ["secret", "standard_secret"] {
        expected.as_object_mut().expect("an object").remove(shown_once).expect("it is shown once");
    }
    let path = format!("/v1/webhooks/{}", text(&webhook["id"]));
    assert_eq!(api.get(&path).await.expect(200), expected, "reading it shows everything but the secret");
    let page = api.get("/v1/webhooks").await.expect(200);
    assert_eq!(page, json!({ "data": [expected], "next_cursor": null }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_secret_is_shown_once() {
    let stack = Stack::start().await;
    let api = stack.api();
    let (one, other) = (api.register(URL, &["*"]).await, api.register(URL, &["*"]).await);
    assert_ne!(one.secret, other.secret);
    let path = format!("/v1/webhooks/{}", one.id);
    let changed = api.patch(&path, &json!({ "description": "x" })).await;
    for reply in [api.get(&path).await, api.get("/v1/webhooks").await, changed] {
        assert_eq!(reply.status, 200);
        assert!(!reply.text.contains(&one.secret) && !reply.text.contains("whsec_"), "{}", reply.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_affects_only_the_fields_that_it_names() {
    let stack = Stack::start().await;
    let api = stack.api();
    let id = api.register_as(&json!({ "url": URL, "events": ["user.created"], "description": "first" })).await.id;
    let path = format!("/v1/webhooks/{id}");
    let before = api.get(&path).await.expect(200);
    for (member, value) in [
        ("url", json!("https://hooks.example.com/other?x=1")),
        ("events", json!(["payment.*"])),
        ("description", json!("second")),
        ("description", Value::Null),
    ] {
        let earlier = api.get(&path).await.expect(200);
        let after = api.patch(&path, &json!({ member: value })).await.expect(200);
        for (name, was) in earlier.as_object().expect("an object") {
            let expected = if name == member { &value } else { was };
            assert!(name == "updated_at" || &after[name] == expected, "{name} after {member}: {after:#}");
        }
        assert_eq!(api.get(&path).await.expect(200), after);
    }
    let after = api.get(&path).await.expect(200);
    assert!(millis(&after["updated_at"]) >= millis(&before["updated_at"]));
    assert_eq!(after["created_at"], before["created_at"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_can_be_disabled_manually_and_enabled_again() {
    let stack = Stack::start().await;
    let api = stack.api();
    let path = format!("/v1/webhooks/{}", api.register(URL, &["*"]).await.id);
    let disabled = api.patch(&path, &json!({ "status": "disabled" })).await.expect(200);
    assert_eq!((&disabled["status"], &disabled["disabled_reason"]), (&json!("disabled"), &json!("manual")));
    assert!(millis(&disabled["disabled_at"]) >= millis(&disabled["created_at"]));
    let enabled = api.patch(&path, &json!({ "status": "enabled" })).await.expect(200);
    assert_eq!(enabled["status"], "enabled");
    assert_eq!((&enabled["disabled_reason"], &enabled["disabled_at"]), (&Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_disabled_by_its_receiver_delivers_again_once_enabled() {
    let Some(stack) = Stack::with_schedule("0s,1s,1s,1s,1s").await else { return };
    let api = stack.api();
    let receiver = Receiver::scripted(|before, _| Answer::status(if before == 0 { 410 } else { 200 })).await;
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    api.publish("user.created").await;
    let path = format!("/v1/webhooks/{}", webhook.id);
    api.get_when(&path, |webhook| webhook["status"] == "disabled").await;
    api.patch(&path, &json!({ "status": "enabled" })).await.expect(200);
    let event = api.publish("user.created").await.id();
    receiver.wait_for_event(&event, 1).await;
    api.delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_webhook_cancels_its_pending_deliveries() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(500).await;
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    let event = api.publish("user.created").await.id();
    let tried = |delivery: &Value| delivery["attempts"].as_array().is_some_and(|all| all.len() == 1);
    let delivery = api.delivery_when(&event, &webhook.id, tried).await;

    let path = format!("/v1/webhooks/{}", webhook.id);
    api.delete(&path).await.expect(204);
    let cancelled = api.get(&format!("/v1/deliveries/{}", text(&delivery["id"]))).await.expect(200);
    assert_eq!((&cancelled["status"], &cancelled["next_attempt_at"]), (&json!("cancelled"), &Value::Null));
    let event = api.get(&format!("/v1/events/{event}")).await.expect(200);
    assert_eq!(event["deliveries"], json!([cancelled]), "the event still shows its delivery");
    api.get(&path).await.problem(404);
    api.patch(&path, &json!({ "description": "x" })).await.problem(404);
    api.delete(&path).await.problem(404);
    assert_eq!(data(&api.get("/v1/webhooks").await.expect(200)).len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_listed_in_pages() {
    let stack = Stack::start().await;
    let api = stack.api();
    let mut registered = Vec::new();
    for _ in 0..25 {
        registered.push(api.register(URL, &["*"]).await.id);
    }
    registered.sort();
    for (query, sizes) in
        [("", vec![20, 5]), ("limit=10", vec![10, 10, 5]), ("limit=25", vec![25]), ("limit=100", vec![25])]
    {
        let (pages, mut ids) = walk(&api, query).await;
        assert_eq!(pages, sizes, "{query}");
        ids.sort();
        assert_eq!(ids, registered, "{query}");
    }
}

/// Reads all pages; returns their sizes and the ids on them.
async fn walk(api: &Api, query: &str) -> (Vec<usize>, Vec<String>) {
    let (mut sizes, mut ids, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/v1/webhooks?{query}{cursor}")).await.expect(200);
        sizes.push(data(&page).len());
        ids.extend(data(&page).iter().map(|webhook| text(&webhook["id"])));
        if page["next_cursor"].is_null() {
            return (sizes, ids);
        }
        cursor = format!("&cursor={}", text(&page["next_cursor"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_keeps_its_entry_for_a_type_that_was_removed_from_the_catalogue() {
    let world = World::new().await;
    let process = world.api_process().await;
    let ask = async |method: &str, path: &str, body: Value| process.ask(method, path, &body).await;
    ask("POST", "/v1/event-types", json!({ "name": "order.shipped" })).await;
    let body = json!({ "url": URL, "events": ["order.shipped", "user.created"] });
    let (status, webhook) = ask("POST", "/v1/webhooks", body).await;
    assert_eq!(status, 201, "{webhook:#}");
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    assert_eq!(ask("DELETE", "/v1/event-types/order.shipped", Value::Null).await.0, 204);

    let more = json!({ "events": ["order.shipped", "user.created", "user.updated"] });
    let (status, changed) = ask("PATCH", &path, more.clone()).await;
    assert_eq!((status, &changed["events"]), (200, &more["events"]), "{changed:#}");
    let (status, problem) = ask("PATCH", &path, json!({ "events": ["order.shipped", "order.*"] })).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("#/events/1")), "{problem:#}");
    assert_eq!(ask("PATCH", &path, json!({ "events": ["user.created"] })).await.0, 200);
    assert_eq!(ask("PATCH", &path, more).await.0, 422, "an entry that was given up is a new one");
}
