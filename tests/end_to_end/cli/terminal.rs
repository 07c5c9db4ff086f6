//! What differs on a terminal: colours, and tables as wide as it is. `script` provides the terminal.

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::hookline::Hookline;
use crate::harness::program::can_run;
use crate::harness::receiver::{Answer, Receiver};

/// A server with one webhook.
async fn api() -> (Receiver, Hookline) {
    let webhook = serde_json::json!({
        "id": "wh_01JMC9ZV2K4W7T5N8Q3R6X1Y0B", "url": "https://a-host-with-a-long-name.example.com/webhooks/of/mine", "events": ["*"],
        "status": "enabled", "disabled_reason": null, "description": "日本語の説明です", "created_at": "2025-02-18T10:34:48Z",
    });
    let page = serde_json::json!({"data": [webhook], "next_cursor": null}).to_string();
    let receiver = Receiver::in_turn(vec![Answer::Reply(200, vec![], page)]).await;
    let user = Hookline::at(&receiver.url(""), "hl_test_token");
    (receiver, user)
}

/// The lines of `webhooks list` on a terminal of 100 columns; `None` where there is no `script`.
async fn on_terminal(user: &Hookline, environment: &[(&str, &str)]) -> Option<Vec<String>> {
    if !can_run("script", &["-qec", "true", "/dev/null"]).await {
        return None;
    }
    let command = user.command(&["webhooks", "list"]);
    let program = command.as_std().get_program().to_str().expect("a path of this project").to_owned();
    let inside = format!("stty cols 100; {program} webhooks list");
    let mut script = tokio::process::Command::new("script");
    script.args(["-qec", &inside, "/dev/null"]).env_remove("NO_COLOR").env("TERM", "xterm");
    script.envs(command.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
    script.envs(environment.iter().copied()).stdin(Stdio::null());
    let output = script.output().await.expect("script runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    Some(text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn colours_are_for_terminals_alone_and_can_be_refused() {
    let (_api, user) = api().await;
    let piped = user.run(&["webhooks", "list"]).await;
    assert!(!piped.expect(0).contains('\u{1b}'), "{piped:#?}");
    let Some(colored) = on_terminal(&user, &[]).await else { return };
    assert!(colored[1].contains("\u{1b}[32menabled\u{1b}[0m"), "{colored:#?}");
    for refusal in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_terminal(&user, &[refusal]).await.expect("script runs");
        assert!(plain.iter().all(|line| !line.contains('\u{1b}')), "{plain:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_cut_to_the_terminal_only_on_a_terminal() {
    let (_api, user) = api().await;
    let piped = user.run(&["webhooks", "list"]).await;
    assert!(piped.expect(0).contains("https://a-host-with-a-long-name.example.com/webhooks/of/mine"), "{piped:#?}");
    let Some(lines) = on_terminal(&user, &[("NO_COLOR", "1")]).await else { return };
    assert!(lines[1].contains("wh_01JMC9ZV2K4W7T5N8Q3R6X1Y0B") && lines[1].contains('…'), "{lines:#?}");
    // Each Japanese character takes two columns.
    let columns: usize = lines[1].chars().map(|c| if ('\u{3000}'..'\u{a000}').contains(&c) { 2 } else { 1 }).sum();
    assert!((90..=100).contains(&columns), "{columns}: {lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_not_shown_while_it_is_typed() {
    const TYPED: &str = "hl_typed_on_a_terminal";
    let nothing = Answer::Reply(200, vec![], r#"{"data": [], "next_cursor": null}"#.to_owned());
    let api = Receiver::in_turn(vec![nothing]).await;
    let user = Hookline::at(&api.url(""), TYPED);
    if !can_run("script", &["-qec", "true", "/dev/null"]).await {
        return;
    }
    let command = user.command(&["login"]);
    let program = command.as_std().get_program().to_str().expect("a path of this project").to_owned();
    let mut script = tokio::process::Command::new("script");
    script.args(["-qec", &format!("{program} login"), "/dev/null"]).env_remove("XDG_CONFIG_HOME").kill_on_drop(true);
    let set = command.as_std().get_envs().filter(|(name, _)| *name != "HOOKLINE_TOKEN");
    script.envs(set.filter_map(|(name, value)| Some((name, value?)))).env_remove("HOOKLINE_TOKEN");
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script runs");
    let (mut keys, mut screen) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let (mut shown, mut typed) = (vec![], false);
    while screen.read_buf(&mut shown).await.expect("the terminal can be read") > 0 {
        let text = String::from_utf8_lossy(&shown);
        if !typed && text.contains("Token (not shown): ") {
            keys.write_all(format!("{TYPED}\r").as_bytes()).await.expect("keys can be typed");
            typed = true;
        }
    }
    let shown = String::from_utf8(shown).expect("UTF-8");
    assert!(shown.contains("logged in to") && !shown.contains(TYPED), "{shown}");
    let stored = std::fs::read_to_string(user.home().join(".config/hookline/login.json")).expect("a login");
    assert!(stored.contains(TYPED), "{stored}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let user = Hookline::alone();
    let program = user.command(&[]).as_std().get_program().to_str().expect("a path of this project").to_owned();
    let command = format!("{program} completions bash | head -n 1; echo \"${{PIPESTATUS[0]}}\"");
    let output = tokio::process::Command::new("bash").args(["-c", &command]).output().await.expect("bash runs");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(lines.lines().last(), Some("0"), "{lines}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
