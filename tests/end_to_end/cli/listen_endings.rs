//! `hookline listen` without a name: its webhook is deleted at the end, or expires.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::listen::{listen, webhooks};
use crate::harness::client::millis;
use crate::harness::hookline::Hookline;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_webhook_expires_while_it_is_used_and_is_deleted_at_the_end() {
    let stack = Stack::start().await;
    let (api, user, receiver) = (stack.api(), Hookline::of(&stack), Receiver::answering(200).await);
    for signal in ["INT", "TERM"] {
        let mut listener = listen(&user, &receiver, &[]).await;
        let all = webhooks(&api).await;
        let [webhook] = all.as_slice() else { panic!("{all:#?}") };
        let lives_ms = millis(&webhook["expires_at"]) - millis(&webhook["created_at"]);
        assert!((DAY_MS - 5_000..=DAY_MS + 5_000).contains(&lives_ms), "{webhook:#}");
        let ended = listener.program.end_by(signal).await;
        assert!(ended.success(), "SIG{signal}: {ended}");
        assert_eq!(webhooks(&api).await, Vec::<Value>::new(), "SIG{signal}");
    }
    let mut killed = listen(&user, &receiver, &[]).await;
    killed.program.kill().await;
    assert!(!webhooks(&api).await[0]["expires_at"].is_null(), "what a kill leaves expires");
    assert!(!user.home().join(".config").exists(), "without a name nothing is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_or_server_that_hangs_does_not_keep_it_from_ending() {
    let stack = Stack::start().await;
    let (api, user, receiver) = (stack.api(), Hookline::of(&stack), Receiver::in_turn(vec![Answer::Hang]).await);
    let mut listener = listen(&user, &receiver, &[]).await;
    api.publish("user.created").await;
    receiver.wait_for(1).await;
    assert!(listener.program.end_by("INT").await.success());
    assert_eq!(webhooks(&api).await, Vec::<Value>::new());

    let server = Receiver::in_turn(vec![Answer::Hang]).await;
    let user = Hookline::at(&server.url(""), "hl_test_token");
    let mut listener = user.spawn(&["listen", "--forward-to", "3000"]);
    server.wait_for(1).await;
    assert!(listener.end_by("INT").await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_when_nobody_reads_its_lines() {
    let stack = Stack::start().await;
    let (api, user, receiver) = (stack.api(), Hookline::of(&stack), Receiver::answering(200).await);
    let listen = user.command(&["listen", "--json", "--forward-to", &receiver.url("/")]);
    let program = listen.as_std().get_program().to_str().expect("a path of this project");
    let arguments: Vec<_> = listen.as_std().get_args().map(|argument| argument.to_str().expect("a text")).collect();
    let pipe = format!("{program} {} 2>&1 | head -n 1; echo \"ended with ${{PIPESTATUS[0]}}\"", arguments.join(" "));
    let mut bash = Command::new("bash");
    let variables = listen.as_std().get_envs().filter_map(|(name, value)| Some((name, value?)));
    bash.args(["-c", &pipe]).envs(variables).stdin(Stdio::null()).kill_on_drop(true);
    let publish = async {
        loop {
            api.publish("user.created").await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let output =
        tokio::select! { output = bash.output() => output.expect("bash runs"), () = publish => unreachable!() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("Forwarding ") && text.ends_with("\nended with 0\n"), "{text}");
    assert_eq!(webhooks(&api).await, Vec::<Value>::new());
}
