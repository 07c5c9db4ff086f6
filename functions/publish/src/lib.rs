//! Handles the `events` queue: events of producers inside AWS, jobs of fan-outs and recoveries, and Hookline's own events.
//!
//! `producer.rs` handles the messages of producers.

mod producer;

use application::{App, enabling, fan_out, operational, publishing, recovery};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use batch::Disposition;
use domain::{account::AccountId, event::Event, input::InputError, job::Job};
use futures::future::join_all;
use std::collections::BTreeMap;
use store::StoreError;

/// A message could not be handled.
#[derive(Debug, thiserror::Error)]
enum MessageError {
    #[error(transparent)]
    Application(#[from] application::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The message is no event. It ends in the dead-letter queue, which has an alarm.
    #[error("the message is no event: {0:?}")]
    Input(InputError),
    /// The key was used for another event. The message ends in the dead-letter queue as well.
    #[error("the message's idempotency key was used for another event")]
    KeyReused,
}

/// Handles a batch; the response names the messages that SQS keeps.
pub async fn handle(app: &App, event: SqsEvent) -> SqsBatchResponse {
    batch::handle(&app.queues, &[&app.queues.settings.events_url], event, async |messages| {
        let handled = join_all(messages.iter().map(|message| handle_one(app, message))).await;
        let mut dispositions = Vec::with_capacity(messages.len());
        let mut events = BTreeMap::<AccountId, Vec<(usize, Event)>>::new();
        for (index, (message, result)) in messages.iter().zip(handled).enumerate() {
            dispositions.push(match result {
                Ok(Handled::Done) => Disposition::Delete,
                Ok(Handled::Event(event)) => {
                    events.entry(event.account.clone()).or_default().push((index, event));
                    Disposition::Delete
                }
                Err(error) => {
                    tracing::error!(message_id = message.message_id, %error, "a message could not be handled");
                    match error {
                        MessageError::Input(_) | MessageError::KeyReused => Disposition::ReturnInvalid,
                        MessageError::Application(_) | MessageError::Store(_) => Disposition::Return,
                    }
                }
            });
        }
        let published = events.into_iter().map(|(account, events)| publish(app, account, events));
        for failed in join_all(published).await.into_iter().flatten() {
            dispositions[failed] = Disposition::Return;
        }
        dispositions
    })
    .await
}

/// Publishes the events of one account together, so that its webhooks are read once and its tasks fill their batches. Returns
/// the indices of the messages that must be received again.
async fn publish(app: &App, account: AccountId, events: Vec<(usize, Event)>) -> Vec<usize> {
    let (messages, events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
    match publishing::publish(app, &account, &events).await {
        Ok(()) => Vec::new(),
        Err(error) => {
            tracing::error!(%account, %error, events = events.len(), "events could not be published");
            messages
        }
    }
}

/// The result of handling a message.
enum Handled {
    Done,
    /// The message is this event, which is not published yet.
    Event(Event),
}

async fn handle_one(app: &App, message: &SqsMessage) -> Result<Handled, MessageError> {
    let body = message.body.as_deref().unwrap_or_default();
    match serde_json::from_str(body) {
        Ok(Job::FanOut(job)) => fan_out::continue_with(app, job).await?,
        Ok(Job::Recover(job)) => recovery::continue_with(app, job).await?,
        Ok(Job::FinishEnabling(job)) => enabling::finish(app, &job.account, job.webhook).await?,
        Ok(Job::Publish(own)) => operational::publish(app, own).await?,
        Err(_) => return producer::handle(app, message).await,
    }
    Ok(Handled::Done)
}
