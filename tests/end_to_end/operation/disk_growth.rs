//! What an event with one delivery takes on the disk, as performance.md says it.

use crate::harness::{
    client::data,
    receiver::Receiver,
    stack::{Options, Stack},
};
use serde_json::{Value, json};
use std::path::Path;

/// Events of each part of the test.
const EVENTS: usize = 500;
/// The most events of one request.
const BATCH: usize = 100;
/// Bytes of the events' objects, so that an event is delivered as about 1,024 bytes.
const OBJECT_BYTES: usize = 880;
/// The most bytes that an event and its delivery take on the disk: 3.1 KB, and a tenth for pages that are not full.
const BYTES_MAX: u64 = 3_400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_with_one_delivery_takes_as_much_disk_as_documented() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let receiver = Receiver::answering(200).await;
    let webhook = stack.api().register(&receiver.url("/"), &["*"]).await.id;
    // The first part fills the pages of an empty database.
    deliver(&stack, &receiver, &webhook, EVENTS).await;
    stack.terminate().await;
    let before = size(stack.folder());
    stack.restart().await;
    deliver(&stack, &receiver, &webhook, 2 * EVENTS).await;
    stack.terminate().await;
    let each = (size(stack.folder()) - before) / EVENTS as u64;
    println!("{each} bytes an event with one delivery");
    assert!((1_000..=BYTES_MAX).contains(&each), "an event with one delivery takes {each} bytes");
}

/// Publishes events, and waits until `all` events are recorded as delivered.
async fn deliver(stack: &Stack, receiver: &Receiver, webhook: &str, all: usize) {
    let event = json!({ "type": "user.created", "data": { "object": { "filler": "x".repeat(OBJECT_BYTES) } } });
    for _ in 0..EVENTS / BATCH {
        stack.api().post("/v1/events/batch", &json!({ "events": vec![&event; BATCH] })).await.expect(202);
    }
    receiver.wait_for(all).await;
    let none_left = |page: &Value| data(page).is_empty();
    let pending = format!("/v1/webhooks/{webhook}/deliveries?status=pending");
    stack.api().get_when(&pending, none_left).await;
}

/// Returns the bytes of the database, once the process has ended.
fn size(folder: &Path) -> u64 {
    folder.join("data/aws.sqlite3").metadata().expect("a file").len()
}
