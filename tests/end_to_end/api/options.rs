//! The options of a webhook in requests and answers: their rules, their defaults, and credentials
//! that no answer shows.

use serde_json::{Value, json};

use crate::harness::client::{Api, data};
use crate::harness::stack::Stack;

const URL: &str = "https://hooks.example.com/in";

fn with(option: &str, value: &Value) -> Value {
    json!({ "url": URL, "events": ["*"], option: value })
}

fn oauth2() -> Value {
    let token_url = "https://auth.example.com/token";
    json!({ "type": "oauth2", "token_url": token_url, "client_id": "c", "client_secret": "s3cret", "scope": "a b" })
}

/// Every option with a value.
fn all() -> Value {
    json!({
        "headers": { "X-Api-Key": "k3y", "x-tenant": "acme corp" },
        "auth": oauth2(),
        "retry_schedule": ["0s", "60s", "1m", "24h"],
        "timeout_seconds": 20,
        "signature_header": { "name": "X-Hub-Signature-256", "content": "{body}", "value": "sha256={hex}" },
        "disable_on": "no_success",
    })
}

/// Every option as it is shown if it is not set.
fn defaults() -> Value {
    json!({
        "headers": null,
        "auth": null,
        "retry_schedule": null,
        "timeout_seconds": null,
        "signature_header": null,
        "disable_on": "failed_delivery",
    })
}

/// Every option with a value, as it is shown.
fn shown() -> Value {
    let mut shown = all();
    shown["headers"] = json!({ "X-Api-Key": "***", "x-tenant": "***" });
    shown["auth"]["client_secret"] = "***".into();
    shown
}

