//! Makes the attempts of deliveries. The tasks of a batch are handled concurrently and separately, so that a slow endpoint or a
//! panic affects only its own message.
//!
//! | file | holds |
//! |---|---|
//! | `delivery.rs` | one task: load, decide, write the lease, POST, derive the outcome, write it, follow up |
//! | `attempt.rs` | the request as the receiver gets it, and the answer as it is stored |
//! | `rate_limit.rs` | the wait for a permit of the webhook's rate limit |
//! | `slow_endpoints.rs` | which endpoints have just timed out |
//!
//! Invariant: a task is deleted only after what follows from it is durable: the next task, the disabling, or the record that
//! nothing is left to do. After any failure on the way, SQS delivers the task again.

mod attempt;
mod delivery;
mod rate_limit;
mod slow_endpoints;

pub use slow_endpoints::SlowEndpoints;

use application::App;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use batch::Disposition;
use domain::delivery::Task;
use endpoint::EndpointClient;
use futures::{FutureExt, future::join_all};
use std::{panic::AssertUnwindSafe, sync::Arc};
use store::{
    QueueError, StoreError,
    event_cache::EventCache,
    subjects::{self, Subjects},
};
use telemetry::log;
use tracing::Instrument;

/// What the handler works with.
#[derive(Clone, Debug)]
pub struct Deliverer {
    /// The tables, queues and settings.
    pub app: App,
    /// The client that posts to receivers.
    pub endpoints: EndpointClient,
    /// The events that this process has read lately.
    pub events: Arc<EventCache>,
    /// The endpoints that have just timed out.
    pub slow: Arc<SlowEndpoints>,
}

impl Deliverer {
    /// Creates a deliverer that remembers nothing yet.
    pub fn new(app: App, endpoints: EndpointClient) -> Self {
        Self { app, endpoints, events: Arc::default(), slow: Arc::default() }
    }
}

/// A task could not be handled now.
#[derive(Debug, thiserror::Error)]
enum DeliverError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Application(#[from] application::Error),
    #[error("the delivery is being changed too often")]
    Contended,
    #[error("the lease ended before the attempt could be recorded")]
    LeaseEnded,
    #[error("the task came too late for each of its permits")]
    MissedPermits,
    #[error("the webhook's rate limit requeued the task too often")]
    Requeues,
}

/// Handles a batch of tasks; the response names the messages that SQS keeps.
pub async fn handle(deliverer: &Deliverer, event: SqsEvent) -> SqsBatchResponse {
    let queues = &deliverer.app.queues;
    let queue_urls = [&*queues.settings.deliveries_url, &queues.settings.slow_deliveries_url];
    batch::handle(queues, &queue_urls, event, async |messages| {
        let tasks: Vec<Option<Task>> = messages.iter().map(parse).collect();
        let readable: Vec<&Task> = tasks.iter().flatten().collect();
        match subjects::load(&deliverer.app.store, &readable, &deliverer.events).await {
            Ok(subjects) => join_all(tasks.iter().map(|task| handle_one(deliverer, task.as_ref(), &subjects))).await,
            Err(error) => {
                tracing::error!(%error, messages = messages.len(), "a batch could not be read");
                vec![Disposition::Return; messages.len()]
            }
        }
    })
    .await
}

/// Parses a message. A message that is no task ends in the dead-letter queue, which has an alarm.
fn parse(message: &SqsMessage) -> Option<Task> {
    let parsed = serde_json::from_str(message.body.as_deref().unwrap_or_default());
    parsed.inspect_err(|error| tracing::error!(message_id = message.message_id, %error, "a message is no task")).ok()
}

/// Handles one task, panics included.
async fn handle_one(deliverer: &Deliverer, task: Option<&Task>, subjects: &Subjects) -> Disposition {
    let Some(task) = task else { return Disposition::Return };
    let span = log::delivery(task);
    let handled = delivery::handle(deliverer, task, subjects);
    let handled = AssertUnwindSafe(handled).catch_unwind().instrument(span.clone()).await;
    span.in_scope(|| match handled {
        Ok(Ok(disposition)) => disposition,
        Ok(Err(error)) => {
            tracing::error!(%error, "a task could not be handled");
            Disposition::Return
        }
        Err(_) => {
            tracing::error!("handling a task panicked");
            Disposition::Return
        }
    })
}
