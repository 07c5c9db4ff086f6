//! A request that cannot be served is answered with a problem document (RFC 9457) and the right
//! status, and has no effect.

use reqwest::Method;
use serde_json::json;

use crate::harness::client::{Api, data};
use crate::harness::receiver::Receiver;
use crate::harness::stack::{Options, Stack};

const URL: &str = "https://hooks.example.com/in";
/// An id of the right form that no object has.
const UNUSED: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
/// The lists to which no refused request may add.
const LISTS: [&str; 2] = ["/v1/webhooks", "/v1/events"];

#[track_caller]
fn assert_empty(lists: &[serde_json::Value]) {
    for list in lists {
        assert_eq!(data(list).len(), 0, "a refused request stored something: {list:#}");
    }
}

/// Reads those lists.
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
    let webhook = api.register(URL, &["*"]).await.id;
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
    // API Gateway passes a JSON body on as text, so a deployed stack never receives such bytes.
    let Some(stack) = Stack::with(Options::default()).await else { return };
    let not_utf8 = Some(("application/json", b"{\"url\": \"\xff\"}".to_vec()));
    stack.api().send(Method::POST, "/v1/webhooks", not_utf8).await.problem(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_or_unknown_token_is_401() {
    let stack = Stack::start().await;
    let longer = format!("{}0", stack.token());
    let body = json!({ "url": URL, "events": ["*"] });
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
            let challenge = reply.header("www-authenticate").expect("a 401 has WWW-Authenticate");
            assert!(challenge.starts_with("Bearer"), "{challenge}");
            assert!(!reply.text.contains(stack.token()), "{}", reply.text);
        }
    }
    assert_empty(&lists(&stack.api()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_health_check_needs_no_token() {
    let stack = Stack::start().await;
    assert_eq!(stack.api().with_token(None).get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_ids_and_routes_are_404() {
    let stack = Stack::start().await;
    let api = stack.api();
    let gone = api.register(URL, &["*"]).await.id;
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
async fn a_method_that_the_route_does_not_have_is_405_with_allow() {
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
        let listed = reply.header("allow").unwrap_or_else(|| panic!("{method} {path} has no Allow"));
        let listed: Vec<_> = listed.split(',').map(str::trim).collect();
        assert!(allowed.iter().all(|method| listed.contains(method)), "{method} {path}: {listed:?}");
        assert!(!listed.contains(&method.as_str()), "{method} {path}: {listed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_type_other_than_json_is_415() {
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
async fn a_body_that_is_too_large_is_413() {
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

    // An event may be larger than other bodies.
    api.post("/v1/events", &event(65 * 1024)).await.expect(202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_account_or_idempotency_key_is_400() {
    let stack = Stack::start().await;
    let api = stack.api();
    for account in ["", "a b", "a/b", &"x".repeat(65)] {
        api.with_account(account).get("/v1/webhooks").await.problem(400);
    }
    let event = json!({ "type": "user.created", "data": { "object": {} } });
    for path in ["/v1/events", "/v1/events/batch"] {
        for key in ["", &"k".repeat(256)] {
            api.with_idempotency_key(key).post(path, &event).await.problem(400);
        }
    }
    assert_eq!(data(&api.get("/v1/events").await.expect(200)).len(), 0);
}

/// Every route that takes a body, with the limit of its body in KiB.
async fn routes_with_bodies(api: &Api) -> Vec<(Method, String, usize)> {
    let webhook = format!("/v1/webhooks/{}", api.register(URL, &["*"]).await.id);
    vec![
        (Method::POST, "/v1/webhooks".to_owned(), 64),
        (Method::PATCH, webhook.clone(), 64),
        (Method::POST, "/v1/webhooks/test".to_owned(), 64),
        (Method::POST, format!("{webhook}/rotate-secret"), 64),
        (Method::POST, format!("{webhook}/recover"), 64),
        (Method::POST, "/v1/events".to_owned(), 256),
        (Method::POST, "/v1/events/batch".to_owned(), 2560),
        (Method::POST, "/v1/event-types".to_owned(), 64),
        (Method::POST, "/v1/tokens".to_owned(), 64),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_with_a_body_takes_only_json_objects_within_its_size_limit() {
    let stack = Stack::start().await;
    let api = stack.api();
    for (method, path, limit_kib) in routes_with_bodies(&api).await {
        let send = |kind: &'static str, body: Vec<u8>| api.send(method.clone(), &path, Some((kind, body)));
        for body in ["[]", "null", "\"x\"", "7"] {
            assert_eq!(send("application/json", body.into()).await.faults(), [""], "{method} {path} {body}");
        }
        for body in ["{", "{} {}", "{'a': 1}", "{\"a\": 1,}"] {
            send("application/json", body.into()).await.problem(400);
        }
        assert_eq!(send("application/json", br#"{"x":1,"x":2,"y":1}"#.to_vec()).await.problem(422)["status"], 422);
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(64), "]".repeat(64));
        assert_eq!(send("application/json", deep.into()).await.faults(), [""], "{method} {path}");
        for kind in ["text/plain", "application/problem+json", "application/json+x"] {
            send(kind, b"{}".to_vec()).await.problem(415);
        }
        // A body at the limit is only refused for its unknown field; one byte more is too large.
        let filled = |bytes: usize| format!("{{\"x\":\"{}\"}}", "x".repeat(bytes - 8)).into_bytes();
        assert_eq!(send("application/json", filled(limit_kib * 1024)).await.status, 422, "{method} {path}");
        send("application/json", filled(limit_kib * 1024 + 1)).await.problem(413);
    }
}
