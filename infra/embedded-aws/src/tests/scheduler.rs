//! EventBridge Scheduler: one-time schedules are created, read, deleted and fired.

use super::{open, start};
use crate::EmbeddedAws;
use aws_sdk_scheduler::{
    Client,
    operation::create_schedule::{CreateScheduleError, builders::CreateScheduleFluentBuilder},
    primitives::DateTime,
    types::{ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, Target},
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const TARGET: &str = "arn:aws:lambda:us-east-1:000000000000:function:retry";

fn client(aws: &EmbeddedAws) -> Client {
    Client::new(&aws.sdk_config())
}

fn create(client: &Client, name: &str, expression: &str) -> CreateScheduleFluentBuilder {
    let window = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build().expect("complete");
    let target =
        Target::builder().arn(TARGET).role_arn("arn:aws:iam::000000000000:role/r").input(format!("\"{name}\""));
    client
        .create_schedule()
        .name(name)
        .group_name("hookline")
        .schedule_expression(expression)
        .flexible_time_window(window)
        .action_after_completion(ActionAfterCompletion::Delete)
        .target(target.build().expect("complete"))
}

/// Creates a schedule that is due `after` the tests' [`START`](super::START).
async fn schedule(client: &Client, name: &str, after: Duration) {
    let due = start().plus(after).to_string();
    create(client, name, &format!("at({})", due.trim_end_matches('Z'))).send().await.expect("created");
}

#[tokio::test(start_paused = true)]
async fn a_schedule_fires_at_its_second_and_only_once() {
    let aws = open(None);
    let client = client(&aws);
    schedule(&client, "later", Duration::from_hours(2)).await;
    let began = Instant::now();
    let waiting = tokio::spawn({
        let aws = aws.clone();
        async move { aws.next_due_schedule().await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    // An earlier schedule is created while a call waits for the later one.
    schedule(&client, "sooner", Duration::from_mins(30)).await;
    let sooner = waiting.await.expect("fired");
    assert_eq!((sooner.name.as_str(), sooner.group.as_str(), sooner.attempt), ("sooner", "hookline", 1));
    assert_eq!((sooner.target_arn.as_str(), sooner.input.as_str()), (TARGET, "\"sooner\""));
    assert_eq!(sooner.due, start().plus(Duration::from_mins(30)));
    assert_eq!(began.elapsed(), Duration::from_mins(30));
    assert!(timeout(Duration::from_hours(1), aws.next_due_schedule()).await.is_err());

    aws.schedule_done(&sooner).expect("deleted");
    let error = client.get_schedule().name("sooner").group_name("hookline").send().await.expect_err("gone");
    assert!(error.into_service_error().is_resource_not_found_exception());
    assert_eq!(aws.next_due_schedule().await.name, "later");
    assert_eq!(began.elapsed(), Duration::from_hours(2));
}

#[tokio::test(start_paused = true)]
async fn a_failed_schedule_fires_again_after_the_given_wait() {
    let aws = open(None);
    schedule(&client(&aws), "one", Duration::ZERO).await;
    let first = aws.next_due_schedule().await;
    aws.schedule_failed(&first, Duration::from_secs(90));
    let began = Instant::now();
    let second = aws.next_due_schedule().await;
    assert_eq!((began.elapsed(), second.attempt, second.due), (Duration::from_secs(90), 2, start()));
}

#[tokio::test(start_paused = true)]
async fn a_name_can_be_used_once() {
    let aws = open(None);
    let client = client(&aws);
    schedule(&client, "one", Duration::from_secs(1)).await;
    let error = create(&client, "one", "at(2030-01-01T00:00:00)").send().await.expect_err("the name is used");
    let CreateScheduleError::ConflictException(conflict) = error.into_service_error() else {
        panic!("another error");
    };
    assert_eq!(conflict.message(), "Schedule one already exists.");
    // The SDK repeats a request if the answer is lost.
    for _ in 0..2 {
        let again = create(&client, "two", "at(2030-01-01T00:00:00)").client_token("token");
        let answer = again.send().await.expect("the same request");
        assert_eq!(answer.schedule_arn(), "arn:aws:scheduler:us-east-1:000000000000:schedule/hookline/two");
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_can_be_read_and_deleted() {
    let aws = open(None);
    let client = client(&aws);
    schedule(&client, "one", Duration::from_secs(5)).await;
    let got = client.get_schedule().name("one").group_name("hookline").send().await.expect("there");
    assert_eq!(got.schedule_expression(), Some("at(2025-02-18T10:30:05)"));
    assert_eq!(got.target().and_then(|target| target.input()), Some("\"one\""));
    assert_eq!(got.action_after_completion(), Some(&ActionAfterCompletion::Delete));
    assert_eq!(got.creation_date().map(DateTime::secs), Some(start().unix_seconds()));

    let delete = || client.delete_schedule().name("one").group_name("hookline").send();
    delete().await.expect("deleted");
    assert!(delete().await.expect_err("gone").into_service_error().is_resource_not_found_exception());
    assert!(timeout(Duration::from_secs(10), aws.next_due_schedule()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_supported_is_refused() {
    let aws = open(None);
    let client = client(&aws);
    let expressions = [
        "rate(5 minutes)",
        "cron(0 9 * * ? *)",
        "at(2030-01-01)",
        "at(2030-01-01T00:00:00Z)",
        "at(2030-13-01T00:00:00)",
    ];
    let mut requests: Vec<_> = expressions.iter().map(|expression| create(&client, "one", expression)).collect();
    let good = || create(&client, "one", "at(2030-01-01T00:00:00)");
    requests.push(good().name("no space"));
    requests.push(good().name("x".repeat(65)));
    requests.push(good().schedule_expression_timezone("Europe/Berlin"));
    requests.push(good().action_after_completion(ActionAfterCompletion::None));
    let flexible = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Flexible).maximum_window_in_minutes(5);
    requests.push(good().flexible_time_window(flexible.build().expect("complete")));
    for request in requests {
        let shown = format!("{request:?}");
        let error = request.send().await.expect_err(&shown).into_service_error();
        assert!(error.is_validation_exception(), "{error:?} for {shown}");
    }
    good().send().await.expect("the valid one");
}

#[tokio::test(start_paused = true)]
async fn a_schedule_fires_again_after_a_crash_before_it_is_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let aws = open(Some(folder.path()));
    schedule(&client(&aws), "done", Duration::from_secs(1)).await;
    schedule(&client(&aws), "open", Duration::from_secs(2)).await;
    let done = aws.next_due_schedule().await;
    let interrupted = aws.next_due_schedule().await;
    aws.schedule_done(&done).expect("deleted");
    drop(aws);

    let aws = open(Some(folder.path()));
    let again = aws.next_due_schedule().await;
    assert_eq!(again, interrupted);
    assert!(timeout(Duration::from_hours(1), aws.next_due_schedule()).await.is_err());
}
