//! The local process: its options and output, its data across restarts, and its end by a signal.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::client::{Api, data, text};
use crate::harness::program::Program;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::signature;
use crate::harness::stack::{Options, Stack};

/// The options of a first run, without a token.
fn without_token() -> Options {
    Options { token: false, ..Options::durable() }
}

/// The token in the `curl` commands that the process prints.
async fn printed_token(program: &Program) -> String {
    let of_line = |line: &str| {
        let token: String = line.split_once("Bearer ")?.1.chars().take_while(|c| !"\"' \\".contains(*c)).collect();
        (!token.is_empty()).then_some(token)
    };
    program.line("a curl line with a token", of_line).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_the_process_with_success() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    stack.api().get("/v1/webhooks").await.expect(200);
    stack.terminate().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_the_process_with_success() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    stack.end_by("INT").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_option_has_an_environment_variable() {
    let schedule = Some("0s,1s,1s,1s,1s");
    let by_environment = Options { environment: true, schedule, ..Options::durable() };
    let Some(stack) = Stack::with(by_environment.clone()).await else { return };
    assert!(stack.folder().join("data").is_dir(), "HOOKLINE_DATA names the folder");
    let receiver = Receiver::in_turn([500, 200].map(Answer::status).to_vec()).await;
    stack.api().register(&receiver.url("/"), &["*"]).await;
    stack.api().publish("user.created").await;
    assert_eq!(receiver.wait_for(2).await[1].attempt(), 2);

    let Some(stack) = Stack::with(Options { strict: true, ..by_environment }).await else { return };
    let body = json!({ "url": receiver.url("/"), "events": ["*"] });
    assert_eq!(stack.api().post("/v1/webhooks", &body).await.faults(), ["/url"]);
}

/// The `curl` commands among the printed lines, each joined to one line.
fn commands(lines: &[String]) -> Vec<String> {
    let text = lines.join("\n").replace("\\\n", " ");
    text.lines().map(str::trim).filter(|line| line.starts_with("curl ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_curl_commands_work_when_pasted() {
    let Some(stack) = Stack::with(without_token()).await else { return };
    let receiver = Receiver::answering(200).await;
    let enough = |lines: &[String]| Some(commands(lines)).filter(|commands| commands.len() == 3);
    let commands = stack.program().lines("three commands", enough).await;
    let mut event = String::new();
    for command in commands {
        // Replaces the receiver that the commands assume, and the event id that the second command
        // returns.
        let command = command.replace("http://127.0.0.1:5000/webhooks", &receiver.url("/webhooks"));
        let command = command.replace("EVENT_ID", &event);
        let output = Command::new("sh").args(["-c", &command]).output().await.expect("sh runs");
        let answer = String::from_utf8(output.stdout).expect("an answer in UTF-8");
        let answer: Value =
            serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{command}: {error}: {answer}"));
        assert!(answer["id"].is_string(), "{command}: {answer:#}");
        event = text(&answer["id"]);
    }
    assert_eq!(receiver.wait_for(1).await[0].event(), event, "the last command should show the event of the second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_during_an_attempt_ends_the_process_with_success() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let receiver = Receiver::in_turn(vec![Answer::Hang]).await;
    stack.api().register(&receiver.url("/"), &["*"]).await;
    stack.api().publish("user.created").await;
    receiver.wait_for(1).await;
    stack.terminate().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_webhooks_events_and_deliveries() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let receiver = Receiver::answering(200).await;
    let webhook = stack.api().register(&receiver.url("/"), &["*"]).await;
    let event = stack.api().publish("user.created").await;
    let before = stack.api().delivery_when(&event.id(), &webhook.id, |d| d["status"] == "delivered").await;
    let webhooks = stack.api().get("/v1/webhooks").await.expect(200);

    for kill in [false, true] {
        if kill {
            stack.kill_hard().await;
        } else {
            stack.terminate().await;
        }
        stack.restart().await;
        let api = stack.api();
        assert_eq!(api.get("/v1/webhooks").await.expect(200), webhooks);
        assert_eq!(api.get(&format!("/v1/deliveries/{}", text(&before["id"]))).await.expect(200), before);
        let next = api.publish("user.created").await.id();
        let delivered = receiver.wait_for_event(&next, 1).await;
        signature::check(&delivered[0], &webhook.secret);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_generated_once_and_kept_in_the_data_folder() {
    let Some(mut stack) = Stack::with(without_token()).await else { return };
    let token = printed_token(stack.program()).await;
    let webhook = Api::new(stack.base(), Some(&token), None).register("http://localhost:5000/", &["*"]).await.id;
    stack.terminate().await;
    stack.restart().await;
    assert_eq!(printed_token(stack.program()).await, token);
    let page = Api::new(stack.base(), Some(&token), None).get("/v1/webhooks").await.expect(200);
    assert_eq!(data(&page)[0]["id"], webhook.as_str());

    let Some(other) = Stack::with(without_token()).await else { return };
    assert_ne!(printed_token(other.program()).await, token, "another data folder should get another token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ephemeral_process_writes_no_files() {
    let Some(mut stack) = Stack::with(Options::default()).await else { return };
    let receiver = Receiver::answering(200).await;
    let webhook = stack.api().register(&receiver.url("/"), &["*"]).await;
    let event = stack.api().publish("user.created").await.id();
    stack.api().delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    stack.terminate().await;
    let left: Vec<_> = std::fs::read_dir(stack.folder()).expect("the folder is there").collect();
    assert!(left.is_empty(), "{left:?}");

    stack.restart().await;
    assert_eq!(data(&stack.api().get("/v1/webhooks").await.expect(200)).len(), 0);
}
