//! Operational events: what Hookline itself publishes about webhooks and deliveries, to the account's other
//! webhooks and to those of the account `platform`.

use serde_json::{Value, json};

use crate::harness::client::{Api, data};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::{Options, Stack};

/// A process with three attempts within seconds, and no trial soon.
async fn start() -> Option<Stack> {
    Stack::with(Options::default().schedule("0s,1s,1s")).await
}

/// The types and the objects of the events that `watching` has received, in order of their types.
async fn reports(watching: &Receiver, count: usize) -> Vec<(String, Value)> {
    let seen = watching.wait_for(count).await;
    let mut reports: Vec<_> = seen
        .iter()
        .map(|request| {
            let event: Value = serde_json::from_slice(&request.body).expect("JSON");
            (request.header("x-webhook-event").to_owned(), event["data"]["object"].clone())
        })
        .collect();
    reports.sort_by(|one, other| one.0.cmp(&other.0));
    reports
}

async fn operational(api: &Api) -> Vec<String> {
    let page = api.get("/v1/events?limit=100").await.expect(200);
    let types = data(&page).iter().map(|event| event["type"].as_str().unwrap_or_default().to_owned());
    types.filter(|name| name.starts_with("webhook.") || name.starts_with("delivery.")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_accounts_other_webhooks_and_the_platforms_are_told_once() {
    let Some(stack) = start().await else { return };
    let api = stack.api().with_account("acme");
    let failing = Receiver::answering(500).await;
    let webhook = api.register(&failing.url("/"), &["*"]).await;
    let (own, platform, stranger) =
        (Receiver::answering(200).await, Receiver::answering(200).await, Receiver::answering(200).await);
    let types = ["webhook.*", "delivery.failed"];
    api.register(&own.url("/"), &types).await;
    stack.api().with_account("platform").register(&platform.url("/"), &types).await;
    stack.api().with_account("globex").register(&stranger.url("/"), &types).await;
    let event = api.publish("user.created").await.id();

    let expected = ["delivery.failed", "webhook.disabled", "webhook.failing"];
    for (watching, account) in [(&own, None), (&platform, Some("acme"))] {
        let reports = reports(watching, 3).await;
        assert_eq!(reports.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected);
        for (name, object) in &reports {
            assert_eq!(object.get("account").and_then(Value::as_str), account, "{name}");
        }
        let [(_, failed), (_, disabled), (_, failing)] = reports.as_slice() else { panic!("{reports:#?}") };
        assert_eq!((&failed["event_id"], &failed["status"]), (&json!(event), &json!("failed")));
        assert_eq!(failed["attempts"].as_array().map(Vec::len), Some(3));
        assert_eq!((&disabled["id"], &disabled["disabled_reason"]), (&json!(webhook.id), &json!("failures")));
        assert!(!disabled["next_trial_at"].is_null(), "{disabled:#}");
        assert_eq!((&failing["id"], &failing["status"]), (&json!(webhook.id), &json!("enabled")));
    }
    let ids = |watching: &Receiver| {
        let mut ids: Vec<_> = watching.seen().iter().map(|request| request.event().to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&own), ids(&platform), "both get the same events");
    assert!(stranger.seen().is_empty() && failing.seen().iter().all(|request| request.event() == event));
    let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(2);
    own.no_more_than(3, soon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_nobody_subscribes_to_is_not_stored() {
    let Some(stack) = start().await else { return };
    let api = stack.api();
    let failing = Receiver::answering(500).await;
    // The webhook that the events are about is the only one that subscribes to them.
    let webhook = api.register(&failing.url("/"), &["*"]).await;
    api.publish("user.created").await;
    let path = format!("/v1/webhooks/{}", webhook.id);
    api.get_when(&path, |webhook| webhook["status"] == "disabled").await;
    api.delete(&path).await;
    // An event that a second webhook subscribes to is published after the others.
    let watching = Receiver::answering(200).await;
    api.register(&watching.url("/"), &["delivery.failed"]).await;
    let other = Receiver::answering(500).await;
    api.register(&other.url("/"), &["user.*"]).await;
    api.publish("user.created").await;
    watching.wait_for(1).await;
    assert_eq!(operational(&api).await, ["delivery.failed"]);
    let platform = stack.api().with_account("platform");
    assert_eq!(operational(&platform).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_delivery_of_an_operational_event_reports_nothing() {
    let Some(stack) = start().await else { return };
    let api = stack.api();
    let (failing, watching) = (Receiver::answering(500).await, Receiver::answering(200).await);
    api.register(&failing.url("/"), &["user.*"]).await;
    // This one fails with the reports themselves.
    let deaf = Receiver::answering(500).await;
    let deaf = api.register(&deaf.url("/"), &["delivery.failed"]).await;
    api.register(&watching.url("/"), &["webhook.failing", "delivery.failed", "webhook.disabled"]).await;
    api.publish("user.created").await;
    // The deaf webhook is disabled too, which is reported.
    let reports = reports(&watching, 4).await;
    let names: Vec<_> = reports.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["delivery.failed", "webhook.disabled", "webhook.disabled", "webhook.failing"]);
    assert!(reports.iter().any(|(_, object)| object["id"] == deaf.id));
    watching.no_more_than(4, tokio::time::Instant::now() + std::time::Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_fails_again_only_after_a_success() {
    let Some(stack) = Stack::with(Options::default().schedule("0s,1s,1s,300s")).await else { return };
    let api = stack.api();
    let receiver = Receiver::scripted(|_, request| {
        let is_bad = String::from_utf8_lossy(&request.body).contains(r#""bad":true"#);
        Answer::status(if is_bad { 500 } else { 200 })
    })
    .await;
    let watching = Receiver::answering(200).await;
    let webhook = api.register(&receiver.url("/"), &["user.*"]).await;
    api.register(&watching.url("/"), &["webhook.failing"]).await;
    let bad = json!({ "type": "user.created", "data": { "object": { "bad": true } } });
    let (one, other) = (api.publish_as(&bad).await.id(), api.publish_as(&bad).await.id());
    for event in [&one, &other] {
        let has_three = |delivery: &Value| delivery["attempts"].as_array().is_some_and(|attempts| attempts.len() == 3);
        api.delivery_when(event, &webhook.id, has_three).await;
    }
    watching.wait_for(1).await;
    watching.no_more_than(1, tokio::time::Instant::now() + std::time::Duration::from_secs(2)).await;
    let good = api.publish("user.created").await.id();
    api.delivery_when(&good, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    api.publish_as(&bad).await;
    watching.wait_for(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_platform_token_may_use_the_account_of_the_platform() {
    let Some(stack) = start().await else { return };
    let api = stack.api();
    let refused = api.post("/v1/tokens", &json!({ "account": "platform" })).await;
    assert_eq!(refused.faults(), ["/account"]);
    let refused = api.with_account("platform").post("/v1/tokens", &json!({})).await;
    refused.problem(400);
    let token = api.post("/v1/tokens", &json!({ "account": "acme" })).await.expect(201);
    let acme = api.with_token(token["token"].as_str());
    acme.with_account("platform").get("/v1/webhooks").await.problem(403);
    api.with_account("platform").get("/v1/webhooks").await.expect(200);
}
