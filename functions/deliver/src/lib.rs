//! Sends deliveries. SQS hands a batch of wake-ups over; each is claimed, signed, posted and recorded on its own and all at
//! once, so a slow endpoint or a panic is one message's trouble and no other's.
//!
//! Invariant: a wake-up is reported as done only after what follows from it is durable: the next wake-up, the disabling, or
//! the record that nothing is left to do. Whatever fails on the way, SQS brings the message again.

mod attempt;
mod disable;
mod pace;

use attempt::{Attempted, attempt};
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{FutureExt, future::join_all};
use hookline::{
    app::App,
    delivery::{Claim, Delivery, DeliveryStatus, FollowUp, LEASE, Refusal, Wakeup},
    endpoint::EndpointClient,
    event::Event,
    log, metrics,
    publishing::PublishError,
    queue::{self, QueueError},
    store::{
        StoreError,
        deliveries::{self, Subjects, Versioned},
    },
    time::Timestamp,
    webhook::Webhook,
};
use std::{panic::AssertUnwindSafe, time::Duration};
use tracing::Instrument;

/// Times that a decision is taken anew because another worker wrote first.
const DECISION_TRIES: usize = 5;

/// What the handler works with.
#[derive(Clone, Debug)]
pub struct Deliverer {
    /// Clients, settings, clock and randomness.
    pub app: App,
    /// The client that posts to receivers.
    pub endpoints: EndpointClient,
}

/// What became of a wake-up whose handling did not fail.
#[derive(Debug, PartialEq, Eq)]
enum Done {
    /// It may be dropped.
    Drop,
    /// Another worker holds the delivery until then: the message must come again.
    ComeBack(Timestamp),
}

/// A wake-up could not be dealt with now.
#[derive(Debug, thiserror::Error)]
enum DeliverError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the delivery is being changed too often")]
    Contended,
    #[error("the webhook's rate limit put the task back too often")]
    Requeues,
}

/// Handles a batch: the failures it answers are the messages that SQS keeps.
pub async fn handle(deliverer: &Deliverer, event: SqsEvent) -> SqsBatchResponse {
    let parsed = event.records.iter().map(|message| (message, parse(message)));
    let (read, unread): (Vec<_>, Vec<_>) = parsed.partition(|(_, wakeup)| wakeup.is_some());
    let messages: Vec<(&SqsMessage, Wakeup)> =
        read.into_iter().filter_map(|(message, wakeup)| Some((message, wakeup?))).collect();
    let mut failed: Vec<&SqsMessage> = unread.into_iter().map(|(message, _)| message).collect();
    let wakeups: Vec<&Wakeup> = messages.iter().map(|(_, wakeup)| wakeup).collect();
    match deliveries::subjects(&deliverer.app, &wakeups).await {
        Ok(subjects) => {
            let handled = messages.iter().map(|(message, wakeup)| handle_one(deliverer, message, wakeup, &subjects));
            failed.extend(join_all(handled).await.into_iter().flatten());
        }
        Err(error) => {
            tracing::error!(%error, messages = messages.len(), "a batch could not be read");
            failed.extend(messages.iter().map(|(message, _)| *message));
        }
    }
    let failures = failed.into_iter().map(|message| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message.message_id.clone().unwrap_or_default();
        failure
    });
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures.collect();
    response
}

/// Reads a message. One that is no wake-up is left to SQS, which ends it in the dead-letter queue, where an alarm tells.
fn parse(message: &SqsMessage) -> Option<Wakeup> {
    let parsed = serde_json::from_str(message.body.as_deref().unwrap_or_default());
    parsed.inspect_err(|error| tracing::error!(message_id = message.message_id, %error, "a message is no wake-up")).ok()
}

/// Handles one message; gives it back where it must come again.
async fn handle_one<'a>(
    deliverer: &Deliverer,
    message: &'a SqsMessage,
    wakeup: &Wakeup,
    subjects: &Subjects,
) -> Option<&'a SqsMessage> {
    let span = log::delivery(wakeup);
    let handled = AssertUnwindSafe(deliver(deliverer, wakeup, subjects)).catch_unwind().instrument(span.clone()).await;
    let _entered = span.enter();
    match handled {
        Ok(Ok(Done::Drop)) => None,
        Ok(Ok(Done::ComeBack(at))) => {
            tracing::info!(%at, "another worker holds the delivery");
            come_back(deliverer, message, at).instrument(span.clone()).await;
            Some(message)
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "a wake-up could not be dealt with");
            Some(message)
        }
        Err(_) => {
            tracing::error!("a wake-up's handling panicked");
            Some(message)
        }
    }
}

