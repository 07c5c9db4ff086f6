//! Every answer fits into a Lambda response: 6 MB of JSON, in which the body is a string and so is
//! escaped once more.

use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use domain::event::{Event, NewEvent};
use domain::id::EventId;
use serde_json::Value;
use serde_json::value::RawValue;
use store::events;

use crate::harness::router::ApiProcess;
use crate::harness::world::{World, acme};

/// Lambda's limit for the request and the response of a synchronous invocation, in bytes.
const LAMBDA_MAX: usize = 6 * 1024 * 1024;
/// Bytes of the response besides the body: status, headers, and their JSON.
const ENVELOPE: usize = 4 * 1024;
/// Bytes of an event's object that leave room for the rest of an event of 256 KiB.
const OBJECT_BYTES: usize = 250_000;

/// Sends a request; checks that the answer fits, and returns its status and its body.
async fn ask(process: &ApiProcess, method: &str, path: &str, body: impl Into<Body>) -> (u16, Value) {
    let answer = process.send(method, path, body).await;
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
    let text = std::str::from_utf8(&body).expect("text");
    let carried = serde_json::to_string(text).expect("a string").len();
    assert!(carried + ENVELOPE <= LAMBDA_MAX, "{method} {path}: {carried} bytes");
    (status, serde_json::from_str(text).expect("JSON"))
}

/// An object whose length doubles when it is escaped: `{"text":"\"\"…"}`.
fn quotes(bytes: usize) -> String {
    format!(r#"{{"text":"{}"}}"#, r#"\""#.repeat(bytes / 2))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_large_events_fit() {
    let world = World::new().await;
    let process = world.api_process().await;
    let mut published = BTreeSet::new();
    for _ in 0..20 {
        let body = format!(r#"{{"type":"user.created","data":{{"object":{}}}}}"#, quotes(OBJECT_BYTES));
        let (status, event) = ask(&process, "POST", "/v1/events", body).await;
        assert_eq!(status, 202);
        published.insert(event["id"].as_str().expect("an id").to_owned());
    }
    let (mut listed, mut cursor, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let (status, page) = ask(&process, "GET", &format!("/v1/events?limit=100{cursor}"), Body::empty()).await;
        assert_eq!(status, 200);
        for event in page["data"].as_array().expect("data") {
            assert!(listed.insert(event["id"].as_str().expect("an id").to_owned()), "an event is listed twice");
        }
        pages += 1;
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(listed, published);
    assert!(pages > 1, "ten megabytes do not fit into one answer");
    let id = published.first().expect("there are some");
    assert_eq!(ask(&process, "GET", &format!("/v1/events/{id}"), Body::empty()).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_events_are_not_split_over_pages() {
    let world = World::new().await;
    // Neither the bound on bytes nor the one on read units may cut a page of twenty events of 4 KB.
    for _ in 0..20 {
        let object = RawValue::from_string(quotes(4_000)).expect("JSON");
        let new = NewEvent { event_type: "user.created".parse().expect("a name"), object, previous_data: None };
        let id = EventId::new(world.app.clock.now(), &world.app.random);
        events::put(&world.app.store, &Event::new(acme(), id, &new)).await.expect("stored");
    }
    let page = events::list(&world.app.store, &acme(), None, None, 20).await.expect("a page");
    assert_eq!((page.items.len(), page.next), (20, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_the_largest_batch_fits_and_a_larger_batch_is_refused() {
    let world = World::new().await;
    let process = world.api_process().await;
    let event = |object: &str| format!(r#"{{"type":"user.created","data":{{"object":{object}}}}}"#);
    let batch = |events: &[String]| format!(r#"{{"events":[{}]}}"#, events.join(","));
    // Ten events near the size limit, and ninety with more faults than an answer lists.
    let faulty: Vec<_> = (0..120).map(|number| format!(r#""{number}{}":1"#, "n".repeat(10))).collect();
    let faulty = format!("{{{}}}", faulty.join(","));
    let mut events = vec![event(&quotes(OBJECT_BYTES)); 9];
    events.resize(99, faulty);
    let rest = 2_621_440 - batch(&events).len() - event(&quotes(0)).len() - 1;
    events.push(event(&quotes(rest)));
    let body = batch(&events);
    assert!(body.len() > 2_621_430 && body.len() <= 2_621_440, "{}", body.len());
    let (status, answer) = ask(&process, "POST", "/v1/events/batch", body).await;
    assert_eq!(status, 202, "{answer:#}");
    let results = answer["data"].as_array().expect("data");
    assert!(results[0]["id"].is_string() && results[99]["id"].is_string());
    assert!(results[9]["errors"].as_array().is_some_and(|errors| !errors.is_empty()), "{:#}", results[9]);

    events.push(event("{}"));
    let (status, problem) = ask(&process, "POST", "/v1/events/batch", batch(&events)).await;
    assert_eq!((status, problem["detail"].as_str().is_some_and(|detail| detail.contains("2.5 MiB"))), (413, true));
}
