//! Links to the portal and their sessions: a code works once and for five minutes, a session ends, and it sees and does no more
//! than its link says.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::receiver::Receiver;
use crate::harness::router::ApiProcess;
use crate::harness::stage::{Stage, delivery_path};

const LINKS: &str = "/v1/portal-links";
const SESSIONS: &str = "/v1/portal-sessions";

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A stage, and a process whose requests name a host and carry the platform's token.
async fn stage() -> (Stage, ApiProcess) {
    let stage = Stage::new().await;
    let process = stage.world.api_process().await.with_header("Host", "hooks.example.com");
    (stage, process)
}

/// Makes a link; returns its code.
async fn link(process: &ApiProcess, body: Value) -> String {
    let (status, link) = process.ask("POST", LINKS, &body).await;
    assert_eq!(status, 201, "{link:#}");
    let url = text(&link["url"]);
    let code = url.strip_prefix("http://hooks.example.com/portal#code=");
    code.unwrap_or_else(|| panic!("another link: {url}")).to_owned()
}

/// Begins a session; returns a process whose requests carry its token, and the answer.
async fn begin(process: &ApiProcess, body: Value) -> (ApiProcess, Value) {
    let code = link(process, body).await;
    let (status, session) = process.with_token("none").ask("POST", SESSIONS, &json!({ "code": code })).await;
    assert_eq!(status, 201, "{session:#}");
    let token = text(&session["token"]);
    assert!(token.starts_with("hls_"), "a text of its own: {token}");
    (process.with_token(&token), session)
}

