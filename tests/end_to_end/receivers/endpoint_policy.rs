//! The endpoint policy: which URLs may be registered, and which addresses receive a request.
//!
//! A stack is strict by default when deployed, and with `--strict-endpoints` when run locally.

use serde_json::{Value, json};

use crate::harness::client::{Api, data, text};
use crate::harness::receiver::Receiver;
use crate::harness::stack::{Options, Stack};

/// Refused by every stack: schemes other than `http` and `https`, and credentials.
const NEVER: [&str; 7] = [
    "ftp://example.com/in",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "wss://example.com/in",
    "https://user:password@example.com/in",
    "https://user@example.com/in",
    "http://user:password@127.0.0.1/in",
];

/// Refused by a strict stack: no TLS, or a private or special address in any notation.
const NOT_STRICTLY: [&str; 36] = [
    "http://example.com/in",
    "https://localhost/in",
    "https://localhost./in",
    "https://LOCALHOST/in",
    "https://hooks.localhost/in",
    "https://127.0.0.1/in",
    "https://127.0.0.1:9001/in",
    "https://127.1/in",
    "https://2130706433/in",
    "https://0x7f000001/in",
    "https://0177.0.0.1/in",
    "https://127.255.255.254/in",
    "https://0.0.0.0/in",
    "https://10.0.0.1/in",
    "https://172.16.0.1/in",
    "https://192.168.1.1/in",
    "https://169.254.169.254/latest/meta-data",
    "https://169.254.170.2/v2/credentials",
    "https://100.64.0.1/in",
    "https://192.0.2.1/in",
    "https://198.18.0.1/in",
    "https://198.51.100.1/in",
    "https://203.0.113.1/in",
    "https://224.0.0.1/in",
    "https://255.255.255.255/in",
    "https://[::1]/in",
    "https://[::]/in",
    "https://[::ffff:127.0.0.1]/in",
    "https://[::127.0.0.1]/in",
    "https://[fc00::1]/in",
    "https://[fe80::1]/in",
    "https://[ff02::1]/in",
    "https://[64:ff9b::7f00:1]/in",
    "https://[2002:7f00:1::]/in",
    "https://[2001:db8::1]/in",
    "https://[fd00:ec2::254]/in",
];

/// Checks that none of these URLs can be registered, or set on an existing webhook.
async fn check_refused(api: &Api, urls: &[&str]) {
    let id = api.register("https://hooks.example.com/in", &["*"]).await.id;
    let path = format!("/v1/webhooks/{id}");
    for url in urls {
        let reply = api.post("/v1/webhooks", &json!({ "url": url, "events": ["*"] })).await;
        assert_eq!(reply.status, 422, "{url} was registered: {}", reply.text);
        assert!(reply.faults().iter().all(|pointer| pointer == "/url"), "{url}: {}", reply.text);
        let reply = api.patch(&path, &json!({ "url": url })).await;
        assert_eq!(reply.status, 422, "a webhook was changed to {url}: {}", reply.text);
    }
    assert_eq!(api.get(&path).await.expect(200)["url"], "https://hooks.example.com/in");
    assert_eq!(data(&api.get("/v1/webhooks").await.expect(200)).len(), 1, "a refused webhook was stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_schemes_and_credentials_are_always_refused() {
    let stack = Stack::start().await;
    check_refused(&stack.api(), &NEVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_stack_accepts_only_public_https_urls() {
    let Some(stack) = Stack::with(Options { strict: true, ..Options::default() }).await else { return };
    check_refused(&stack.api(), &NEVER).await;
    for webhook in data(&stack.api().get("/v1/webhooks").await.expect(200)) {
        stack.api().delete(&format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"))).await.expect(204);
    }
    check_refused(&stack.api(), &NOT_STRICTLY).await;
    for url in
        ["https://example.com", "https://example.com:8443/in?a=b", "https://8.8.8.8/in", "https://[2606:4700::1111]/in"]
    {
        stack.api().register(url, &["*"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_process_accepts_plain_http_and_loopback() {
    let Some(stack) = Stack::with(Options::default()).await else { return };
    for url in ["http://127.0.0.1:5000/webhooks", "http://localhost:5000/", "http://[::1]:5000/", "http://example.com/"]
    {
        stack.api().register(url, &["*"]).await;
    }
}

/// The policy is applied again before every request: scheduled attempts, tests and manual retries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_that_becomes_strict_sends_nothing_to_urls_registered_before() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let receiver = Receiver::answering(200).await;
    let plain = receiver.url("/");
    let urls = [plain.clone(), plain.replace("http:", "https:"), plain.replace("127.0.0.1", "localhost")];
    let mut webhooks = Vec::new();
    for url in &urls {
        webhooks.push(stack.api().register(url, &["user.created"]).await.id);
    }
    let before = stack.api().publish("user.created").await.id();
    let tried = |delivery: &Value| delivery["attempts"].as_array().is_some_and(|attempts| attempts.len() == 1);
    let mut deliveries = Vec::new();
    for webhook in &webhooks {
        deliveries.push(text(&stack.api().delivery_when(&before, webhook, tried).await["id"]));
    }
    let earlier_requests = receiver.seen().len();
    stack.terminate().await;
    stack.restart_as(|options| options.strict = true).await;

    let api = stack.api();
    let event = api.publish("user.created").await.id();
    for (index, webhook) in webhooks.iter().enumerate() {
        let expected = if index == 2 { "unsupported_url" } else { "forbidden_address" };
        let refused = |delivery: &Value| {
            let attempts = delivery["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
            attempts.last().is_some_and(|attempt| attempt["error"] == expected && attempt["status_code"].is_null())
        };
        api.delivery_when(&event, webhook, refused).await;
        let test = json!({ "webhook_id": webhook, "event_type": "user.created" });
        let test = text(&api.post("/v1/webhooks/test", &test).await.expect(202)["id"]);
        api.get_when(&format!("/v1/deliveries/{test}"), refused).await;
        let earlier = format!("/v1/deliveries/{}", deliveries[index]);
        api.post(&format!("{earlier}/retry"), &json!({})).await.expect(202);
        api.get_when(&earlier, refused).await;
        let path = format!("/v1/webhooks/{webhook}");
        assert_eq!(api.patch(&path, &json!({ "url": urls[index] })).await.faults(), ["/url"]);
    }
    assert_eq!(receiver.seen().len(), earlier_requests, "something was sent");
}
