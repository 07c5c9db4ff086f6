//! A function that cannot start says why, as a log line that CloudWatch can query.

use serde_json::Value;
use std::process::Command;

/// Starts the function with `variables` alone, and returns its log lines.
fn lines(variables: &[(&str, &str)]) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retry"));
    let ended = command.env_clear().envs(variables.iter().copied()).output().expect("the function runs");
    assert!(!ended.status.success());
    let text = String::from_utf8(ended.stderr).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn the_line_names_the_setting() {
    for (variables, setting) in [
        (&[][..], "WEBHOOKS_TABLE"),
        (&[("LOG_LEVEL", "loud")], "LOG_LEVEL: expected off, error"),
        (&[("LOG_LEVEL", "off"), ("RETENTION_DAYS", "0")], "RETENTION_DAYS"),
        (&[("LOG_LEVEL", "deliver=debug"), ("RETENTION_DAYS", "0")], "RETENTION_DAYS"),
    ] {
        let lines = lines(variables);
        let [line] = lines.as_slice() else { panic!("{setting}: {lines:?}") };
        assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &"the function has ended".into()));
        assert!(line["error"].as_str().is_some_and(|error| error.starts_with(setting)), "{line}");
    }
}
