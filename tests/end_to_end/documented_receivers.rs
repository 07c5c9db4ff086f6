//! The Flask and Express receivers of `infra/docs/receiving.md`, code unchanged, take our deliveries and refuse a changed one.
//!
//! They run where their runtime is: `python3` with flask (`HOOKLINE_PYTHON` names another interpreter) and `node` with
//! express (`NODE_PATH` tells where it is). With `HOOKLINE_REQUIRE_RECEIVERS=1` a missing runtime is a failure.

use serde_json::json;
use tokio::process::Command;

use crate::api;
use crate::documented_commands::PAGE;
use crate::process::Stack;
use crate::program::Program;
use crate::receiver::Receiver;
use crate::signature;

/// The documented secret.
const SECRET: &str = "your_webhook_secret";
/// Where the receivers' source is.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/receivers/");

#[test]
fn the_page_has_the_receivers_that_are_tested() {
    let receivers = [
        ("python", include_str!("../receivers/documented_flask.py")),
        ("js", include_str!("../receivers/documented_express.js")),
    ];
    for (language, source) in receivers {
        let (_, documented) = source.split_once("receiving.md: begin ---\n").expect("where it begins");
        let (documented, _) = documented.split_once("receiving.md: end ---").expect("where it ends");
        let (documented, _) = documented.rsplit_once('\n').expect("the last line is the mark");
        assert!(PAGE.contains(&format!("```{language}\n{documented}\n```\n")), "not on the page:\n{documented}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_flask_receiver_accepts_our_signature_and_refuses_a_changed_body() {
    let python = std::env::var("HOOKLINE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !present(&python, &["-c", "import flask"]).await {
        return;
    }
    accepts_ours_and_refuses_changed(&python, "documented_flask.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_express_receiver_accepts_our_signature_and_refuses_a_changed_body() {
    if !present("node", &["-e", "require('express')"]).await {
        return;
    }
    accepts_ours_and_refuses_changed("node", "documented_express.js").await;
}

/// Whether the runtime can run the receiver; says so when it cannot.
pub(crate) async fn present(program: &str, probe: &[&str]) -> bool {
    let probed = Command::new(program).args(probe).output().await;
    if probed.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let required = std::env::var("HOOKLINE_REQUIRE_RECEIVERS").is_ok_and(|value| value == "1");
    assert!(!required, "{program} {probe:?} fails, and HOOKLINE_REQUIRE_RECEIVERS is set");
    println!("skipped: {program} {probe:?} fails here");
    false
}

async fn accepts_ours_and_refuses_changed(program: &str, source: &str) {
    let mut command = Command::new(program);
    command.arg(format!("{FOLDER}{source}")).env("WEBHOOK_SECRET", SECRET);
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
        // Letters outside ASCII: the documented code turns the body into text and back before it signs.
        let object = json!({ "id": id, "name": "Ünïcödé ✓ 日本" });
        let event = client.publish_as(&json!({ "type": kind, "data": { "object": object } })).await.id();
        receiver.line(printed, |line| (line == printed).then_some(())).await;
        let delivery = client.delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
        assert_eq!(delivery["attempts"][0]["status_code"], 200, "{delivery:#}");
        published.push(event);
    }

    // The first request again, by hand: with one byte changed it is refused, as it was it is taken.
    let sent = &ours.wait_for_event(&published[0], 1).await[0];
    for (body, status) in [(signature::one_byte_changed(&sent.body), 401), (sent.body.clone(), 200)] {
        let headers =
            [("Content-Type", "application/json"), ("X-Webhook-Signature", sent.header("x-webhook-signature"))];
        assert_eq!(api::post_to(&format!("{base}/webhooks"), &headers, body).await, status);
    }
    let handled = receiver.lines("the handler's line", |lines| (lines.len() >= 4).then(|| lines[1..].to_vec())).await;
    assert_eq!(handled, ["created res_1", "updated res_2", "created res_1"], "a refused request is not handled");
}
