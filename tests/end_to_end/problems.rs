//! Whatever is wrong with a request is told as a problem (RFC 9457) with the right status, and leaves nothing behind.

use reqwest::Method;
use serde_json::json;

use crate::api::{Api, data};
use crate::process::{Options, Stack};
use crate::receiver::Receiver;

/// An id of the right form that nothing has.
const UNUSED: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
/// What no request of these tests may add to.
const LISTS: [&str; 2] = ["/v1/webhooks", "/v1/events"];

#[track_caller]
fn assert_empty(lists: &[serde_json::Value]) {
    for list in lists {
        assert_eq!(data(list).len(), 0, "a refused request left something behind: {list:#}");
    }
}

async fn lists(api: &Api) -> Vec<serde_json::Value> {
    let mut lists = Vec::new();
    for path in LISTS {
        lists.push(api.get(path).await.expect(200));
    }
    lists
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_json_is_400() {
    let stack = Stack::start().await;
    let api = stack.api();
    let webhook = api.register("https://hooks.example.com/in", &["*"]).await.id;
    let before = api.get("/v1/webhooks").await.expect(200);
    for text in ["", "{", "nonsense", r#"{"url": }"#, r#"{"url": "https://a.example" "events": []}"#, "{} {}", "\u{1}"]
    {
        for (method, path) in [
            (Method::POST, "/v1/webhooks"),
            (Method::POST, "/v1/webhooks/test"),
            (Method::POST, "/v1/events"),
            (Method::PATCH, &format!("/v1/webhooks/{webhook}")),
        ] {
            api.send_text(method, path, text).await.problem(400);
        }
    }
    assert_eq!(api.get("/v1/webhooks").await.expect(200), before);
    assert_empty(&[api.get("/v1/events").await.expect(200)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_that_is_not_utf8_is_400() {
    // API Gateway hands a JSON body over as text, so that a deployed stack never gets such bytes.
    let Some(stack) = Stack::with(Options::default()).await else { return };
    let not_utf8 = Some(("application/json", b"{\"url\": \"\xff\"}".to_vec()));
    stack.api().send(Method::POST, "/v1/webhooks", not_utf8).await.problem(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_or_unknown_token_is_401() {
    let stack = Stack::start().await;
    let longer = format!("{}0", stack.token());
    let body = json!({ "url": "https://hooks.example.com/in", "events": ["*"] });
    for token in [None, Some("hl_test_00000000000000000000000000000000"), Some(longer.as_str()), Some("x")] {
        let api = stack.api().with_token(token);
        let event = json!({ "type": "user.created", "data": { "object": {} } });
        let replies = [
            api.post("/v1/webhooks", &body).await,
            api.post("/v1/events", &event).await,
            api.post("/v1/webhooks/test", &json!({})).await,
            api.get("/v1/webhooks").await,
            api.get("/v1/events").await,
            api.get(&format!("/v1/deliveries/dlv_{UNUSED}")).await,
            api.delete(&format!("/v1/webhooks/wh_{UNUSED}")).await,
        ];
        for reply in replies {
            reply.problem(401);
            let challenge = reply.header("www-authenticate").expect("a 401 names its scheme");
            assert!(challenge.starts_with("Bearer"), "{challenge}");
            assert!(!reply.text.contains(stack.token()), "{}", reply.text);
        }
    }
    assert_empty(&lists(&stack.api()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_open() {
    let stack = Stack::start().await;
    assert_eq!(stack.api().with_token(None).get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_ids_and_routes_are_404() {
    let stack = Stack::start().await;
    let api = stack.api();
    let gone = api.register("https://hooks.example.com/in", &["*"]).await.id;
    api.delete(&format!("/v1/webhooks/{gone}")).await.expect(204);
    for id in [gone, format!("wh_{UNUSED}"), "wh_abc123".to_owned(), format!("evt_{UNUSED}"), "nothing".to_owned()] {
        api.get(&format!("/v1/webhooks/{id}")).await.problem(404);
        api.patch(&format!("/v1/webhooks/{id}"), &json!({ "events": ["*"] })).await.problem(404);
        api.delete(&format!("/v1/webhooks/{id}")).await.problem(404);
        api.get(&format!("/v1/webhooks/{id}/deliveries")).await.problem(404);
    }
    for id in [format!("dlv_{UNUSED}"), "dlv_abc123".to_owned(), format!("wh_{UNUSED}"), "%00".to_owned()] {
        api.get(&format!("/v1/deliveries/{id}")).await.problem(404);
    }
    for id in [format!("evt_{UNUSED}"), "evt_abc123".to_owned(), "x".repeat(1500)] {
        api.get(&format!("/v1/events/{id}")).await.problem(404);
    }
    for path in ["/", "/v1", "/v1/", "/v1/webhook", "/v2/webhooks", "/v1/webhooks/", "/v1/webhooks/a/b/c"] {
        api.get(path).await.problem(404);
    }
    let unknown = json!({ "webhook_id": format!("wh_{UNUSED}"), "event_type": "user.created" });
    api.post("/v1/webhooks/test", &unknown).await.problem(404);
    assert_empty(&lists(&api).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_a_route_lacks_is_405_with_allow() {
    let stack = Stack::start().await;
    let api = stack.api();
    let webhook = format!("/v1/webhooks/wh_{UNUSED}");
    for (method, path, allowed) in [
        (Method::PUT, "/v1/webhooks", &["GET", "POST"][..]),
        (Method::DELETE, "/v1/webhooks", &["GET", "POST"]),
        (Method::POST, &webhook, &["GET", "PATCH", "DELETE"]),
        (Method::PATCH, "/v1/events", &["GET", "POST"]),
        (Method::DELETE, "/v1/events/evt_1", &["GET"]),
        (Method::POST, "/v1/deliveries/dlv_1", &["GET"]),
        (Method::POST, "/healthz", &["GET"]),
    ] {
        let reply = api.send(method.clone(), path, None).await;
        reply.problem(405);
        let told = reply.header("allow").unwrap_or_else(|| panic!("{method} {path} has no Allow"));
        let told: Vec<_> = told.split(',').map(str::trim).collect();
        assert!(allowed.iter().all(|method| told.contains(method)), "{method} {path}: {told:?}");
        assert!(!told.contains(&method.as_str()), "{method} {path}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_content_type_than_json_is_415() {
    let stack = Stack::start().await;
    let api = stack.api();
    let webhook = br#"{"url":"https://hooks.example.com/in","events":["*"]}"#.to_vec();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", "json"]
    {
        for path in ["/v1/webhooks", "/v1/webhooks/test", "/v1/events"] {
            api.send(Method::POST, path, Some((kind, webhook.clone()))).await.problem(415);
        }
    }
    assert_empty(&lists(&api).await);
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        api.send(Method::POST, "/v1/webhooks", Some((kind, webhook.clone()))).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_large_a_body_is_413() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let event = |bytes: usize| json!({ "type": "user.created", "data": { "object": { "filler": "x".repeat(bytes) } } });
    let webhook = |bytes: usize| json!({ "url": receiver.url("/"), "events": ["*"], "description": "x".repeat(bytes) });
    for bytes in [1 << 20, 256 * 1024] {
        api.post("/v1/events", &event(bytes)).await.problem(413);
        api.post("/v1/webhooks", &webhook(bytes)).await.problem(413);
    }
    api.post("/v1/webhooks", &webhook(64 * 1024)).await.problem(413);
    let test = json!({ "webhook_id": "wh_1", "event_type": "x".repeat(64 * 1024) });
    api.post("/v1/webhooks/test", &test).await.problem(413);
    api.patch(&format!("/v1/webhooks/wh_{UNUSED}"), &webhook(64 * 1024)).await.problem(413);
    assert_empty(&lists(&api).await);

    // An event above the limit of the other bodies is none.
    api.post("/v1/events", &event(65 * 1024)).await.expect(202);
}
