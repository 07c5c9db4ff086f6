//! An event reaches every webhook that is enabled and subscribed to it, each once, and no other
//! webhook.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::json;

use crate::harness::receiver::Receiver;
use crate::harness::stack::Stack;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_is_an_exact_name_or_a_prefix_or_a_star() {
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
    // The third event is published last, so a wrong delivery of the first two has most likely
    // arrived by now.
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
async fn an_event_reaches_more_webhooks_than_fit_on_one_page() {
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
async fn a_disabled_or_deleted_webhook_receives_nothing() {
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

    let enable = json!({ "status": "enabled", "held": "cancel" });
    api.patch(&format!("/v1/webhooks/{disabled}"), &enable).await.expect(200);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_webhooks_receive_an_event_once_each() {
    const WEBHOOKS: usize = 10_000;
    /// Enough for ten thousand registrations and deliveries of an unoptimised build on a busy
    /// machine.
    const DEADLINE: Duration = Duration::from_secs(240);
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let urls: Vec<_> = (0..WEBHOOKS).map(|index| receiver.url(&format!("/{index}"))).collect();
    stream::iter(&urls).for_each_concurrent(32, async |url| drop(api.register(url, &["user.created"]).await)).await;

    let event = api.publish("user.created").await.id();
    receiver.wait_until(DEADLINE, "every webhook's delivery", |seen| seen.len() >= WEBHOOKS).await;
    // A second event passes through the same pages. By then all repeated deliveries of the first
    // have been sent.
    let marker = api.publish("user.created").await.id();
    let seen = receiver.wait_until(DEADLINE, "the second event", |seen| seen.len() >= 2 * WEBHOOKS).await;
    for published in [&event, &marker] {
        let paths: HashSet<_> =
            seen.iter().filter(|request| request.event() == published).map(|request| &request.path).collect();
        assert_eq!(paths.len(), WEBHOOKS, "not every webhook received {published}");
    }
    assert_eq!(seen.len(), 2 * WEBHOOKS, "a webhook received an event twice");
}
