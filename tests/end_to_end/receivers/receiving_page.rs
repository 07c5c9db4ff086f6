//! The page `infra/docs/receiving.md`: its commands, its receivers and its polling client work as printed.
//!
//! The polling client is tested where `python3` is installed. The Flask and the Express receiver are tested where their runtime is installed: `python3` with
//! flask (`HOOKLINE_PYTHON` names another interpreter), and `node` with express (in `NODE_PATH`).
//! With `HOOKLINE_REQUIRE_RECEIVERS=1` a missing runtime is a failure.

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::client::{data, post_to, text};
use crate::harness::program::{Program, can_run};
use crate::harness::receiver::Receiver;
use crate::harness::signature;
use crate::harness::stack::{Options, Stack};

const PAGE: &str = include_str!("../../../infra/docs/receiving.md");

// The `curl` commands of the page. A test changes only host, token and id.
const REGISTER: &str = include_str!("../../documented/register.sh");
const REGISTER_POLLED: &str = include_str!("../../documented/register_polled.sh");
const TEST: &str = include_str!("../../documented/test.sh");
const LIST: &str = include_str!("../../documented/list.sh");
const UPDATE: &str = include_str!("../../documented/update.sh");
const DELETE: &str = include_str!("../../documented/delete.sh");

/// Makes `curl` name the account, and print the status on a line of its own after the body.
const PRELUDE: &str =
    r#"curl() { command curl -sS -w '\n%{http_code}' ${ACCOUNT:+-H "Hookline-Account: $ACCOUNT"} "$@"; }"#;

/// The secret on the page.
const SECRET: &str = "your_webhook_secret";
/// The folder of the receivers' source.
const RECEIVERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/receivers/");

#[test]
fn the_page_prints_the_tested_commands() {
    for command in [REGISTER, REGISTER_POLLED, TEST, LIST, UPDATE, DELETE] {
        assert!(PAGE.contains(&format!("```sh\n{}\n```\n", command.trim_end())), "not on the page:\n{command}");
    }
}

#[test]
fn the_page_prints_the_tested_receivers() {
    let receivers = [
        ("python", include_str!("../../receivers/documented_poll.py")),
        ("python", include_str!("../../receivers/documented_flask.py")),
        ("js", include_str!("../../receivers/documented_express.js")),
    ];
    for (language, source) in receivers {
        let (_, documented) = source.split_once("receiving.md: begin ---\n").expect("the mark of the beginning");
        let (documented, _) = documented.split_once("receiving.md: end ---").expect("the mark of the end");
        let (documented, _) = documented.rsplit_once('\n').expect("the mark is on a line of its own");
        assert!(PAGE.contains(&format!("```{language}\n{documented}\n```\n")), "not on the page:\n{documented}");
    }
}

