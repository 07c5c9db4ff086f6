//! Sends deliveries. SQS hands a batch of wake-ups over; each is claimed, signed, posted and recorded on its own and all at
//! once, so a slow endpoint or a panic is one message's trouble and no other's.
//!
//! Invariant: a wake-up is reported as done only after what follows from it is durable: the next wake-up, the disabling, or
//! the record that nothing is left to do. Whatever fails on the way, SQS brings the message again.

mod attempt;
mod disable;
mod pace;
mod slow_endpoints;

use attempt::{Attempted, attempt};
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{FutureExt, future::join_all};
use hookline::{
    app::App,
    delivery::{Claim, Delivery, DeliveryStatus, FollowUp, LEASE, Refusal, Turn, Wakeup},
    endpoint::EndpointClient,
    event::Event,
    log, metrics,
    publishing::{PublishError, status_before_claim},
    queue::{self, GivenBack, QueueError},
    store::{
        StoreError,
        deliveries::{self, Subjects, Versioned},
        event_cache::EventCache,
    },
    time::Timestamp,
    webhook::Webhook,
};
pub use slow_endpoints::SlowEndpoints;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tracing::Instrument;

/// Times that a decision is taken anew because another worker wrote first.
const DECISION_TRIES: usize = 5;

/// The first and the longest wait between two tries to record an attempt.
const RECORD_WAIT_MIN: Duration = Duration::from_millis(100);
const RECORD_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long before the end of its lease a worker gives up recording: clocks differ.
const RECORD_BEFORE_END: Duration = Duration::from_secs(1);

/// The wait, about, before a task comes again whose host has too many requests under way.
const BUSY_HOST_WAIT: Duration = Duration::from_secs(5);

/// What the handler works with.
#[derive(Clone, Debug)]
pub struct Deliverer {
    /// Clients, settings, clock and randomness.
    pub app: App,
    /// The client that posts to receivers.
    pub endpoints: EndpointClient,
    /// Events that were read lately.
    pub events: Arc<EventCache>,
    /// Endpoints that have just timed out.
    pub slow: Arc<SlowEndpoints>,
}

impl Deliverer {
    /// A deliverer that remembers nothing yet.
    pub fn new(app: App, endpoints: EndpointClient) -> Self {
        Self { app, endpoints, events: Arc::default(), slow: Arc::default() }
    }
}

/// A message that must come again, and how long from now.
type Failed<'a> = (&'a SqsMessage, Duration);

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
    let app = &deliverer.app;
    let parsed = event.records.iter().map(|message| (message, parse(message)));
    let (read, unread): (Vec<_>, Vec<_>) = parsed.partition(|(_, wakeup)| wakeup.is_some());
    let messages: Vec<(&SqsMessage, Wakeup)> =
        read.into_iter().filter_map(|(message, wakeup)| Some((message, wakeup?))).collect();
    let later = |message| (message, redelivery_wait(app, message));
    let mut failed: Vec<Failed> = unread.into_iter().map(|(message, _)| later(message)).collect();
    let wakeups: Vec<&Wakeup> = messages.iter().map(|(_, wakeup)| wakeup).collect();
    match deliveries::subjects(app, &wakeups, &deliverer.events).await {
        Ok(subjects) => {
            let handled = messages.iter().map(|(message, wakeup)| handle_one(deliverer, message, wakeup, &subjects));
            failed.extend(join_all(handled).await.into_iter().flatten());
        }
        Err(error) => {
            tracing::error!(%error, messages = messages.len(), "a batch could not be read");
            failed.extend(messages.iter().map(|(message, _)| later(message)));
        }
    }
    give_back(app, &failed).await;
    let failures = failed.into_iter().map(|(message, _)| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message.message_id.clone().unwrap_or_default();
        failure
    });
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures.collect();
    response
}

