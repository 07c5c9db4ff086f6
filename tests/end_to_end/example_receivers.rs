//! The receivers of `infra/examples` do what their page says, each where its runtime is.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::process::Command;

use crate::api;
use crate::documented_receivers::present;
use crate::process::{self, Stack};
use crate::program::Program;
use crate::receiver::{Received, Receiver};
use crate::signature;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/examples/");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_example_verifies_stores_and_drops_duplicates() {
    let python = std::env::var("HOOKLINE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if present(&python, &["--version"]).await {
        does_what_the_page_says(&[&python, &format!("{EXAMPLES}python/receiver.py")]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_example_verifies_stores_and_drops_duplicates() {
    if present("node", &["--version"]).await {
        does_what_the_page_says(&["node", &format!("{EXAMPLES}node/receiver.mjs")]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_example_verifies_stores_and_drops_duplicates() {
    let executable = process::build("example-receiver");
    does_what_the_page_says(&[executable.to_str().expect("a path of this project")]).await;
}

/// A running example.
struct Example {
    program: Program,
    url: String,
}

impl Example {
    async fn start(command_line: &[&str], secret: &str, inbox: &Path) -> Self {
        let mut command = Command::new(command_line[0]);
        command.args(&command_line[1..]).env("WEBHOOK_SECRET", secret).env("INBOX", inbox).env("PORT", "0");
        let program = Program::spawn(command);
        let port = program.line("its port", |line| line.strip_prefix("port ").map(str::to_owned)).await;
        Self { program, url: format!("http://127.0.0.1:{port}/webhooks") }
    }

    /// The ids of the events that it has processed, once the last one is `last`.
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

    /// Posts a delivery by hand, signed at `signed_at_s`; gives the status.
    async fn post(&self, secret: &str, sent: &Received, signed_at_s: i64, body: Vec<u8>) -> u16 {
        let id = sent.event();
        let signature = signature::verifier(secret).sign(id, signed_at_s, &sent.body).expect("a signature");
        // As in a rotation: any of the listed signatures will do.
        let listed = format!("v1,bm90IHRoaXMgb25l {signature}");
        let timestamp = signed_at_s.to_string();
        let headers = [("webhook-id", id), ("webhook-timestamp", &timestamp), ("webhook-signature", &listed)];
        api::post_to(&self.url, &headers, body).await
    }
}

async fn does_what_the_page_says(command_line: &[&str]) {
    let stack = Stack::start().await;
    let client = stack.api();
    let ours = Receiver::answering(200).await;
    for secret in ["a-secret-of-my-own", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        let inbox = TempDir::with_prefix("hookline-inbox-").expect("a temporary folder");
        // As after a crash between the answer and the work.
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
        assert_eq!(example.post(secret, sent, now_s, sent.body.clone()).await, 200, "a duplicate need not come again");

        example.program.kill().await;
        let example = Example::start(command_line, secret, inbox.path()).await;
        assert_eq!(example.post(secret, sent, now_s, sent.body.clone()).await, 200, "it is remembered");
        client.patch(&format!("/v1/webhooks/{}", webhook.id), &json!({ "url": example.url })).await.expect(200);
        let second = client.publish("user.created").await.id();
        assert_eq!(example.processed(&second).await, [&*second], "each event is processed once");
        for id in [webhook.id, copy.id] {
            client.delete(&format!("/v1/webhooks/{id}")).await.expect(204);
        }
    }
}
