//! Times and counts that must fit together: what waits must wait longer than what it waits for.

use serde_json::Value;
use strict_aws::template::{items, resources, template, text};

/// API Gateway waits no longer for an integration, in milliseconds.
const INTEGRATION_TIMEOUT_MAX_MS: u64 = 30_000;
/// Lambda asks for a visibility timeout of this many times the function's timeout.
const VISIBILITY_TIMEOUTS: u64 = 6;
/// Trouble that must end no message.
const TROUBLE_S: f64 = 30.0 * 60.0;
/// The first wait of a message that is given back, which doubles with each receipt.
const WAIT_MIN_S: f64 = 1.0;
/// The share of a wait that jitter leaves at least.
const JITTER_MIN: f64 = 0.75;

/// A number in the template.
#[track_caller]
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} should be a number"))
}

/// A function's timeout, in seconds.
fn timeout_s(template: &Value, function: &str) -> u64 {
    let properties = &template["Resources"][function]["Properties"];
    number(properties.get("Timeout").unwrap_or(&template["Globals"]["Function"]["Timeout"]))
}

/// Each event source mapping's function and queue.
fn mappings(template: &Value) -> Vec<(&str, &str)> {
    let mappings = resources(template, "AWS::Lambda::EventSourceMapping").map(|(_, mapping)| {
        let queue = text(&mapping["EventSourceArn"]["Fn::GetAtt"]).trim_end_matches(".Arn");
        (text(&mapping["FunctionName"]["Ref"]), queue)
    });
    mappings.collect()
}

#[test]
fn the_api_ends_before_api_gateway_stops_waiting() {
    let template = template();
    let integrations: Vec<_> = resources(&template, "AWS::ApiGatewayV2::Integration").collect();
    assert!(!integrations.is_empty());
    for (id, integration) in integrations {
        let integration_ms = number(&integration["TimeoutInMillis"]);
        assert!(integration_ms <= INTEGRATION_TIMEOUT_MAX_MS, "{id}");
        assert!(timeout_s(&template, "ApiFunction") * 1000 < integration_ms, "{id}");
    }
}

#[test]
fn a_message_stays_hidden_while_its_function_may_be_at_it() {
    let template = template();
    assert_eq!(mappings(&template).len(), 3);
    for (function, queue) in mappings(&template) {
        let visibility_s = number(&template["Resources"][queue]["Properties"]["VisibilityTimeout"]);
        assert!(visibility_s >= VISIBILITY_TIMEOUTS * timeout_s(&template, function), "{queue}");
    }
}

#[test]
fn half_an_hour_of_trouble_ends_no_message() {
    let template = template();
    for (_, queue) in mappings(&template) {
        let properties = &template["Resources"][queue]["Properties"];
        #[expect(clippy::cast_precision_loss, reason = "minutes in seconds are exact in an f64")]
        let wait_max_s = number(&properties["VisibilityTimeout"]) as f64;
        let receipts = number(&properties["RedrivePolicy"]["maxReceiveCount"]);
        // After each receipt but the last, the message waits; the next one after that would end it.
        let waits = std::iter::successors(Some(WAIT_MIN_S), |wait| Some((wait * 2.0).min(wait_max_s)));
        let lasts_s: f64 = waits.zip(1..receipts).map(|(wait, _)| wait * JITTER_MIN).sum();
        assert!(lasts_s > TROUBLE_S, "{queue}: {lasts_s} s");
    }
}

#[test]
fn the_queues_of_one_function_have_the_same_settings_and_dead_letters() {
    let template = template();
    let queues = mappings(&template).into_iter().filter(|(function, _)| *function == "DeliverFunction");
    let settings: Vec<_> = queues.map(|(_, queue)| &template["Resources"][queue]["Properties"]).collect();
    assert_eq!(settings.len(), 2);
    assert_eq!(settings[0], settings[1]);
}

/// Lambda cuts a chain of about 16 invocations that lead to each other through a queue.
#[test]
fn functions_that_a_queue_feeds_may_put_messages_on_it() {
    let template = template();
    for (function, _) in mappings(&template) {
        assert_eq!(template["Resources"][function]["Properties"]["RecursiveLoop"], "Allow", "{function}");
        let watched = resources(&template, "AWS::CloudWatch::Alarm").any(|(_, alarm)| {
            alarm["MetricName"] == "RecursiveInvocationsDropped"
                && items(&alarm["Dimensions"]).iter().any(|dimension| dimension["Value"]["Ref"] == function)
        });
        assert!(watched, "{function}");
    }
}

/// What Lambda gives up of an asynchronous invocation is lost, unless the function itself has a dead-letter queue. It must be
/// the one that redrive takes tasks from.
#[test]
fn what_the_scheduler_invokes_gives_up_to_the_deliveries_dead_letters() {
    let template = template();
    let retry = &template["Resources"]["RetryFunction"]["Properties"];
    assert_eq!(retry["DeadLetterQueue"]["Type"], "SQS");
    let queue = &template["Resources"]["DeliveriesQueue"]["Properties"];
    assert_eq!(retry["DeadLetterQueue"]["TargetArn"], queue["RedrivePolicy"]["deadLetterTargetArn"]);
    let invoked = &retry["EventInvokeConfig"];
    assert_eq!(invoked["MaximumRetryAttempts"], 2);
    assert!(number(&invoked["MaximumEventAgeInSeconds"]) >= 60 * 60, "a throttled function is tried for hours");
    // A destination would wrap the event, which redrive then could not put back.
    assert!(invoked.get("DestinationConfig").is_none());
}
