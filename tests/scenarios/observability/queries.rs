//! Each saved query of the template, and the one of its dashboard, over the whole life of events: published through the API to two
//! receivers, of which one fails, with a retry by a schedule, a last failure and a disabling.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::delivery::DeliveryStatus;
use domain::id::EventId;
use serde_json::{Value, json};
use strict_aws::template::{items, resources, template, text};
use tokio::time::sleep;

use super::insights::{self, Row};
use crate::logs::Line;
use crate::world::{Fate, World};

const MINUTE: Duration = Duration::from_secs(60);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// What Lambda itself logs of an invocation that ran out of time.
const TIMEOUT: &str = r#"{"time":"2026-11-28T02:00:00.000Z","type":"platform.report","record":{"requestId":"1f0b","status":"timeout","metrics":{"durationMs":45000.0}}}"#;

/// The life of two events of an account with a healthy webhook and one that fails.
struct Life {
    world: World,
    events: [EventId; 2],
    /// The ids of the healthy webhook and the failing one.
    webhooks: [String; 2],
}

async fn life() -> Life {
    let world = World::new(|_| Fate::Done, |host| Some(if host.starts_with("ill") { 500 } else { 200 })).await;
    let (well, ill) = (world.register("well").await, world.register("ill").await);
    world.start(2, 1);
    let (token, mut events) = (world.token().await, Vec::new());
    for header in [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("Accept", "*/*")] {
        let event = json!({"type": "user.created", "data": {"object": {}}});
        let published = world.post("/v1/events", &token, &event, header).await;
        events.push(text(&published["id"]).parse().expect("an id"));
        // So that the last attempt of the first event comes first.
        sleep(30 * MINUTE).await;
    }
    // The whole schedule: after 1, 5 and 30 minutes and 2 hours.
    for _ in 0..200 {
        let delivery = world.delivery(events[0], ill.id).await.expect("a delivery");
        if delivery.status == DeliveryStatus::Failed {
            assert_eq!(delivery.attempts_made, 5);
            break;
        }
        sleep(MINUTE).await;
    }
    world.logs.add("deliver", TIMEOUT);
    let webhooks = [well.id.to_string(), ill.id.to_string()];
    Life { world, events: [events[0], events[1]], webhooks }
}

impl Life {
    /// Runs the saved query `name` over the log groups that it names, with `id` in place of the id that it shows.
    fn run(&self, name: &str, id: &str) -> Vec<Row> {
        let template = template();
        let title = format!("${{AWS::StackName}}/{name}");
        let mut queries = resources(&template, "AWS::Logs::QueryDefinition").map(|(_, query)| query);
        let query =
            queries.find(|query| query["Name"]["Fn::Sub"] == title).unwrap_or_else(|| panic!("no query {name}"));
        let groups: BTreeSet<String> = items(&query["LogGroupNames"]).iter().map(function).collect();
        let lines = self.lines(&groups);
        insights::run(&text(&query["QueryString"]).replace("evt_", id), &lines)
    }

    fn lines(&self, functions: &BTreeSet<String>) -> Vec<Line> {
        self.world.logs.lines().into_iter().filter(|line| functions.contains(line.function)).collect()
    }
}

/// Returns the function of the log group that a value of the template names.
fn function(group: &Value) -> String {
    text(&group["Ref"]).strip_suffix("Logs").expect("a log group").to_lowercase()
}

fn column<'a>(rows: &'a [Row], name: &str) -> Vec<&'a Value> {
    rows.iter().map(|row| row.get(name).unwrap_or(&Value::Null)).collect()
}

#[test]
fn each_saved_query_has_a_test() {
    let template = template();
    let names =
        resources(&template, "AWS::Logs::QueryDefinition").map(|(_, query)| text(&query["Name"]["Fn::Sub"]).to_owned());
    let names: BTreeSet<_> = names.map(|name| name.rsplit('/').next().unwrap_or_default().to_owned()).collect();
    let tested = [
        "errors",
        "slowest endpoints",
        "what each webhook costs",
        "what happened to this event",
        "which webhooks fail most",
    ];
    assert_eq!(names, tested.map(str::to_owned).into());
}

