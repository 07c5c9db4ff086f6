//! A payload is stored once, signed as stored, and sent as the publish request was answered. No
//! number, escape or order is rewritten.

use reqwest::Method;
use serde_json::json;

use crate::harness::receiver::{Answer, Receiver};
use crate::harness::signature;
use crate::harness::stack::Stack;

/// JSON that would change if it were parsed and serialised again.
const UNUSUAL: &str = concat!(
    r#"{"zulu":1,"alpha":12345678901234567890123,"float":1.0,"exponent":1E+2,"tiny":-0.0,"#,
    r#""precise":0.1000000000000000055511151231257827,"huge":1e400,"escaped":"\u00e9\u0041\/\ud83d\ude00","plain":"é😀","#,
    r#""nested":{"b":[1.50,{"y":null,"x":[]}],"a":{}},"":"an empty name"}"#,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusual_json_arrives_unchanged() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    let webhook = stack.api().register(&receiver.url("/"), &["resource.updated"]).await;
    let text = format!(r#"{{"previous_data":{UNUSUAL},"data":{{"object":{UNUSUAL}}},"type":"resource.updated"}}"#);
    let answer = stack.api().send_text(Method::POST, "/v1/events", &text).await;
    // Only the text is compared, since this test could not parse all of these numbers either.
    assert_eq!(answer.status, 202, "{}", answer.text);

    let seen = receiver.wait_for(1).await;
    let sent = String::from_utf8(seen[0].body.clone()).expect("UTF-8");
    assert_eq!(sent, answer.text, "the body differs from the answer to the publish request");
    assert!(sent.contains(&format!(r#""object":{UNUSUAL}"#)), "{sent}");
    assert!(sent.contains(&format!(r#""previous_data":{UNUSUAL}"#)), "{sent}");
    signature::check(&seen[0], &webhook.secret);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_at_every_webhook_sends_the_bytes_of_the_answer() {
    let Some(stack) = Stack::with_schedule("0s,1s,1s,1s,1s").await else { return };
    let (steady, shaky) =
        (Receiver::answering(200).await, Receiver::in_turn([500, 500, 200].map(Answer::status).to_vec()).await);
    stack.api().register(&steady.url("/"), &["payment.*"]).await;
    stack.api().register(&shaky.url("/"), &["payment.*"]).await;
    let answer = stack.api().publish("payment.failed").await;

    let mut seen = shaky.wait_for(3).await;
    seen.extend(steady.wait_for(1).await);
    for delivery in seen {
        assert_eq!(String::from_utf8_lossy(&delivery.body), answer.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_near_the_size_limit_arrives_complete() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    stack.api().register(&receiver.url("/"), &["resource.created"]).await;
    let object = json!({ "filler": "é".repeat(127 * 1024) });
    let body = json!({ "type": "resource.created", "data": { "object": object } });
    assert!(body.to_string().len() < 256 * 1024, "the event exceeds the limit of 256 KiB");
    let answer = stack.api().publish_as(&body).await;
    let seen = receiver.wait_for(1).await;
    assert!(seen[0].body == answer.text.as_bytes(), "the bytes differ");
}
