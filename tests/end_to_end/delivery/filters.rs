//! Filters: a webhook receives only the events that match its filter. An event that it filters out
//! costs nothing and shows nowhere.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::{data, text};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;
use crate::harness::stage::{Stage, delivery_path};

/// Matches events whose object has this `kind`.
fn of_kind(kind: &str) -> Value {
    json!({ "data": { "object": { "kind": [kind] } } })
}

/// Registers a webhook with a filter; returns its path.
async fn register(stage: &Stage, receiver: &Receiver, filter: &Value) -> String {
    let body = json!({ "url": receiver.url("/"), "events": ["user.created"], "filter": filter });
    let webhook = stage.ask("POST", "/v1/webhooks", &body).await;
    assert_eq!(&webhook["filter"], filter);
    format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"))
}

/// Publishes an event of a kind; returns its id.
async fn publish(stage: &Stage, kind: &str) -> String {
    let event = json!({ "type": "user.created", "data": { "object": { "kind": kind } } });
    stage.ask("POST", "/v1/events", &event).await["id"].as_str().expect("an id").to_owned()
}

/// The ids of the events that arrived, in order.
fn arrived(receiver: &Receiver) -> Vec<String> {
    receiver.seen().iter().map(|request| request.event().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operator_works_through_the_api() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let object = json!({ "name": "Ann", "amount": 30.0, "ip": "10.0.0.9", "tags": ["new", "sale"],
        "items": [{ "sku": "A", "n": 1 }, { "sku": "B", "n": 2 }] });
    let matching = [
        json!({ "type": [{ "prefix": "user." }] }),
        json!({ "data": { "object": { "amount": [30] } } }),
        json!({ "data": { "object": { "amount": [{ "numeric": [">", 29, "<=", 30] }] } } }),
        json!({ "data": { "object": { "ip": [{ "cidr": "10.0.0.0/24" }], "tags": ["sale"] } } }),
        json!({ "data": { "object": { "items": { "sku": ["B"], "n": [2] } } } }),
        json!({ "data": { "object": { "name": [{ "changed": true }] } } }),
        json!({ "$or": [{ "type": ["x.y"] }, { "data": { "object": { "name": [{ "wildcard": "A*n" }] } } }] }),
    ];
    let others = [
        json!({ "type": [{ "anything-but": { "prefix": "user." } }] }),
        json!({ "data": { "object": { "amount": ["30"] } } }),
        json!({ "data": { "object": { "items": { "sku": ["A"], "n": [2] } } } }),
        json!({ "data": { "object": { "tags": [{ "changed": true }] } } }),
        json!({ "data": { "object": { "missing": [{ "exists": true }] } } }),
    ];
    for (prefix, filters) in [("/yes", &matching[..]), ("/no", &others[..])] {
        for (index, filter) in filters.iter().enumerate() {
            let url = receiver.url(&format!("{prefix}/{index}"));
            api.register_as(&json!({ "url": url, "events": ["*"], "filter": filter })).await;
        }
    }
    let event = json!({ "type": "user.updated", "data": { "object": object }, "previous_data": { "name": "Anna" } });
    let id = text(&api.post("/v1/events", &event).await.expect(202)["id"]).clone();
    receiver.wait_for_event(&id, matching.len()).await;
    // The marker is published last, so that what must not arrive has most likely arrived by now.
    api.register(&receiver.url("/marker"), &["resource.deleted"]).await;
    let marker = api.publish("resource.deleted").await.id();
    receiver.wait_for_event(&marker, 2).await;
    let seen = receiver.seen();
    let of_event = seen.iter().filter(|request| request.event() == id);
    let mut paths: Vec<_> = of_event.map(|request| request.path.clone()).collect();
    paths.sort();
    assert_eq!(paths, (0..matching.len()).map(|index| format!("/yes/{index}")).collect::<Vec<_>>());
    let read = api.get(&format!("/v1/events/{id}")).await.expect(200);
    assert_eq!(read["deliveries"].as_array().map(Vec::len), Some(matching.len()), "{read:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_is_shown_as_it_was_sent_and_null_removes_it() {
    let stack = Stack::start().await;
    let api = stack.api();
    let filter = r#"{"data" : { "object":{"n":[ 3.0e2, "\u00e9"] } }}"#;
    let body = format!(r#"{{"url":"https://hooks.example.com/in","events":["*"],"filter":{filter}}}"#);
    let created = api.send_text(reqwest::Method::POST, "/v1/webhooks", &body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let path = format!("/v1/webhooks/{}", text(&created.expect(201)["id"]));
    let shown = |reply: &str| reply.contains(&format!(r#""filter":{filter}"#));
    assert!(shown(&created.text), "{}", created.text);
    assert!(shown(&api.get(&path).await.text) && shown(&api.get("/v1/webhooks").await.text));
    let changed = api.patch(&path, &json!({ "description": "still filtered" })).await;
    assert!(shown(&changed.text), "{}", changed.text);
    assert_eq!(api.patch(&path, &json!({ "filter": null })).await.expect(200)["filter"], Value::Null);
    let fault = json!({ "filter": { "data": { "object": { "n": [{ "numeric": ["<"] }], "m": [] } }, "kind": ["x"] } });
    let mut faults = api.patch(&path, &fault).await.faults();
    faults.sort();
    assert_eq!(faults, ["/filter/data/object/m", "/filter/data/object/n/0/numeric", "/filter/kind"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_reads_show_only_what_the_present_filter_matches() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = register(&stage, &receiver, &of_kind("a")).await;
    stage.change(&webhook, json!({ "rate_limit": 1 })).await;
    let mut of_a = vec![];
    for _ in 0..10 {
        of_a.push((publish(&stage, "a").await, "pending".to_owned()));
        publish(&stage, "b").await;
    }
    of_a.reverse();
    assert_eq!(stage.listed(&webhook, "").await, of_a);
    let other = publish(&stage, "b").await;
    let (status, _) = stage.try_to_ask("GET", &delivery_path(&webhook, &other), &Value::Null).await;
    assert_eq!(status, 404, "a delivery that is filtered out");
    let read = stage.ask("GET", &format!("/v1/events/{other}"), &Value::Null).await;
    assert_eq!(read["deliveries"], json!([]));
    stage.change(&webhook, json!({ "filter": of_kind("b") })).await;
    assert_eq!(stage.listed(&webhook, "").await.len(), 11, "the present filter counts");
    stage.change(&webhook, json!({ "filter": null })).await;
    assert_eq!(stage.listed(&webhook, "").await.len(), 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_attempt_needs_the_present_filter_and_a_stored_delivery_goes_on() {
    let receiver = Receiver::in_turn(vec![Answer::status(500), Answer::status(200)]).await;
    let stage = Stage::new().await;
    let webhook = register(&stage, &receiver, &of_kind("a")).await;
    let attempted = publish(&stage, "a").await;
    stage.world.work().await;
    assert_eq!(arrived(&receiver), [attempted.as_str()]);
    let waiting = publish(&stage, "a").await;
    stage.change(&webhook, json!({ "filter": of_kind("b") })).await;
    stage.world.pass(Duration::from_secs(120)).await;
    assert_eq!(arrived(&receiver), [attempted.as_str(), attempted.as_str()], "only the stored one goes on");
    assert_eq!(stage.listed(&webhook, "").await, [(attempted.clone(), "delivered".to_owned())]);
    // Nothing was written for the other, so a filter that matches it again shows it again. No task is left for it, so it is
    // held until a recovery.
    stage.change(&webhook, json!({ "filter": null })).await;
    assert_eq!(stage.delivery(&webhook, &waiting).await["status"], "held");
    stage.recover(&webhook).await;
    stage.world.work().await;
    assert_eq!(stage.delivery(&webhook, &waiting).await["status"], "delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_sends_what_the_present_filter_matches() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = register(&stage, &receiver, &of_kind("a")).await;
    stage.change(&webhook, json!({ "status": "disabled" })).await;
    let (of_a, of_b) = (publish(&stage, "a").await, publish(&stage, "b").await);
    let listed = |event: &str| vec![(event.to_owned(), "held".to_owned())];
    assert_eq!(stage.listed(&webhook, "").await, listed(&of_a));
    // Enabling the webhook recovers what is held by then.
    stage.change(&webhook, json!({ "filter": of_kind("b"), "status": "enabled" })).await;
    stage.world.work().await;
    assert_eq!(arrived(&receiver), [of_b.as_str()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_deliveries_are_not_filtered() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = register(&stage, &receiver, &of_kind("nothing has it")).await;
    let id = webhook.trim_start_matches("/v1/webhooks/");
    let test = json!({ "webhook_id": id, "event_type": "user.created" });
    stage.ask("POST", "/v1/webhooks/test", &test).await;
    publish(&stage, "a").await;
    stage.world.work().await;
    assert_eq!(arrived(&receiver).len(), 1);
    let listed = stage.ask("GET", &format!("{webhook}/deliveries"), &Value::Null).await;
    assert_eq!(data(&listed).len(), 1, "{listed:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_fan_out_evaluates_filters_on_every_page() {
    const WEBHOOKS: usize = 130;
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    for index in 0..WEBHOOKS {
        register(&stage, &receiver, &of_kind(&(index % 5).to_string())).await;
    }
    publish(&stage, "3").await;
    stage.world.work().await;
    assert_eq!(arrived(&receiver).len(), WEBHOOKS / 5);
}
