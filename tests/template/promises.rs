//! Checks that `infra/docs/promises.md` gives the numbers of the code.

use application::config::WEBHOOKS_MAX;
use domain::backoff::{self, RETRY_AFTER_MAX};
use domain::delivery::{ATTEMPT_TIMEOUT, ATTEMPTS_KEPT, AttemptError};
use domain::event::REQUEST_BYTES_MAX;
use domain::event_type::{CUSTOM_TYPES_MAX, NAME_MAX};
use domain::webhook::{DESCRIPTION_MAX, RATE_LIMIT_MAX, SIGNING_SECRETS_MAX, SUBSCRIPTIONS_MAX};
use regex_lite::Regex;
use store::idempotency::{KEPT, KEY_MAX};

const PROMISES: &str = include_str!("../../infra/docs/promises.md");

/// Returns the table row whose first cell is `first`.
#[track_caller]
fn row(first: &str) -> String {
    let begin = format!("| {first} |");
    let row = PROMISES.lines().find(|line| line.starts_with(&begin));
    row.unwrap_or_else(|| panic!("promises.md has no row that begins with {first}")).to_owned()
}

/// Asserts that the row whose first cell is `first` contains `says`.
#[track_caller]
fn assert_row(first: &str, says: impl AsRef<str>) {
    let (row, says) = (row(first), says.as_ref());
    assert!(row.contains(says), "{row} does not say: {says}");
}

/// Writes a number as the page does: 10,000.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}

#[test]
fn the_retry_schedule_is_that_of_the_code() {
    assert!(PROMISES.contains(&format!("default `{}`", backoff::DEFAULT)));
    let waits = backoff::DEFAULT.split(',').count();
    let attempts = Regex::new(r"(?m)^\| \d+ \| ").expect("a pattern").find_iter(PROMISES).count();
    assert_eq!(attempts, waits, "there should be one row for each attempt");
    assert_row("`Retry-After`", format!("{} hours at most", RETRY_AFTER_MAX.as_secs() / 3600));
}

#[test]
fn the_limits_are_those_of_the_code() {
    assert_row("an attempt", format!("{} s in all", ATTEMPT_TIMEOUT.as_secs()));
    assert_row("kept attempts", format!("the latest {ATTEMPTS_KEPT}"));
    assert_row("rotation", format!("at most {SIGNING_SECRETS_MAX} secrets"));
    assert_row("event", format!("{} KiB", REQUEST_BYTES_MAX / 1024));
    assert_row("`Idempotency-Key`", format!("1 to {KEY_MAX} "));
    assert_row("`Idempotency-Key`", format!("kept for {} hours", KEPT.as_secs() / 3600));
    assert_row("subscriptions", format!("1 to {SUBSCRIPTIONS_MAX} "));
    assert_row("rate limit", format!("1 to {} ", thousands(RATE_LIMIT_MAX as usize)));
    assert_row("description", format!("{} characters", thousands(DESCRIPTION_MAX)));
    assert_row("event type", format!("{NAME_MAX} characters; {} custom types", thousands(CUSTOM_TYPES_MAX)));
    assert_row("webhooks", format!("{} an account", thousands(WEBHOOKS_MAX)));
}

#[test]
fn every_error_of_an_attempt_is_explained() {
    for error in AttemptError::ALL {
        row(&format!("`{}`", error.as_str()));
    }
}
