//! `hookline verify`, on deliveries that a receiver got.

use std::sync::Arc;

use serde_json::json;

use crate::harness::hookline::Hookline;
use crate::harness::receiver::{Received, Receiver};
use crate::harness::stack::Stack;

const SECRET: &str = "your_webhook_secret";

/// A delivery as it would be saved.
fn saved(request: &Received) -> Vec<u8> {
    let mut file = format!("{} {} HTTP/1.1\r\n", request.method, request.path).into_bytes();
    for (name, value) in &request.headers {
        file.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    [&file[..], b"\r\n", &request.body].concat()
}

async fn delivery() -> Arc<Received> {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    stack.api().register_as(&json!({"url": receiver.url("/"), "events": ["*"], "secret": SECRET})).await;
    stack.api().publish("user.created").await;
    receiver.wait_for(1).await[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_holds_and_a_changed_one_is_explained() {
    let (delivery, user) = (delivery().await, Hookline::alone());
    let file = user.file("delivery.http", saved(&delivery));
    let verify = |file: &str, secret: &str| ["verify", file, "--secret", secret].map(str::to_owned);
    let run = async |arguments: [String; 4]| user.run(&arguments.each_ref().map(String::as_str)).await;

    let ran = run(verify(&file, SECRET)).await;
    let holding = ran.expect(0).lines().filter(|line| line.contains("  holds  ")).count();
    assert_eq!(holding, 2, "{ran:#?}");
    let ran = run(verify(&file, "another_webhook_secret")).await;
    assert_eq!(ran.expect(1).matches("does not hold").count(), 2, "{ran:#?}");
    let rotated = user.run(&["verify", &file, "--secret", "another_webhook_secret", "--secret", SECRET]).await;
    assert!(rotated.expect(0).contains("secret 2"), "{rotated:#?}");

    let edited = user.file("edited.http", [saved(&delivery), b"\n".to_vec()].concat());
    let ran = user.run(&["verify", &edited, "--secret", SECRET, "--json"]).await;
    ran.expect(1);
    assert_eq!(ran.json()["valid"], false);
    let codes: Vec<_> =
        ran.json()["findings"].as_array().expect("findings").iter().map(|one| one["code"].clone()).collect();
    assert_eq!(codes, ["trailing_newline_added", "trailing_newline_added"]);

    // The body alone, with the headers as options.
    let body = user.file("body.json", &delivery.body);
    let header = format!("X-Webhook-Signature: {}", delivery.header("x-webhook-signature"));
    user.run(&["verify", &body, "--secret", SECRET, "--header", &header]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_usage_is_not_a_wrong_signature() {
    let user = Hookline::alone();
    let unsigned = user.file("unsigned.http", "POST / HTTP/1.1\r\nhost: a.b\r\n\r\n{}");
    let webhook = "wh_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for (arguments, says) in [
        (&["verify"][..], "FILE"),
        (&["verify", &unsigned, "--secret", SECRET, "--webhook", webhook], "--webhook"),
        (&["verify", &unsigned, "--send-secret"], "--secret"),
        (&["verify", &unsigned, "--send-secret", "--secret", SECRET, "--secret", SECRET], "--secret once"),
        (&["verify", &unsigned, "--webhook", "wh_1"], "--webhook"),
        (&["verify", &unsigned, "--secret", SECRET, "--received-at", "now"], "--received-at"),
        (&["verify", &unsigned, "--secret", SECRET], "neither webhook-signature nor X-Webhook-Signature"),
        (&["verify", &unsigned, "--secret", "short"], "--secret must have 16 to 256 characters"),
        (&["verify", "missing.http", "--secret", SECRET], "cannot read missing.http"),
    ] {
        let ran = user.run(arguments).await;
        assert!(ran.error(2).contains(says), "{says}: {ran:#?}");
    }
    let stdin = user.run_with_input(&["verify", "-", "--secret", SECRET], "X-Webhook-Signature: ab\n\n{}").await;
    assert!(stdin.expect(1).contains("does not hold"), "{stdin:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_secret_the_api_is_asked() {
    let stack = Stack::start().await;
    let (api, receiver) = (stack.api(), Receiver::answering(200).await);
    let [webhook, other] = [
        api.register_as(&json!({"url": receiver.url("/"), "events": ["*"], "secret": SECRET})).await,
        api.register(&receiver.url("/other"), &["resource.deleted"]).await,
    ];
    let event = api.publish("user.created").await.id();
    let delivery = receiver.wait_for_event(&event, 1).await[0].clone();
    let user = Hookline::of(&stack);
    let file = user.file("delivery.http", saved(&delivery));

    let ran = user.run(&["verify", &file]).await;
    assert_eq!(ran.expect(0).matches(&webhook.id).count(), 2, "{ran:#?}");
    user.run(&["verify", &file, "--webhook", &webhook.id]).await.expect(0);
    let codes = |ran: &crate::harness::hookline::Ran| {
        ran.expect(1);
        let findings = ran.json()["findings"].clone();
        findings.as_array().expect("findings").iter().map(|one| one["code"].clone()).collect::<Vec<_>>()
    };
    let ran = user.run(&["verify", &file, "--webhook", &other.id, "--json"]).await;
    assert_eq!(codes(&ran), ["secret_of_another_webhook", "secret_of_another_webhook"]);
    // The body is compared with the stored one: what is lost is known.
    let cut = user.file("cut.http", &saved(&delivery)[..saved(&delivery).len() - 9]);
    assert_eq!(codes(&user.run(&["verify", &cut, "--json"]).await), ["body_truncated", "body_truncated"]);
    let bytes = user.file("bytes.http", [&saved(&delivery)[..], b"\xff"].concat());
    assert_eq!(codes(&user.run(&["verify", &bytes, "--json"]).await), ["body_extended", "body_extended"]);
    // The secret is sent only if that is asked for. Then it is compared with those of the webhooks.
    let wrong = &["verify", &file, "--secret", &other.secret, "--json"];
    assert_eq!(codes(&user.run(wrong).await), ["unexplained", "unexplained"]);
    let sent = [&wrong[..], &["--send-secret", "--webhook", &webhook.id]].concat();
    assert_eq!(codes(&user.run(&sent).await), ["secret_of_another_webhook", "secret_of_another_webhook"]);
    let computed = user.run(&["verify", &file, "--computed", "0123"]).await;
    assert!(computed.expect(0).contains("computed "), "{computed:#?}");
}

/// What `hookline verify` sends is what the user gives, without credentials and without the secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_sent_nowhere_unless_the_user_asks() {
    let answer = json!({"valid": true, "findings": []}).to_string();
    let headers = vec![("Content-Type", "application/json".to_owned())];
    let api = Receiver::in_turn(vec![crate::harness::receiver::Answer::Reply(200, headers, answer)]).await;
    let user = Hookline::at(&api.url(""), "hl_documented");
    let file = user
        .file("saved.http", "POST / HTTP/1.1\r\nauthorization: Basic c2VjcmV0\r\nx-webhook-signature: ab\r\n\r\n{}");
    user.run(&["verify", &file, "--secret", SECRET]).await.expect(1);
    assert!(api.seen().is_empty(), "nothing is sent");
    user.run(&["verify", &file, "--secret", SECRET, "--send-secret"]).await.expect(0);
    user.run(&["verify", &file]).await.expect(0);
    let sent: Vec<serde_json::Value> =
        api.seen().iter().map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect();
    let request = json!({"headers": {"x-webhook-signature": "ab"}, "body": "{}"});
    let mut with_secret = request.clone();
    with_secret["secret"] = SECRET.into();
    assert_eq!(sent, [with_secret, request]);
}
