//! Checks that `infra/docs/promises.md` gives the numbers of the code.

use application::config::WEBHOOKS_MAX;
use application::diagnosis;
use domain::account::AccountId;
use domain::answer::ANSWER_BYTES_MAX;
use domain::backoff::{self, RETRY_AFTER_MAX, WEBHOOK_STEPS_MAX};
use domain::delivery::{ATTEMPT_TIMEOUT, ATTEMPTS_KEPT, AttemptError, DeliveryStatus};
use domain::diagnosis as debugging;
use domain::endpoint_policy::EndpointPolicy;
use domain::event::REQUEST_BYTES_MAX;
use domain::event_type::{self, CUSTOM_TYPES_MAX, NAME_MAX};
use domain::polling::{CURSOR_CHARS_MAX, LANES, LATE_AFTER, SETTLED_AFTER, SLOT_MS};
use domain::secret::Secret;
use domain::time::CLOCK_SKEW;
use domain::webhook::options::{HEADERS_MAX, TIMEOUT_MAX_S, VALUE_MAX};
use domain::webhook::{DEFAULT_TRIALS, DESCRIPTION_MAX, RATE_LIMIT_MAX, SIGNING_SECRETS_MAX, SUBSCRIPTIONS_MAX};
use regex_lite::Regex;
use store::idempotency::{KEPT, KEY_MAX};
use strict_aws::template::template;

const CONCEPTS: &str = include_str!("../../infra/docs/concepts.md");
const SIGNATURES: &str = include_str!("../../infra/docs/signatures.md");
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
fn the_times_of_trials_are_those_of_the_code() {
    let times = DEFAULT_TRIALS.replace(',', ", ").replace(", 168h", " and 168h");
    assert_row("when", times);
    assert_eq!(template()["Parameters"]["TrialSchedule"]["Default"], DEFAULT_TRIALS);
    for name in event_type::OPERATIONAL {
        assert!(CONCEPTS.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn the_limits_are_those_of_the_code() {
    assert_row("an attempt", format!("{} s in all", ATTEMPT_TIMEOUT.as_secs()));
    assert_row("an attempt", format!("1 s to {TIMEOUT_MAX_S} s"));
    assert_row("a webhook's own schedule", format!("1 to {WEBHOOK_STEPS_MAX} waits"));
    assert_row("static headers", format!("{HEADERS_MAX} a webhook; a value has 1 to {} ", thousands(VALUE_MAX)));
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
fn the_numbers_of_polling_are_those_of_the_code() {
    let (late_s, settled_s, skew_s) = (LATE_AFTER.as_secs(), SETTLED_AFTER.as_secs(), CLOCK_SKEW.as_secs());
    assert_row("No event is skipped", format!("differ by at most {skew_s} s"));
    assert_row("At once", format!("by more than {skew_s} s waits"));
    assert_row("Repeats", format!("the last {settled_s} s"));
    assert_row("Repeats", format!("a slot of {SLOT_MS} ms in one of {LANES} lanes"));
    assert_row("Repeats", format!("more than {late_s} s after its id"));
    assert_row("Order", format!("more than {late_s} s after its id"));
    assert_row("Nothing is written", format!("more than {late_s} s late"));
    assert_row("page of a poll", format!("at most {} MB", ANSWER_BYTES_MAX / 1_000_000));
    assert_row("cursor", format!("at most {} KiB", CURSOR_CHARS_MAX / 1024));
}

#[test]
fn the_bounds_of_debugging_are_those_of_the_code() {
    let rate = diagnosis::RATE;
    let burst = u64::from(rate.per_second) * rate.burst.as_secs();
    assert_row(
        "debugging signatures",
        format!("{} requests a second for each account, in bursts of up to {burst}", rate.per_second),
    );
    let mib = 1024 * 1024;
    for says in [
        format!("| the request to this route | {} MiB |", debugging::REQUEST_BYTES_MAX / mib),
        format!(
            "| headers | {} values of at most {} KiB each, {} signatures |",
            debugging::HEADERS_MAX,
            debugging::HEADER_BYTES_MAX / 1024,
            debugging::SIGNATURES_MAX
        ),
        format!("| webhooks whose secrets are tried | {}, ", diagnosis::WEBHOOKS_MAX),
        format!("| {} for a request, each with at most two mistakes |", thousands(debugging::COMBINATIONS_MAX)),
        format!("| bytes that are hashed | {} MiB for a request |", debugging::HASHED_BYTES_MAX / mib),
        format!("more than {} s lie between", debugging::TOLERANCE.as_secs()),
        format!("| {} requests a second for each account, with bursts of {burst};", rate.per_second),
    ] {
        assert!(SIGNATURES.contains(&says), "signatures.md does not say: {says}");
    }
}

#[test]
fn retention_and_names_are_those_of_the_template_and_the_code() {
    let template = template();
    let retention = &template["Parameters"]["RetentionDays"];
    let number = |name: &str| thousands(retention[name].as_u64().expect("a number") as usize);
    let range = format!("`RetentionDays`, {} to {}", number("MinValue"), number("MaxValue"));
    assert_row("retention", format!("{} days", number("Default")));
    assert_row("retention", range);
    let longest =
        |max: usize, is_valid: &dyn Fn(&str) -> bool| is_valid(&"a".repeat(max)) && !is_valid(&"a".repeat(max + 1));
    assert_row("account", "1 to 64 ");
    assert!(longest(64, &|name| AccountId::parse(name).is_ok()));
    assert_row("secret", "16 to 256 characters");
    assert!(longest(256, &|text| Secret::parse(text).is_ok()) && Secret::parse(&"a".repeat(15)).is_err());
    assert_row("URL", "2,048 characters");
    let url = |path: &str| EndpointPolicy::Strict.judge_url(&format!("https://example.com/{path}")).is_ok();
    assert!(longest(2_048 - "https://example.com/".len(), &url));
}

#[test]
fn every_status_of_a_delivery_is_explained() {
    let begin = "| status | meaning | what changes it |";
    let table = CONCEPTS.split_once(begin).expect("the table of statuses").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let explained: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(explained, DeliveryStatus::ALL.map(DeliveryStatus::as_str));
}

#[test]
fn every_error_of_an_attempt_is_explained() {
    for error in AttemptError::ALL {
        row(&format!("`{}`", error.as_str()));
    }
    let table = PROMISES.split_once("| `error` | meaning |").expect("the table of errors").1;
    let explained = table.lines().skip(2).take_while(|line| line.starts_with('|')).count();
    assert_eq!(explained, AttemptError::ALL.len(), "the table explains an error that does not exist");
}
