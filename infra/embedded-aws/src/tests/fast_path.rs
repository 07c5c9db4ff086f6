//! Which requests the fast path of `DynamoDB` answers.

use super::{
    differential::{call, comparable, create_table, left_to_engine, rows, switch_off},
    differential_requests::Request,
    open, start,
};
use crate::EmbeddedAws;
use domain::{
    account::AccountId,
    delivery::{Delivery, Task, Trigger},
    event::Event,
    findings::Findings,
    id::{DeliveryId, EventId, WebhookId},
    page::Order,
    random::Random,
    secret::Secret,
    webhook::Webhook,
};
use serde_json::json;
use std::time::Duration;
use store::{
    Store, StoreError, TableSettings,
    account_limits::{self, Limited, Rate},
    deliveries::{self, Versioned},
    event_types, events, idempotency,
    rate_limits::{self, RateLimited},
    webhooks,
};

/// Creates the store's tables.
fn store(aws: &EmbeddedAws) -> Store {
    create_table(aws, "webhooks", "account", "");
    create_table(aws, "events", "partition", "");
    create_table(aws, "deliveries", "partition", "");
    let settings = TableSettings {
        webhooks: "webhooks".to_owned(),
        events: "events".to_owned(),
        deliveries: "deliveries".to_owned(),
        retention: Duration::from_hours(24),
        webhooks_max: 10,
    };
    Store::new(aws.clients().dynamodb, settings, super::clock(), Random::new(|bytes| bytes.fill(7)))
}

fn account() -> AccountId {
    "acme".parse().expect("a name")
}

#[tokio::test(start_paused = true)]
async fn the_requests_of_a_publication_and_its_deliveries_are_answered() {
    let aws = open(None);
    let store = store(&aws);
    let (account, id) = (account(), EventId::derived(start(), b"event"));
    let event_type = "invoice.paid".parse().expect("a type");
    let payload = br#"{"data":{"object":{}}}"#.to_vec().into();
    let event = Event { account: account.clone(), id, event_type, payload, test: false, trace: None };
    for _ in 0..2 {
        events::put(&store, &event).await.expect("stored");
        let rate = Rate { per_second: 1, burst: Duration::from_secs(1) };
        account_limits::reserve(&store, &account, Limited::Publication, 1, rate).await.expect("reserved");
        let parts: &[&[u8]] = &[b"request"];
        let first = idempotency::begin(&store, &account, "key", parts, &Findings::default()).await.expect("begun");
        let first = first.expect("the same request");
        idempotency::finish_with(&store, &account, "key", &first, "done".to_owned()).await.expect("finished");
        event_types::known(&store, &event.event_type).await.expect("read");
    }
    events::get(&store, &account, id).await.expect("read").expect("stored");
    assert_eq!(events::list(&store, &account, None, None, 5).await.expect("listed").items.len(), 1);

    let webhook = WebhookId::derived(start(), b"webhook");
    let delivery = DeliveryId { event: id, webhook };
    let trigger = Trigger::Scheduled { run: 0, step: 1 };
    let (epoch, revision) = (0, 0);
    let task = Task { account: account.clone(), delivery, epoch, revision, trigger, slot: None, slow: false };
    let new = Delivery::new(&task, event.event_type.clone());
    for _ in 0..2 {
        deliveries::put(&store, &Versioned::NONE, new.clone()).await.expect("an answer");
        let read = deliveries::get(&store, &account, delivery).await.expect("read");
        deliveries::put(&store, &read, Delivery { step: 1, ..new.clone() }).await.expect("stored");
        for has_slot in [false, true] {
            let task = RateLimited { account: &account, webhook, rate_limit: 1, has_slot };
            rate_limits::reserve(&store, task, Duration::ZERO).await.expect("reserved");
        }
    }
    assert_eq!(deliveries::of_event(&store, &account, id, &[webhook]).await.expect("read").len(), 1);
    assert_eq!(left_to_engine(&aws), 0);
}

