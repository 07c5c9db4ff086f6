//! Works the `events` queue: events that producers inside AWS put there, the further pages of fan-outs and recoveries, and
//! events of Hookline's own.
//!
//! | file | holds |
//! |---|---|
//! | `producer.rs` | what a producer's message says |
//! | `recover.rs` | a page of a recovery |

mod producer;
mod recover;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::future::join_all;
use hookline::{
    app::App,
    event::{Event, NewEvent},
    input::InputError,
    publishing::{self, PublishError},
    queue::Job,
    store::StoreError,
};

/// A message could not be dealt with.
#[derive(Debug, thiserror::Error)]
enum MessageError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It says something that cannot be published: SQS ends it in the dead-letter queue, where an alarm tells.
    #[error("the message is no event: {0:?}")]
    Input(InputError),
    /// As above: its idempotency key was used for another event.
    #[error("the message's idempotency key was used for another event")]
    KeyReused,
}

/// Handles a batch: the failures it answers are the messages that SQS keeps.
pub async fn handle(app: &App, event: SqsEvent) -> SqsBatchResponse {
    let handled = join_all(event.records.iter().map(|message| handle_one(app, message))).await;
    let mut response = SqsBatchResponse::default();
    for (message, result) in event.records.iter().zip(handled) {
        if let Err(error) = result {
            tracing::error!(message_id = message.message_id, %error, "a message could not be dealt with");
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = message.message_id.clone().unwrap_or_default();
            response.batch_item_failures.push(failure);
        }
    }
    response
}

async fn handle_one(app: &App, message: &SqsMessage) -> Result<(), MessageError> {
    let body = message.body.as_deref().unwrap_or_default();
    match serde_json::from_str(body) {
        Ok(Job::FanOut(job)) => Ok(publishing::fan_out(app, job).await?),
        Ok(Job::Recover(job)) => Ok(recover::recover(app, job).await?),
        Ok(Job::Publish(own)) => {
            let new = NewEvent { event_type: own.event_type, object: own.object, previous_data: None };
            let event = Event::new(own.account.clone(), own.id, &new);
            Ok(publishing::publish(app, &own.account, &[event]).await?)
        }
        Err(_) => producer::publish(app, message).await,
    }
}
