//! One task: load, decide, write the lease, POST, derive the outcome, write it, follow up.

use crate::{
    DeliverError, Deliverer,
    attempt::attempt,
    cost::{Made, MadeSlot},
    rate_limit,
};
use application::{disabling, operational, trials};
use batch::Disposition;
use domain::{
    delivery::{
        Decision, Delivery, DeliveryStatus, FollowUp, Lease, Ready, Subject, Task, Trigger, lease_for,
        unattempted_status,
    },
    event::Event,
    id::EventId,
    time::Timestamp,
    webhook::{TrialStep, Webhook},
};
use endpoint::Admitted;
use std::time::Duration;
use store::{
    deliveries::{self, Put, Versioned},
    subjects::Subjects,
    tasks,
};
use telemetry::{log, metrics::AttemptLine};

/// The most tries of a decision. A try fails if another worker writes first.
const DECISION_TRIES: usize = 5;

/// The first and the longest wait between two tries to record an attempt.
const RECORD_WAIT_MIN: Duration = Duration::from_millis(100);
const RECORD_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long before the end of its lease a worker stops trying to record, because clocks differ.
const RECORD_BEFORE_END: Duration = Duration::from_secs(1);

/// How long after the end of another worker's lease a task is received again.
const AFTER_LEASE: Duration = Duration::from_secs(1);
/// The average wait of a task whose endpoint has too many requests under way.
const BUSY_ENDPOINT_WAIT: Duration = Duration::from_secs(5);

/// Handles one task. The attempt that it makes is left in `made`.
pub(crate) async fn handle(
    deliverer: &Deliverer,
    task: &Task,
    subjects: &Subjects,
    made: &MadeSlot,
) -> Result<Disposition, DeliverError> {
    let (work, stored) = Work::load(deliverer, task, subjects, made).await?;
    if work.is_prepared(&stored) { work.run(stored).await } else { work.prepare_trial(None).await }
}

/// A task and what it is about.
struct Work<'a> {
    deliverer: &'a Deliverer,
    task: Task,
    /// `None` if the event's retention has ended.
    event: Option<&'a Event>,
    /// `None` if the webhook was deleted.
    webhook: Option<&'a Webhook>,
    /// Whether the event passes the webhook's filter. A test passes every filter.
    passes_filter: bool,
    made: &'a MadeSlot,
}

/// A delivery whose lease this worker holds.
struct Leased {
    delivery: Delivery,
    version: Versioned,
    until: Timestamp,
}

/// What the write of the lease came to.
enum Acquired {
    Leased(Box<Leased>),
    /// Another worker wrote first; this is what it wrote.
    Conflict(Versioned),
}

/// Whether the request to the receiver may be made now.
enum Prepared<'a> {
    Admitted(Admitted<'a>),
    /// The task is on a queue again.
    Requeued,
}

impl<'a> Work<'a> {
    /// Finds what the task is about in what was read for its batch. Returns it with the stored delivery.
    async fn load(
        deliverer: &'a Deliverer,
        task: &Task,
        subjects: &'a Subjects,
        made: &'a MadeSlot,
    ) -> Result<(Self, Versioned), DeliverError> {
        let webhook = subjects.webhooks.get(&(task.account.clone(), task.webhook()));
        let event = subjects.events.get(&(task.account.clone(), task.delivery.event));
        if let Some(trace) = event.and_then(|event| event.trace.as_ref()) {
            log::trace(trace);
        }
        let stored = subjects.deliveries.get(&(task.account.clone(), task.delivery)).cloned();
        let mut stored = stored.unwrap_or(Versioned::NONE);
        log::attempt(stored.delivery.as_ref().map_or(1, Delivery::next_number));
        // `subjects::load` skips the delivery of a first attempt, because the write of the lease shows whether there is one. Read it
        // here if that would be too late: for an expired event; for one that the filter excludes, or what follows from a recorded
        // attempt could be lost; and for a rate limit, or repeated tasks would reserve permits.
        let is_rate_limited = webhook.is_some_and(|webhook| webhook.rate_limit.is_some());
        let passes_filter = task.trigger == Trigger::Test || passes_filter(deliverer, event, webhook);
        if task.trigger == Trigger::FIRST && (event.is_none() || is_rate_limited || !passes_filter) {
            stored = deliveries::get(&deliverer.app.store, &task.account, task.delivery).await?;
        }
        let recovered = webhook.zip(event).and_then(|(webhook, event)| task.recovered(webhook, &event.event_type));
        let task = recovered.unwrap_or_else(|| task.clone());
        Ok((Self { deliverer, task, event, webhook, passes_filter, made }, stored))
    }