#[tokio::test(start_paused = true)]
async fn the_requests_about_webhooks_are_answered() {
    let aws = open(None);
    let store = store(&aws);
    let (account, id) = (account(), WebhookId::derived(start(), b"webhook"));
    let webhook = Webhook::new(account.clone(), id, None, vec![], Secret::from_key(&[1; 32]));
    webhooks::create(&store, &webhook).await.expect("created");
    let change = |webhook: &mut Webhook| -> Result<(), StoreError> {
        webhook.description = Some("\"größe\"".to_owned());
        Ok(())
    };
    webhooks::change(&store, &account, id, change).await.expect("changed").expect("stored");
    let page = webhooks::page(&store, &account, None, 5, Order::Newest).await.expect("listed");
    assert_eq!(page.items.len(), 1);
    assert!(webhooks::delete(&store, &account, id).await.expect("deleted"));
    assert_eq!(webhooks::deleted(&store, &account, 5).await.expect("listed"), [id]);
    assert_eq!(left_to_engine(&aws), 0);
}

fn request(operation: &'static str, body: &serde_json::Value) -> Request {
    Request { operation, body: body.to_string(), form: None }
}

#[tokio::test(start_paused = true)]
async fn a_query_ends_after_a_megabyte_as_with_the_engine() {
    let (fast, engine) = (open(None), open(None));
    switch_off(&engine);
    for aws in [&fast, &engine] {
        create_table(aws, "Things", "owner", "");
        for id in ["a", "b", "c", "d", "e"] {
            let item = json!({"owner": {"S": "acme"}, "id": {"S": id}, "note": {"S": "x".repeat(300_000)}});
            call(aws, &request("PutItem", &json!({"TableName": "Things", "Item": item})));
        }
    }
    for start in [None, Some("b"), Some("e")] {
        let mut query = json!({
            "TableName": "Things",
            "KeyConditionExpression": "#owner = :owner",
            "ExpressionAttributeNames": {"#owner": "owner"},
            "ExpressionAttributeValues": {":owner": {"S": "acme"}},
            "ReturnConsumedCapacity": "TOTAL",
        });
        if let Some(start) = start {
            query["ExclusiveStartKey"] = json!({"owner": {"S": "acme"}, "id": {"S": start}});
        }
        let query = request("Query", &query);
        assert_eq!(comparable(&call(&fast, &query)), comparable(&call(&engine, &query)));
    }
    assert_eq!(left_to_engine(&fast), 0);
}

#[tokio::test(start_paused = true)]
async fn a_table_of_a_transaction_that_failed_is_forgotten() {
    let aws = open(None);
    let item = json!({"owner": {"S": "acme"}, "id": {"S": "a"}});
    let put = request("PutItem", &json!({"TableName": "Things", "Item": item}));
    let failed = aws.0.engine.now(|state| {
        create_table_in(state, "Things");
        // The commit fails, because a row lacks its parent.
        state.storage.conn().execute_batch(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
            CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
            INSERT INTO child VALUES (7)",
        )?;
        Ok(())
    });
    failed.expect_err("not committed");
    create_table(&aws, "Things", "id", "");
    assert_eq!(call(&aws, &put).status, 200);
    let rows = rows(&aws, "Things");
    assert_eq!((rows[0].0.as_str(), rows[0].1.as_str()), ("S:a", "S:acme"), "the keys of the new table");
}

fn create_table_in(state: &mut crate::engine::State, name: &str) {
    let body = super::differential::table(name, "owner", "").body;
    let item = r#"{"owner":{"S":"acme"},"id":{"S":"a"}}"#;
    let put = format!(r#"{{"TableName":"{name}","Item":{item}}}"#);
    for (operation, body) in [("CreateTable", body), ("PutItem", put)] {
        let answer = crate::dynamodb::call(state, operation, body.as_bytes());
        assert!(answer.is_ok_and(|reply| reply.status == 200), "{operation}");
    }
}
