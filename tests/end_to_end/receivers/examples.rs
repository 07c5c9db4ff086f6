//! The receivers of `infra/examples` do what its README says. Each is tested where its runtime is
//! installed.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::process::Command;

use crate::harness::cargo;
use crate::harness::client::post_to;
use crate::harness::program::{Program, can_run};
use crate::harness::receiver::{Received, Receiver};
use crate::harness::signature;
use crate::harness::stack::Stack;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/examples/");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_example_processes_each_event_once() {
    let python = std::env::var("HOOKLINE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if can_run(&python, &["--version"]).await {
        check_example(&[&python, &format!("{EXAMPLES}python/receiver.py")]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_example_processes_each_event_once() {
    if can_run("node", &["--version"]).await {
        check_example(&["node", &format!("{EXAMPLES}node/receiver.mjs")]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_example_processes_each_event_once() {
    let executable = cargo::build("example-receiver");
    check_example(&[executable.to_str().expect("a path of this project")]).await;
}

/// A running example.
struct Example {
    program: Program,
    url: String,
}

impl Example {
    /// Starts the example on a free port.
    async fn start(command_line: &[&str], secret: &str, inbox: &Path) -> Self {
        let mut command = Command::new(command_line[0]);
        command.args(&command_line[1..]).env("WEBHOOK_SECRET", secret).env("INBOX", inbox).env("PORT", "0");
        let program = Program::spawn(command);
        let port = program.line("its port", |line| line.strip_prefix("port ").map(str::to_owned)).await;
        Self { program, url: format!("http://127.0.0.1:{port}/webhooks") }
    }

    /// Waits until the last processed event is `last`; returns the ids of all processed events.
    async fn processed(&self, last: &str) -> Vec<String> {
        let processed = |lines: &[String]| -> Vec<String> {
            lines
                .iter()
                .filter_map(|line| Some(line.strip_prefix("processed ")?.split(' ').next()?.to_owned()))
                .collect()
        };
        self.program
            .lines(&format!("that {last} is processed"), |lines| {
                Some(processed(lines)).filter(|ids| ids.last().is_some_and(|id| id == last))
            })
            .await
    }

    /// Posts a delivery with a signature of the time `signed_at_s`; returns the status.
    async fn post(&self, secret: &str, sent: &Received, signed_at_s: i64, body: Vec<u8>) -> u16 {
        let id = sent.event();
        let signature = signature::verifier(secret).sign(id, signed_at_s, &sent.body).expect("a signature");
        // During a rotation a delivery carries several signatures, and one valid signature is
        // enough.
        let listed = format!("v1,bm90IHRoaXMgb25l {signature}");
        let timestamp = signed_at_s.to_string();
        let headers = [("webhook-id", id), ("webhook-timestamp", &timestamp), ("webhook-signature", &listed)];
        post_to(&self.url, &headers, body).await
    }
}

/// Checks that the example verifies signatures and timestamps, stores events before it answers, and
/// processes each once, also after a crash.
async fn check_example(command_line: &[&str]) {
    let stack = Stack::start().await;
    let client = stack.api();
    let ours = Receiver::answering(200).await;
    for secret in ["a-secret-of-my-own", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        let inbox = TempDir::with_prefix("hookline-inbox-").expect("a temporary folder");
        // An event that is stored but not processed, as after a crash between the answer and the
        // work.
        let left = "evt_00000000000000000000000000";
        let event = json!({ "id": left, "type": "user.created" });
        std::fs::write(inbox.path().join(format!("{left}.json")), event.to_string()).expect("the inbox");
        let mut example = Example::start(command_line, secret, inbox.path()).await;
        assert_eq!(example.processed(left).await, [left]);

        let to = |url: &str| json!({ "url": url, "events": ["user.created"], "secret": secret });
        let webhook = client.register_as(&to(&example.url)).await;
        let copy = client.register_as(&to(&ours.url("/"))).await;
        let first = client.publish("user.created").await.id();
        let delivery = client.delivery_when(&first, &webhook.id, |delivery| delivery["status"] == "delivered").await;
        assert_eq!(delivery["attempts"][0]["status_code"], 200, "{delivery:#}");
        assert_eq!(example.processed(&first).await, [left, &first]);

        let sent = &ours.wait_for_event(&first, 1).await[0];
        let now_s = OffsetDateTime::now_utc().unix_timestamp();
        let changed = signature::one_byte_changed(&sent.body);
        assert_eq!(example.post(secret, sent, now_s, changed).await, 401, "a changed body");
        for off_s in [-360, 360] {
            assert_eq!(example.post(secret, sent, now_s + off_s, sent.body.clone()).await, 401, "{off_s} s off");
        }
        let other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        assert_eq!(example.post(other, sent, now_s, sent.body.clone()).await, 401, "another secret");
        assert_eq!(example.post(secret, sent, now_s, sent.body.clone()).await, 200, "a duplicate");

        example.program.kill().await;
        let example = Example::start(command_line, secret, inbox.path()).await;
        assert_eq!(example.post(secret, sent, now_s, sent.body.clone()).await, 200, "a duplicate after a restart");
        client.patch(&format!("/v1/webhooks/{}", webhook.id), &json!({ "url": example.url })).await.expect(200);
        let second = client.publish("user.created").await.id();
        assert_eq!(example.processed(&second).await, [&*second], "each event is processed once");
        for id in [webhook.id, copy.id] {
            client.delete(&format!("/v1/webhooks/{id}")).await.expect(204);
        }
    }
}
