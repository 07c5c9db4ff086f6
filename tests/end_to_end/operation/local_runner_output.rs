//! What the local process prints for people, and for programs where there is no terminal: the first screen, a line for
//! each attempt, and what it waits for when it ends.

use regex_lite::Regex;
use serde_json::{Value, json};

use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::{Options, Stack};

/// A process with colours on a terminal, whose webhooks end after one retry.
fn on_a_terminal() -> Options {
    Options { terminal: true, ..Options::default() }.schedule("0s,1h")
}

/// Whether a line has codes that a terminal obeys.
fn is_coloured(line: &str) -> bool {
    line.contains('\x1b')
}

/// A line without the codes that a terminal obeys.
fn uncoloured(line: &str) -> String {
    Regex::new(r"\x1b\[\d+m").expect("a pattern").replace_all(line, "").into_owned()
}

/// Has the process make an attempt that succeeds and one that fails, and returns their lines as soon as both are
/// printed. The lines are those of the terminal or of stderr.
async fn lines_of_two_attempts(stack: &Stack) -> [String; 2] {
    let (well, ill) = (Receiver::answering(200).await, Receiver::answering(500).await);
    stack.api().register(&well.url("/"), &["user.created"]).await;
    stack.api().register(&ill.url("/"), &["user.updated"]).await;
    let events = [stack.api().publish("user.created").await.id(), stack.api().publish("user.updated").await.id()];
    let of_attempts = |lines: &[String]| {
        let found = events
            .each_ref()
            .map(|event| lines.iter().find(|line| line.contains(event) && !line.contains("published")).cloned());
        let [Some(first), Some(second)] = found else { return None };
        Some([first, second])
    };
    let program = stack.program();
    if stack.is_on_terminal() {
        program.lines("a line for each attempt", of_attempts).await
    } else {
        program.error_lines("a line for each attempt", of_attempts).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_screen_says_what_to_try() {
    for terminal in [true, false] {
        let Some(stack) = Stack::with(Options { terminal, token: false, ..Options::durable() }).await else { return };
        let last = |lines: &[String]| lines.iter().any(|line| line.contains("EVENT_ID")).then(|| lines.to_vec());
        let lines = stack.program().lines("the first screen", last).await;
        assert_eq!(lines[0], format!("listening on {}", stack.base()), "the first line is for programs");
        assert_eq!(lines.iter().any(|line| is_coloured(line)), terminal, "{lines:#?}");
        let plain: Vec<_> = lines.iter().map(|line| uncoloured(line)).collect();
        let token = std::fs::read_to_string(stack.folder().join("data/token")).expect("a token");
        assert_eq!(plain[1..3], [format!("token: {}", token.trim_end()), "data:  kept in data".to_owned()]);
        // It names what `hookline` would not find by itself.
        let demo =
            format!("HOOKLINE_URL={} HOOKLINE_TOKEN='{}' cargo run -p cli -- demo", stack.base(), token.trim_end());
        assert!(plain.iter().any(|line| line.trim() == demo), "{plain:#?}");
        let portal = format!("{}/portal#code=", stack.base());
        assert!(plain.iter().any(|line| line.trim().starts_with(&portal)), "{plain:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_is_a_line_on_a_terminal() {
    let Some(stack) = Stack::with(on_a_terminal()).await else { return };
    let [delivered, failed] = lines_of_two_attempts(&stack).await;
    assert!(delivered.contains("\x1b[32m✓\x1b[0m") && failed.contains("\x1b[31m✗\x1b[0m"), "{delivered}\n{failed}");
    let line = Regex::new(r"^\d\d:\d\d:\d\d  (\S \S+) +(\S+) +(attempt \d) +\d\S* m?s  (.+?) +evt_\w{26}  wh_\w{26}$")
        .expect("a pattern");
    for (shown, expected) in [
        (&delivered, ["✓ 200", "user.created", "attempt 1", "delivered"]),
        (&failed, ["✗ 500", "user.updated", "attempt 1", "next attempt in 1h"]),
    ] {
        let shown = uncoloured(shown);
        let columns = line.captures(&shown).unwrap_or_else(|| panic!("{shown}"));
        let columns: [&str; 4] = columns.extract().1;
        // At most a tenth is added to the hour.
        assert!(columns.iter().zip(expected).all(|(column, expected)| column.starts_with(expected)), "{shown}");
    }
    let ids = [delivered, failed].map(|line| uncoloured(&line).find("evt_"));
    assert_eq!(ids[0], ids[1], "columns are aligned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_webhook_is_one_line_on_a_terminal() {
    let Some(stack) = Stack::with(on_a_terminal().schedule("0s")).await else { return };
    let receiver = Receiver::answering(500).await;
    let webhook = stack.api().register(&receiver.url("/"), &["*"]).await;
    let event = stack.api().publish("user.created").await.id();
    let warned = |line: &str| line.contains("! warning: ").then(|| uncoloured(line));
    let warning = stack.program().line("a warning", warned).await;
    let said = "! warning: webhook disabled  reason=failures";
    let ids = format!("webhook_id={} event_id={event} attempt=1", webhook.id);
    assert!(warning.ends_with(&format!("{said} {ids}")), "{warning}");
    let failed = |line: &str| (line.contains(&event) && line.contains("✗")).then(|| uncoloured(line));
    let failed = stack.program().line("the attempt", failed).await;
    assert!(failed.contains("✗ 500 ") && failed.contains(" failed "), "{failed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_color_turns_colours_off() {
    let options = Options { variables: vec![("NO_COLOR", "1")], ..on_a_terminal() };
    let Some(mut stack) = Stack::with(options).await else { return };
    let lines = lines_of_two_attempts(&stack).await;
    assert!(lines[0].contains("  ✓ 200 ") && lines[1].contains("  ✗ 500 "), "{lines:#?}");
    stack.program().send("TERM").await;
    let lines = stack.end().await;
    assert!(!lines.iter().any(|line| is_coloured(line)), "{lines:#?}");
    assert!(lines.last().is_some_and(|line| line.ends_with("· stopped; nothing was kept")), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_are_json_without_a_terminal_and_text_on_request() {
    let json = Options { log_level: Some("info"), terminal: false, ..on_a_terminal() };
    let Some(stack) = Stack::with(json.clone()).await else { return };
    let lines = lines_of_two_attempts(&stack).await;
    for (line, status) in lines.iter().zip([200, 500]) {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!((&line["message"], &line["status_code"]), (&json!("attempt"), &json!(status)), "{line:#}");
    }

    // As text, attempts are shown at the usual level.
    let text = Options { log_level: None, variables: vec![("LOG_FORMAT", "text")], ..json };
    let Some(stack) = Stack::with(text).await else { return };
    let lines = lines_of_two_attempts(&stack).await;
    assert!(lines[0].contains("  ✓ 200 ") && lines[1].contains("  ✗ 500 "), "{lines:#?}");
    assert!(!lines.iter().any(|line| is_coloured(line)), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_ctrl_c_ends_the_process_at_once_and_the_next_start_goes_on() {
    let Some(mut stack) = Stack::with(Options { terminal: true, ..Options::durable() }).await else { return };
    let receiver = Receiver::in_turn(vec![Answer::Hang, Answer::status(200)]).await;
    let body = json!({ "url": receiver.url("/"), "events": ["*"], "timeout_seconds": 8 });
    stack.api().register_as(&body).await;
    let event = stack.api().publish("user.created").await.id();
    receiver.wait_for(1).await;
    stack.program().send("INT").await;
    let waits = "waiting for 1 attempt under way, at most 8 s; press Ctrl-C again to stop at once";
    stack.program().line("what it waits for", |line| line.ends_with(waits).then_some(())).await;
    stack.program().send("INT").await;
    let lines = stack.end().await;
    let goodbye = "stopped at once; what was under way continues at the next start";
    assert!(lines.last().is_some_and(|line| line.ends_with(goodbye)), "{lines:#?}");

    stack.restart().await;
    receiver.wait_for_event(&event, 2).await;
}
