//! Checks that the functions get every setting that they read, and that the tables have the keys
//! that the code uses.

use application::config::Config;
use domain::{backoff::RetrySchedule, webhook::TrialSchedule};
use regex_lite::Regex;
use serde_json::json;
use std::{cell::RefCell, collections::BTreeSet};
use store::keys;
use strict_aws::template::{items, resources, template, text};

/// Variables that `Config` does not read: logging and the clients read them.
const READ_ELSEWHERE: [&str; 3] = ["LOG_LEVEL", "SSL_CERT_FILE", "AWS_CA_BUNDLE"];

#[test]
fn the_functions_get_the_settings_that_they_read_and_no_others() {
    let template = template();
    let given = template["Globals"]["Function"]["Environment"]["Variables"].as_object().expect("variables");
    let given: BTreeSet<_> = given.keys().map(String::as_str).collect();
    let asked = RefCell::new(BTreeSet::new());
    let config = Config::read(|name| {
        asked.borrow_mut().insert(name.to_owned());
        let numbers = ["RETENTION_DAYS", "PUBLISH_RATE_LIMIT", "MAX_WEBHOOKS"];
        let others = [
            "RETRY_SCHEDULE",
            "TRIAL_SCHEDULE",
            "AUTO_RECOVER",
            "STRICT_ENDPOINTS",
            "CORS_ALLOW_ORIGINS",
            "PORTAL_ACCENT",
            "PORTAL_FRAME_ANCESTORS",
        ];
        let defaulted = numbers.contains(&name) || others.contains(&name);
        (given.contains(name) && !defaulted).then(|| "x".to_owned())
    });
    config.expect("every required setting is given");
    let asked = asked.into_inner();
    let read: BTreeSet<_> = asked.iter().map(String::as_str).chain(READ_ELSEWHERE).collect();
    assert_eq!(given, read);
}

#[test]
fn the_tables_have_the_keys_and_the_expiry_that_the_code_uses() {
    let template = template();
    let tables: Vec<_> = resources(&template, "AWS::DynamoDB::Table").collect();
    assert_eq!(tables.len(), 3);
    for (id, table) in tables {
        let partition = if id == "WebhooksTable" { keys::ACCOUNT } else { keys::PARTITION };
        let schema: Vec<_> = items(&table["KeySchema"]).iter().map(|key| text(&key["AttributeName"])).collect();
        assert_eq!(schema, [partition, keys::ID], "{id}");
        assert_eq!(table["TimeToLiveSpecification"]["AttributeName"], keys::EXPIRES_AT, "{id}");
        assert_eq!(table["TimeToLiveSpecification"]["Enabled"], true, "{id}");
        assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true, "{id}");
        assert_eq!(table["BillingMode"], "PAY_PER_REQUEST", "{id}");
    }
}

#[test]
fn the_scheduler_role_allows_what_a_schedule_names() {
    let template = template();
    let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
    let role = &template["Resources"]["SchedulerRole"]["Properties"];
    let statements = items(&role["Policies"][0]["PolicyDocument"]["Statement"]);
    let allowed = |sid: &str| {
        let statement = statements.iter().find(|statement| statement["Sid"] == sid).expect(sid);
        statement["Resource"][0].clone()
    };
    assert_eq!(allowed("Invoke"), variables["RETRY_FUNCTION_ARN"]);
    assert_eq!(allowed("DeadLetters"), variables["SCHEDULER_DEAD_LETTER_ARN"]);
    assert_eq!(text(&variables["SCHEDULER_ROLE_ARN"]["Fn::GetAtt"]), "SchedulerRole.Arn");
}

/// Returns the pattern that a parameter's whole value must match.
fn allowed(parameter: &str) -> Regex {
    let pattern = text(&template()["Parameters"][parameter]["AllowedPattern"]).to_owned();
    Regex::new(&format!("^(?:{pattern})$")).expect("a pattern")
}