/// Makes the message visible again when the lease is over. Where that fails it comes after the queue's own timeout.
async fn come_back(deliverer: &Deliverer, message: &SqsMessage, at: Timestamp) {
    let wait = at.since(deliverer.app.clock.now()) + Duration::from_secs(1);
    if let Some(receipt) = &message.receipt_handle
        && let Err(error) = queue::postpone(&deliverer.app, receipt, wait).await
    {
        tracing::warn!(%error, "a message could not be postponed");
    }
}

/// Deals with one wake-up.
async fn deliver(deliverer: &Deliverer, wakeup: &Wakeup, subjects: &Subjects) -> Result<Done, DeliverError> {
    let key = (wakeup.account.clone(), wakeup.webhook());
    let webhook = subjects.webhooks.get(&key);
    let event = subjects.events.get(&(wakeup.account.clone(), wakeup.delivery.event));
    let stored = subjects.deliveries.get(&(wakeup.account.clone(), wakeup.delivery));
    let stored = stored.cloned().unwrap_or(Versioned::NONE);
    log::attempt(stored.delivery.as_ref().map_or(1, Delivery::next_number));
    match (event, webhook) {
        (None, _) => expire(deliverer, wakeup, webhook).await,
        (Some(event), None) => put_aside(deliverer, wakeup, event, None, stored, DeliveryStatus::Cancelled).await,
        (Some(event), Some(webhook)) if wakeup.is_held_by(webhook) => {
            put_aside(deliverer, wakeup, event, Some(webhook), stored, DeliveryStatus::Held).await
        }
        (Some(event), Some(webhook)) => send(deliverer, wakeup, event, webhook, stored).await,
    }
}

/// Claims the delivery, makes the attempt, records it, and makes sure of what follows.
async fn send(
    deliverer: &Deliverer,
    wakeup: &Wakeup,
    event: &Event,
    webhook: &Webhook,
    mut stored: Versioned,
) -> Result<Done, DeliverError> {
    let app = &deliverer.app;
    if webhook.rate_limit.is_some() {
        // A slot is only for what has an attempt to make: copies of a wake-up would otherwise push one another back for good.
        if stored.delivery.is_none() {
            stored = deliveries::get(app, &wakeup.account, wakeup.delivery).await?;
        }
        if let Some(delivery) = &stored.delivery
            && let Err(refusal) = delivery.admits(wakeup, app.clock.now())
        {
            return refused(deliverer, wakeup, refusal, delivery, Some(webhook)).await;
        }
    }
    if pace::pace(deliverer, wakeup, webhook).await? == pace::Paced::Later {
        return Ok(Done::Drop);
    }
    let claim = Claim { holder: format!("{:032x}", app.random.number()), until: app.clock.now().plus(LEASE) };
    let until = claim.until;
    let decide = |delivery: Delivery, now| delivery.claimed(wakeup, claim.clone(), now);
    let claimed = match decide_and_write(deliverer, wakeup, event, stored, decide).await? {
        Ok(claimed) => claimed,
        Err((refusal, delivery)) => return refused(deliverer, wakeup, refusal, &delivery, Some(webhook)).await,
    };
    let Some(delivery) = claimed.delivery.clone() else { return Err(DeliverError::Contended) };
    let Some(Attempted { attempt, retry_after, ended_at }) = attempt(deliverer, event, webhook, &delivery, until).await
    else {
        return Ok(Done::ComeBack(until));
    };
    let schedule = &app.config.retry_schedule;
    let verdict = delivery.verdict(&wakeup.turn, &attempt, schedule, retry_after, ended_at, app.random.share());
    let mut recorded = delivery;
    recorded.record(&wakeup.turn, attempt.clone(), verdict);
    let next = match recorded.follow_up(wakeup) {
        FollowUp::Wake(_, due) => Some(due),
        FollowUp::Nothing | FollowUp::Disable(_) => None,
    };
    metrics::attempt(&attempt, &recorded, next);
    match deliveries::put(app, &claimed, recorded.clone()).await? {
        Ok(_) => follow(deliverer, wakeup, &recorded, Some(webhook)).await,
        // The lease ran out and another worker took over: what it records is what counts.
        Err(_) => Err(DeliverError::Contended),
    }
}