/// Returns the Python interpreter.
fn python() -> String {
    std::env::var("HOOKLINE_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Runs one of the commands with the stack's host, token and webhook id; returns the status and the
/// body.
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
    let (body, status) = printed.rsplit_once('\n').expect("the status is on a line of its own");
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("a body is JSON") };
    (status.parse().expect("a status"), body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_commands_register_list_update_and_delete_a_webhook() {
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
    assert!(!page.to_string().contains("your_webhook_secret"), "the list shows the secret: {page:#}");

    let (status, webhook) = run(&stack, UPDATE, &id).await;
    assert_eq!(status, 200, "{webhook:#}");
    assert_eq!(webhook["events"], json!(["resource.created", "resource.updated"]));
    assert_eq!(webhook["url"], "https://your-app.com/webhooks");

    assert_eq!(run(&stack, DELETE, &id).await, (204, Value::Null));
    let (status, page) = run(&stack, LIST, "").await;
    assert_eq!((status, data(&page).len()), (200, 0), "{page:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_command_triggers_a_test_delivery() {
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

/// Starts the documented polling client in `folder`, with a token of the account.
fn polling_client(python: &str, stack: &Stack, token: &str, webhook: (&str, &str), folder: &Path) -> Program {
    let mut command = Command::new(python);
    command.arg(format!("{RECEIVERS}documented_poll.py")).current_dir(folder);
    command.env("HOOKLINE_URL", stack.base()).env("HOOKLINE_TOKEN", token);
    command.env("WEBHOOK_ID", webhook.0).env("WEBHOOK_SECRET", webhook.1);
    Program::spawn(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_polling_client_goes_on_after_it_was_killed() {
    let python = python();
    if !can_run(&python, &["--version"]).await {
        return;
    }
    // Python does not find the name of an emulator's API.
    let Some(stack) = Stack::with(Options::default()).await else { return };
    let client = stack.api();
    let (status, webhook) = run(&stack, REGISTER_POLLED, "").await;
    assert_eq!((status, &webhook["delivery"]), (201, &json!("poll")), "{webhook:#}");
    let (id, secret) = (text(&webhook["id"]), text(&webhook["secret"]));
    let new_token = json!({ "account": stack.account().unwrap_or("default"), "scopes": ["manage"] });
    let token = text(&client.post("/v1/tokens", &new_token).await.expect(201)["token"]);
    let publish = async || format!("{} resource.created", client.publish("resource.created").await.id());

    let folder = tempfile::tempdir().expect("a folder");
    let mut program = polling_client(&python, &stack, &token, (&id, &secret), folder.path());
    let (first, second) = (publish().await, publish().await);
    program.lines("both events", |lines| (lines.len() >= 2).then_some(())).await;
    // It comes with a later poll, so the first two are acknowledged.
    let third = publish().await;
    program.line("the third event", |line| (line == third).then_some(())).await;
    program.kill().await;

    let fourth = publish().await;
    let program = polling_client(&python, &stack, &token, (&id, &secret), folder.path());
    program.line("the fourth event", |line| (line == fourth).then_some(())).await;
    let repeated = program.lines("its lines", |lines| Some(lines.contains(&first) || lines.contains(&second))).await;
    assert!(!repeated, "what was acknowledged does not come again");

    let folder = tempfile::tempdir().expect("a folder");
    let mut program = polling_client(&python, &stack, &token, (&id, "another_webhook_secret"), folder.path());
    let (status, handled, errors) = program.end().await;
    assert!(!status.success() && handled.is_empty() && errors.concat().contains("does not match"), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_flask_receiver_accepts_deliveries_and_refuses_a_changed_body() {
    let python = python();
    if !can_run(&python, &["-c", "import flask"]).await {
        return;
    }
    check_receiver(&python, "documented_flask.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_express_receiver_accepts_deliveries_and_refuses_a_changed_body() {
    if !can_run("node", &["-e", "require('express')"]).await {
        return;
    }
    check_receiver("node", "documented_express.js").await;
}

/// Checks that a documented receiver accepts deliveries and handles them, and refuses one with a
/// changed body.
async fn check_receiver(program: &str, source: &str) {
    let mut command = Command::new(program);
    command.arg(format!("{RECEIVERS}{source}")).env("WEBHOOK_SECRET", SECRET);
    let receiver = Program::spawn(command);
    let port = receiver.line("its port", |line| line.strip_prefix("port ").map(str::to_owned)).await;

    let stack = Stack::start().await;
    let client = stack.api();
    let ours = Receiver::answering(200).await;
    let events = ["resource.created", "resource.updated"];
    let base = format!("http://127.0.0.1:{port}");
    let to = |url: &str| json!({ "url": url, "events": events, "secret": SECRET });
    let webhook = client.register_as(&to(&format!("{base}/webhooks"))).await;
    client.register_as(&to(&ours.url("/webhooks"))).await;

    let mut published = Vec::new();
    for (kind, printed) in [("resource.created", "created res_1"), ("resource.updated", "updated res_2")] {
        let id = printed.rsplit_once(' ').expect("two words").1;
        // The payload is not ASCII, since the documented code decodes the body and encodes it again
        // before it signs.
        let object = json!({ "id": id, "name": "Ünïcödé ✓ 日本" });
        let event = client.publish_as(&json!({ "type": kind, "data": { "object": object } })).await.id();
        receiver.line(printed, |line| (line == printed).then_some(())).await;
        let delivery = client.delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
        assert_eq!(delivery["attempts"][0]["status_code"], 200, "{delivery:#}");
        published.push(event);
    }

    // The first request is repeated: with one byte changed it is refused, unchanged it is accepted.
    let sent = &ours.wait_for_event(&published[0], 1).await[0];
    for (body, status) in [(signature::one_byte_changed(&sent.body), 401), (sent.body.clone(), 200)] {
        let headers =
            [("Content-Type", "application/json"), ("X-Webhook-Signature", sent.header("x-webhook-signature"))];
        assert_eq!(post_to(&format!("{base}/webhooks"), &headers, body).await, status);
    }
    let handled = receiver.lines("the handler's line", |lines| (lines.len() >= 4).then(|| lines[1..].to_vec())).await;
    assert_eq!(handled, ["created res_1", "updated res_2", "created res_1"], "the refused request must not be handled");
}
