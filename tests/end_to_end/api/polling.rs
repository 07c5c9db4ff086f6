//! Polled webhooks: nothing is sent, and a client reads what would have been sent, signed, at its own position.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};

use crate::harness::client::{Api, Registered, data, text};
use crate::harness::signature::{body_signature, verifier};
use crate::harness::stack::Stack;
use crate::harness::world::World;

async fn register(api: &Api, events: &[&str]) -> Registered {
    api.register_as(&json!({ "delivery": "poll", "events": events })).await
}

/// Polls from `query` until there is no more. Returns the requests and the last cursor.
async fn poll_all(api: &Api, webhook: &str, query: &str) -> (Vec<Value>, String) {
    let (mut requests, mut query) = (vec![], query.to_owned());
    loop {
        let reply = api.get(&format!("/v1/webhooks/{webhook}/poll?{query}")).await;
        let page = reply.expect(200);
        requests.extend(data(&page).iter().cloned());
        let cursor = text(&page["next_cursor"]);
        let has_more = page["has_more"] == true;
        assert_eq!(reply.header("retry-after"), (!has_more).then_some("1"), "{page:#}");
        if !has_more {
            return (requests, cursor);
        }
        query = format!("cursor={cursor}");
    }
}

fn event_ids(requests: &[Value]) -> Vec<String> {
    requests.iter().map(|request| text(&request["headers"]["webhook-id"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polled_webhook_returns_what_would_have_been_sent() {
    let stack = Stack::start().await;
    let api = stack.api();
    let shown = api.post("/v1/webhooks", &json!({ "delivery": "poll", "events": ["resource.*"] })).await.expect(201);
    assert_eq!((&shown["delivery"], &shown["url"], &shown["expires_at"]), (&json!("poll"), &Value::Null, &Value::Null));
    let (id, secret) = (text(&shown["id"]), text(&shown["secret"]));
    let published = api.publish("resource.created").await;
    api.publish("user.created").await;
    let (requests, cursor) = poll_all(&api, &id, "").await;
    let [request] = requests.as_slice() else { panic!("{requests:#?}") };
    let body = text(&request["body"]);
    assert_eq!(body, published.text, "the exact bytes");
    let mut headers = HeaderMap::new();
    for (name, value) in request["headers"].as_object().expect("headers") {
        headers.insert(name.parse::<HeaderName>().expect("a name"), text(value).parse().expect("a value"));
    }
    verifier(&secret).verify(body.as_bytes(), &headers).expect("the published verifier accepts it");
    assert_eq!(headers["x-webhook-signature"], body_signature(&secret, body.as_bytes()));
    let header = |name: &str| headers[name].to_str().expect("ASCII");
    assert_eq!(header("webhook-id"), published.id());
    assert_eq!([header("x-webhook-event"), header("x-webhook-attempt")], ["resource.created", "1"]);
    assert!(header("content-type") == "application/json" && header("user-agent").starts_with("Hookline/"));

    let (none, later) = poll_all(&api, &id, &format!("cursor={cursor}")).await;
    assert!(none.is_empty() && later.len() <= 2048);
    let next = api.publish("resource.updated").await.id();
    assert_eq!(event_ids(&poll_all(&api, &id, &format!("cursor={later}")).await.0), std::slice::from_ref(&next));
    let again = event_ids(&poll_all(&api, &id, &format!("cursor={cursor}&limit=1")).await.0);
    assert_eq!(again, [next], "the position is the client's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_begins_where_it_says() {
    let stack = Stack::start().await;
    let api = stack.api();
    let early = api.publish("user.created").await.id();
    let webhook = register(&api, &["*"]).await.id;
    let first = api.publish("user.created").await.id();
    let (none, now) = poll_all(&api, &webhook, "from=now").await;
    assert!(none.is_empty(), "what is there already is not new");
    let second = api.publish("user.updated").await.id();
    let ids = async |query: &str| event_ids(&poll_all(&api, &webhook, query).await.0);
    assert_eq!(ids(&format!("cursor={now}")).await, std::slice::from_ref(&second));
    assert_eq!(ids("").await, [first.clone(), second.clone()], "from the registration");
    assert_eq!(ids("from=start&limit=1").await, [early, first, second]);
    assert_eq!(ids("from=2100-01-01T00:00:00Z").await, Vec::<String>::new());
    for (query, fault) in
        [("from=yesterday", "/from"), ("cursor=nonsense", "/cursor"), ("limit=0", "/limit"), ("since=now", "/since")]
    {
        assert_eq!(api.get(&format!("/v1/webhooks/{webhook}/poll?{query}")).await.faults(), [fault]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_filter_and_the_subscriptions_decide_and_tests_are_left_out() {
    let stack = Stack::start().await;
    let api = stack.api();
    let filter = json!({ "data": { "object": { "plan": ["pro"] } } });
    let polled = api.register_as(&json!({ "delivery": "poll", "events": ["user.*"], "filter": filter })).await.id;
    let pushed = api.register("https://hooks.example.invalid/in", &["payment.failed"]).await.id;
    let publish = async |kind: &str, plan: &str| {
        api.publish_as(&json!({ "type": kind, "data": { "object": { "plan": plan } } })).await.id()
    };
    let [_, pro, _] = [
        publish("user.created", "free").await,
        publish("user.created", "pro").await,
        publish("payment.failed", "pro").await,
    ];
    api.post("/v1/webhooks/test", &json!({ "webhook_id": pushed, "event_type": "user.created" })).await.expect(202);
    assert_eq!(event_ids(&poll_all(&api, &polled, "").await.0), std::slice::from_ref(&pro));
    let event = api.get(&format!("/v1/events/{pro}")).await.expect(200);
    assert_eq!(event["deliveries"], json!([]), "a polled webhook has no deliveries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_a_polled_webhook_is_refused() {
    let stack = Stack::start().await;
    let api = stack.api();
    let webhook = register(&api, &["*"]).await.id;
    let path = format!("/v1/webhooks/{webhook}");
    let of_sending = json!({
        "delivery": "poll", "events": ["*"], "url": "https://hooks.example.com/in", "rate_limit": 1,
        "headers": { "X-A": "b" }, "auth": { "type": "bearer", "token": "t" }, "retry_schedule": ["0s"],
        "timeout_seconds": 5, "disable_on": "no_success",
    });
    let faults = ["/auth", "/disable_on", "/headers", "/rate_limit", "/retry_schedule", "/timeout_seconds", "/url"];
    assert_eq!(api.post("/v1/webhooks", &of_sending).await.faults(), faults);
    for (body, fault) in [
        (json!({ "delivery": "pull", "events": ["*"] }), vec!["/delivery", "/url"]),
        (json!({ "events": ["*"] }), vec!["/url"]),
        (json!({ "delivery": "poll", "events": ["*"], "expires_at": "2020-01-01T00:00:00Z" }), vec!["/expires_at"]),
        (
            json!({ "url": "https://hooks.example.com/in", "events": ["*"], "expires_at": "2100-01-01T00:00:00Z" }),
            vec!["/expires_at"],
        ),
    ] {
        assert_eq!(api.post("/v1/webhooks", &body).await.faults(), fault, "{body}");
    }
    for (body, fault) in [
        (json!({ "url": "https://hooks.example.com/in" }), "/url"),
        (json!({ "delivery": "push" }), "/delivery"),
        (json!({ "status": "enabled", "held": "cancel" }), "/held"),
    ] {
        assert_eq!(api.patch(&path, &body).await.faults(), [fault], "{body}");
    }
    let test = json!({ "webhook_id": webhook, "event_type": "user.created" });
    assert!(text(&api.post("/v1/webhooks/test", &test).await.problem(409)["detail"]).contains("polled"));
    api.post(&format!("{path}/recover"), &json!({})).await.problem(409);
    assert_eq!(api.get(&format!("{path}/deliveries")).await.expect(200), json!({ "data": [], "next_cursor": null }));
    api.patch(&path, &json!({ "status": "disabled" })).await.expect(200);
    let published = api.publish("user.created").await.id();
    api.get(&format!("{path}/poll")).await.problem(409);
    let enabled = api.patch(&path, &json!({ "status": "enabled" })).await.expect(200);
    assert_eq!(enabled.get("recovery_id"), None, "nothing was held");
    assert_eq!(event_ids(&poll_all(&api, &webhook, "").await.0), [published], "nothing is lost meanwhile");
    let pushed = api.register("https://hooks.example.invalid/in", &["user.created"]).await.id;
    api.get(&format!("/v1/webhooks/{pushed}/poll")).await.problem(409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_ends_by_its_bytes() {
    let stack = Stack::start().await;
    let api = stack.api();
    let webhook = register(&api, &["*"]).await.id;
    // Quotes are escaped once in the event, again in the body as a text, and again by Lambda.
    let quotes = "\"".repeat(120 * 1024);
    for _ in 0..8 {
        api.publish_as(&json!({ "type": "user.created", "data": { "object": { "quotes": quotes } } })).await;
    }
    let page = api.get(&format!("/v1/webhooks/{webhook}/poll?limit=100")).await;
    let bytes = serde_json::to_string(&page.text).expect("a string").len();
    assert!(bytes < 6_000_000, "{bytes} bytes in Lambda's answer");
    let (requests, _) = poll_all(&api, &webhook, "limit=100").await;
    assert_eq!(requests.len(), 8);
}

#[tokio::test]
async fn a_polled_webhook_expires() {
    let world = World::new().await;
    let api = world.api_process().await;
    let status = async |method: &str, path: &str, body: Value| api.ask(method, path, &body).await.0;
    let in_seconds = |seconds| world.app.clock.now().plus(Duration::from_secs(seconds)).to_string();
    let body = json!({ "delivery": "poll", "events": ["*"], "expires_at": in_seconds(60) });
    let path = format!("/v1/webhooks/{}", text(&api.ask("POST", "/v1/webhooks", &body).await.1["id"]));
    let (later, poll) = (in_seconds(600), format!("{path}/poll"));
    assert_eq!(api.ask("PATCH", &path, &json!({ "expires_at": later })).await.1["expires_at"], later);
    world.wait(Duration::from_secs(599));
    assert_eq!(status("GET", &poll, Value::Null).await, 200);
    world.wait(Duration::from_secs(1));
    for (method, path, body) in [
        ("GET", &path, Value::Null),
        ("GET", &poll, Value::Null),
        ("PATCH", &path, json!({ "expires_at": null })),
        ("DELETE", &path, Value::Null),
    ] {
        assert_eq!(status(method, path, body).await, 404, "{method} {path}");
    }
    assert_eq!(api.ask("GET", "/v1/webhooks", &Value::Null).await.1["data"], json!([]));
}