#[track_caller]
fn check(webhook: &Value, options: &Value) {
    for (option, value) in options.as_object().expect("options") {
        assert_eq!(&webhook[option], value, "{option}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_are_shown_without_credentials_and_null_puts_the_defaults_back() {
    let stack = Stack::start().await;
    let api = stack.api();
    let mut body = json!({ "url": URL, "events": ["*"] });
    check(&api.post("/v1/webhooks", &body).await.expect(201), &defaults());
    body.as_object_mut().expect("a body").extend(all().as_object().expect("options").clone());
    let reply = api.post("/v1/webhooks", &body).await;
    check(&reply.expect(201), &shown());
    let path = format!("/v1/webhooks/{}", reply.id());
    check(&api.get(&path).await.expect(200), &shown());
    let list = api.get("/v1/webhooks").await;
    check(&data(&list.expect(200))[0], &shown());
    for secret in ["k3y", "acme corp", "s3cret"] {
        assert!(![&reply.text, &list.text].iter().any(|text| text.contains(secret)), "{secret}");
    }
    check(&api.patch(&path, &json!({ "description": "x" })).await.expect(200), &shown());
    check(&api.patch(&path, &shown()).await.expect(200), &shown());
    let nulls: Value =
        defaults().as_object().expect("options").keys().map(|option| (option.clone(), Value::Null)).collect();
    check(&api.patch(&path, &nulls).await.expect(200), &defaults());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stars_stand_for_a_stored_credential_only() {
    let stack = Stack::start().await;
    let api = stack.api();
    let stars = json!({ "headers": { "X-Api-Key": "***" }, "auth": { "type": "bearer", "token": "***" } });
    let mut body = json!({ "url": URL, "events": ["*"] });
    body.as_object_mut().expect("a body").extend(stars.as_object().expect("options").clone());
    assert_eq!(api.post("/v1/webhooks", &body).await.faults(), ["/auth/token", "/headers/X-Api-Key"]);

    let webhook = api.register_as(&with("auth", &oauth2())).await;
    let path = format!("/v1/webhooks/{}", webhook.id);
    assert_eq!(api.patch(&path, &stars).await.faults(), ["/auth/token", "/headers/X-Api-Key"]);
    check(&api.get(&path).await.expect(200), &json!({ "headers": null, "auth": shown()["auth"] }));
    let kept = json!({ "auth": { "type": "oauth2", "token_url": "https://auth.example.com/v2/token", "client_id": "c", "client_secret": "***" } });
    let changed = api.patch(&path, &kept).await.expect(200);
    assert_eq!((&changed["auth"]["token_url"], &changed["auth"]["scope"]), (&kept["auth"]["token_url"], &Value::Null));
    let mut elsewhere = kept.clone();
    elsewhere["auth"]["token_url"] = "https://other.example.com/token".into();
    assert_eq!(api.patch(&path, &elsewhere).await.faults(), ["/auth/client_secret"], "it would go to another host");
}

/// Sends each value of an option, in a POST and in a PATCH, and checks that exactly these faults are
/// named.
async fn check_rules(api: &Api, path: &str, option: &str, cases: &[(Value, &[&str])]) {
    for (value, faults) in cases {
        let created = api.post("/v1/webhooks", &with(option, value)).await;
        assert_eq!(created.faults(), *faults, "{option}: {value}");
        assert_eq!(api.patch(path, &json!({ option: value })).await.faults(), *faults, "{option}: {value}");
    }
}

fn header_cases() -> Vec<(Value, &'static [&'static str])> {
    let many: Value = (0..21).map(|index| (format!("x-{index}"), json!("v"))).collect();
    vec![
        (json!([]), &["/headers"]),
        (json!("X-A: b"), &["/headers"]),
        (many, &["/headers"]),
        (
            json!({ "X-A": 5, "Host": "a", "x-webhook-id": "b", "X-B": "ok" }),
            &["/headers/Host", "/headers/X-A", "/headers/x-webhook-id"],
        ),
        (json!({ "X-A": "b\r\nX-C: d" }), &["/headers/X-A"]),
        (json!({ "X-A": "" }), &["/headers/X-A"]),
        (json!({ "X-A": "x".repeat(1025) }), &["/headers/X-A"]),
        (json!({ "X A": "b", "": "c" }), &["/headers/", "/headers/X A"]),
        (json!({ "X-A": "b", "x-a": "c" }), &["/headers/x-a"]),
        (
            json!({ "Authorization": "Bearer x", "Content-Type": "text/plain", "User-Agent": "x", "Connection": "close" }),
            &["/headers/Authorization", "/headers/Connection", "/headers/Content-Type", "/headers/User-Agent"],
        ),
    ]
}

fn auth_cases() -> Vec<(Value, &'static [&'static str])> {
    vec![
        (json!("bearer"), &["/auth"]),
        (json!({}), &["/auth/type"]),
        (json!({ "type": "digest", "username": "a" }), &["/auth/type"]),
        (json!({ "type": 5 }), &["/auth/type"]),
        (json!({ "type": "basic" }), &["/auth/password", "/auth/username"]),
        (
            json!({ "type": "basic", "username": "a:b", "password": "p\n", "token": "t" }),
            &["/auth/password", "/auth/token", "/auth/username"],
        ),
        (json!({ "type": "bearer", "token": "a b" }), &["/auth/token"]),
        (json!({ "type": "bearer", "token": "" }), &["/auth/token"]),
        (json!({ "type": "oauth2" }), &["/auth/client_id", "/auth/client_secret", "/auth/token_url"]),
        (
            json!({ "type": "oauth2", "token_url": "https://10.0.0.1/", "client_id": "", "client_secret": "s", "scope": "a  b" }),
            &["/auth/client_id", "/auth/scope", "/auth/token_url"],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_faulty_part_of_an_option_is_named() {
    let stack = Stack::start().await;
    let api = stack.api();
    let path = format!("/v1/webhooks/{}", api.register(URL, &["*"]).await.id);
    check_rules(&api, &path, "headers", &header_cases()).await;
    check_rules(&api, &path, "auth", &auth_cases()).await;
    let cases: &[(Value, &[&str])] = &[
        (json!("0s,1m"), &["/retry_schedule"]),
        (json!([]), &["/retry_schedule"]),
        (json!(vec!["1s"; 11]), &["/retry_schedule"]),
        (json!(["0s", "1d", 5, "1m"]), &["/retry_schedule/1", "/retry_schedule/2"]),
        (json!(["16m"]), &["/retry_schedule"]),
        (json!(["0s", "25h"]), &["/retry_schedule"]),
        (json!(["0s", "24h", "24h", "24h", "24h", "24h", "24h", "24h", "1s"]), &["/retry_schedule"]),
    ];
    check_rules(&api, &path, "retry_schedule", cases).await;
    for value in [json!(0), json!(21), json!(-1), json!("5"), json!(1.5)] {
        check_rules(&api, &path, "timeout_seconds", &[(value, &["/timeout_seconds"])]).await;
    }
    let cases: &[(Value, &[&str])] = &[
        (json!("X-Signature"), &["/signature_header"]),
        (json!({}), &["/signature_header/content", "/signature_header/name", "/signature_header/value"]),
        (
            json!({ "name": "Host", "content": "{id}", "value": "hex" }),
            &["/signature_header/content", "/signature_header/name", "/signature_header/value"],
        ),
        (
            json!({ "name": "X-S", "content": "{body}{secret}", "value": "{hex}{body}", "x": 1 }),
            &["/signature_header/content", "/signature_header/value", "/signature_header/x"],
        ),
    ];
    check_rules(&api, &path, "signature_header", cases).await;
    for value in [json!("never"), json!(true), json!("NO_SUCCESS")] {
        check_rules(&api, &path, "disable_on", &[(value, &["/disable_on"])]).await;
    }
    check(&api.get(&path).await.expect(200), &defaults());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_header_is_not_set_twice() {
    let stack = Stack::start().await;
    let api = stack.api();
    let signature = json!({ "name": "X-Sig", "content": "{body}", "value": "{base64}" });
    let both = json!({ "url": URL, "events": ["*"], "headers": { "x-sig": "v" }, "signature_header": signature });
    assert_eq!(api.post("/v1/webhooks", &both).await.faults(), ["/signature_header/name"]);
    let path = format!("/v1/webhooks/{}", api.register_as(&with("signature_header", &signature)).await.id);
    assert_eq!(api.patch(&path, &json!({ "headers": { "x-sig": "v" } })).await.faults(), ["/signature_header/name"]);
}