    /// Whether the delivery of the task is to be attempted or followed up. That of a trial is not before its event is chosen.
    fn is_prepared(&self, stored: &Versioned) -> bool {
        let Trigger::Trial { epoch, number } = self.task.trigger else { return true };
        let is_recorded = |delivery: &Delivery| delivery.attempts.contains_key(&self.task.trigger);
        let step = self.webhook.map(|webhook| webhook.trial_step(epoch, number, self.deliverer.app.clock.now()));
        stored.delivery.as_ref().is_some_and(is_recorded) || step == Some(TrialStep::Attempt(self.task.delivery.event))
    }

    /// Chooses the event of a trial, but for `refused`, whose delivery cannot be sent, and enqueues the task for it.
    async fn prepare_trial(&self, refused: Option<EventId>) -> Result<Disposition, DeliverError> {
        Box::pin(trials::prepare(&self.deliverer.app, &self.task, refused)).await?;
        Ok(Disposition::Delete)
    }

    /// Decides what to do and does it. Decides again if another worker has written first.
    async fn run(&self, mut stored: Versioned) -> Result<Disposition, DeliverError> {
        let mut admission = None;
        for _ in 0..DECISION_TRIES {
            let Some(delivery) = self.present(&stored) else {
                if self.is_trial() {
                    return self.prepare_trial(Some(self.task.delivery.event)).await;
                }
                tracing::error!("the event has expired before its first attempt");
                return Ok(Disposition::Delete);
            };
            let subject = self.subject(&stored);
            stored = match delivery.decide(&self.task, subject, self.deliverer.app.clock.now()) {
                Decision::Attempt(ready) => {
                    let admitted = match admission.take() {
                        Some(admitted) => admitted,
                        None => match self.prepare(ready).await? {
                            Prepared::Admitted(admitted) => admitted,
                            Prepared::Requeued => return Ok(Disposition::Delete),
                        },
                    };
                    match self.acquire_lease(ready.webhook, delivery, &stored).await? {
                        Acquired::Leased(leased) => return self.attempt(admitted, ready, *leased).await,
                        Acquired::Conflict(newer) => {
                            admission = Some(admitted);
                            newer
                        }
                    }
                }
                Decision::End(status) => match self.end(delivery, &stored, status).await? {
                    Put::Written(_) => return Ok(Disposition::Delete),
                    Put::Conflict(newer) => newer,
                },
                Decision::Wait(until) => return Ok(self.wait_for_lease(until)),
                Decision::FollowUp => return self.follow_up(&delivery).await,
                Decision::Nothing if self.is_trial() => {
                    return self.prepare_trial(Some(self.task.delivery.event)).await;
                }
                Decision::Nothing => {
                    tracing::debug!(status = delivery.status.as_str(), "nothing is left to do");
                    return Ok(Disposition::Delete);
                }
            };
        }
        Err(DeliverError::Contended)
    }

    fn is_trial(&self) -> bool {
        matches!(self.task.trigger, Trigger::Trial { .. })
    }