/// Makes messages that must come again visible after their waits.
async fn give_back(app: &App, failed: &[Failed<'_>]) {
    let slow_queue = app.config.slow_deliveries_queue_url.rsplit('/').next();
    let is_slow = |message: &SqsMessage| {
        let arn = message.event_source_arn.as_deref().unwrap_or_default();
        arn.rsplit(':').next() == slow_queue
    };
    let of_queue = |slow: bool| {
        let messages = failed.iter().filter(|(message, _)| is_slow(message) == slow);
        messages
            .filter_map(|(message, wait)| Some(GivenBack { receipt: message.receipt_handle.clone()?, wait: *wait }))
            .collect::<Vec<_>>()
    };
    queue::give_back(app, &app.config.deliveries_queue_url, &of_queue(false)).await;
    queue::give_back(app, &app.config.slow_deliveries_queue_url, &of_queue(true)).await;
}

/// The wait before a message whose handling failed comes again: it grows with each receipt.
fn redelivery_wait(app: &App, message: &SqsMessage) -> Duration {
    let receives = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
    queue::redelivery_wait(receives.unwrap_or(1), app.random.share())
}

/// Reads a message. One that is no wake-up is left to SQS, which ends it in the dead-letter queue, where an alarm tells.
fn parse(message: &SqsMessage) -> Option<Wakeup> {
    let parsed = serde_json::from_str(message.body.as_deref().unwrap_or_default());
    parsed.inspect_err(|error| tracing::error!(message_id = message.message_id, %error, "a message is no wake-up")).ok()
}

/// Handles one message; returns it where it must come again.
async fn handle_one<'a>(
    deliverer: &Deliverer,
    message: &'a SqsMessage,
    wakeup: &Wakeup,
    subjects: &Subjects,
) -> Option<Failed<'a>> {
    let span = log::delivery(wakeup);
    let handled = AssertUnwindSafe(deliver(deliverer, wakeup, subjects)).catch_unwind().instrument(span.clone()).await;
    let _entered = span.enter();
    match handled {
        Ok(Ok(Done::Drop)) => return None,
        Ok(Ok(Done::ComeBack(at))) => {
            tracing::info!(%at, "another worker holds the delivery");
            return Some((message, at.since(deliverer.app.clock.now()) + Duration::from_secs(1)));
        }
        Ok(Err(error)) => tracing::error!(%error, "a wake-up could not be dealt with"),
        Err(_) => tracing::error!("a wake-up's handling panicked"),
    }
    Some((message, redelivery_wait(&deliverer.app, message)))
}

