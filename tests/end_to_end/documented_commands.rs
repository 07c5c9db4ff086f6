//! Every `curl` line of `infra/docs/receiving.md`, run by a shell as it is printed there: only host, token and ids are changed.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::api::{data, text};
use crate::process::Stack;
use crate::receiver::Receiver;
use crate::signature;

const REGISTER: &str = include_str!("../documented/register.sh");
const TEST: &str = include_str!("../documented/test.sh");
const LIST: &str = include_str!("../documented/list.sh");
const UPDATE: &str = include_str!("../documented/update.sh");
const DELETE: &str = include_str!("../documented/delete.sh");
/// Where they are documented, and the receivers with them.
pub(crate) const PAGE: &str = include_str!("../../infra/docs/receiving.md");

/// Lets `curl` print the status on a line of its own, after the body.
const PRELUDE: &str =
    r#"curl() { command curl -sS -w '\n%{http_code}' ${ACCOUNT:+-H "Hookline-Account: $ACCOUNT"} "$@"; }"#;

/// Runs one of the commands; gives status and body.
async fn run(stack: &Stack, command: &str, webhook: &str) -> (u16, Value) {
    let command = command
        .replace("https://api.example.com", stack.base())
        .replace("YOUR_TOKEN", stack.token())
        .replace("wh_abc123", webhook);
    let output = Command::new("sh")
        .args(["-c", &format!("{PRELUDE}\n{command}")])
        .env("ACCOUNT", stack.account().unwrap_or_default())
        .kill_on_drop(true)
        .output()
        .await
        .expect("sh runs");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("an answer in UTF-8");
    let (body, status) = printed.rsplit_once('\n').expect("the status stands on its own line");
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("a body is JSON") };
    (status.parse().expect("a status"), body)
}

#[test]
fn the_page_has_the_commands_that_are_tested() {
    for command in [REGISTER, TEST, LIST, UPDATE, DELETE] {
        assert!(PAGE.contains(&format!("```sh\n{}\n```\n", command.trim_end())), "not on the page:\n{command}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registering_listing_updating_and_deleting_work_as_documented() {
    let stack = Stack::start().await;

    let (status, webhook) = run(&stack, REGISTER, "").await;
    assert_eq!(status, 201, "{webhook:#}");
    let id = text(&webhook["id"]);
    assert!(id.starts_with("wh_"), "{webhook:#}");
    assert_eq!(webhook["url"], "https://your-app.com/webhooks");
    assert_eq!(webhook["events"], json!(["resource.created", "resource.updated", "resource.deleted"]));
    assert_eq!(webhook["secret"], "your_webhook_secret");
    assert_eq!(webhook["status"], "enabled");

    let (status, page) = run(&stack, LIST, "").await;
    assert_eq!(status, 200, "{page:#}");
    assert_eq!(data(&page).len(), 1, "{page:#}");
    assert_eq!(data(&page)[0]["id"], id.as_str());
    assert!(!page.to_string().contains("your_webhook_secret"), "a list never shows a secret: {page:#}");

    let (status, webhook) = run(&stack, UPDATE, &id).await;
    assert_eq!(status, 200, "{webhook:#}");
    assert_eq!(webhook["events"], json!(["resource.created", "resource.updated"]));
    assert_eq!(webhook["url"], "https://your-app.com/webhooks");

    assert_eq!(run(&stack, DELETE, &id).await, (204, Value::Null));
    let (status, page) = run(&stack, LIST, "").await;
    assert_eq!((status, data(&page).len()), (200, 0), "{page:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn triggering_a_test_delivery_works_as_documented() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    let webhook = stack.api().register(&receiver.url("/webhooks"), &["resource.created"]).await;

    let (status, delivery) = run(&stack, TEST, &webhook.id).await;
    assert_eq!(status, 202, "{delivery:#}");
    assert!(text(&delivery["id"]).starts_with("dlv_"), "{delivery:#}");
    assert_eq!(delivery["webhook_id"], webhook.id.as_str());
    assert_eq!(delivery["event_type"], "resource.created");

    let seen = receiver.wait_for(1).await;
    assert_eq!(seen[0].path, "/webhooks");
    signature::check(&seen[0], &webhook.secret);
}
