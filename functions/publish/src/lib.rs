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
    id::AccountId,
    input::InputError,
    publishing::{self, PublishError},
    queue::{self, GivenBack, Job},
    store::StoreError,
};
use std::collections::BTreeMap;

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
    let (mut failed, mut events) = (Vec::new(), BTreeMap::<AccountId, Vec<(&SqsMessage, Event)>>::new());
    for (message, result) in event.records.iter().zip(handled) {
        match result {
            Ok(None) => {}
            Ok(Some(event)) => events.entry(event.account.clone()).or_default().push((message, event)),
            Err(error) => {
                tracing::error!(message_id = message.message_id, %error, "a message could not be dealt with");
                failed.push(message);
            }
        }
    }
    failed.extend(join_all(events.into_iter().map(|(account, events)| publish(app, account, events))).await.concat());
    let given_back = failed.iter().filter_map(|message| {
        let receives = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
        let wait = queue::redelivery_wait(receives.unwrap_or(1), app.random.share());
        Some(GivenBack { receipt: message.receipt_handle.clone()?, wait })
    });
    queue::give_back(app, &app.config.events_queue_url, &given_back.collect::<Vec<_>>()).await;
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures.extend(failed.into_iter().map(|message| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message.message_id.clone().unwrap_or_default();
        failure
    }));
    response
}

/// Publishes what a batch has of one account: its webhooks are read once, and its wake-ups fill their batches. Gives the
/// messages that must come again.
async fn publish<'a>(app: &App, account: AccountId, events: Vec<(&'a SqsMessage, Event)>) -> Vec<&'a SqsMessage> {
    let (messages, events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
    match publishing::publish(app, &account, &events).await {
        Ok(()) => Vec::new(),
        Err(error) => {
            tracing::error!(%account, %error, events = events.len(), "events could not be published");
            messages
        }
    }
}

/// Deals with a message, or gives the event that is to be published for it.
async fn handle_one(app: &App, message: &SqsMessage) -> Result<Option<Event>, MessageError> {
    let body = message.body.as_deref().unwrap_or_default();
    match serde_json::from_str(body) {
        Ok(Job::FanOut(job)) => publishing::fan_out(app, job).await?,
        Ok(Job::Recover(job)) => recover::recover(app, job).await?,
        Ok(Job::Publish(own)) => {
            let new = NewEvent { event_type: own.event_type, object: own.object, previous_data: None };
            return Ok(Some(Event::new(own.account, own.id, &new)));
        }
        Err(_) => return producer::event(app, message).await,
    }
    Ok(None)
}
