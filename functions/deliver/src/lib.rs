//! Makes the attempts of deliveries. The tasks of a batch are handled concurrently and separately, so that a slow endpoint or a
//! panic affects only its own message.
//!
//! | file | holds |
//! |---|---|
//! | `delivery.rs` | one task: load, decide, write the lease, POST, derive the outcome, write it, follow up |
//! | `attempt.rs` | the request as the receiver gets it, and the answer as it is stored |
//! | `authorization.rs` | the POST with the `Authorization` that the webhook asks for |
//! | `access_tokens.rs` | OAuth 2 access tokens, kept until they expire |
//! | `rate_limit.rs` | the wait for a permit of the webhook's rate limit |
//! | `slow_endpoints.rs` | which endpoints have just timed out |
//! | `cost.rs` | what each task costs, and the log lines that say so |
//!
//! Invariant: a task is deleted only after what follows from it is durable: the next task, the disabling, or the record that
//! nothing is left to do. After any failure on the way, SQS delivers the task again.

mod access_tokens;
mod attempt;
mod authorization;
mod cost;
mod delivery;
mod rate_limit;
mod slow_endpoints;

pub use access_tokens::AccessTokens;
pub use slow_endpoints::SlowEndpoints;

use application::App;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use batch::Disposition;
use cost::{Invocation, MadeSlot};
use domain::{cost::Usage, delivery::Task};
use endpoint::EndpointClient;
use futures::{FutureExt, future::join_all};
use std::{panic::AssertUnwindSafe, sync::Arc};
use store::{
    QueueError, StoreError, capacity,
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
    /// The OAuth 2 access tokens that have not expired.
    pub access_tokens: Arc<AccessTokens>,
    /// The memory of the function, in MB. Lambda's time costs in proportion to it.
    pub memory_mb: u32,
}

impl Deliverer {
    /// Creates a deliverer that remembers nothing yet, of a function with the usual memory.
    pub fn new(app: App, endpoints: EndpointClient) -> Self {
        let (events, slow, access_tokens) = Default::default();
        Self { app, endpoints, events, slow, access_tokens, memory_mb: cost::MEMORY_MB }
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
    let invocation = Invocation::new(deliverer.memory_mb);
    let handled = batch::handle(queues, &queue_urls, event, async |messages| {
        let tasks: Vec<Option<Task>> = messages.iter().map(parse).collect();
        let readable: Vec<&Task> = tasks.iter().flatten().collect();
        let loaded = subjects::load(&deliverer.app.store, &readable, &deliverer.events);
        let (subjects, read) = capacity::metered(loaded).await;
        match subjects {
            Ok(subjects) => {
                let shares = invocation.divide(read, readable.len());
                let handled = readable.iter().zip(shares);
                let handled = handled.map(|(task, share)| handle_one(deliverer, task, share, &subjects, &invocation));
                let mut dispositions = join_all(handled).await.into_iter();
                // A message that is no task has no disposition of its own.
                let of = |task: &Option<Task>| task.as_ref().and_then(|_| dispositions.next());
                tasks.iter().map(of).map(|disposition| disposition.unwrap_or(Disposition::ReturnInvalid)).collect()
            }
            Err(error) => {
                tracing::error!(%error, messages = messages.len(), "a batch could not be read");
                invocation.add_rest(read);
                vec![Disposition::Return; messages.len()]
            }
        }
    });
    let (response, rest) = capacity::metered(handled).await;
    invocation.add_rest(rest);
    invocation.end();
    response
}

/// Parses a message. A message that is no task ends in the dead-letter queue, which has an alarm.
fn parse(message: &SqsMessage) -> Option<Task> {
    let parsed = serde_json::from_str(message.body.as_deref().unwrap_or_default());
    parsed.inspect_err(|error| tracing::error!(message_id = message.message_id, %error, "a message is no task")).ok()
}

/// Handles one task, panics included, and logs what it cost. `share` is its part of what the batch read.
async fn handle_one(
    deliverer: &Deliverer,
    task: &Task,
    share: Usage,
    subjects: &Subjects,
    invocation: &Invocation,
) -> Disposition {
    let (span, made) = (log::delivery(task), MadeSlot::new());
    let handled = AssertUnwindSafe(delivery::handle(deliverer, task, subjects, &made)).catch_unwind();
    let (handled, consumed) = capacity::metered(handled).instrument(span.clone()).await;
    span.in_scope(|| {
        invocation.end_task(share + consumed, made.get());
        match handled {
            Ok(Ok(disposition)) => disposition,
            Ok(Err(error)) => {
                tracing::error!(%error, "a task could not be handled");
                Disposition::Return
            }
            Err(_) => {
                tracing::error!("handling a task panicked");
                Disposition::Return
            }
        }
    })
}