#[tokio::test(start_paused = true)]
async fn what_happened_to_this_event() {
    let life = life().await;
    let [event, other] = life.events;
    let rows = life.run("what happened to this event", &event.to_string());
    let of_other = life.run("what happened to this event", &other.to_string());
    assert!(rows.iter().all(|row| !of_other.contains(row)), "{rows:#?}");
    let shown: Vec<_> = rows.iter().map(|row| (text(&row["@log"]), text(&row["message"]))).collect();
    let [api, deliver, retry] = ["api", "deliver", "retry"].map(|name| format!("/aws/lambda/hookline-{name}"));
    assert_eq!(shown[0], (api.as_str(), "published"));
    let attempts = rows.iter().filter(|row| row["message"] == "attempt" && row["webhook_id"] == *life.webhooks[1]);
    let attempts: Vec<_> =
        attempts.map(|row| (row["attempt"].as_u64(), text(&row["status"]), row["status_code"].as_u64())).collect();
    let pending = |number| (Some(number), "pending", Some(500));
    assert_eq!(attempts, [pending(1), pending(2), pending(3), pending(4), (Some(5), "failed", Some(500))]);
    let healthy = rows.iter().filter(|row| row.get("webhook_id") == Some(&json!(life.webhooks[0])));
    let healthy: Vec<_> = healthy.map(|row| (text(&row["message"]), row["status_code"].as_u64())).collect();
    assert_eq!(healthy, [("attempt", Some(200))]);
    for wanted in
        [(retry.as_str(), "a scheduled attempt is due"), (&deliver, "delivery failed"), (&deliver, "webhook disabled")]
    {
        assert!(shown.contains(&wanted), "{wanted:?}: {shown:#?}");
    }
    // The id of the trace, and that of the request, lead to the publication as well; the former to its attempts, too.
    let of_trace = life.run("what happened to this event", TRACE);
    assert_eq!(of_trace.iter().filter(|row| row["message"] == "attempt").count(), 6);
    assert_eq!(of_trace[0]["message"], "published");
    let of_request = life.run("what happened to this event", text(&rows[0]["request_id"]));
    assert_eq!(column(&of_request, "message"), ["published"]);
}

#[tokio::test(start_paused = true)]
async fn which_webhooks_fail_most_and_are_slowest_and_what_they_cost() {
    let life = life().await;
    let [well, ill] = &life.webhooks;
    let rows = life.run("which webhooks fail most", "");
    // The second event's delivery is held once its webhook is disabled.
    assert_eq!((column(&rows, "webhook_id"), column(&rows, "account")), (vec![&json!(ill)], vec![&json!("acme")]));
    assert_eq!(rows[0]["failed"], rows[0]["tried"]);
    assert!(rows[0]["failed"].as_f64() >= Some(8.0), "{rows:#?}");
    assert_eq!(rows[0]["last_failure"], "status_5xx");

    let template = template();
    let (_, dashboard) = resources(&template, "AWS::CloudWatch::Dashboard").next().expect("a dashboard");
    let mut widgets = items(&dashboard["DashboardBody"]["Fn::ToJsonString"]["widgets"]).iter();
    let query = widgets.find_map(|widget| widget["properties"]["query"]["Fn::Sub"].as_str()).expect("a query");
    assert!(query.starts_with("SOURCE '${DeliverLogs}'"));
    assert_eq!(insights::run(query, &life.lines(&BTreeSet::from(["deliver".to_owned()]))), rows);

    let rows = life.run("slowest endpoints", "");
    assert_eq!(column(&rows, "webhook_id").into_iter().collect::<Vec<_>>().len(), 2);
    for row in &rows {
        let [p50, p95, longest] = ["p50", "p95", "longest"].map(|name| row[name].as_f64().expect("a number"));
        assert!(20.0 <= p50 && p50 <= p95 && p95 <= longest, "{row:?}");
    }

    let rows = life.run("what each webhook costs", "");
    let webhooks: Vec<_> = rows.iter().filter_map(|row| row.get("webhook_id")).collect();
    assert_eq!(webhooks, [&json!(ill), &json!(well)], "the failing one costs more");
    let dollars = |row: &Row| row["dollars"].as_f64().expect("a number");
    assert!(rows.windows(2).all(|pair| dollars(&pair[0]) >= dollars(&pair[1])), "{rows:#?}");
    let delivered = rows.iter().find(|row| row.get("webhook_id") == Some(&json!(well))).expect("a row");
    assert_eq!((&delivered["tried"], &delivered["writes"]), (&json!(2.0), &json!(4.0)));
}

#[tokio::test(start_paused = true)]
async fn errors() {
    let life = life().await;
    let before = life.run("errors", "");
    assert_eq!(column(&before, "record.status"), ["timeout"], "a receiver that fails is no error of ours");
    let queues = &life.world.app.queues;
    let poison = queues.sqs.send_message().queue_url(&queues.settings.deliveries_url).message_body("poison");
    poison.send().await.expect("AWS answers");
    sleep(MINUTE).await;
    let rows = life.run("errors", "");
    assert_eq!(rows[0]["message"], "a message is no task", "the latest comes first");
    assert!(text(&rows[0]["error"]).contains("expected value"), "{rows:#?}");
    assert_eq!(rows.last(), before.last());
}
