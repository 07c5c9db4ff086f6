//! An account has as many webhooks as it may, the catalogue as many types, and whoever asks for more is told.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use futures::future::join_all;
use hookline::event_type::{CatalogueEntry, Sample};
use hookline::id::AccountId;
use hookline::store::{StoreError, event_types, keys, webhooks};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::simulated_day::World;

const MAX: usize = 5;

async fn ask(process: &Router, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("Authorization", format!("Bearer {token}"));
    let request = request.header("Hookline-Account", "acme").header("Content-Type", "application/json");
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let answer =
        process.clone().oneshot(request.body(body).expect("a request")).await.expect("a router always answers");
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn register(process: &Router, token: &str) -> (u16, Value) {
    let body = json!({ "url": "http://127.0.0.1:1/", "events": ["*"] });
    ask(process, token, "POST", "/v1/webhooks", body).await
}

/// A world in which an account may have five webhooks.
async fn five() -> (World, Router, String) {
    let world = World::with(|config| config.webhooks_max = MAX).await;
    let (process, token) = (api::router(world.api.clone()), world.platform_token().await);
    (world, process, token)
}

async fn count(world: &World) -> usize {
    let account: AccountId = "acme".parse().expect("a name");
    let page = webhooks::page(&world.app, &account, None, 100, webhooks::Order::Oldest).await;
    page.expect("the table").webhooks.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_account_is_told_and_a_deletion_makes_room() {
    let (world, process, token) = five().await;
    let mut ids = Vec::new();
    for _ in 0..MAX {
        let (status, webhook) = register(&process, &token).await;
        assert_eq!(status, 201, "{webhook:#}");
        ids.push(webhook["id"].as_str().expect("an id").to_owned());
    }
    for _ in 0..2 {
        let (status, problem) = register(&process, &token).await;
        assert_eq!((status, &problem["type"]), (409, &json!("urn:hookline:problem:quota-exceeded")), "{problem:#}");
    }
    let path = format!("/v1/webhooks/{}", ids[0]);
    assert_eq!(ask(&process, &token, "DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(ask(&process, &token, "DELETE", &path, Value::Null).await.0, 404);
    assert_eq!(register(&process, &token).await.0, 201);
    assert_eq!(register(&process, &token).await.0, 409, "a deletion that found nothing made no room");
    assert_eq!(count(&world).await, MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_that_a_crash_left_too_high_or_that_is_missing_is_put_right() {
    let (world, process, token) = five().await;
    for _ in 0..MAX - 1 {
        assert_eq!(register(&process, &token).await.0, 201);
    }
    // A worker raised the counter and died before it stored its webhook.
    let account: AccountId = "acme".parse().expect("a name");
    let call = world.app.dynamodb.update_item().table_name(&world.app.config.webhooks_table);
    let call = call.set_key(Some(keys::webhook_count(&account))).update_expression("SET #count = #count + :one");
    let call = call.expression_attribute_names("#count", "count");
    let one = aws_sdk_dynamodb::types::AttributeValue::N("1".to_owned());
    call.expression_attribute_values(":one", one).send().await.expect("the table");
    assert_eq!(register(&process, &token).await.0, 201, "it is counted anew");
    assert_eq!(register(&process, &token).await.0, 409);
    // An account of before has no counter.
    let call = world.app.dynamodb.delete_item().table_name(&world.app.config.webhooks_table);
    call.set_key(Some(keys::webhook_count(&account))).send().await.expect("the table");
    assert_eq!(register(&process, &token).await.0, 409);
    assert_eq!(count(&world).await, MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_at_once_never_exceed_the_quota() {
    let (world, process, token) = five().await;
    let answers = join_all((0..4 * MAX).map(|_| register(&process, &token))).await;
    let registered = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!((registered, count(&world).await), (MAX, MAX), "{answers:?}");
}

fn entry(name: &str, object: &str) -> CatalogueEntry {
    let object = RawValue::from_string(object.to_owned()).expect("JSON");
    let sample = Sample { object, previous_data: None };
    CatalogueEntry { name: name.parse().expect("a name"), description: String::new(), sample }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_has_a_size() {
    let world = World::new().await;
    let (process, token) = (api::router(world.api.clone()), world.platform_token().await);
    let create = |name: String, text: String| {
        let body = json!({ "name": name, "sample": { "data": { "object": { "text": text } } } });
        ask(&process, &token, "POST", "/v1/event-types", body)
    };
    for number in 0..999 {
        event_types::put(&world.app, &entry(&format!("many.n{number}"), "{}")).await.expect("the table");
    }
    assert_eq!(create("many.last".to_owned(), String::new()).await.0, 201);
    let (status, problem) = create("many.more".to_owned(), String::new()).await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:hookline:problem:quota-exceeded")), "{problem:#}");

    for number in 0..100 {
        event_types::delete(&world.app, &entry(&format!("many.n{number}"), "{}").name).await.expect("the table");
    }
    // Each quote is two bytes of JSON, and four of the answer as Lambda carries it.
    let large = "\"".repeat(30_000);
    for number in 0..38 {
        let object = json!({ "text": large }).to_string();
        event_types::put(&world.app, &entry(&format!("large.n{number}"), &object)).await.expect("the table");
    }
    let mut statuses = Vec::new();
    for number in 38..44 {
        statuses.push(create(format!("large.n{number}"), large.clone()).await.0);
    }
    assert_eq!((statuses[0], statuses[5]), (201, 409));
    let (status, catalogue) = ask(&process, &token, "GET", "/v1/event-types", Value::Null).await;
    let carried = serde_json::to_string(&catalogue.to_string()).expect("a string").len();
    assert!(status == 200 && carried < 6 * 1024 * 1024, "{carried} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_type_that_was_found_is_gone_by_for_half_a_minute() {
    let world = World::new().await;
    let other = hookline::app::App { found_types: event_types::FoundTypes::default(), ..world.app.clone() };
    let custom = entry("custom.happened", "{}");
    let is_known = async |app| -> Result<bool, StoreError> { event_types::is_known(app, &custom.name).await };
    assert!(!is_known(&world.app).await.expect("the table"));
    event_types::put(&other, &custom).await.expect("the table");
    assert!(is_known(&world.app).await.expect("the table"), "a new one works at once");
    event_types::delete(&other, &custom.name).await.expect("the table");
    assert!(!is_known(&other).await.expect("the table"), "where it was deleted it is gone at once");
    world.wait(Duration::from_millis(29_999));
    assert!(is_known(&world.app).await.expect("the table"), "elsewhere it is not asked for");
    world.wait(Duration::from_millis(1));
    assert!(!is_known(&world.app).await.expect("the table"));
}
