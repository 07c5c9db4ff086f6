//! The local process: its options and output, its data across restarts, and its end by a signal.

use std::net::TcpListener;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::client::{Api, data, text};
use crate::harness::program::Program;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::signature;
use crate::harness::stack::{Options, Stack, start_as};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_may_be_a_port_or_a_name() {
    let Some(stack) = Stack::with(Options::default()).await else { return };
    for (address, host) in [("0", "127.0.0.1"), ("localhost:0", "127.0.0.1"), ("[::1]:0", "[::1]")] {
        if address == "[::1]:0" && TcpListener::bind(address).is_err() {
            println!("skipped: this machine has no IPv6");
            continue;
        }
        let program = start_as(&["--ephemeral", "--listen", address], &[], stack.folder());
        let first = program.first_line().await;
        let base = first.strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}"));
        assert!(base.starts_with(&format!("http://{host}:")) && !base.ends_with(":0"), "{address}: {first}");
        Api::new(base, None, None).get("/healthz").await.expect(200);
    }
}

/// Starts `local` with arguments and variables that it refuses; returns its exit status and what it says.
async fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let folder = TempDir::new().expect("a temporary folder");
    let (status, stdout, stderr) = start_as(arguments, variables, folder.path()).end().await;
    assert!(stdout.is_empty(), "{arguments:?}: {stdout:?}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder is there").collect();
    assert!(left.is_empty(), "{arguments:?} leaves {left:?}");
    (status.code().expect("no signal ends it"), stderr.join("\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_options_are_refused_with_status_2_and_what_to_write() {
    for (arguments, variables, hint) in [
        (&["--listen", "here"][..], &[][..], "localhost:3001"),
        (&["--listen", "127.0.0.1"], &[], "the port is missing"),
        (&["--listen", "70000"], &[], "from 0 to 65535"),
        (&[], &[("HOOKLINE_LISTEN", "::1")], "[::1]:3000"),
        (&["--log-level", "verbose"], &[], "off, error, warn, info, debug or trace"),
        (&[], &[("LOG_LEVEL", "verbose")], "off, error, warn, info, debug or trace"),
        (&["--log-format", "xml"], &[], "auto, text, json"),
        (&["--ephemeral", "--data", "data"], &[], "leave one of them out"),
        (&["--ephemeral", "--data", "data"], &[("HOOKLINE_DATA", "other")], "leave one of them out"),
    ] {
        let (status, said) = refused(arguments, variables).await;
        assert_eq!(status, 2, "{arguments:?} {variables:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(hint), "{arguments:?} {variables:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_refused_before_the_data_is_touched() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (status, said) = refused(&["--listen", &address, "--data", "data"], &[]).await;
    assert_eq!(status, 1, "{said}");
    let hint = format!("error: another program listens on {address}; choose another port: --listen ");
    assert!(said.starts_with(&hint), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ephemeral_on_the_command_line_wins_over_a_folder_in_the_environment() {
    let folder = TempDir::new().expect("a temporary folder");
    let arguments = ["--ephemeral", "--listen", "127.0.0.1:0"];
    let program = start_as(&arguments, &[("HOOKLINE_DATA", "data")], folder.path());
    program.line("where the data is", |line| line.contains("nothing is kept").then_some(())).await;
    assert!(!folder.path().join("data").exists());
}