/// Deals with one wake-up.
async fn deliver(deliverer: &Deliverer, wakeup: &Wakeup, subjects: &Subjects) -> Result<Done, DeliverError> {
    let key = (wakeup.account.clone(), wakeup.webhook());
    let webhook = subjects.webhooks.get(&key);
    let event = subjects.events.get(&(wakeup.account.clone(), wakeup.delivery.event));
    let stored = subjects.deliveries.get(&(wakeup.account.clone(), wakeup.delivery));
    let stored = stored.cloned().unwrap_or(Versioned::NONE);
    log::attempt(stored.delivery.as_ref().map_or(1, Delivery::next_number));
    let recovered = webhook.and_then(|webhook| wakeup.recovered(webhook));
    let wakeup = recovered.as_ref().unwrap_or(wakeup);
    match (event, webhook) {
        (None, _) => expire(deliverer, wakeup, webhook).await,
        (Some(event), None) => put_aside(deliverer, wakeup, event, None, stored, DeliveryStatus::Cancelled).await,
        (Some(event), Some(webhook)) if wakeup.is_held_by(webhook) => {
            put_aside(deliverer, wakeup, event, Some(webhook), stored, DeliveryStatus::Held).await
        }
        (Some(_), Some(_)) if !wakeup.slow && deliverer.slow.contains(wakeup.webhook(), deliverer.app.clock.now()) => {
            tracing::info!("moved to the queue for slow endpoints");
            queue::send_routed(&deliverer.app, &Wakeup { slow: true, ..wakeup.clone() }, Duration::ZERO).await?;
            Ok(Done::Drop)
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
    let Some(admitted) = deliverer.endpoints.admit(&webhook.url).await else {
        return stand_aside(deliverer, wakeup).await;
    };
    if pace::pace(deliverer, wakeup, webhook).await? == pace::Paced::Later {
        return Ok(Done::Drop);
    }
    let claim = Claim { holder: format!("{:032x}", app.random.number()), until: app.clock.now().plus(LEASE) };
    let until = claim.until;
    if stored.delivery.is_none() && matches!(wakeup.turn, Turn::Manual { .. }) {
        // A retry by hand begins no run of the schedule: what was held stays so if it fails, and is recovered later.
        stored.delivery = Some(before_first_attempt(wakeup, event, webhook));
    }
    let decide = |delivery: Delivery, now| delivery.claimed(wakeup, claim.clone(), now);
    let claimed = match decide_and_write(deliverer, wakeup, event, stored, decide).await? {
        Ok(claimed) => claimed,
        Err((refusal, delivery)) => return refused(deliverer, wakeup, refusal, &delivery, Some(webhook)).await,
    };
    let Some(delivery) = claimed.delivery.clone() else { return Err(DeliverError::Contended) };
    let Some(Attempted { attempt, retry_after, ended_at }) =
        attempt(deliverer, admitted, event, webhook, &delivery, until).await
    else {
        return Ok(Done::ComeBack(until));
    };
    deliverer.slow.note(wakeup.webhook(), &attempt, ended_at);
    let schedule = &app.config.retry_schedule;
    let verdict = delivery.verdict(&wakeup.turn, &attempt, schedule, retry_after, ended_at, app.random.share());
    let mut recorded = delivery;
    recorded.record(&wakeup.turn, attempt.clone(), verdict);
    let next = match recorded.follow_up(wakeup) {
        FollowUp::Wake(_, due) => Some(due),
        FollowUp::Nothing | FollowUp::Disable(_) => None,
    };
    metrics::attempt(&attempt, &recorded, next);
    record(deliverer, &claimed, &recorded, until).await?;
    follow(deliverer, wakeup, &recorded, Some(webhook)).await
}

/// Puts the task back on the queue for slow endpoints, since too many requests to its host are under way. A new message, not the
/// same one again: waiting for others is no failure, and is not to end in the dead-letter queue.
async fn stand_aside(deliverer: &Deliverer, wakeup: &Wakeup) -> Result<Done, DeliverError> {
    tracing::info!("too many requests to the host are under way");
    let wait = BUSY_HOST_WAIT.mul_f64(0.5 + deliverer.app.random.share());
    queue::send_routed(&deliverer.app, &Wakeup { slow: true, ..wakeup.clone() }, wait).await?;
    Ok(Done::Drop)
}

/// The delivery as it stands while nothing was attempted and nothing is stored.
fn before_first_attempt(wakeup: &Wakeup, event: &Event, webhook: &Webhook) -> Delivery {
    let status = status_before_claim(webhook, &event.into()).unwrap_or(DeliveryStatus::Held);
    Delivery { status, ..Delivery::untouched(wakeup, event.event_type.clone()) }
}

/// Records the attempt, again where that fails until the lease is nearly over: what is not recorded is attempted once more.
async fn record(
    deliverer: &Deliverer,
    claimed: &Versioned,
    recorded: &Delivery,
    until: Timestamp,
) -> Result<(), DeliverError> {
    let app = &deliverer.app;
    let mut wait = RECORD_WAIT_MIN;
    loop {
        let left = until.since(app.clock.now()).saturating_sub(RECORD_BEFORE_END);
        let put = tokio::time::timeout(left, deliveries::put(app, claimed, recorded.clone())).await;
        match put {
            Ok(Ok(Ok(_))) => return Ok(()),
            // An earlier try took effect although its answer was an error.
            Ok(Ok(Err(present))) if present.delivery.as_ref() == Some(recorded) => return Ok(()),
            // The lease ran out and another worker took over: what it records is what counts.
            Ok(Ok(Err(_))) | Err(_) => return Err(DeliverError::Contended),
            Ok(Err(error)) if left <= wait => return Err(error.into()),
            Ok(Err(error)) => tracing::warn!(%error, "an attempt could not be recorded; trying again"),
        }
        tokio::time::sleep(wait.mul_f64(1.0 - app.random.share() / 2.0)).await;
        wait = (wait * 2).min(RECORD_WAIT_MAX);
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
