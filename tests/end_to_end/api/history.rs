//! What the API shows of the past: a delivery with its attempts, a webhook's deliveries, an event
//! with its deliveries.

use serde_json::{Value, json};

use crate::harness::client::{Api, data, millis, number, text};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_shows_each_attempt_with_the_receivers_response() {
    let Some(stack) = Stack::with_schedule("0s,1s,1s,1s,1s").await else { return };
    let api = stack.api();
    // A reused connection that ends without an answer would be replaced within the attempt.
    let headers = vec![("Content-Type", "text/plain".to_owned()), ("Connection", "close".to_owned())];
    let busy = Answer::Reply(500, headers, "the disk is full".to_owned());
    let done = Answer::Reply(202, Vec::new(), r#"{"status":"received"}"#.to_owned());
    let receiver = Receiver::in_turn(vec![busy, Answer::Drop, done]).await;
    let webhook = api.register(&receiver.url("/"), &["resource.created"]).await;
    let event = api.publish("resource.created").await.json();

    let delivery =
        api.delivery_when(&text(&event["id"]), &webhook.id, |delivery| delivery["status"] == "delivered").await;
    assert!(text(&delivery["id"]).starts_with("dlv_"), "{delivery:#}");
    assert_eq!(delivery["event_id"], event["id"]);
    assert_eq!(delivery["event_type"], "resource.created");
    assert_eq!(delivery["webhook_id"], webhook.id.as_str());
    assert_eq!(delivery["next_attempt_at"], Value::Null);
    assert!(millis(&delivery["created_at"]) >= millis(&event["created_at"]), "{delivery:#}");

    let attempts = delivery["attempts"].as_array().expect("attempts");
    let shown: Vec<_> =
        attempts.iter().map(|a| (number(&a["number"]), &a["status_code"], a["error"].is_null())).collect();
    assert_eq!(shown, [(1, &json!(500), shown[0].2), (2, &Value::Null, false), (3, &json!(202), true)], "{delivery:#}");
    assert_eq!(attempts[0]["response_body"], "the disk is full");
    assert_eq!(attempts[2]["response_body"], r#"{"status":"received"}"#);
    for attempt in attempts {
        assert!((0..5000).contains(&number(&attempt["duration_ms"])), "{attempt:#}");
        assert!(millis(&attempt["started_at"]) >= millis(&event["created_at"]) - 1000, "{attempt:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhooks_deliveries_are_listed_newest_first_in_pages_and_by_status() {
    let stack = Stack::start().await;
    let api = stack.api();
    // The first attempt of the third event fails. Its delivery stays pending.
    let receiver = Receiver::scripted(|before, _| Answer::status(if before == 2 { 500 } else { 200 })).await;
    let webhook = api.register(&receiver.url("/"), &["resource.created"]).await;
    let mut published = Vec::new();
    for count in 1..=5 {
        published.push(api.publish("resource.created").await.id());
        receiver.wait_for(count).await;
    }
    let path = format!("/v1/webhooks/{}/deliveries", webhook.id);
    let all_recorded = |page: &Value| {
        data(page).iter().filter(|delivery| delivery["attempts"].as_array().is_some_and(|all| all.len() == 1)).count()
            == 5
    };
    let page = api.get_when(&path, all_recorded).await;
    assert_eq!(page["next_cursor"], Value::Null, "{page:#}");
    published.reverse();
    assert_eq!(events(&page), published, "newest first");

    assert_eq!(walk(&api, &format!("{path}?limit=2"), 3).await, published);
    let pending = api.get(&format!("{path}?status=pending")).await.expect(200);
    assert_eq!(events(&pending), [published[2].as_str()]);
    let delivered = api.get(&format!("{path}?status=delivered")).await.expect(200);
    published.remove(2);
    assert_eq!(events(&delivered), published);
}

/// The event ids of a page of deliveries.
fn events(page: &Value) -> Vec<String> {
    data(page).iter().map(|delivery| text(&delivery["event_id"])).collect()
}

/// Reads all pages, and checks that there are `pages` of them; returns their event ids.
async fn walk(api: &Api, path: &str, pages: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    for left in (0..pages).rev() {
        let page = api.get(&format!("{path}{cursor}")).await.expect(200);
        all.extend(events(&page));
        match &page["next_cursor"] {
            Value::Null => assert_eq!(left, 0, "the pages end early: {page:#}"),
            next => cursor = format!("&cursor={}", text(next)),
        }
        assert!(left > 0 || page["next_cursor"].is_null(), "the last page has a next one: {page:#}");
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_shows_its_deliveries() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let mut webhooks = Vec::new();
    for path in ["/a", "/b"] {
        webhooks.push(api.register(&receiver.url(path), &["user.*"]).await.id);
    }
    api.register(&receiver.url("/c"), &["payment.*"]).await;
    let answer = api.publish("user.updated").await;
    receiver.wait_for(2).await;

    let all_delivered = |event: &Value| {
        event["deliveries"]
            .as_array()
            .is_some_and(|all| all.len() == 2 && all.iter().all(|delivery| delivery["status"] == "delivered"))
    };
    let event = api.get_when(&format!("/v1/events/{}", answer.id()), all_delivered).await;
    for member in ["id", "type", "created_at", "data", "previous_data"] {
        assert_eq!(event[member], answer.json()[member], "{event:#}");
    }
    let mut listed: Vec<_> =
        event["deliveries"].as_array().expect("deliveries").iter().map(|d| text(&d["webhook_id"])).collect();
    listed.sort();
    webhooks.sort();
    assert_eq!(listed, webhooks);
    for delivery in event["deliveries"].as_array().expect("deliveries") {
        let alone = api.get(&format!("/v1/deliveries/{}", text(&delivery["id"]))).await.expect(200);
        assert_eq!(alone["event_id"], answer.id().as_str());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_listed_newest_first_and_by_type() {
    let stack = Stack::start().await;
    let api = stack.api();
    let mut published = Vec::new();
    for kind in ["user.created", "payment.failed", "user.created"] {
        published.push(api.publish(kind).await.id());
    }
    let ids = |page: &Value| data(page).iter().map(|event| text(&event["id"])).collect::<Vec<_>>();
    published.reverse();
    assert_eq!(ids(&api.get("/v1/events").await.expect(200)), published);
    let payments = api.get("/v1/events?type=payment.failed").await.expect(200);
    assert_eq!(ids(&payments), [published[1].as_str()]);
    let first = api.get("/v1/events?limit=2").await.expect(200);
    assert_eq!(ids(&first), published[..2]);
    let rest = api.get(&format!("/v1/events?limit=2&cursor={}", text(&first["next_cursor"]))).await.expect(200);
    assert_eq!((ids(&rest), &rest["next_cursor"]), (published[2..].to_vec(), &Value::Null));
}