async fn status(process: &ApiProcess, method: &str, path: &str, body: Value) -> u16 {
    process.ask(method, path, &body).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_works_once_and_for_five_minutes() {
    let (stage, process) = stage().await;
    let (used, late) = (link(&process, json!({})).await, link(&process, json!({})).await);
    let unknown = "A".repeat(used.len());
    let redeem =
        async |code: &str| status(&process.with_token("none"), "POST", SESSIONS, json!({ "code": code })).await;
    assert_eq!([redeem(&used).await, redeem(&used).await, redeem(&unknown).await], [201, 401, 401]);
    assert_eq!([redeem("").await, redeem("no code").await], [401, 401]);
    stage.world.wait(Duration::from_secs(5 * 60));
    assert_eq!(redeem(&late).await, 401);
    // Of two who use a code at the same time, one gets in.
    let code = link(&process, json!({})).await;
    let (one, other) = tokio::join!(redeem(&code), redeem(&code));
    assert_eq!(one.min(other), 201);
    assert_eq!(one.max(other), 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_by_itself_and_on_request() {
    let (stage, process) = stage().await;
    let (session, answer) = begin(&process, json!({ "session_seconds": 60 })).await;
    assert_eq!(answer["account"], "acme");
    assert_eq!([&answer["read_only"], &answer["publish"]], [false, false]);
    assert_eq!(status(&session, "GET", "/v1/webhooks", Value::Null).await, 200);
    stage.world.wait(Duration::from_secs(60));
    assert_eq!(status(&session, "GET", "/v1/webhooks", Value::Null).await, 401);
    let (session, _) = begin(&process, json!({})).await;
    assert_eq!(status(&session, "GET", "/v1/webhooks", Value::Null).await, 200);
    assert_eq!(status(&session, "DELETE", SESSIONS, Value::Null).await, 204);
    assert_eq!(status(&session, "GET", "/v1/webhooks", Value::Null).await, 401);
    assert_eq!(status(&process, "DELETE", SESSIONS, Value::Null).await, 403, "a token is no session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_bound_to_its_account_and_has_no_more_than_its_maker() {
    let (_stage, process) = stage().await;
    let (_, issued) = process.ask("POST", "/v1/tokens", &json!({ "account": "acme", "scopes": ["manage"] })).await;
    let manager = process.with_token(&text(&issued["token"]));
    let (session, answer) = begin(&manager, json!({ "publish": true })).await;
    assert_eq!(answer["publish"], false, "its maker may not publish");
    let event = json!({ "type": "user.created", "data": { "object": {} } });
    assert_eq!(status(&session, "POST", "/v1/events", event.clone()).await, 403);
    assert_eq!(status(&session, "POST", LINKS, json!({})).await, 403, "a session makes no links");
    assert_eq!(status(&session.with_account("rival"), "GET", "/v1/webhooks", Value::Null).await, 403);
    assert_eq!(status(&session, "GET", "/v1/tokens", Value::Null).await, 403);
    let (publisher, answer) = begin(&process, json!({ "publish": true })).await;
    assert_eq!(answer["publish"], true);
    assert_eq!(status(&publisher, "POST", "/v1/events", event).await, 202);
    assert_eq!(status(&process.with_account("platform"), "POST", LINKS, json!({})).await, 403);
    let (_, tokens) = process.ask("GET", "/v1/tokens", &Value::Null).await;
    let tokens = tokens["data"].as_array().expect("tokens").iter().filter(|token| !token["account"].is_null());
    assert_eq!(tokens.count(), 1, "sessions are not among the tokens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_only_reads_changes_nothing() {
    let (stage, process) = stage().await;
    let receiver = Receiver::answering(500).await;
    let webhook = stage.register(&receiver, None).await;
    let event = stage.publish().await;
    let delivery = delivery_path(&webhook, &event);
    let (session, answer) = begin(&process, json!({ "read_only": true, "publish": true })).await;
    assert_eq!([&answer["read_only"], &answer["publish"]], [true, false]);
    let id = webhook.trim_start_matches("/v1/webhooks/");
    let url = json!({ "url": "https://example.com/", "events": ["*"] });
    for (method, path, body) in [
        ("POST", "/v1/webhooks", url),
        ("PATCH", &webhook, json!({ "description": "changed" })),
        ("DELETE", &webhook, Value::Null),
        ("POST", "/v1/webhooks/test", json!({ "webhook_id": id, "event_type": "user.created" })),
        ("POST", &format!("{webhook}/rotate-secret"), json!({})),
        ("POST", &format!("{webhook}/recover"), json!({})),
        ("POST", &format!("{delivery}/retry"), Value::Null),
        ("POST", &format!("{delivery}/cancel"), Value::Null),
        ("POST", "/v1/events", json!({ "type": "user.created", "data": { "object": {} } })),
    ] {
        assert_eq!(status(&session, method, path, body).await, 403, "{method} {path}");
    }
    let polled = json!({ "delivery": "poll", "events": ["*"] });
    let (_, polled) = process.ask("POST", "/v1/webhooks", &polled).await;
    let poll = format!("/v1/webhooks/{}/poll?from=start", text(&polled["id"]));
    assert_eq!(status(&session, "GET", &poll, Value::Null).await, 403, "a poll is signed");
    for path in ["/v1/webhooks", &webhook, &delivery, &format!("{delivery}/request"), "/v1/events"] {
        assert_eq!(status(&session, "GET", path, Value::Null).await, 200, "{path}");
    }
    let request = json!({ "webhook_id": id, "headers": {}, "body": "" });
    assert_eq!(status(&session, "POST", "/v1/signatures/debug", request).await, 200);
    let filter = json!({ "filter": { "type": ["user.created"] }, "event_id": event });
    assert_eq!(status(&session, "POST", "/v1/filters/test", filter).await, 200);
    assert_eq!(status(&session, "DELETE", SESSIONS, Value::Null).await, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_bound_to_a_webhook_sees_that_alone() {
    let (stage, process) = stage().await;
    let receiver = Receiver::answering(200).await;
    let (own, other) = (stage.register(&receiver, None).await, stage.register(&receiver, None).await);
    let both = stage.publish().await;
    stage.change(&own, json!({ "events": ["payment.failed"] })).await;
    stage.world.work().await;
    let others = stage.publish().await;
    let id = |webhook: &str| webhook.trim_start_matches("/v1/webhooks/").to_owned();
    let (session, answer) = begin(&process, json!({ "webhook_id": id(&own), "publish": true })).await;
    assert_eq!(answer["webhook_id"], id(&own));

    let listed = async |path: &str| {
        let (status, page) = session.ask("GET", path, &Value::Null).await;
        assert_eq!(status, 200, "{page:#}");
        page["data"].as_array().expect("a page").iter().map(|one| text(&one["id"])).collect::<Vec<_>>()
    };
    assert_eq!(listed("/v1/webhooks").await, [id(&own)]);
    assert_eq!(listed("/v1/events").await, [both.as_str()], "its delivery is cancelled, and still there");
    stage.change(&own, json!({ "events": ["user.created"] })).await;
    let shared = stage.publish().await;
    assert_eq!(listed("/v1/events").await, [shared.as_str(), &both]);
    let (_, event) = session.ask("GET", &format!("/v1/events/{shared}"), &Value::Null).await;
    assert_eq!(event["deliveries"].as_array().map(Vec::len), Some(1), "{event:#}");

    for (method, path, body, expected) in [
        ("GET", other.clone(), Value::Null, 404),
        ("PATCH", other.clone(), json!({ "description": "x" }), 404),
        ("GET", format!("{other}/deliveries"), Value::Null, 404),
        ("GET", delivery_path(&other, &shared), Value::Null, 404),
        ("POST", format!("{}/retry", delivery_path(&other, &shared)), Value::Null, 404),
        ("GET", format!("/v1/events/{others}"), Value::Null, 404),
        (
            "POST",
            "/v1/webhooks/test".to_owned(),
            json!({ "webhook_id": id(&other), "event_type": "user.created" }),
            404,
        ),
        (
            "POST",
            "/v1/signatures/debug".to_owned(),
            json!({ "webhook_id": id(&other), "headers": {}, "body": "" }),
            404,
        ),
        ("POST", "/v1/filters/test".to_owned(), json!({ "filter": { "type": ["x"] }, "event_id": others }), 404),
        ("POST", "/v1/webhooks".to_owned(), json!({ "url": "https://example.com/", "events": ["*"] }), 403),
        ("GET", own.clone(), Value::Null, 200),
        ("GET", delivery_path(&own, &shared), Value::Null, 200),
        ("POST", "/v1/signatures/debug".to_owned(), json!({ "headers": {}, "body": "" }), 200),
    ] {
        assert_eq!(status(&session, method, &path, body).await, expected, "{method} {path}");
    }
    let event = json!({ "type": "user.created", "data": { "object": {} } });
    let (_, dry_run) = session.ask("POST", "/v1/events/dry-run", &event).await;
    let shown: Vec<_> =
        dry_run["webhooks"].as_array().expect("webhooks").iter().map(|one| &one["webhook_id"]).collect();
    assert_eq!(shown, [&json!(id(&own))]);
    let (status, problem) = process.ask("POST", LINKS, &json!({ "webhook_id": "wh_none" })).await;
    assert_eq!(status, 404, "{problem:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_session_cannot_make_its_webhook_show_other_events() {
    let (stage, process) = stage().await;
    let receiver = Receiver::answering(200).await;
    let own = stage.register(&receiver, None).await;
    let id = own.trim_start_matches("/v1/webhooks/");
    let (session, _) = begin(&process, json!({ "webhook_id": id })).await;
    let recover = format!("{own}/recover");
    for (method, path, body, expected) in [
        ("PATCH", &own, json!({ "events": ["*"] }), 403),
        ("PATCH", &own, json!({ "filter": null }), 403),
        ("POST", &recover, json!({ "backfill": true }), 403),
        ("PATCH", &own, json!({ "description": "its own" }), 200),
        ("POST", &recover, json!({}), 202),
    ] {
        assert_eq!(status(&session, method, path, body).await, expected, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_session_learns_nothing_of_other_webhooks_from_the_debugger() {
    let (stage, process) = stage().await;
    let receiver = Receiver::answering(200).await;
    let (own, other) = (stage.register(&receiver, None).await, stage.register(&receiver, None).await);
    stage.change(&own, json!({ "events": ["payment.failed"] })).await;
    let event = stage.publish().await;
    stage.world.work().await;
    let sent = receiver.seen();
    let [request] = sent.as_slice() else { panic!("one request to {other}: {sent:?}") };
    let headers: serde_json::Map<_, _> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let body = json!({ "headers": headers, "body": String::from_utf8_lossy(&request.body) });
    let other_id = other.trim_start_matches("/v1/webhooks/");
    let (_, whole) = process.ask("POST", "/v1/signatures/debug", &body).await;
    assert_eq!(whole["valid"], true, "{whole:#}");
    let (session, _) = begin(&process, json!({ "webhook_id": own.trim_start_matches("/v1/webhooks/") })).await;
    let (status, bound) = session.ask("POST", "/v1/signatures/debug", &body).await;
    assert_eq!((status, &bound["valid"]), (200, &json!(false)), "{bound:#}");
    assert!(!bound.to_string().contains(other_id), "{bound:#}");
    let (_, unstored) = session.ask("POST", "/v1/signatures/debug", &body).await;
    assert_eq!(unstored, bound, "{event} is as if it did not exist");
}

#[test]
#[ignore = "needs a browser: tests/checks/portal/run"]
fn the_page_works_in_a_browser() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let status = std::process::Command::new(root.join("tests/checks/portal/run")).current_dir(root).status();
    assert!(status.expect("the checks run").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_a_link_are_named() {
    let (_stage, process) = stage().await;
    let body = json!({ "read_only": 1, "session_seconds": 90_000, "webhook": "x" });
    let (status, problem) = process.ask("POST", LINKS, &body).await;
    assert_eq!(status, 422);
    let mut faults: Vec<_> =
        problem["errors"].as_array().expect("errors").iter().map(|one| text(&one["pointer"])).collect();
    faults.sort();
    assert_eq!(faults, ["#/read_only", "#/session_seconds", "#/webhook"]);
    let (status, _) = process.ask("POST", SESSIONS, &json!({})).await;
    assert_eq!(status, 422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_forbids_what_it_does_not_need() {
    let (_stage, process) = stage().await;
    let page = process.with_header("Accept-Encoding", "gzip, br").send("GET", "/portal", String::new()).await;
    let header = |name: &str| page.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
    assert_eq!(page.status(), 200);
    assert_eq!(header("content-encoding").as_deref(), Some("br"));
    assert_eq!(header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(header("cache-control").as_deref(), Some("no-cache"));
    assert_eq!(header("referrer-policy").as_deref(), Some("no-referrer"));
    let policy = header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'") && policy.ends_with("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe"), "{policy}");
    let plain = process.send("GET", "/portal", String::new()).await;
    let html = axum::body::to_bytes(plain.into_body(), usize::MAX).await.expect("a body");
    let html = String::from_utf8_lossy(&html).into_owned();
    let assets: Vec<_> = html.split('"').filter(|part| part.starts_with("/portal/assets/")).collect();
    assert_eq!(assets.len(), 3, "{html}");
    for path in assets {
        let asset = process.send("GET", path, String::new()).await;
        assert_eq!(asset.status(), 200, "{path}");
        assert!(asset.headers()["cache-control"].to_str().is_ok_and(|value| value.contains("immutable")), "{path}");
    }
    assert_eq!(process.send("GET", "/portal/assets/none.js", String::new()).await.status(), 404);
    let (status, brand) = process.ask("GET", "/portal/brand.json", &Value::Null).await;
    assert_eq!((status, brand), (200, json!({ "name": "Hookline", "accent": "#2f6fde" })));
}
