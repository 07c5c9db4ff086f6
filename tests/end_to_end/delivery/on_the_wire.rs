//! The request that a receiver gets: method, headers, both signatures and body, as
//! `infra/docs/receiving.md` lists them.

use serde_json::{Value, json};

use crate::harness::client::{millis, text};
use crate::harness::receiver::{Received, Receiver};
use crate::harness::signature;
use crate::harness::stack::Stack;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_has_every_header_and_the_documented_body() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(204).await;
    let webhook = stack.api().register(&receiver.url("/hooks?key=1"), &["resource.updated"]).await;
    let object = json!({ "id": "res_xyz789", "name": "Updated Resource", "status": "active" });
    let previous = json!({ "name": "Old Resource Name" });
    let body = json!({ "type": "resource.updated", "data": { "object": object }, "previous_data": previous });
    let event = stack.api().publish_as(&body).await.json();

    let seen = receiver.wait_for(1).await;
    let delivery = &seen[0];
    assert_eq!((delivery.method.as_str(), delivery.path.as_str()), ("POST", "/hooks?key=1"));
    assert_eq!(delivery.header("content-type"), "application/json");
    assert_eq!(delivery.header("content-length"), delivery.body.len().to_string());
    assert_eq!(delivery.header("x-webhook-event"), "resource.updated");
    assert_eq!(delivery.header("x-webhook-attempt"), "1");
    assert_eq!(delivery.header("webhook-id"), text(&event["id"]));
    check_user_agent(delivery.header("user-agent"));
    signature::check(delivery, &webhook.secret);

    let sent: Value = serde_json::from_slice(&delivery.body).expect("a JSON body");
    let members: Vec<_> = sent.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members.len(), 5, "{members:?}");
    assert!(text(&sent["id"]).starts_with("evt_"));
    assert_eq!(sent["type"], "resource.updated");
    assert_eq!(sent["data"], json!({ "object": object }));
    assert_eq!(sent["previous_data"], previous);
    check_timestamps(delivery, millis(&sent["created_at"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_has_the_headers_of_the_openapi_document_and_no_others() {
    let stack = Stack::start().await;
    let document = stack.api().get("/v1/openapi.json").await.expect(200);
    let parameters = document["webhooks"]["user.created"]["post"]["parameters"].as_array().expect("parameters");
    let name = |parameter: &Value| {
        let pointer = text(&parameter["$ref"]);
        text(&document.pointer(pointer.trim_start_matches('#')).expect("a parameter")["name"]).to_lowercase()
    };
    let mut described: Vec<_> = parameters.iter().map(name).collect();
    described.extend(["accept", "content-length", "content-type", "host"].map(str::to_owned)); // those of HTTP itself
    let receiver = Receiver::answering(204).await;
    stack.api().register(&receiver.url("/"), &["*"]).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    stack.api().with_header("traceparent", trace).publish("user.created").await;
    let mut sent: Vec<_> = receiver.wait_for(1).await[0].headers.keys().map(|name| name.as_str().to_owned()).collect();
    described.sort();
    sent.sort();
    assert_eq!(sent, described);
}

/// Checks for `Hookline/<version>` with a version of three numbers.
#[track_caller]
fn check_user_agent(agent: &str) {
    let version = agent.strip_prefix("Hookline/").unwrap_or_else(|| panic!("{agent:?}"));
    let numbers: Vec<_> = version.split('.').map(str::parse::<u32>).collect();
    assert!(numbers.len() == 3 && numbers.iter().all(Result::is_ok), "{agent:?}");
}

/// Checks that `webhook-timestamp` is in whole seconds, and not before the event nor more than 10 s
/// after it.
#[track_caller]
fn check_timestamps(delivery: &Received, created_at: i64) {
    let timestamp: i64 = delivery.header("webhook-timestamp").parse().expect("whole seconds");
    let late = timestamp - created_at / 1000;
    assert!((0..=10).contains(&late), "the timestamp is {late} s after the event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_body_has_the_documented_order_and_a_null_without_previous_data() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    stack.api().register(&receiver.url("/"), &["resource.created"]).await;
    let event = stack.api().publish("resource.created").await.json();

    let seen = receiver.wait_for(1).await;
    let sent = String::from_utf8(seen[0].body.clone()).expect("UTF-8");
    let compact: String = sent.split_whitespace().collect();
    let (id, at) = (text(&event["id"]), text(&event["created_at"]));
    let start = format!(r#"{{"id":"{id}","type":"resource.created","created_at":"{at}","data":{{"object":{{"#);
    assert!(compact.starts_with(&start), "{sent}");
    assert!(compact.ends_with(r#"},"previous_data":null}"#), "{sent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_and_whsec_secrets_sign_with_both_schemes() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    let secrets = [
        None,
        Some("your_webhook_secret".to_owned()),
        Some("ein Geheimnis mit Umlauten: äöüß".to_owned()),
        Some("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned()),
    ];
    let mut expected = Vec::new();
    for (index, secret) in secrets.iter().enumerate() {
        let path = format!("/{index}");
        let mut body = json!({ "url": receiver.url(&path), "events": ["resource.created"] });
        if let Some(secret) = secret {
            body["secret"] = secret.as_str().into();
        }
        let webhook = stack.api().register_as(&body).await;
        match secret {
            Some(secret) => assert_eq!(&webhook.secret, secret, "a given secret is shown unchanged"),
            None => assert!(webhook.secret.starts_with("whsec_"), "a generated secret is one of Standard Webhooks"),
        }
        expected.push((path, webhook.secret));
    }

    stack.api().publish("resource.created").await;
    let seen = receiver.wait_for(expected.len()).await;
    for (path, secret) in &expected {
        let delivery = seen.iter().find(|delivery| &delivery.path == path);
        signature::check(delivery.unwrap_or_else(|| panic!("nothing arrived at {path}")), secret);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_delivery_is_signed_with_the_new_secret() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    let webhook = stack.api().register(&receiver.url("/"), &["*"]).await;
    let first = stack.api().publish("user.created").await.id();
    signature::check(&receiver.wait_for_event(&first, 1).await[0], &webhook.secret);

    let path = format!("/v1/webhooks/{}", webhook.id);
    stack.api().patch(&path, &json!({ "secret": "another_webhook_secret" })).await.expect(200);
    let second = stack.api().publish("user.created").await.id();
    let seen = receiver.wait_for_event(&second, 1).await;
    let expected = signature::body_signature("another_webhook_secret", &seen[0].body);
    assert_eq!(seen[0].header("x-webhook-signature"), expected);
}
