//! What every answer has, whatever its status: an id, a newline after JSON, and the headers that
//! browsers ask for if the operator allows it.

use reqwest::Method;
use serde_json::json;
use std::{collections::HashSet, io::Seek};
use tracing::instrument::WithSubscriber;

use crate::harness::client::{Api, Reply};
use crate::harness::router::ApiProcess;
use crate::harness::stack::{Options, Stack};
use crate::harness::world::World;

const ORIGIN: &str = "https://app.example.com";

/// Answers of many kinds, each with its status.
async fn answers(api: &Api) -> Vec<(u16, Reply)> {
    let webhook = api.post("/v1/webhooks", &json!({ "url": "https://hooks.example.com/in", "events": ["*"] })).await;
    let path = format!("/v1/webhooks/{}", webhook.id());
    let batch = json!({ "events": [{ "type": "user.created", "data": { "object": {} } }, 7] });
    vec![
        (201, webhook),
        (200, api.get("/v1/webhooks").await),
        (200, api.get("/v1/openapi.json").await),
        (200, api.get("/healthz").await),
        (202, api.post("/v1/events/batch", &batch).await),
        (202, api.publish("user.created").await),
        (204, api.delete(&path).await),
        (404, api.get(&path).await),
        (404, api.get("/nothing").await),
        (405, api.delete("/v1/webhooks").await),
        (401, api.with_token(None).get("/v1/webhooks").await),
        (400, api.send_text(Method::POST, "/v1/events", "{").await),
        (400, api.with_idempotency_key("k").get("/v1/webhooks").await),
        (413, api.post("/v1/webhooks", &json!({ "url": "x".repeat(64 * 1024) })).await),
        (415, api.send(Method::POST, "/v1/webhooks", Some(("text/plain", b"{}".to_vec()))).await),
        (422, api.post("/v1/webhooks", &json!({})).await),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_an_id_of_its_own() {
    let stack = Stack::start().await;
    let api = stack.api().with_header("X-Request-Id", "mine");
    let mut seen = HashSet::new();
    for (status, reply) in answers(&api).await {
        assert_eq!(reply.status, status, "{}", reply.text);
        let id = reply.header("x-request-id").unwrap_or_else(|| panic!("a {status} has no id"));
        assert!(id != "mine" && id.len() >= 16, "{id}");
        assert!(seen.insert(id.to_owned()), "two answers have the id {id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_json_answer_ends_with_one_newline_except_a_payload() {
    let stack = Stack::start().await;
    let (payloads, others): (Vec<_>, Vec<_>) = answers(&stack.api())
        .await
        .into_iter()
        .filter(|(status, _)| *status != 204)
        .partition(|(status, reply)| *status == 202 && reply.json().get("id").is_some());
    assert!(payloads.len() == 1 && payloads[0].1.text.ends_with('}'), "{payloads:?}");
    for (status, reply) in others {
        assert!(reply.text.ends_with("}\n"), "{status}: {:?}", reply.text);
        let length = reply.header("content-length").and_then(|length| length.parse::<usize>().ok());
        assert_eq!(length, Some(reply.text.len()), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_lines_of_a_request_have_its_id() {
    let Some(stack) = Stack::with(Options { log_level: Some("info"), ..Options::default() }).await else { return };
    for (sent, logged) in [("order-4711/try 1", None), ("order-4711/1", Some("order-4711/1")), ("", None)] {
        let api = stack.api().with_header("X-Request-Id", sent);
        let body = json!({ "url": "https://hooks.example.com/in", "events": ["*"] });
        let reply = api.post("/v1/webhooks", &body).await;
        let id = reply.header("x-request-id").expect("an id");
        let line = stack.program().error_lines("the line of the registration", |lines| {
            let mut lines = lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            lines.find(|line| line["message"] == "webhook registered" && line["request_id"] == id)
        });
        let line = line.await;
        assert_eq!(
            (&line["webhook_id"], &line["route"]),
            (&json!(reply.id()), &json!("POST /v1/webhooks")),
            "{line:#}"
        );
        assert_eq!(line["client_request_id"].as_str(), logged, "{line:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_inside_has_an_id_and_the_headers_for_browsers() {
    let world = World::with(|config| config.cors_allow_origins = ORIGIN.parse().expect("an origin")).await;
    let token = world.platform_token().await;
    let mut app = world.app.clone();
    app.store.settings.events = "missing".to_owned();
    let process = ApiProcess::new(&app, &token).with_header("Origin", ORIGIN);
    let mut written = tempfile::tempfile().expect("a file");
    let writer = written.try_clone().expect("a second handle");
    let subscriber = telemetry::log::subscriber("info".parse().expect("a filter"), None, writer);
    let answer = process.send("GET", "/v1/events", "").with_subscriber(subscriber).await;
    assert_eq!(answer.status(), 500);
    written.rewind().expect("a file");
    let text = std::io::read_to_string(written).expect("UTF-8");
    let line: serde_json::Value = serde_json::from_str(text.trim_end()).expect("one line");
    assert_eq!((&line["message"], &line["route"]), (&json!("a request failed"), &json!("GET /v1/events")));
    assert_eq!((&line["account"], &line["level"]), (&json!("acme"), &json!("ERROR")), "{line:#}");
    assert!(answer.headers().contains_key("x-request-id"));
    assert_eq!(answer.headers()["access-control-allow-origin"], ORIGIN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_no_web_page_of_another_origin_may_call_the_api() {
    let Some(stack) = Stack::with(Options::default()).await else { return };
    let api = stack.api().with_header("Origin", ORIGIN);
    for (status, reply) in answers(&api).await {
        assert!(reply.header("access-control-allow-origin").is_none(), "{status}");
    }
    api.send(Method::OPTIONS, "/v1/webhooks", None).await.problem(405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_pages_of_the_allowed_origins_may_call_the_api() {
    let listed = Options { cors: Some("https://other.example.com,https://app.example.com"), ..Options::default() };
    let Some(stack) = Stack::with(listed.clone()).await else { return };
    let page = stack.api().with_header("Origin", ORIGIN);
    // A preflight request has no token.
    let preflight = page.with_token(None).send(Method::OPTIONS, "/v1/events", None).await;
    assert_eq!(preflight.status, 200, "{}", preflight.text);
    assert_eq!(preflight.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("authorization,content-type,hookline-account,idempotency-key,traceparent,x-request-id")
    );
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET,POST,PATCH,DELETE"));
    assert!(preflight.header("x-request-id").is_some());
    for (status, reply) in answers(&page).await {
        assert_eq!(reply.status, status, "{}", reply.text);
        assert_eq!(reply.header("access-control-allow-origin"), Some(ORIGIN), "{status}");
        assert!(reply.header("vary").is_some_and(|vary| vary.contains("origin")), "{status}");
        let exposed = reply.header("access-control-expose-headers");
        assert_eq!(exposed, Some("x-request-id,idempotent-replayed,retry-after,www-authenticate,allow"), "{status}");
    }
    let stranger = stack.api().with_header("Origin", "https://evil.example.com").get("/v1/webhooks").await;
    assert!(stranger.header("access-control-allow-origin").is_none());

    let any = Options { cors: Some("*"), environment: true, ..Options::durable() };
    let Some(stack) = Stack::with(any).await else { return };
    let page = stack.api().with_header("Origin", ORIGIN).get("/v1/webhooks").await;
    assert_eq!(page.header("access-control-allow-origin"), Some("*"));
}