/// Puts the delivery aside as `status`, unless something else is to be done about it.
async fn put_aside(
    deliverer: &Deliverer,
    wakeup: &Wakeup,
    event: &Event,
    webhook: Option<&Webhook>,
    stored: Versioned,
    status: DeliveryStatus,
) -> Result<Done, DeliverError> {
    let decide = |delivery: Delivery, now| delivery.put_aside(wakeup, status, now);
    match decide_and_write(deliverer, wakeup, event, stored, decide).await? {
        Ok(_) => {
            tracing::info!(status = status.as_str(), "put aside");
            Ok(Done::Drop)
        }
        Err((refusal, delivery)) => refused(deliverer, wakeup, refusal, &delivery, webhook).await,
    }
}

/// Ends a delivery whose event is no longer kept: it has failed, with as many attempts as there were.
async fn expire(deliverer: &Deliverer, wakeup: &Wakeup, webhook: Option<&Webhook>) -> Result<Done, DeliverError> {
    tracing::error!("the event has expired before it could be sent");
    let stored = deliveries::get(&deliverer.app, &wakeup.account, wakeup.delivery).await?;
    let Some(delivery) = stored.delivery.clone() else { return Ok(Done::Drop) };
    match delivery.clone().put_aside(wakeup, DeliveryStatus::Failed, deliverer.app.clock.now()) {
        Ok(failed) => match deliveries::put(&deliverer.app, &stored, failed).await? {
            Ok(_) => Ok(Done::Drop),
            Err(_) => Err(DeliverError::Contended),
        },
        Err(refusal) => refused(deliverer, wakeup, refusal, &delivery, webhook).await,
    }
}

/// Writes what `decide` makes of the delivery, deciding anew where another worker wrote first. Gives the refusal, and the
/// delivery it is about, where `decide` refuses.
async fn decide_and_write(
    deliverer: &Deliverer,
    wakeup: &Wakeup,
    event: &Event,
    mut stored: Versioned,
    decide: impl Fn(Delivery, Timestamp) -> Result<Delivery, Refusal>,
) -> Result<Result<Versioned, (Refusal, Delivery)>, DeliverError> {
    for _ in 0..DECISION_TRIES {
        let present = stored.delivery.clone();
        let present = present.unwrap_or_else(|| Delivery::untouched(wakeup, event.event_type.clone()));
        match decide(present.clone(), deliverer.app.clock.now()) {
            Err(refusal) => return Ok(Err((refusal, present))),
            Ok(decided) => match deliveries::put(&deliverer.app, &stored, decided).await? {
                Ok(written) => return Ok(Ok(written)),
                Err(newer) => stored = newer,
            },
        }
    }
    Err(DeliverError::Contended)
}

/// What a refused wake-up comes to: wait for the other worker, make sure of what follows from a recorded attempt, or end.
async fn refused(
    deliverer: &Deliverer,
    wakeup: &Wakeup,
    refusal: Refusal,
    delivery: &Delivery,
    webhook: Option<&Webhook>,
) -> Result<Done, DeliverError> {
    match refusal {
        Refusal::Leased(until) => Ok(Done::ComeBack(until)),
        Refusal::Attempted => follow(deliverer, wakeup, delivery, webhook).await,
        Refusal::Over => {
            tracing::debug!(status = delivery.status.as_str(), "nothing is left to do");
            Ok(Done::Drop)
        }
    }
}

/// Makes what follows from the wake-up's recorded attempt durable. Doing it twice is harmless.
async fn follow(
    deliverer: &Deliverer,
    wakeup: &Wakeup,
    delivery: &Delivery,
    webhook: Option<&Webhook>,
) -> Result<Done, DeliverError> {
    match (delivery.follow_up(wakeup), webhook) {
        (FollowUp::Wake(next, due), _) => queue::place(&deliverer.app, &next, due).await?,
        (FollowUp::Disable(reason), Some(_)) => disable::disable(&deliverer.app, wakeup, reason).await?,
        (FollowUp::Nothing, _) | (FollowUp::Disable(_), None) => {}
    }
    Ok(Done::Drop)
}
