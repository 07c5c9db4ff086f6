//! An event reaches every webhook that is enabled and subscribes to it, each once, and no other.

use std::collections::HashMap;

use serde_json::json;

use crate::process::Stack;
use crate::receiver::Receiver;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exact_names_families_and_the_star_subscribe() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    for (path, events) in [
        ("/exact", vec!["user.created"]),
        ("/family", vec!["user.*"]),
        ("/star", vec!["*"]),
        ("/twice", vec!["user.created", "user.*", "*"]),
        ("/other", vec!["user.updated", "payment.*"]),
    ] {
        api.register(&receiver.url(path), &events).await;
    }
    let first = api.publish("user.created").await.id();
    receiver.wait_for_event(&first, 4).await;
    let second = api.publish("resource.deleted").await.id();
    receiver.wait_for_event(&second, 2).await;
    // It is asked for last: what went wrong before it has come by now, as far as order can tell.
    let third = api.publish("payment.failed").await.id();
    receiver.wait_for_event(&third, 3).await;

    let mut paths: HashMap<String, Vec<String>> = HashMap::new();
    for request in receiver.seen() {
        paths.entry(request.event().to_owned()).or_default().push(request.path.clone());
    }
    for paths in paths.values_mut() {
        paths.sort();
    }
    assert_eq!(paths[&first], ["/exact", "/family", "/star", "/twice"]);
    assert_eq!(paths[&second], ["/star", "/twice"]);
    assert_eq!(paths[&third], ["/other", "/star", "/twice"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_subscribers_than_a_page_all_get_the_event_once() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let mut expected: Vec<_> = (0..35).map(|index| format!("/{index}")).collect();
    for path in &expected {
        api.register(&receiver.url(path), &["resource.created"]).await;
    }
    for _ in 0..3 {
        let event = api.publish("resource.created").await.id();
        let seen = receiver.wait_for_event(&event, expected.len()).await;
        let mut paths: Vec<_> = seen.iter().map(|request| request.path.clone()).collect();
        paths.sort();
        expected.sort();
        assert_eq!(paths, expected);
    }
    assert_eq!(receiver.seen().len(), 3 * expected.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_or_deleted_webhook_gets_nothing() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let disabled = api.register(&receiver.url("/disabled"), &["*"]).await.id;
    let deleted = api.register(&receiver.url("/deleted"), &["*"]).await.id;
    api.register(&receiver.url("/enabled"), &["*"]).await;
    api.patch(&format!("/v1/webhooks/{disabled}"), &json!({ "status": "disabled" })).await.expect(200);
    api.delete(&format!("/v1/webhooks/{deleted}")).await.expect(204);
    api.publish("user.created").await;
    receiver.wait_for(1).await;

    api.patch(&format!("/v1/webhooks/{disabled}"), &json!({ "status": "enabled" })).await.expect(200);
    let event = api.publish("user.created").await.id();
    receiver.wait_for_event(&event, 2).await;
    let mut paths: Vec<_> = receiver.seen().iter().map(|request| request.path.clone()).collect();
    paths.sort();
    assert_eq!(paths, ["/disabled", "/enabled", "/enabled"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_without_subscribers_is_accepted_and_stored() {
    let stack = Stack::start().await;
    let event = stack.api().publish("user.created").await.id();
    let shown = stack.api().get(&format!("/v1/events/{event}")).await.expect(200);
    assert_eq!(shown["deliveries"], json!([]), "{shown:#}");
}
