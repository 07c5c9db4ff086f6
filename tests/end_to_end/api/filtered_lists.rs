//! A list with a filter reads on until its page is full, or until its read units are used up.

use serde_json::{Value, json};
use store::webhooks;

use crate::harness::client::data;
use crate::harness::stack::Stack;
use crate::harness::world::{World, acme};

/// How many objects there are for each one that the filter accepts.
const RARE: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_listed_by_status() {
    let stack = Stack::start().await;
    let api = stack.api();
    let mut disabled = Vec::new();
    for index in 0..RARE * 4 {
        let webhook = api.register("https://hooks.example.com/in", &["*"]).await.id;
        if index % RARE == 0 {
            api.patch(&format!("/v1/webhooks/{webhook}"), &json!({ "status": "disabled" })).await.expect(200);
            disabled.insert(0, webhook);
        }
    }
    let ids = |page: &Value| data(page).iter().map(|webhook| webhook["id"].clone()).collect::<Vec<_>>();
    let first = api.get("/v1/webhooks?status=disabled&limit=3").await.expect(200);
    assert_eq!(ids(&first), disabled[..3], "the page is full, although three of a hundred match");
    let cursor = first["next_cursor"].as_str().expect("a fourth one follows");
    let second = api.get(&format!("/v1/webhooks?status=disabled&limit=3&cursor={cursor}")).await.expect(200);
    assert_eq!((ids(&second), &second["next_cursor"]), (vec![json!(disabled[3])], &Value::Null));
    let all = api.get("/v1/webhooks?status=disabled&limit=4").await.expect(200);
    assert_eq!((ids(&all).len(), &all["next_cursor"]), (4, &Value::Null), "nothing more matches");
    let enabled = api.get("/v1/webhooks?status=enabled&limit=96").await.expect(200);
    assert_eq!((data(&enabled).len(), &enabled["next_cursor"]), (96, &Value::Null));
    assert!(data(&enabled).iter().all(|webhook| webhook["status"] == "enabled"));
    for query in ["status=", "status=gone", "status=Enabled"] {
        assert_eq!(api.get(&format!("/v1/webhooks?{query}")).await.faults(), ["/status"], "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filtered_page_of_events_or_deliveries_is_full() {
    let stack = Stack::start().await;
    let api = stack.api();
    let webhook = api.register("https://hooks.example.invalid/in", &["user.updated"]).await.id;
    api.patch(&format!("/v1/webhooks/{webhook}"), &json!({ "status": "disabled" })).await.expect(200);
    for _ in 0..20 {
        let event = |index| {
            let name = if index == 0 { "user.updated" } else { "user.created" };
            json!({ "type": name, "data": { "object": {} } })
        };
        let batch = json!({ "events": (0..RARE).map(event).collect::<Vec<_>>() });
        api.post("/v1/events/batch", &batch).await.expect(202);
    }
    for path in ["/v1/events?type=user.updated".to_owned(), format!("/v1/webhooks/{webhook}/deliveries?status=held")] {
        let page = api.get(&format!("{path}&limit=15")).await.expect(200);
        assert_eq!(data(&page).len(), 15, "{path}");
        let rest = format!("{path}&limit=15&cursor={}", page["next_cursor"].as_str().expect("five more"));
        let rest = api.get(&rest).await.expect(200);
        assert_eq!((data(&rest).len(), &rest["next_cursor"]), (5, &Value::Null), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_accepts_nothing_ends_its_pages_early() {
    let world = World::new().await;
    // Each webhook weighs some 6 KB, so that a page cannot look at all of them.
    let events: Vec<_> = (0..50).map(|index| format!("{}.n{index}", "x".repeat(120))).collect();
    let events: Vec<_> = events.iter().map(|name| name.parse().expect("a subscription")).collect();
    let template = world.register(&acme(), "http://127.0.0.1:9/").await;
    let template = webhooks::get(&world.app.store, &acme(), template).await.expect("read").expect("stored");
    for _ in 0..600 {
        let id = domain::id::WebhookId::new(world.app.clock.now(), &world.app.random);
        let webhook = domain::webhook::Webhook { id, events: events.clone(), ..template.clone() };
        webhooks::create(&world.app.store, &webhook).await.expect("stored");
    }
    let (mut pages, mut looked_at, mut after) = (0, 0, None);
    loop {
        let seen = std::cell::Cell::new(0);
        let nothing = |_: &domain::webhook::Webhook| {
            seen.set(seen.get() + 1);
            false
        };
        let page = webhooks::newest_where(&world.app.store, &acme(), after, 20, nothing).await.expect("a page");
        assert!(page.items.is_empty() && seen.get() > 0);
        pages += 1;
        looked_at += seen.get();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((pages > 1, looked_at), (true, 601), "{pages} pages");
}
