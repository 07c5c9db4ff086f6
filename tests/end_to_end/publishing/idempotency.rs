//! Requests with the same idempotency key are one publication, however many there are and however
//! concurrent.

use futures::future::join_all;
use serde_json::json;

use crate::harness::client::data;
use crate::harness::random::random_hex;
use crate::harness::receiver::Receiver;
use crate::harness::stack::{Options, Stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_concurrent_requests_with_one_key_publish_one_event() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    api.register(&receiver.url("/"), &["payment.succeeded"]).await;
    let keyed = api.with_idempotency_key("order-4711");
    let body = json!({ "type": "payment.succeeded", "data": { "object": { "id": "pay_1" } } });
    let replies = join_all((0..64).map(|_| keyed.publish_as(&body))).await;
    assert!(replies.iter().all(|reply| reply.text == replies[0].text), "the answers differ");
    assert_eq!(data(&api.get("/v1/events").await.expect(200)).len(), 1);

    let later = keyed.publish_as(&body).await;
    assert_eq!(later.text, replies[0].text);
    assert_eq!(later.header("idempotent-replayed"), Some("true"));
    // The marker is published last. A repeated delivery would have arrived by now, or is ahead of
    // the marker in the queue.
    let marker = api.publish("payment.succeeded").await.id();
    receiver.wait_for_event(&marker, 1).await;
    assert_eq!(receiver.seen().len(), 2, "the event and the marker should be delivered once each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_belongs_to_its_body_and_its_account() {
    let stack = Stack::start().await;
    let keyed = stack.api().with_idempotency_key("a key with spaces and 'quotes'");
    let body = json!({ "type": "user.created", "data": { "object": { "id": 1 } } });
    let first = keyed.publish_as(&body).await;
    let other = json!({ "type": "user.created", "data": { "object": { "id": 2 } } });
    for refused in
        [keyed.post("/v1/events", &other).await, keyed.post("/v1/events/batch", &json!({ "events": [body] })).await]
    {
        assert_eq!(refused.problem(422)["type"], "urn:hookline:problem:idempotency-key-reused");
    }
    assert_eq!(keyed.publish_as(&body).await.text, first.text, "the refused request changed the answer");
    let elsewhere = keyed.with_account("another-account").publish_as(&body).await;
    assert_ne!(elsewhere.text, first.text, "the keys of two accounts should be independent");
    stack.api().with_idempotency_key(&"k".repeat(255)).publish_as(&body).await;
    for wrong in ["k".repeat(256), "a\tb".to_owned()] {
        stack.api().with_idempotency_key(&wrong).post("/v1/events", &body).await.problem(400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_replayed_as_a_whole_after_a_kill() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let good = |id: u32| json!({ "type": "user.created", "data": { "object": { "id": id } } });
    let batch = json!({ "events": [good(1), { "type": "user.created" }, good(2)] });
    let keyed = stack.api().with_idempotency_key("batch-1");
    let first = keyed.post("/v1/events/batch", &batch).await;
    let answer = first.expect(202);
    let results = data(&answer);
    assert_eq!(results[0]["data"]["object"]["id"], 1);
    assert_eq!((&results[1]["status"], &results[1]["errors"][0]["pointer"]), (&json!(422), &json!("#/data")));
    assert_eq!(results[2]["data"]["object"]["id"], 2);
    stack.kill_hard().await;
    stack.restart().await;
    let again = stack.api().with_idempotency_key("batch-1").post("/v1/events/batch", &batch).await;
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), Some("true")));
    assert_eq!(data(&stack.api().get("/v1/events").await.expect(200)).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_returns_the_first_answer_although_the_catalogue_changed() {
    let stack = Stack::start().await;
    let api = stack.api();
    let event = |name: &str| json!({ "type": name, "data": { "object": {} } });
    // Event types belong to the whole stack, so this test needs names of its own.
    let (early, late) = (format!("early.n{}", random_hex()), format!("late.n{}", random_hex()));
    api.post("/v1/event-types", &json!({ "name": early })).await.expect(201);

    let (single, batched) = (api.with_idempotency_key("single"), api.with_idempotency_key("batch"));
    let batch = json!({ "events": [event(&late), event(&early), event("user.created")] });
    let first_single = single.publish_as(&event(&early)).await;
    let first_batch = batched.post("/v1/events/batch", &batch).await;
    let answer = first_batch.expect(202);
    let results = data(&answer);
    assert_eq!((&results[0]["status"], &results[1]["type"]), (&json!(422), &json!(early)));

    api.delete(&format!("/v1/event-types/{early}")).await.expect(204);
    api.post("/v1/event-types", &json!({ "name": late })).await.expect(201);
    for (again, first) in [
        (single.publish_as(&event(&early)).await, first_single),
        (batched.post("/v1/events/batch", &batch).await, first_batch),
    ] {
        assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), Some("true")));
    }
    assert_eq!(data(&api.get("/v1/events").await.expect(200)).len(), 3);

    // A refused event does not use up its key: the request succeeds once the type exists.
    let refused = api.with_idempotency_key("refused");
    refused.post("/v1/events", &event(&early)).await.problem(422);
    api.post("/v1/event-types", &json!({ "name": early })).await.expect(201);
    refused.post("/v1/events", &event(&early)).await.expect(202);
}
