//! Bodies that real libraries write: those of Node.js and of Python, where they are installed.

use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::seen::{Seen, codes};
use crate::harness::program::can_run;
use crate::harness::receiver::Receiver;
use crate::harness::stack::Stack;

/// What is published: numbers, names and letters that libraries write in their own ways.
const OBJECT: &str = r#"{"b": 1.0, "a": [1e3, -0.0, 1E-7, 12345678901234567890, 0.00001, 123456789.125], "10": null, "2": true,
    "text": "Zo\u00eb 😀 \"q\" \/ <&> \u2028 \t", "é": {}, "none": [], "deep": {"z": [[]], "y": ""}}"#;

/// Each program that reads JSON and writes it, with the code of what it does to the body.
const WRITERS: &[(&str, &str, &str)] = &[
    ("node", "JSON.stringify(JSON.parse(input))", "json_rewritten"),
    ("node", "JSON.stringify(JSON.parse(input), null, 2)", "json_rewritten"),
    ("node", "JSON.stringify(JSON.parse(input)) + '\\n'", "json_rewritten"),
    ("python3", "json.dumps(json.loads(text))", "json_rewritten"),
    ("python3", "json.dumps(json.loads(text), ensure_ascii=False)", "json_rewritten"),
    ("python3", "json.dumps(json.loads(text), separators=(',', ':'))", "json_rewritten"),
    ("python3", "json.dumps(json.loads(text), sort_keys=True)", "keys_reordered"),
    ("python3", "json.dumps(json.loads(text), indent=4)", "json_rewritten"),
    ("python3", "text.encode().decode('latin-1')", "charset_changed"),
    ("python3", "str(text.encode())", "body_not_raw"),
];

/// Runs a program's expression on a body.
async fn written(program: &str, expression: &str, body: &[u8]) -> Vec<u8> {
    let code = match program {
        "node" => format!("const input = require('fs').readFileSync(0, 'utf8'); process.stdout.write({expression});"),
        _ => format!(
            "import json, sys; text = sys.stdin.buffer.read().decode(); sys.stdout.buffer.write(({expression}).encode())"
        ),
    };
    let option = if program == "node" { "-e" } else { "-c" };
    let mut command = Command::new(program);
    command.args([option, &code]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(body).await.expect("the program reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("the program ends");
    assert!(output.status.success(), "{expression}");
    output.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_real_libraries_write_is_named() {
    let stack = Stack::start().await;
    let (api, receiver) = (stack.api(), Receiver::answering(200).await);
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    let body = format!(r#"{{"type": "user.created", "data": {{"object": {OBJECT}}}}}"#);
    let event = api.send_text(reqwest::Method::POST, "/v1/events", &body).await;
    event.expect(202);
    let seen = Seen::of(&receiver.wait_for_event(&event.id(), 1).await[0]);
    for program in ["node", "python3"] {
        if !can_run(program, &["--version"]).await {
            continue;
        }
        for (_, expression, code) in WRITERS.iter().filter(|(by, ..)| *by == program) {
            let changed = written(program, expression, &seen.body).await;
            let answer = seen.clone().body(changed.clone()).debug(&api).await;
            for header in ["x-webhook-signature", "webhook-signature"] {
                assert_eq!(codes(&answer, header).first().map(String::as_str), Some(*code), "{expression}: {answer:#}");
            }
            let detail = answer["findings"][0]["detail"].to_string();
            assert!(!detail.contains("another form"), "{expression} should be named: {detail}");
            // The receiver's own code signs what the library writes.
            let changed = std::str::from_utf8(&changed).expect("UTF-8").trim_end_matches('\n').as_bytes().to_vec();
            let computed = crate::harness::signature::body_signature(&webhook.secret, &changed);
            let answer = seen.clone().given("computed", computed).debug(&api).await;
            assert_eq!(
                (&answer["valid"], codes(&answer, "computed")),
                (&json!(true), vec![(*code).to_owned()]),
                "{expression}"
            );
        }
    }
}
