//! The saved query of errors, over errors of every function and lines of Lambda itself.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::backoff::RetrySchedule;
use serde_json::json;
use strict_aws::template::text;
use tokio::time::sleep;

use super::insights::Row;
use super::queries::run;
use crate::world::{Call, Fate, World};

const MINUTE: Duration = Duration::from_secs(60);
/// While the table of events fails.
const EVENTS_FAIL: Duration = Duration::from_secs(30);
/// From when on the table of deliveries fails, so that a due schedule cannot be handled.
const DELIVERIES_FAIL: Duration = Duration::from_secs(10 * 60);

fn decide(call: &Call) -> Fate {
    let is_failing = match (call.operation.as_str(), call.table()) {
        ("PutItem", "events") => call.at < EVENTS_FAIL,
        ("GetItem", "deliveries") => call.at > DELIVERIES_FAIL,
        _ => false,
    };
    if is_failing { Fate::Failed } else { Fate::Done }
}

/// Returns a line that stands for what Lambda itself logs at the end of an invocation, in its documented format.
fn report(status: &str, error_type: Option<&str>) -> String {
    let mut record = json!({
        "requestId": "6d68ca91-49c9-448d-89b8-7ca3e6dc66aa",
        "metrics": {"durationMs": 45_000.0, "billedDurationMs": 45_000, "memorySizeMB": 256, "maxMemoryUsedMB": 38},
        "status": status,
    });
    if let Some(error_type) = error_type {
        record["errorType"] = json!(error_type);
    }
    json!({"time": "2027-01-15T08:00:00.000Z", "type": "platform.report", "record": record}).to_string()
}

/// Lets every function and Lambda itself fail.
async fn troubled() -> World {
    let world = World::new(decide, |_| Some(500)).await;
    let webhook = world.register("receiver").await;
    let schedule: RetrySchedule = "0s,20m".parse().expect("a schedule");
    world.change(webhook.id, |webhook| webhook.options.retry_schedule = Some(schedule.clone())).await;
    world.start(2, 1);
    let (token, header) = (world.token().await, ("Accept", "*/*"));
    let event = json!({"type": "user.created", "data": {"object": {}}});
    assert_eq!(world.post("/v1/events", &token, &event, header).await.0, 500);
    let queues = &world.app.queues.settings;
    for queue_url in [&queues.events_url, &queues.deliveries_url] {
        world.send(queue_url, "poison").await;
    }
    sleep(EVENTS_FAIL).await;
    assert_eq!(world.post("/v1/events", &token, &event, header).await.0, 202);
    sleep(40 * MINUTE).await;
    world.logs.add("deliver", &report("timeout", None));
    world.logs.add("publish", &report("error", Some("Runtime.ExitError")));
    world.logs.add("deliver", &report("success", None));
    world
}

/// Returns the function, what happened, and why, as a row shows them.
fn told(row: &Row) -> (String, String, String) {
    let column = |name: &str| row.get(name).map(|value| text(value).to_owned());
    let function = text(&row["@log"]).rsplit('-').next().unwrap_or_default().to_owned();
    let what = column("message").or_else(|| column("record.status"));
    let why = column("error").or_else(|| column("record.errorType"));
    (function, what.unwrap_or_default(), why.unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn errors() {
    let lines = troubled().await.logs.lines();
    // What failed once fails again and again, so that the first errors are beyond the limit of the query.
    let early: Vec<_> = lines.iter().filter(|line| line.at < MINUTE).cloned().collect();
    let late: Vec<_> = lines.iter().filter(|line| line.at > 30 * MINUTE).cloned().collect();
    let rows = [early, late].map(|lines| run("errors", "evt_", &lines));
    for rows in &rows {
        let newest_first = rows.is_sorted_by_key(|row| std::cmp::Reverse(row["@timestamp"].as_u64()));
        assert!(!rows.is_empty() && newest_first, "{rows:#?}");
    }
    let told: BTreeSet<_> = rows.iter().flatten().map(told).collect();
    let expected = [
        ("api", "a request failed", ""),
        ("deliver", "a message is no task", "expected value at line 1"),
        ("deliver", "timeout", ""),
        ("publish", "a message could not be handled", "the message is no event"),
        ("publish", "error", "Runtime.ExitError"),
        ("retry", "a due task could not be handled", "DynamoDB: service error"),
    ];
    assert_eq!(told.len(), expected.len(), "a receiver that fails is no error of ours: {told:#?}");
    for ((function, what, why), expected) in told.iter().zip(expected) {
        assert_eq!((function.as_str(), what.as_str()), (expected.0, expected.1), "{told:#?}");
        assert!(why.starts_with(expected.2), "{told:#?}");
    }
    let due = rows[1].iter().find(|row| text(&row["@log"]).ends_with("retry")).expect("a row of retry");
    for id in ["account", "event_id", "delivery_id", "attempt"] {
        assert_eq!(
            due.contains_key(id),
            id != "attempt",
            "{id}: the number is not known before the delivery is read: {due:?}"
        );
    }
}
