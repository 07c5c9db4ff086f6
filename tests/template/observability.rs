//! Checks that the dashboard, the alarms and the saved queries name metrics and fields that the
//! code emits.
//!
//! The tests find these by logging one line of each kind, as a function does.

use domain::delivery::AttemptError;
use domain::{
    cost::Cost,
    delivery::{Attempt, Delivery, Task, Trigger},
    event::{Event, NewEvent},
    id::{DeliveryId, EventId, WebhookId},
    time::Timestamp,
    webhook::{DisabledReason, TrialOutcome},
};
use regex_lite::Regex;
use serde_json::{Value, value::RawValue};
use std::{
    collections::BTreeSet,
    io::{self, Seek},
};
use strict_aws::template::{items, resources, template, text};
use telemetry::{
    log,
    metrics::{self, AttemptLine},
};

/// Fields that Lambda's runtime or CloudWatch Logs adds to each line.
const NOT_OURS: [&str; 6] = ["requestId", "@timestamp", "@log", "@message", "record", "errorType"];

#[test]
fn dashboards_and_alarms_name_metrics_that_are_emitted_with_their_dimensions() {
    let emitted = emitted_metrics();
    let template = template();
    let mut named: BTreeSet<(String, Vec<String>)> = BTreeSet::new();
    for (_, dashboard) in resources(&template, "AWS::CloudWatch::Dashboard") {
        for widget in items(&dashboard["DashboardBody"]["Fn::ToJsonString"]["widgets"]) {
            let metrics = widget["properties"]["metrics"].as_array().into_iter().flatten();
            for metric in metrics.filter(|metric| metric[0] == metrics::NAMESPACE) {
                named.insert((text(&metric[1]).to_owned(), vec![text(&metric[2]).to_owned()]));
            }
            let search = Regex::new(r#"SEARCH\('\{Hookline,([\w,]+)\} MetricName="(\w+)""#).expect("a pattern");
            let shown = widget.to_string().replace("\\\"", "\"");
            for found in search.captures_iter(&shown) {
                named.insert((found[2].to_owned(), found[1].split(',').map(str::to_owned).collect()));
            }
        }
    }
    for (_, alarm) in resources(&template, "AWS::CloudWatch::Alarm") {
        let several = alarm["Metrics"].as_array().into_iter().flatten().map(|metric| &metric["MetricStat"]["Metric"]);
        for metric in several.chain([alarm]).filter(|metric| metric["Namespace"] == metrics::NAMESPACE) {
            let dimensions = items(&metric["Dimensions"]).iter().map(|dimension| text(&dimension["Name"]).to_owned());
            named.insert((text(&metric["MetricName"]).to_owned(), dimensions.collect()));
        }
    }
    let unknown: Vec<_> = named.difference(&emitted).collect();
    assert!(unknown.is_empty(), "not emitted: {unknown:?}");
    // Every metric should be on the dashboard, because AWS charges for each.
    let unseen: Vec<_> = emitted.difference(&named).filter(|(name, _)| name != "attempts").collect();
    assert!(unseen.is_empty(), "not on the dashboard: {unseen:?}");
}

#[test]
fn every_alarm_is_on_the_dashboard_and_in_the_operating_guide() {
    let template = template();
    let alarms: BTreeSet<_> = resources(&template, "AWS::CloudWatch::Alarm").map(|(id, _)| id.clone()).collect();
    let mut shown = BTreeSet::new();
    for (_, dashboard) in resources(&template, "AWS::CloudWatch::Dashboard") {
        let widgets = items(&dashboard["DashboardBody"]["Fn::ToJsonString"]["widgets"]).iter();
        for alarm in widgets.filter_map(|widget| widget["properties"]["alarms"].as_array()).flatten() {
            let alarm = alarm.get("Fn::If").map_or(alarm, |choice| &choice[1]);
            shown.insert(text(&alarm["Fn::GetAtt"]).trim_end_matches(".Arn").to_owned());
        }
    }
    assert_eq!(shown, alarms);
    let headings = include_str!("../../infra/docs/operating.md").lines().filter_map(|line| line.strip_prefix("## "));
    let explained: BTreeSet<_> =
        headings.flat_map(|heading| heading.split(", ")).map(|name| format!("{name}Alarm")).collect();
    let unexplained: Vec<_> = alarms.difference(&explained).collect();
    assert!(unexplained.is_empty(), "not in operating.md: {unexplained:?}");
}

#[test]
fn queries_name_fields_that_are_logged() {
    let logged: BTreeSet<String> =
        lines().iter().flat_map(|line| line.as_object().expect("a line").keys().cloned()).collect();
    let template = template();
    let saved =
        resources(&template, "AWS::Logs::QueryDefinition").map(|(_, query)| text(&query["QueryString"]).to_owned());
    let mut queries: Vec<_> = saved.collect();
    for (_, dashboard) in resources(&template, "AWS::CloudWatch::Dashboard") {
        let widgets = items(&dashboard["DashboardBody"]["Fn::ToJsonString"]["widgets"]).iter();
        queries
            .extend(widgets.filter_map(|widget| Some(widget["properties"]["query"]["Fn::Sub"].as_str()?.to_owned())));
    }
    assert!(queries.len() > 4, "{queries:?}");
    for query in queries {
        let unknown: Vec<_> = fields_of(&query).into_iter().filter(|field| !logged.contains(field)).collect();
        assert!(unknown.is_empty(), "not logged: {unknown:?} in\n{query}");
    }
}

/// Returns the fields that a query of CloudWatch Logs Insights reads: its words without literals,
/// commands, functions and the names that it defines itself.
fn fields_of(query: &str) -> Vec<String> {
    const COMMANDS: [&str; 12] =
        ["SOURCE", "fields", "filter", "stats", "sort", "limit", "by", "asc", "desc", "or", "in", "like"];
    let literal = Regex::new(r#"'[^']*'|"[^"]*""#).expect("a pattern");
    let query = literal.replace_all(query, "").into_owned();
    let defined = Regex::new(r"\bas (\w+)").expect("a pattern");
    let defined: BTreeSet<_> = defined.captures_iter(&query).map(|name| name[1].to_owned()).collect();
    let word = Regex::new(r"@?[A-Za-z_]\w*\(?").expect("a pattern");
    let words = word.find_iter(&query).map(|found| found.as_str().to_owned());
    let fields = words.filter(|word| !word.ends_with('(') && word != "as" && !defined.contains(word));
    fields.filter(|word| !COMMANDS.contains(&word.as_str()) && !NOT_OURS.contains(&word.as_str())).collect()
}

/// Returns every metric that the code emits, once for each set of its dimensions.
fn emitted_metrics() -> BTreeSet<(String, Vec<String>)> {
    let mut emitted = BTreeSet::new();
    for line in lines() {
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
            let dimensions: Vec<_> =
                items(&directive["Dimensions"][0]).iter().map(|name| text(name).to_owned()).collect();
            for metric in items(&directive["Metrics"]) {
                emitted.insert((text(&metric["Name"]).to_owned(), dimensions.clone()));
            }
        }
    }
    emitted
}

/// Returns the event of a task.
fn event(task: &Task) -> Event {
    let object = RawValue::from_string("{}".to_owned()).expect("JSON");
    let new = NewEvent { event_type: "user.created".parse().expect("valid"), object, previous_data: None };
    Event::new(task.account.clone(), task.delivery.event, &new)
}

/// Returns one log line of each kind that has metrics or ids.
fn lines() -> Vec<Value> {
    let mut written = tempfile::tempfile().expect("a file");
    let writer = written.try_clone().expect("a second handle");
    let filter = "info".parse().expect("a filter");
    let subscriber = log::subscriber(filter, Some("hookline-deliver".to_owned()), writer);
    tracing::subscriber::with_default(subscriber, || {
        let now = Timestamp::EPOCH;
        let delivery = DeliveryId { event: EventId::first_at(now), webhook: WebhookId::first_at(now) };
        let account = "acme".parse().expect("valid");
        let task = Task { account, delivery, epoch: 0, revision: 0, trigger: Trigger::FIRST, slot: None, slow: false };
        // As functions/api/src/request_id.rs makes it.
        let _request = tracing::error_span!("request", request_id = "r", route = "GET /").entered();
        let _entered = log::delivery(&task).entered();
        log::trace(&"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().expect("a traceparent"));
        log::attempt(1);
        let delivery = Delivery::new(&task, "user.created".parse().expect("valid"));
        let attempt = |status_code, error: Option<AttemptError>| Attempt {
            number: 1,
            started_at: now,
            duration_ms: 7,
            status_code,
            error,
            response_body: None,
        };
        let cost = Cost::default();
        let log = |attempt: Attempt, next| {
            let (succeeded, delivery) = (attempt.succeeded(), delivery.clone());
            metrics::attempt(&AttemptLine { attempt, delivery, next, is_first: true, has_delivered: succeeded }, &cost);
        };
        log(attempt(Some(200), None), None);
        log(attempt(None, Some(AttemptError::Timeout)), Some(now));
        log(attempt(Some(500), None), Some(now));
        metrics::published(&[event(&task)], 1);
        metrics::no_attempt(&cost);
        metrics::no_task(&cost);
        metrics::webhook_failing();
        metrics::webhook_disabled(DisabledReason::Failures);
        metrics::webhook_recovered();
        metrics::trial_failed(TrialOutcome::Refused);
        metrics::delivery_failed();
        metrics::throttled("delivery", 1);
        metrics::messages_returned(1);
        tracing::error!(error = "it failed", "a task could not be handled");
    });
    written.rewind().expect("a file");
    let text = io::read_to_string(written).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
