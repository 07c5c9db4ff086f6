//! Each saved query of the template, and that of its dashboard, over the whole life of events: published through the API to two
//! receivers, of which one fails, with retries by schedules, a last failure and a disabling.

use std::collections::BTreeSet;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::delivery::{ATTEMPT_TIMEOUT, DeliveryStatus};
use domain::time::Timestamp;
use serde_json::{Value, json};
use strict_aws::template::{template, text};
use tokio::time::sleep;

use super::deployed;
use super::insights::{self, Row};
use crate::logs::Line;
use crate::world::{Fate, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// The queries for which there is a test, here or in `errors.rs`.
const TESTED: [&str; 6] = [
    "dashboard/Webhooks that fail most",
    "errors",
    "slowest endpoints",
    "what each webhook costs",
    "what happened to this event",
    "which webhooks fail most",
];

/// Runs the query of the template with this name, with `id` in place of the id that a user puts in.
pub(super) fn run(name: &str, id: &str, lines: &[Line]) -> Vec<Row> {
    let queries = deployed::queries(&template());
    let query = queries.iter().find(|query| query.name == name).unwrap_or_else(|| panic!("no query {name}"));
    insights::run(&query.text.replace("evt_", id), &query.groups, lines)
}

#[test]
fn each_query_has_a_test() {
    let names: BTreeSet<_> = deployed::queries(&template()).into_iter().map(|query| query.name).collect();
    assert_eq!(names, TESTED.map(str::to_owned).into());
}

/// The life of two events of an account with a healthy webhook and one that fails.
struct Life {
    lines: Vec<Line>,
    /// The ids of the events. The publisher traces the first one.
    events: [String; 2],
    /// The ids of the healthy webhook and the failing one.
    webhooks: [String; 2],
}

impl Life {
    async fn new() -> Self {
        let requests = AtomicUsize::new(0);
        // The failing receiver first does not answer, and then answers with 500.
        let answer = move |host: &str| match host {
            "ill.example" => (requests.fetch_add(1, Ordering::Relaxed) > 0).then_some(500),
            _ => Some(200),
        };
        let world = World::new(|_| Fate::Done, answer).await;
        let (well, ill) = (world.register("well").await, world.register("ill").await);
        world.start(2, 1);
        let token = world.token().await;
        let mut events = Vec::new();
        let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
        for header in [("traceparent", traceparent.as_str()), ("Accept", "*/*")] {
            let event = json!({"type": "user.created", "data": {"object": {}}});
            let (status, published) = world.post("/v1/events", &token, &event, header).await;
            assert_eq!(status, 202);
            events.push(text(&published["id"]).to_owned());
            // So that the last attempt of the first event comes first.
            sleep(30 * MINUTE).await;
        }
        let first = events[0].parse().expect("an id");
        // The whole schedule: after 1, 5 and 30 minutes and 2 hours.
        while world.delivery(first, ill.id).await.expect("a delivery").status != DeliveryStatus::Failed {
            assert!(world.elapsed() < 200 * MINUTE, "the delivery does not end");
            sleep(MINUTE).await;
        }
        sleep(MINUTE).await;
        let webhooks = [well.id.to_string(), ill.id.to_string()];
        Self { lines: world.logs.lines(), events: events.try_into().expect("two events"), webhooks }
    }

    fn run(&self, name: &str) -> Vec<Row> {
        run(name, "evt_", &self.lines)
    }

    /// Returns the sum of a field of all lines about a webhook.
    fn sum(&self, field: &str, webhook: &str) -> f64 {
        let about = self.lines.iter().filter(|line| line.json["webhook_id"] == *webhook);
        about.filter_map(|line| line.json[field].as_f64()).sum()
    }
}

/// Returns a row as a sentence: function, webhook, attempt and message, then the status and the answer or the error.
fn sentence(row: &Row, webhooks: &[String; 2]) -> String {
    let named = webhooks.iter().zip(["well", "ill"]).find(|(id, _)| row.get("webhook_id") == Some(&json!(id)));
    let log = text(&row["@log"]).rsplit('-').next().unwrap_or_default().to_owned();
    let column = |name: &str| match row.get(name) {
        None => String::new(),
        Some(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    };
    let mut words = vec![log, named.map(|(_, name)| (*name).to_owned()).unwrap_or_default()];
    words.extend(["attempt", "message", "status", "status_code", "error"].map(column));
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

#[tokio::test(start_paused = true)]
async fn what_happened_to_this_event() {
    let life = Life::new().await;
    let rows = run("what happened to this event", &life.events[0], &life.lines);
    let told: Vec<_> = rows.iter().map(|row| sentence(row, &life.webhooks)).collect();
    let expected = [
        "api published",
        "deliver well 1 attempt delivered 200",
        "deliver ill 1 attempt pending timeout",
        "deliver ill 2 attempt pending 500",
        "deliver ill 3 webhook failing",
        "deliver ill 3 attempt pending 500",
        "retry ill 4 a scheduled attempt is due",
        "deliver ill 4 attempt pending 500",
        "retry ill 5 a scheduled attempt is due",
        "deliver ill 5 delivery failed",
        "deliver ill 5 webhook disabled",
        "deliver ill 5 attempt failed 500",
    ];
    assert_eq!(told, expected);
    let attempts: Vec<_> =
        rows.iter().filter(|row| row["message"] == "attempt" && row["webhook_id"] == *life.webhooks[1]).collect();
    for pair in attempts.windows(2) {
        let due = Timestamp::parse_rfc3339(text(&pair[0]["next_attempt_at"])).expect("a time");
        let made = World::at(Duration::from_millis(pair[1]["@timestamp"].as_u64().expect("a time")));
        assert!(due <= made && made.since(due) < 3 * SECOND, "due at {due}, made at {made}");
    }
}

#[tokio::test(start_paused = true)]
async fn ids_of_other_kinds_lead_to_an_event_too() {
    let life = Life::new().await;
    let ask = |id: &str| run("what happened to this event", id, &life.lines);
    let of_event = ask(&life.events[0]);
    let of_trace = ask(TRACE);
    assert_eq!(of_trace, of_event, "the publisher traces only this event");
    let of_request = ask(text(&of_event[0]["request_id"]));
    assert_eq!(of_request, of_event[..1]);
    let of_webhook: Vec<_> = ask(&life.webhooks[0]).iter().map(|row| sentence(row, &life.webhooks)).collect();
    assert_eq!(of_webhook, ["deliver well 1 attempt delivered 200"; 2]);
}

#[tokio::test(start_paused = true)]
async fn the_event_of_a_producer_inside_aws_is_told_from_its_publication_on() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    for number in 0..12 {
        world.register(&format!("receiver{number}")).await;
    }
    world.start(2, 1);
    let event = json!({"account": world.account, "type": "user.created", "data": {"object": {}}});
    world.send(&world.app.queues.settings.events_url, &event).await;
    sleep(MINUTE).await;
    let page = store::events::list(&world.app.store, &world.account, None, None, 2).await.expect("AWS answers");
    let [event] = page.items.as_slice() else { panic!("{:?}", page.items) };
    let rows = run("what happened to this event", &event.id.to_string(), &world.logs.lines());
    let mut told: Vec<_> = rows.iter().map(|row| sentence(row, &Default::default())).collect();
    assert_eq!(told.remove(0), "publish published");
    told.sort();
    let mut expected = vec!["deliver 1 attempt delivered 200"; 12];
    // The first page has ten webhooks. A job has enqueued the other tasks.
    expected.push("publish fanned out");
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn which_webhooks_fail_most() {
    let life = Life::new().await;
    // Of the second event, the last attempt is held.
    let ill = json!({
        "account": "acme", "webhook_id": life.webhooks[1], "failed": 9, "tried": 9, "last_failure": "status_5xx",
    });
    for name in ["which webhooks fail most", "dashboard/Webhooks that fail most"] {
        let rows = life.run(name).into_iter().map(Value::Object).collect::<Vec<_>>();
        assert_eq!(rows, slice::from_ref(&ill), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn slowest_endpoints() {
    let life = Life::new().await;
    let timeout = ATTEMPT_TIMEOUT.as_millis() as u64;
    let rows: Vec<_> = life.run("slowest endpoints").into_iter().map(Value::Object).collect();
    let [well, ill] = &life.webhooks;
    let expected = [
        json!({"account": "acme", "webhook_id": ill, "p50": 20, "p95": timeout, "longest": timeout, "tried": 9}),
        json!({"account": "acme", "webhook_id": well, "p50": 20, "p95": 20, "longest": 20, "tried": 2}),
    ];
    assert_eq!(rows, expected);
}

#[tokio::test(start_paused = true)]
async fn what_each_webhook_costs() {
    let life = Life::new().await;
    let rows = life.run("what each webhook costs");
    let [well, ill] = &life.webhooks;
    let of_webhooks: Vec<_> = rows.iter().filter(|row| row.contains_key("webhook_id")).collect();
    assert_eq!(of_webhooks.len(), 2, "{rows:#?}");
    for (row, webhook, tried) in [(of_webhooks[0], ill, 9), (of_webhooks[1], well, 2)] {
        assert_eq!(
            (&row["webhook_id"], &row["account"], &row["tried"]),
            (&json!(webhook), &json!("acme"), &json!(tried))
        );
        for (column, field, divisor) in [
            ("dollars", "cost_picodollars", 1e12),
            ("writes", "write_units", 1.0),
            ("reads", "read_units", 1.0),
            ("bytes", "bytes_sent", 1.0),
            ("lambda_s", "lambda_ms", 1000.0),
        ] {
            let (shown, spent) = (row[column].as_f64().expect("a number"), life.sum(field, webhook) / divisor);
            assert!(spent > 0.0 && (shown - spent).abs() < spent * 1e-9, "{column}: {shown} of {spent}");
        }
    }
    // A delivery that succeeds at once costs two writes, as README.md and ARCHITECTURE.md say.
    assert_eq!(of_webhooks[1]["writes"], 4);
}
