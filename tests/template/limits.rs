//! Checks that timeouts and counts in the template fit together: a caller's timeout must be longer
//! than that of what it waits for.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use store::aws::FUNCTION_TIMEOUT;
use store::queues::{RECEIVES_MAX, VISIBILITY_TIMEOUT, return_wait};
use strict_aws::template::{function_of, items, resources, template, text};

/// The longest timeout of an API Gateway integration, in milliseconds.
const INTEGRATION_TIMEOUT_MAX_MS: u64 = 30_000;
/// AWS recommends a visibility timeout of this many times the function's timeout.
const VISIBILITY_TIMEOUTS: u64 = 6;
/// How long an outage may last before a message becomes a dead letter.
const OUTAGE: Duration = Duration::from_secs(30 * 60);

/// Returns a number of the template.
#[track_caller]
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} should be a number"))
}

/// Returns a function's timeout, in seconds.
fn timeout_s(template: &Value, function: &str) -> u64 {
    let properties = &template["Resources"][function]["Properties"];
    number(properties.get("Timeout").unwrap_or(&template["Globals"]["Function"]["Timeout"]))
}

/// Returns the function and the queue of each event source mapping.
fn mappings(template: &Value) -> Vec<(&str, &str)> {
    let mappings = resources(template, "AWS::Lambda::EventSourceMapping").map(|(_, mapping)| {
        let queue = text(&mapping["EventSourceArn"]["Fn::GetAtt"]).trim_end_matches(".Arn");
        (function_of(&mapping["FunctionName"]), queue)
    });
    mappings.collect()
}

#[test]
fn the_api_function_times_out_before_api_gateway() {
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
fn functions_have_the_timeout_that_the_code_assumes() {
    let template = template();
    for (id, _) in resources(&template, "AWS::Serverless::Function") {
        let expected = if id == "ApiFunction" { timeout_s(&template, id) } else { FUNCTION_TIMEOUT.as_secs() };
        assert_eq!(timeout_s(&template, id), expected, "{id}");
    }
}

#[test]
fn the_queues_have_the_settings_that_the_code_assumes() {
    let template = template();
    assert_eq!(mappings(&template).len(), 3);
    for (function, queue) in mappings(&template) {
        let properties = &template["Resources"][queue]["Properties"];
        let visibility_s = number(&properties["VisibilityTimeout"]);
        assert_eq!(visibility_s, VISIBILITY_TIMEOUT.as_secs(), "{queue}");
        assert!(visibility_s >= VISIBILITY_TIMEOUTS * timeout_s(&template, function), "{queue}");
        assert_eq!(number(&properties["RedrivePolicy"]["maxReceiveCount"]), u64::from(RECEIVES_MAX), "{queue}");
    }
}

#[test]
fn no_message_becomes_a_dead_letter_within_half_an_hour() {
    // The message waits after each receive but the last, after which it becomes a dead letter.
    let lasts: Duration = (1..RECEIVES_MAX).map(|receives| return_wait(receives, 1.0)).sum();
    assert!(lasts > OUTAGE, "{lasts:?}");
}

#[test]
fn the_queues_of_one_function_have_the_same_settings_and_dead_letters() {
    let template = template();
    let queues = mappings(&template).into_iter().filter(|(function, _)| *function == "DeliverFunction");
    let settings: Vec<_> = queues.map(|(_, queue)| &template["Resources"][queue]["Properties"]).collect();
    assert_eq!(settings.len(), 2);
    assert_eq!(settings[0], settings[1]);
}

/// Whatever invokes a function with an alias by its name alone would get a new version at once, and could not be taken back.
#[test]
fn functions_with_an_alias_are_invoked_by_it() {
    let template = template();
    let mappings =
        resources(&template, "AWS::Lambda::EventSourceMapping").map(|(id, mapping)| (id, &mapping["FunctionName"]));
    let permissions =
        resources(&template, "AWS::Lambda::Permission").map(|(id, permission)| (id, &permission["FunctionName"]));
    let integrations = resources(&template, "AWS::ApiGatewayV2::Integration")
        .map(|(id, integration)| (id, &integration["IntegrationUri"]));
    let mut invoked = BTreeSet::new();
    for (id, function) in mappings.chain(permissions).chain(integrations) {
        assert!(text(&function["Ref"]).ends_with(".Alias"), "{id}: {function}");
        invoked.insert(function_of(function));
    }
    let aliased = resources(&template, "AWS::Serverless::Function").filter(|(_, function)| {
        function["AutoPublishAlias"] == "live" && function["AutoPublishCodeSha256"] == json!({"Ref": "Fingerprint"})
    });
    assert_eq!(invoked, aliased.map(|(id, _)| id.as_str()).collect());
}

/// Unless `RecursiveLoop` is `Allow`, Lambda stops a chain of about 16 invocations through a queue.
#[test]
fn functions_with_a_queue_may_requeue_messages() {
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

/// When Lambda gives up an asynchronous invocation, its event is lost unless the function itself
/// has a dead-letter queue. It must be the queue from which tasks are redriven.
#[test]
fn retry_gives_failed_tasks_to_the_dead_letter_queue_of_deliveries() {
    let template = template();
    let retry = &template["Resources"]["RetryFunction"]["Properties"];
    assert_eq!(retry["DeadLetterQueue"]["Type"], "SQS");
    let queue = &template["Resources"]["DeliveriesQueue"]["Properties"];
    assert_eq!(retry["DeadLetterQueue"]["TargetArn"], queue["RedrivePolicy"]["deadLetterTargetArn"]);
    let invoked = &retry["EventInvokeConfig"];
    assert_eq!(invoked["MaximumRetryAttempts"], 2);
    assert!(number(&invoked["MaximumEventAgeInSeconds"]) >= 60 * 60, "a throttled function should be tried for hours");
    // A destination would wrap the event, and a redrive could not put it back.
    assert!(invoked.get("DestinationConfig").is_none());
}
