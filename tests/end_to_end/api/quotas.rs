//! Quotas: an account's webhooks and the catalogue's event types are limited in number, and the
//! catalogue also in size.

use domain::event_type::{CatalogueEntry, Sample};
use domain::page::Order;
use futures::future::join_all;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use store::{event_types, keys, webhooks};

use crate::harness::router::ApiProcess;
use crate::harness::world::{World, acme};

const WEBHOOKS_MAX: usize = 5;

async fn register(process: &ApiProcess) -> (u16, Value) {
    process.ask("POST", "/v1/webhooks", &json!({ "url": "http://127.0.0.1:1/", "events": ["*"] })).await
}

/// A world in which an account may have five webhooks, and its API.
async fn world_with_quota() -> (World, ApiProcess) {
    let world = World::with(|config| config.tables.webhooks_max = WEBHOOKS_MAX).await;
    let process = world.api_process().await;
    (world, process)
}

/// The number of webhooks that are stored.
async fn count(world: &World) -> usize {
    let page = webhooks::page(&world.app.store, &acme(), None, 100, Order::Oldest).await;
    page.expect("the table").items.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_account_may_register_again_only_after_a_deletion() {
    let (world, process) = world_with_quota().await;
    let mut ids = Vec::new();
    for _ in 0..WEBHOOKS_MAX {
        let (status, webhook) = register(&process).await;
        assert_eq!(status, 201, "{webhook:#}");
        ids.push(webhook["id"].as_str().expect("an id").to_owned());
    }
    for _ in 0..2 {
        let (status, problem) = register(&process).await;
        assert_eq!((status, &problem["type"]), (409, &json!("urn:hookline:problem:quota-exceeded")), "{problem:#}");
    }
    let path = format!("/v1/webhooks/{}", ids[0]);
    assert_eq!(process.ask("DELETE", &path, &Value::Null).await.0, 204);
    assert_eq!(process.ask("DELETE", &path, &Value::Null).await.0, 404);
    assert_eq!(register(&process).await.0, 201);
    assert_eq!(register(&process).await.0, 409, "the deletion that found nothing made room");
    assert_eq!(count(&world).await, WEBHOOKS_MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_or_missing_counter_is_corrected() {
    let (world, process) = world_with_quota().await;
    for _ in 0..WEBHOOKS_MAX - 1 {
        assert_eq!(register(&process).await.0, 201);
    }
    // A process raised the counter and crashed before it stored the webhook.
    let call = world.app.store.dynamodb.update_item().table_name(&world.app.store.settings.webhooks);
    let call = call.set_key(Some(keys::webhook_count(&acme()))).update_expression("SET #count = #count + :one");
    let call = call.expression_attribute_names("#count", "count");
    let one = aws_sdk_dynamodb::types::AttributeValue::N("1".to_owned());
    call.expression_attribute_values(":one", one).send().await.expect("the table");
    assert_eq!(register(&process).await.0, 201, "the webhooks were not counted again");
    assert_eq!(register(&process).await.0, 409);
    // An account that is older than the counter has none.
    let call = world.app.store.dynamodb.delete_item().table_name(&world.app.store.settings.webhooks);
    call.set_key(Some(keys::webhook_count(&acme()))).send().await.expect("the table");
    assert_eq!(register(&process).await.0, 409);
    assert_eq!(count(&world).await, WEBHOOKS_MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_registrations_never_exceed_the_quota() {
    let (world, process) = world_with_quota().await;
    let answers = join_all((0..4 * WEBHOOKS_MAX).map(|_| register(&process))).await;
    let registered = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!((registered, count(&world).await), (WEBHOOKS_MAX, WEBHOOKS_MAX), "{answers:?}");
}

fn entry(name: &str, object: &str) -> CatalogueEntry {
    let object = RawValue::from_string(object.to_owned()).expect("JSON");
    let sample = Sample { object, previous_data: None };
    CatalogueEntry::new(name.parse().expect("a name"), "", sample)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_is_limited_in_types_and_in_size() {
    let world = World::new().await;
    let process = world.api_process().await;
    let create = async |name: String, text: String| {
        let body = json!({ "name": name, "sample": { "data": { "object": { "text": text } } } });
        process.ask("POST", "/v1/event-types", &body).await
    };
    for number in 0..999 {
        event_types::put(&world.app.store, &entry(&format!("many.n{number}"), "{}")).await.expect("the table");
    }
    assert_eq!(create("many.last".to_owned(), String::new()).await.0, 201);
    let (status, problem) = create("many.more".to_owned(), String::new()).await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:hookline:problem:quota-exceeded")), "{problem:#}");

    for number in 0..100 {
        event_types::delete(&world.app.store, &entry(&format!("many.n{number}"), "{}").name).await.expect("the table");
    }
    // Each quote takes two bytes of JSON, and four bytes of Lambda's response.
    let large = "\"".repeat(30_000);
    for number in 0..38 {
        let object = json!({ "text": large }).to_string();
        event_types::put(&world.app.store, &entry(&format!("large.n{number}"), &object)).await.expect("the table");
    }
    let mut statuses = Vec::new();
    for number in 38..44 {
        statuses.push(create(format!("large.n{number}"), large.clone()).await.0);
    }
    assert_eq!((statuses[0], statuses[5]), (201, 409));
    let (status, catalogue) = process.ask("GET", "/v1/event-types", &Value::Null).await;
    let carried = serde_json::to_string(&catalogue.to_string()).expect("a string").len();
    assert!(status == 200 && carried < 6 * 1024 * 1024, "{carried} bytes");
}
