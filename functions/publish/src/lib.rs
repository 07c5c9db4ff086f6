//! Works the `events` queue: events that producers inside AWS put there, the further pages of fan-outs and recoveries, and
//! events of Hookline's own.
//!
//! A producer's message is a body of `POST /v1/events` with the `account` beside it:
//! `{"account", "type", "data": {"object": {…}}, "previous_data"?}`. The event's id follows from the SQS message's own id, so
//! a message that comes twice is one event.

mod recover;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::future::join_all;
use hookline::{
    app::App,
    event::{Event, NewEvent},
    event_type::EventType,
    id::{AccountId, EventId},
    input::{self, Fields, InputError},
    publishing::{self, PublishError},
    queue::Job,
    store::{StoreError, event_types},
    time::Timestamp,
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
        Err(_) => {
            let (account, new) = producers_event(app, body).await?;
            let id =
                EventId::derived(sent_at(app, message), message.message_id.as_deref().unwrap_or_default().as_bytes());
            let event = Event::new(account.clone(), id, &new);
            Ok(publishing::publish(app, &account, &[event]).await?)
        }
    }
}

/// Reads a producer's message.
async fn producers_event(app: &App, body: &str) -> Result<(AccountId, NewEvent), MessageError> {
    let mut fields = Fields::parse(body.as_bytes()).map_err(MessageError::Input)?;
    let account = fields.required("account", input::parsed::<AccountId>);
    let new = input::new_event(&mut fields);
    if let Some(new) = &new
        && !is_known(app, &new.event_type).await?
    {
        fields.fault("/type", "is not a known event type");
    }
    fields.finish().map_err(MessageError::Input)?;
    // What finishes without a fault has both.
    account.zip(new).ok_or(MessageError::Input(InputError::Invalid(vec![])))
}

async fn is_known(app: &App, event_type: &EventType) -> Result<bool, StoreError> {
    Ok(event_types::find(app, event_type).await?.is_some())
}

/// When SQS took the message.
fn sent_at(app: &App, message: &SqsMessage) -> Timestamp {
    let sent_ms = message.attributes.get("SentTimestamp").and_then(|sent| sent.parse().ok());
    sent_ms.map_or_else(|| app.clock.now(), Timestamp::from_unix_ms)
}
