//! Dry runs: what publishing an event would do, without doing it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::{data, text};
use crate::harness::receiver::Receiver;
use crate::harness::router::ApiProcess;
use crate::harness::stage::Stage;

const PATH: &str = "/v1/events/dry-run";

fn event(kind: &str) -> Value {
    json!({ "type": "user.created", "data": { "object": { "kind": kind } } })
}

/// Registers a webhook; returns its id.
async fn register(stage: &Stage, body: Value) -> String {
    text(&stage.ask("POST", "/v1/webhooks", &body).await["id"])
}

async fn dry_run(stage: &Stage, event: &Value) -> Value {
    stage.ask("POST", PATH, event).await
}

/// The entry of a webhook in an answer.
fn entry<'a>(answer: &'a Value, webhook: &str) -> &'a Value {
    let mut webhooks = answer["webhooks"].as_array().expect("webhooks").iter();
    webhooks.find(|entry| entry["webhook_id"] == webhook).unwrap_or_else(|| panic!("no {webhook}: {answer:#}"))
}

/// A process whose requests carry an account token with these scopes.
async fn with_scopes(platform: &ApiProcess, account: &'static str, scopes: &[&str]) -> ApiProcess {
    let platform = platform.with_account(account);
    let (status, issued) = platform.ask("POST", "/v1/tokens", &json!({ "account": account, "scopes": scopes })).await;
    assert_eq!(status, 201, "{issued:#}");
    platform.with_token(issued["token"].as_str().expect("a token"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reason_is_given_and_the_first_that_holds_wins() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let url = receiver.url("/in?key=1");
    let of_b = json!({ "data": { "object": { "kind": ["b"] } } });
    let plain = register(&stage, json!({ "url": url, "events": ["user.*"] })).await;
    let other_type = register(&stage, json!({ "url": url, "events": ["payment.failed"], "filter": of_b })).await;
    let filtered = register(&stage, json!({ "url": url, "events": ["*"], "filter": of_b })).await;
    let disabled = register(&stage, json!({ "url": url, "events": ["*"] })).await;
    let polled = register(&stage, json!({ "delivery": "poll", "events": ["*"] })).await;
    let polled_disabled = register(&stage, json!({ "delivery": "poll", "events": ["*"] })).await;
    for id in [&disabled, &polled_disabled, &filtered] {
        stage.change(&format!("/v1/webhooks/{id}"), json!({ "status": "disabled" })).await;
    }
    let answer = dry_run(&stage, &event("a")).await;
    assert_eq!(answer["next_cursor"], Value::Null);
    let reason = |webhook: &str| {
        let entry = entry(&answer, webhook);
        assert_eq!(entry["delivers"], entry["reason"].is_null(), "{entry:#}");
        assert_eq!(entry["delivers"], entry.get("request").is_some(), "{entry:#}");
        assert_eq!(entry["reason"] == "filter", entry.get("filter").is_some(), "{entry:#}");
        entry["reason"].clone()
    };
    for (webhook, expected) in [
        (&plain, Value::Null),
        (&other_type, json!("event_type")),
        (&filtered, json!("filter")),
        (&disabled, json!("disabled")),
        (&polled, Value::Null),
        (&polled_disabled, json!("disabled")),
    ] {
        assert_eq!(reason(webhook), expected, "{answer:#}");
    }
    let expected = json!({
        "path": "data.object.kind", "pointer": "#/data/object/kind", "expected": ["b"], "found": "a",
        "detail": "Nothing in the list accepts the field.",
    });
    assert_eq!(entry(&answer, &filtered)["filter"], expected);
    let request = &entry(&answer, &plain)["request"];
    assert_eq!((&request["method"], &request["url"]), (&json!("POST"), &json!(url)));
    let request = &entry(&answer, &polled)["request"];
    assert_eq!((&request["method"], &request["url"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&entry(&answer, &plain)["delivery"], &entry(&answer, &polled)["delivery"]),
        (&json!("push"), &json!("poll"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_stored_and_nothing_is_sent() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = stage.register(&receiver, None).await;
    let answer = dry_run(&stage, &event("a")).await;
    assert_eq!(answer["webhooks"][0]["delivers"], true);
    stage.world.pass(Duration::from_secs(600)).await;
    assert!(receiver.seen().is_empty());
    assert!(data(&stage.ask("GET", "/v1/events", &Value::Null).await).is_empty());
    assert!(stage.listed(&webhook, "").await.is_empty());
    let (status, _) =
        stage.try_to_ask("GET", &format!("/v1/events/{}", text(&answer["event"]["id"])), &Value::Null).await;
    assert_eq!(status, 404, "no event has the id");
    let again = dry_run(&stage, &event("a")).await;
    assert_ne!(again["event"]["id"], answer["event"]["id"], "each answer has an id of its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_request_is_the_one_that_is_sent_and_shows_no_secret() {
    const SECRETS: [&str; 4] =
        ["a-secret-of-the-user", "value-of-a-header", "the-password", "dGhlLXVzZXI6dGhlLXBhc3N3b3Jk"];
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    register(
        &stage,
        json!({
            "url": receiver.url("/"), "events": ["*"], "secret": SECRETS[0], "headers": { "X-Key": SECRETS[1] },
            "auth": { "type": "basic", "username": "the-user", "password": SECRETS[2] },
            "signature_header": { "name": "X-Hub-Signature-256", "content": "{body}", "value": "sha256={hex}" },
        }),
    )
    .await;
    let answer = dry_run(&stage, &event("a")).await;
    for secret in SECRETS {
        assert!(!answer.to_string().contains(secret), "{secret}: {answer:#}");
    }
    let request = &answer["webhooks"][0]["request"];
    for name in ["authorization", "webhook-signature", "x-webhook-signature", "x-hub-signature-256", "x-key"] {
        assert_eq!(request["headers"][name], "***", "{name}");
    }
    let body: Value = serde_json::from_str(request["body"].as_str().expect("text")).expect("JSON");
    assert_eq!(body, answer["event"]);
    let published = stage.ask("POST", "/v1/events", &event("a")).await;
    stage.world.work().await;
    let seen = receiver.seen();
    let shown = request["headers"].as_object().expect("headers");
    for (name, shown) in shown {
        let sent = seen[0].header(name);
        match shown.as_str().expect("text") {
            "***" => assert!(sent.len() > 8, "{name}: {sent}"),
            id if name == "webhook-id" => assert!(id != sent && id == answer["event"]["id"]),
            _ if name == "webhook-timestamp" => assert_eq!(sent.len(), 10),
            shown => assert_eq!(shown, sent, "{name}"),
        }
    }
    // A body differs from the one that is sent in its id and time alone.
    let of = |event: &Value| json!([event["type"], event["data"], event["previous_data"]]);
    assert_eq!(of(&body), of(&published));
    assert_eq!(body.to_string().len(), serde_json::from_slice::<Value>(&seen[0].body).expect("JSON").to_string().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_publishing_refuses_or_warns_of_a_dry_run_does_too() {
    let stage = Stage::new().await;
    for (body, pointer) in [
        (json!({ "type": "user.unknown", "data": { "object": {} } }), "#/type"),
        (json!({ "type": "webhook.disabled", "data": { "object": {} } }), "#/type"),
        (json!({ "type": "user.created", "data": {} }), "#/data/object"),
        (json!({ "type": "user.created", "data": { "object": {} }, "extra": 1 }), "#/extra"),
    ] {
        let (status, problem) = stage.try_to_ask("POST", PATH, &body).await;
        let (published, refused) = stage.try_to_ask("POST", "/v1/events", &body).await;
        assert_eq!((status, &problem["errors"]), (published, &refused["errors"]), "{problem:#}");
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!(pointer)), "{problem:#}");
    }
    for validation in ["warn", "enforce"] {
        let name = format!("order.{validation}");
        let schema = json!({ "type": "object", "required": ["id"] });
        stage
            .ask("POST", "/v1/event-types", &json!({ "name": name, "schema": schema, "validation": validation }))
            .await;
        let body = json!({ "type": name, "data": { "object": {} } });
        let (status, answer) = stage.try_to_ask("POST", PATH, &body).await;
        let (published, answered) = stage.try_to_ask("POST", "/v1/events", &body).await;
        if validation == "warn" {
            assert_eq!((status, published), (200, 202), "{answer:#}");
            assert_eq!(answer["event"]["warnings"], answered["warnings"]);
            assert_eq!(answer["event"]["warnings"][0]["pointer"], "#/data/object/id");
        } else {
            assert_eq!((status, published, &answer["errors"]), (422, 422, &answered["errors"]));
        }
    }
    for query in ["?limit=0", "?limit=101", "?cursor=evt_1", "?other=1"] {
        let (status, problem) = stage.try_to_ask("POST", &format!("{PATH}{query}"), &event("a")).await;
        assert_eq!(status, 422, "{query}: {problem:#}");
    }
    let (status, problem) = stage.try_to_ask("GET", PATH, &Value::Null).await;
    assert_eq!(status, 405, "{problem:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_scopes_are_needed_and_the_missing_ones_are_named() {
    let stage = Stage::new().await;
    let platform = stage.world.api_process().await;
    register(&stage, json!({ "url": "https://hooks.example.com/", "events": ["*"] })).await;
    for (scopes, missing) in [(&["publish"][..], "'manage'"), (&["manage"], "'publish'")] {
        let (status, problem) = with_scopes(&platform, "acme", scopes).await.ask("POST", PATH, &event("a")).await;
        assert_eq!(status, 403);
        assert!(problem["detail"].as_str().expect("text").ends_with(&format!("scope {missing}.")), "{problem:#}");
    }
    let both = with_scopes(&platform, "acme", &["publish", "manage"]).await;
    let (status, answer) = both.ask("POST", PATH, &event("a")).await;
    assert_eq!((status, answer["webhooks"].as_array().map(Vec::len)), (200, Some(1)));
    let rival = with_scopes(&platform, "rival", &["publish", "manage"]).await;
    let (status, answer) = rival.ask("POST", PATH, &event("a")).await;
    assert_eq!((status, &answer["webhooks"]), (200, &json!([])), "another account's webhooks do not exist");
    let (status, problem) = both.with_header("Idempotency-Key", "k").ask("POST", PATH, &event("a")).await;
    assert_eq!(status, 400, "{problem:#}");
    let (status, _) = both.with_token("hl_unknown").ask("POST", PATH, &event("a")).await;
    assert_eq!(status, 401);
}

/// Reads all pages; returns how many webhooks each has, and checks that together they have each webhook once.
async fn pages(stage: &Stage, event: &Value, limit: usize, expected: &[String]) -> Vec<usize> {
    let (mut sizes, mut seen, mut cursor) = (vec![], vec![], String::new());
    loop {
        let answer = stage.ask("POST", &format!("{PATH}?limit={limit}{cursor}"), event).await;
        let webhooks = answer["webhooks"].as_array().expect("webhooks");
        sizes.push(webhooks.len());
        seen.extend(webhooks.iter().map(|entry| text(&entry["webhook_id"])));
        let Some(next) = answer["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, expected);
    sizes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_come_in_pages_which_the_largest_event_makes_smaller() {
    let stage = Stage::new().await;
    let mut ids = vec![];
    for _ in 0..45 {
        ids.push(register(&stage, json!({ "url": "https://hooks.example.com/", "events": ["*"] })).await);
    }
    assert_eq!(pages(&stage, &event("a"), 20, &ids).await, [20, 20, 5]);
    assert_eq!(pages(&stage, &event("a"), 100, &ids).await, [45]);
    // Quotes in the body are escaped twice.
    let largest = json!({ "type": "user.created", "data": { "object": { "a": "\"".repeat(125_000) } } });
    let sizes = pages(&stage, &largest, 100, &ids).await;
    assert!(sizes.len() > 5 && sizes[..sizes.len() - 1].iter().all(|size| *size > 0), "{sizes:?}");
}
