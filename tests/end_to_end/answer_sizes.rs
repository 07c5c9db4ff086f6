//! Every answer fits what Lambda carries: 6 MB of JSON in which the body is a string, escaped once more.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use hookline::event::{Event, NewEvent};
use hookline::id::{AccountId, EventId};
use hookline::store::events;
use serde_json::Value;
use serde_json::value::RawValue;
use tower::ServiceExt;

use crate::simulated_day::World;

/// Lambda's limit for a synchronous invocation's request and answer, in bytes.
const LAMBDA_MAX: usize = 6 * 1024 * 1024;
/// Escaped bytes beside the body: status, headers, and the names around them.
const ENVELOPE: usize = 4 * 1024;
/// Bytes of an event's object: what is left of 256 KiB.
const OBJECT_BYTES: usize = 250_000;

/// Asks the API; gives the status and the body, which must fit.
async fn ask(process: &Router, token: &str, method: &str, path: &str, body: Body) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("Authorization", format!("Bearer {token}"));
    let request = request.header("Hookline-Account", "acme").header("Content-Type", "application/json");
    let answer =
        process.clone().oneshot(request.body(body).expect("a request")).await.expect("a router always answers");
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
    let text = std::str::from_utf8(&body).expect("text");
    let carried = serde_json::to_string(text).expect("a string").len();
    assert!(carried + ENVELOPE <= LAMBDA_MAX, "{method} {path}: {carried} bytes");
    (status, serde_json::from_str(text).expect("JSON"))
}

/// An object whose text doubles when it is carried: `{"text":"\"\"…"}`, where each quote is `\"`.
fn quotes(bytes: usize) -> String {
    format!(r#"{{"text":"{}"}}"#, r#"\""#.repeat(bytes / 2))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_large_events_are_listed_in_pages_that_fit() {
    let world = World::new().await;
    let (process, token) = (api::router(world.api.clone()), world.platform_token().await);
    let mut published = BTreeSet::new();
    for _ in 0..20 {
        let body = format!(r#"{{"type":"user.created","data":{{"object":{}}}}}"#, quotes(OBJECT_BYTES));
        let (status, event) = ask(&process, &token, "POST", "/v1/events", body.into()).await;
        assert_eq!(status, 202);
        published.insert(event["id"].as_str().expect("an id").to_owned());
    }
    let (mut listed, mut cursor, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let (status, page) =
            ask(&process, &token, "GET", &format!("/v1/events?limit=100{cursor}"), Body::empty()).await;
        assert_eq!(status, 200);
        for event in page["data"].as_array().expect("data") {
            assert!(listed.insert(event["id"].as_str().expect("an id").to_owned()), "each once");
        }
        pages += 1;
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(listed, published);
    assert!(pages > 1, "ten megabytes are not one answer");
    let id = published.first().expect("there are some");
    assert_eq!(ask(&process, &token, "GET", &format!("/v1/events/{id}"), Body::empty()).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fits_is_one_page() {
    let world = World::new().await;
    let account: AccountId = "acme".parse().expect("a name");
    // Twenty events of 4 KB of escapes stay one page; read units or bytes must not cut what fits.
    for _ in 0..20 {
        let object = RawValue::from_string(quotes(4_000)).expect("JSON");
        let new = NewEvent { event_type: "user.created".parse().expect("a name"), object, previous_data: None };
        let id = EventId::new(world.app.clock.now(), &world.app.random);
        events::put(&world.app, &Event::new(account.clone(), id, &new)).await.expect("stored");
    }
    let page = events::list(&world.app, &account, None, None, 20).await.expect("a page");
    assert_eq!((page.items.len(), page.next), (20, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_batch_fits_and_a_larger_one_is_told_its_limit() {
    let world = World::new().await;
    let (process, token) = (api::router(world.api.clone()), world.platform_token().await);
    let event = |object: &str| format!(r#"{{"type":"user.created","data":{{"object":{object}}}}}"#);
    let batch = |events: &[String]| format!(r#"{{"events":[{}]}}"#, events.join(","));
    // Ten events near the limit of one, and ninety that break as many rules as an answer tells of.
    let faulty: Vec<_> = (0..120).map(|number| format!(r#""{number}{}":1"#, "n".repeat(10))).collect();
    let faulty = format!("{{{}}}", faulty.join(","));
    let mut events = vec![event(&quotes(OBJECT_BYTES)); 9];
    events.resize(99, faulty);
    let rest = 2_621_440 - batch(&events).len() - event(&quotes(0)).len() - 1;
    events.push(event(&quotes(rest)));
    let body = batch(&events);
    assert!(body.len() > 2_621_430 && body.len() <= 2_621_440, "{}", body.len());
    let (status, answer) = ask(&process, &token, "POST", "/v1/events/batch", body.into()).await;
    assert_eq!(status, 202, "{answer:#}");
    let results = answer["data"].as_array().expect("data");
    assert!(results[0]["id"].is_string() && results[99]["id"].is_string());
    assert!(results[9]["errors"].as_array().is_some_and(|errors| !errors.is_empty()), "{:#}", results[9]);

    events.push(event("{}"));
    let (status, problem) = ask(&process, &token, "POST", "/v1/events/batch", batch(&events).into()).await;
    assert_eq!((status, problem["detail"].as_str().is_some_and(|detail| detail.contains("2.5 MiB"))), (413, true));
}