    fn subject(&self, stored: &Versioned) -> Subject<'a> {
        match (self.event, self.webhook) {
            (None, _) => Subject::Expired,
            (Some(_), None) => Subject::Deleted,
            (Some(_), Some(_)) if stored.delivery.is_none() && !self.passes_filter => Subject::FilteredOut,
            (Some(event), Some(webhook)) => Subject::of(event, webhook),
        }
    }

    /// Returns the delivery as it is now, or `None` if its event expired and nothing was ever attempted.
    fn present(&self, stored: &Versioned) -> Option<Delivery> {
        if let Some(delivery) = &stored.delivery {
            return Some(delivery.clone());
        }
        let event = self.event?;
        let delivery = Delivery::new(&self.task, event.event_type.clone());
        Some(match self.webhook {
            // A manual retry or a trial begins no run of the schedule: a held delivery stays held if it fails.
            Some(webhook) if matches!(self.task.trigger, Trigger::Manual { .. } | Trigger::Trial { .. }) => {
                let status =
                    unattempted_status(webhook, &event.into(), self.passes_filter).unwrap_or(DeliveryStatus::Held);
                Delivery { status, ..delivery }
            }
            _ => delivery,
        })
    }

    /// Writes the lease. For a first attempt, this write also creates the delivery.
    async fn acquire_lease(
        &self,
        webhook: &Webhook,
        delivery: Delivery,
        stored: &Versioned,
    ) -> Result<Acquired, DeliverError> {
        let app = &self.deliverer.app;
        let until = app.clock.now().plus(lease_for(webhook.options.attempt_timeout()));
        let lease = Lease { holder: format!("{:032x}", app.random.number()), until };
        let trace = self.event.and_then(|event| event.trace.clone()).map(Box::new);
        let delivery = Delivery { trace, ..delivery.leased(&self.task, lease) };
        Ok(match deliveries::put(&app.store, stored, delivery.clone()).await? {
            Put::Written(version) => Acquired::Leased(Box::new(Leased { delivery, version, until })),
            Put::Conflict(newer) => Acquired::Conflict(newer),
        })
    }

    /// Ends the delivery without an attempt.
    async fn end(&self, delivery: Delivery, stored: &Versioned, status: DeliveryStatus) -> Result<Put, DeliverError> {
        if status == DeliveryStatus::Failed {
            tracing::error!("the event has expired before it could be sent");
        } else {
            tracing::info!(status = status.as_str(), "ended without an attempt");
        }
        Ok(deliveries::put(&self.deliverer.app.store, stored, delivery.ended(&self.task, status)).await?)
    }

    fn wait_for_lease(&self, until: Timestamp) -> Disposition {
        tracing::info!(%until, "the task returns after the lease");
        Disposition::ReturnAfter(until.since(self.deliverer.app.clock.now()) + AFTER_LEASE)
    }

    /// Waits until the request may be made: the endpoint has room for one more request, and the webhook's rate limit permits
    /// it. A task that cannot wait here, or whose endpoint is slow, is requeued.
    async fn prepare(&self, Ready { webhook, url, .. }: Ready<'a>) -> Result<Prepared<'a>, DeliverError> {
        let Deliverer { app, endpoints, slow, .. } = self.deliverer;
        if !self.task.slow && slow.contains(webhook.id, app.clock.now()) {
            tracing::info!("moved to the queue for slow endpoints");
            self.enqueue_slow(Duration::ZERO).await?;
            return Ok(Prepared::Requeued);
        }
        let Some(admitted) = endpoints.admit(url).await else {
            tracing::info!("too many requests to the endpoint are under way");
            self.enqueue_slow(BUSY_ENDPOINT_WAIT.mul_f64(0.5 + app.random.share())).await?;
            return Ok(Prepared::Requeued);
        };
        match rate_limit::wait_for_permit(self.deliverer, &self.task, webhook).await? {
            rate_limit::Permit::Granted => Ok(Prepared::Admitted(admitted)),
            rate_limit::Permit::Requeued => Ok(Prepared::Requeued),
        }
    }

    /// Puts the task on the queue for slow endpoints, as a new message. To wait for others is no failure, and must not lead to
    /// the dead-letter queue.
    async fn enqueue_slow(&self, wait: Duration) -> Result<(), DeliverError> {
        let task = Task { slow: true, ..self.task.clone() };
        Ok(tasks::enqueue_routed(&self.deliverer.app.queues, &task, wait).await?)
    }

    /// Makes the attempt, records it, and makes sure of what follows.
    async fn attempt(
        &self,
        admitted: Admitted<'_>,
        ready: Ready<'_>,
        leased: Leased,
    ) -> Result<Disposition, DeliverError> {
        let Deliverer { app, slow, .. } = self.deliverer;
        let number = leased.delivery.next_number();
        let until = leased.until;
        let Some(attempted) = attempt(self.deliverer, &admitted, ready, number, until).await else {
            return Ok(self.wait_for_lease(until));
        };
        let bytes_sent = admitted.bytes_sent();
        drop(admitted); // makes room for another request
        slow.note(self.task.webhook(), &attempted.attempt, attempted.ended_at);
        let jitter = app.random.share();
        let schedule = ready.webhook.options.retry_schedule(&app.retry_schedule);
        let derive = |leased: &Delivery| {
            let outcome = leased.outcome(&self.task.trigger, &attempted, schedule, jitter);
            leased.clone().recorded(&self.task.trigger, attempted.attempt.clone(), outcome)
        };
        let recorded = derive(&leased.delivery);
        let next = match recorded.follow_up(&self.task) {
            FollowUp::Next(_, due) => Some(due),
            FollowUp::Nothing | FollowUp::Disable(_) | FollowUp::EndTrial(_) => None,
        };
        let is_delivered = |delivery: &Delivery| delivery.status == DeliveryStatus::Delivered;
        let line = AttemptLine {
            attempt: attempted.attempt.clone(),
            is_first: self.task.trigger == Trigger::FIRST && number == 1,
            has_delivered: is_delivered(&recorded) && !is_delivered(&leased.delivery) && !recorded.is_test(),
            delivery: recorded,
            next,
        };
        self.made.set(Made { line, bytes_sent }).expect("a task is attempted once");
        let recorded = self.record(leased, derive).await?;
        self.follow_up(&recorded).await
    }

    /// Records the attempt, and returns the delivery with it. `derive` makes that of the leased delivery. It tries again until
    /// the lease is nearly over, because an attempt that is not recorded is made again.
    async fn record(&self, leased: Leased, derive: impl Fn(&Delivery) -> Delivery) -> Result<Delivery, DeliverError> {
        let app = &self.deliverer.app;
        let Leased { mut delivery, mut version, until } = leased;
        let mut wait = RECORD_WAIT_MIN;
        loop {
            let recorded = derive(&delivery);
            let left = until.since(app.clock.now()).saturating_sub(RECORD_BEFORE_END);
            match tokio::time::timeout(left, deliveries::put(&app.store, &version, recorded.clone())).await {
                Ok(Ok(Put::Written(_))) => return Ok(recorded),
                Ok(Ok(Put::Conflict(present))) => match &present.delivery {
                    // An earlier try took effect although it returned an error.
                    Some(stored) if *stored == recorded => return Ok(recorded),
                    // A user has cancelled the delivery: it still has this worker's lease, and the attempt counts.
                    Some(stored) if stored.lease == delivery.lease => {
                        tracing::info!("the delivery was cancelled during the attempt");
                        delivery = stored.clone();
                        version = present;
                        continue;
                    }
                    // The lease ended and another worker acquired it: its record counts.
                    _ => return Err(DeliverError::LeaseEnded),
                },
                Err(_) => return Err(DeliverError::LeaseEnded),
                Ok(Err(error)) if left <= wait => return Err(error.into()),
                Ok(Err(error)) => tracing::warn!(%error, "an attempt could not be recorded; trying again"),
            }
            tokio::time::sleep(wait.mul_f64(1.0 - app.random.share() / 2.0)).await;
            wait = (wait * 2).min(RECORD_WAIT_MAX);
        }
    }

    /// Makes what follows from the recorded attempt of `delivery` durable. Repeating it is harmless.
    ///
    /// Like [`Self::prepare_trial`], it boxes what is rare and large, so that it takes no room in the future of every attempt.
    async fn follow_up(&self, delivery: &Delivery) -> Result<Disposition, DeliverError> {
        let app = &self.deliverer.app;
        if let Some(webhook) = self.webhook {
            self.report(webhook, delivery).await?;
        }
        match (delivery.follow_up(&self.task), self.webhook) {
            (FollowUp::Next(next, due), _) => tasks::schedule(&app.queues, &next, due).await?,
            (FollowUp::Disable(reason), Some(_)) => {
                Box::pin(disabling::disable(app, &self.task, delivery, reason)).await?;
            }
            (FollowUp::EndTrial(outcome), _) => Box::pin(trials::end(app, &self.task, outcome)).await?,
            (FollowUp::Nothing, _) | (FollowUp::Disable(_), None) => {}
        }
        Ok(Disposition::Delete)
    }

    /// Reports what the recorded attempt says about the webhook and the delivery.
    async fn report(&self, webhook: &Webhook, delivery: &Delivery) -> Result<(), DeliverError> {
        let (app, task) = (&self.deliverer.app, &self.task);
        if task.trigger != Trigger::Test && delivery.status == DeliveryStatus::Delivered {
            operational::note_success(app, webhook).await?;
        }
        operational::report_failing(app, webhook, task, delivery).await?;
        Ok(operational::report_failed(app, webhook, task, delivery).await?)
    }
}

/// Whether the event passes the webhook's filter. What is missing excludes nothing.
fn passes_filter(deliverer: &Deliverer, event: Option<&Event>, webhook: Option<&Webhook>) -> bool {
    let matcher = deliverer.app.filters.matcher(event.map(|event| &event.payload));
    webhook.is_none_or(|webhook| matcher.passes(webhook))
}