/// A schedule that the functions cannot read would stop all of them after the deployment, so CloudFormation refuses it before.
#[test]
fn the_template_takes_the_schedules_that_the_functions_take() {
    let lengths = [0, 1, 9, 10, 14, 15, 16, 60, 99, 100, 167, 168, 169, 599, 899, 900, 901, 1_000, 9_999];
    let longer = [10_079, 10_080, 10_081, 10_100, 59_999, 99_999, 599_999, 603_999, 604_799, 604_800, 604_801, 999_999];
    let waits = lengths.iter().chain(&longer).flat_map(|length| ["s", "m", "h"].map(|unit| format!("{length}{unit}")));
    let waits: Vec<_> = waits.chain(["", "5", "m", "-1s", "1d", "1.5h", "٣s"].map(str::to_owned)).collect();
    let (retries, trials) = (allowed("RetrySchedule"), allowed("TrialSchedule"));
    for wait in &waits {
        for schedule in [wait.clone(), format!("0s,{wait}"), format!("1m, {wait},2h")] {
            let is_read = schedule.parse::<RetrySchedule>().is_ok();
            assert_eq!(retries.is_match(&schedule), is_read, "{schedule}");
            // That times ascend is more than a pattern can say.
            let is_refused = !trials.is_match(&schedule);
            assert!(!is_refused || schedule.parse::<TrialSchedule>().is_err(), "{schedule}");
        }
    }
    for count in [1, 19, 20, 21] {
        let schedule = vec!["1s"; count].join(",");
        assert_eq!(retries.is_match(&schedule), schedule.parse::<RetrySchedule>().is_ok(), "{count}");
    }
}

/// With a level that the functions cannot read, none would start.
#[test]
fn the_template_takes_the_log_levels_that_the_functions_take() {
    let levels = allowed("LogLevel");
    for level in [
        "info",
        "WARN",
        "off",
        "warn,deliver=debug",
        "hookline::metrics[{attempts}]=info",
        "",
        "verbose",
        "warn,",
        "warn,store",
        "store=",
        "store=loud",
        "a=b=info",
        "hookline::metrics[{attempts,failures}]=info",
        "warn,deliver[{attempt=1}]=info",
        "deliver[]=info",
        " info",
        "info,  warn",
    ] {
        let is_read = telemetry::log::parse_filter(level).is_ok();
        // The functions also take a little more.
        assert!(!levels.is_match(level) || is_read, "{level}");
    }
    for usual in ["info", "warn", "off", "debug", "warn,deliver=debug", "hookline::metrics[{attempts}]=info"] {
        assert!(levels.is_match(usual), "{usual}");
    }
}

#[test]
fn the_template_takes_the_arn_of_a_key_but_not_of_an_alias() {
    let arn = |name: &str| format!("arn:aws:kms:eu-central-1:123456789012:{name}");
    let keys = allowed("KmsKeyArn");
    assert!(keys.is_match("") && keys.is_match(&arn("key/1234abcd-12ab-34cd-56ef-1234567890ab")));
    assert!(keys.is_match(&arn("key/mrk-1234abcd12ab34cd56ef1234567890ab")));
    assert!(!keys.is_match(&arn("alias/hooks")) && !keys.is_match("alias/hooks"));
}

#[test]
fn every_queue_refuses_requests_without_tls() {
    let template = template();
    let queues: BTreeSet<_> = resources(&template, "AWS::SQS::Queue").map(|(id, _)| id.clone()).collect();
    let mut refusing = BTreeSet::new();
    for (id, policy) in resources(&template, "AWS::SQS::QueuePolicy") {
        for queue in items(&policy["Queues"]) {
            let queue = text(&queue["Ref"]).to_owned();
            // A queue has one policy: a second would replace the first.
            assert!(refusing.insert(queue.clone()), "{queue} has two policies");
            let statement = &policy["PolicyDocument"]["Statement"][0];
            let statement = statement.get("Fn::If").map_or(statement, |choice| &choice[1]);
            assert_eq!((&statement["Effect"], &statement["Principal"]), (&json!("Deny"), &json!("*")), "{id}");
            assert_eq!(statement["Condition"], json!({ "Bool": { "aws:SecureTransport": "false" } }), "{id}");
            let named = items(&statement["Resource"]).iter().any(|arn| arn["Fn::GetAtt"] == format!("{queue}.Arn"));
            assert!(named, "{id} does not name {queue}");
        }
    }
    assert_eq!(refusing, queues);
}

#[test]
fn the_stage_is_made_after_every_route() {
    let template = template();
    let routes: BTreeSet<_> = resources(&template, "AWS::ApiGatewayV2::Route").map(|(id, _)| id.as_str()).collect();
    let awaited: BTreeSet<_> = items(&template["Resources"]["Stage"]["DependsOn"]).iter().map(text).collect();
    assert_eq!(awaited, routes);
}
