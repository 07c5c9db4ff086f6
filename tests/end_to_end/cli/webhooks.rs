//! `hookline webhooks`, against a running Hookline.

use serde_json::{Value, json};

use crate::harness::client::{data, text};
use crate::harness::hookline::Hookline;
use crate::harness::receiver::Receiver;
use crate::harness::stack::Stack;

/// The id after `registered `.
pub(super) fn registered(stdout: &str) -> String {
    let line = stdout.lines().next().unwrap_or_default();
    line.strip_prefix("registered ").unwrap_or_else(|| panic!("{stdout}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_registered_changed_and_deleted() {
    let stack = Stack::start().await;
    let (user, receiver) = (Hookline::of(&stack), Receiver::answering(200).await);
    let filter = user.file("filter.json", r#"{"data": {"object": {"status": ["active"]}}}"#);
    let url = receiver.url("/");
    let created = user
        .run(&[
            "webhooks",
            "create",
            &url,
            "--events",
            "resource.*,user.created",
            "--secret",
            "your_webhook_secret",
            "--description",
            "Größe",
            "--filter",
            &filter,
            "--header",
            "X-Api-Key: one",
            "--auth-basic",
            "me:pass:word",
            "--retry-schedule",
            "0s,1m",
            "--timeout-seconds",
            "7",
            "--rate-limit",
            "9",
            "--disable-on",
            "no_success",
            "--signature-header",
            r#"{"name": "X-Sig", "content": "{body}", "value": "{hex}"}"#,
        ])
        .await;
    let id = registered(created.expect(0));
    assert!(created.stdout.contains("your_webhook_secret") && created.stdout.contains("whsec_"), "{created:#?}");

    let webhook = user.json(&["webhooks", "get", &id]).await;
    let expected = json!({
        "events": ["resource.*", "user.created"], "description": "Größe", "headers": {"X-Api-Key": "***"},
        "auth": {"type": "basic", "username": "me", "password": "***"}, "retry_schedule": ["0s", "1m"],
        "timeout_seconds": 7, "rate_limit": 9, "disable_on": "no_success",
        "signature_header": {"name": "X-Sig", "content": "{body}", "value": "{hex}"},
        "filter": {"data": {"object": {"status": ["active"]}}},
    });
    for (member, value) in expected.as_object().expect("an object") {
        assert_eq!(webhook[member], *value, "{member}");
    }
    let list = user.run(&["webhooks", "list"]).await;
    let columns: Vec<_> = list.expect(0).lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(columns, ["ID", "STATUS", "URL", "EVENTS", "DESCRIPTION", "CREATED"]);
    assert!(list.stdout.contains(&format!("{id}  enabled  {url}  resource.*, user.created  Größe")), "{list:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_changed_and_deleted() {
    let stack = Stack::start().await;
    let (user, receiver) = (Hookline::of(&stack), Receiver::answering(200).await);
    let options = [
        "--description",
        "mine",
        "--filter",
        r#"{"type": ["user.created"]}"#,
        "--header",
        "X-A: 1",
        "--rate-limit",
        "9",
    ];
    let url = receiver.url("/");
    let create = [&["webhooks", "create", &url, "--events", "*"], &options[..]].concat();
    let id = registered(user.run(&create).await.expect(0));
    let change = ["webhooks", "update", &id, "--events", "user.*", "--timeout-seconds", "3", "--auth-bearer", "t0ken"];
    assert_eq!(user.run(&change).await.expect(0), format!("changed {id}, which is enabled\n"));
    let webhook = user.json(&["webhooks", "get", &id]).await;
    assert_eq!((&webhook["events"], &webhook["description"]), (&json!(["user.*"]), &json!("mine")));
    assert_eq!((&webhook["timeout_seconds"], &webhook["auth"]["token"]), (&json!(3), &json!("***")));

    let everything =
        "description,filter,headers,auth,retry-schedule,timeout-seconds,rate-limit,disable-on,signature-header";
    user.run(&["webhooks", "update", &id, "--reset", everything, "--status", "disabled"]).await.expect(0);
    let webhook = user.json(&["webhooks", "get", &id]).await;
    for member in ["description", "filter", "headers", "auth", "retry_schedule", "timeout_seconds", "rate_limit"] {
        assert_eq!(webhook[member], Value::Null, "{member}");
    }
    assert_eq!((&webhook["disable_on"], &webhook["status"]), (&json!("failed_delivery"), &json!("disabled")));
    let enabled = user.run(&["webhooks", "update", &id, "--status", "enabled", "--held", "recover"]).await;
    assert!(enabled.expect(0).contains("what was held is recovered: rcv_"), "{enabled:#?}");

    user.run(&["webhooks", "delete", &id]).await.expect(0);
    user.run(&["webhooks", "get", &id]).await.error(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polled_webhook_is_read_by_its_cursor() {
    let stack = Stack::start().await;
    let user = Hookline::of(&stack);
    let created =
        user.run(&["webhooks", "create", "--poll", "--events", "*", "--expires-at", "2999-01-01T00:00:00Z"]).await;
    let id = registered(created.expect(0));
    let event = stack.api().publish("user.created").await.id();
    let polled = user.run(&["webhooks", "poll", &id]).await;
    assert!(polled.expect(0).contains(&format!("{event}  user.created  ")), "{polled:#?}");
    let (_, cursor) = polled.stderr.trim_end().split_once("--cursor ").expect("a cursor");
    assert_eq!(data(&user.json(&["webhooks", "poll", &id, "--cursor", cursor]).await).len(), 0);
    user.run(&["webhooks", "update", &id, "--reset", "expires-at"]).await.expect(0);
    assert_eq!(user.json(&["webhooks", "get", &id]).await["expires_at"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_body_comes_from_a_file_or_from_stdin() {
    let stack = Stack::start().await;
    let (user, receiver) = (Hookline::of(&stack), Receiver::answering(200).await);
    let body = json!({"url": receiver.url("/"), "events": ["*"]}).to_string();
    let file = user.file("webhook.json", &body);
    let id = registered(user.run(&["webhooks", "create", "--body", &file]).await.expect(0));
    registered(user.run_with_input(&["webhooks", "create", "--body", "-"], &body).await.expect(0));
    registered(user.run(&["webhooks", "create", "--body", &body]).await.expect(0));
    let change = r#"{"description": "changed"}"#;
    user.run(&["webhooks", "update", &id, "--body", change]).await.expect(0);
    assert_eq!(user.json(&["webhooks", "get", &id]).await["description"], "changed");
    let both = user.run(&["webhooks", "update", &id, "--body", change, "--timeout-seconds", "3"]).await;
    both.error(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_is_recovered() {
    let stack = Stack::start().await;
    let (user, receiver) = (Hookline::of(&stack), Receiver::answering(200).await);
    let webhook = registered(user.run(&["webhooks", "create", &receiver.url("/"), "--events", "*"]).await.expect(0));
    user.run(&["webhooks", "update", &webhook, "--status", "disabled"]).await.expect(0);
    let event = stack.api().publish("user.created").await.id();
    let refused = user.run(&["webhooks", "recover", &webhook]).await;
    assert!(refused.error(1).contains("409"), "{refused:#?}");
    user.run(&["webhooks", "update", &webhook, "--status", "enabled"]).await.expect(0);
    receiver.wait_for_event(&event, 1).await;
    let recovered = user.run(&["webhooks", "recover", &webhook, "--since", "1h", "--wait", "--json"]).await;
    recovered.expect(0);
    assert_eq!(recovered.json()["status"], "done");
    let list = user.run(&["webhooks", "recoveries", &webhook]).await;
    assert_eq!(
        list.expect(0).lines().count(),
        3,
        "a heading, and the recoveries of enabling and of the command: {list:#?}"
    );
    let one = user.run(&["webhooks", "recoveries", &webhook, &text(&recovered.json()["id"])]).await;
    assert!(one.expect(0).contains("status          done"), "{one:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_gives_a_new_secret_and_is_finished() {
    let stack = Stack::start().await;
    let (user, receiver) = (Hookline::of(&stack), Receiver::answering(200).await);
    let webhook = registered(user.run(&["webhooks", "create", &receiver.url("/"), "--events", "*"]).await.expect(0));
    let rotate = ["webhooks", "rotate-secret", &webhook, "--idempotency-key", "once"];
    let rotated = user.json(&rotate).await;
    assert_eq!(user.json(&rotate).await["secret"], rotated["secret"], "the same key is the same rotation");
    let other = user.run(&["webhooks", "rotate-secret", &webhook, "--secret", "another-secret-of-mine"]).await;
    assert!(
        other.expect(0).contains("another-secret-of-mine") && other.stderr.contains("not shown again"),
        "{other:#?}"
    );
    user.run(&["webhooks", "finish-rotation", &webhook]).await.expect(0);
}
