//! Tests of the embedded AWS through the real SDK clients. No test waits: tokio's time is paused, and the clock follows it.

mod capacity;
mod differential;
mod differential_requests;
mod dynamodb;
mod fast_path;
mod folder;
mod scheduler;
mod sqs;

use super::EmbeddedAws;
use domain::time::{Clock, Timestamp};
use std::path::Path;
use tokio::time::Instant;

/// The time at which every test begins.
const START: &str = "2025-02-18T10:30:00Z";

fn start() -> Timestamp {
    Timestamp::parse_rfc3339(START).expect("valid")
}

/// Creates a clock that begins at [`START`] and follows tokio's time.
fn clock() -> Clock {
    let began = Instant::now();
    Clock::new(move || start().plus(began.elapsed()))
}

fn open(data: Option<&Path>) -> EmbeddedAws {
    EmbeddedAws::open(data, clock()).expect("the data folder opens")
}

#[tokio::test(start_paused = true)]
async fn the_folder_cannot_be_opened_again_until_the_last_clone_is_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("made/on/demand");
    let first = open(Some(&data));
    let client = aws_sdk_sqs::Client::new(&first.sdk_config());
    drop(first);
    let refused = EmbeddedAws::open(Some(&data), clock()).expect_err("a client still holds the lock");
    assert!(refused.to_string().contains("made/on/demand is in use by another process"), "{refused}");
    drop(client);
    open(Some(&data));
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_not_embedded_is_an_error() {
    let client = aws_sdk_sqs::Client::new(&open(None).sdk_config());
    let error = client.list_queues().send().await.expect_err("not embedded").into_service_error();
    assert_eq!(error.meta().code(), Some("UnknownOperationException"));
}
