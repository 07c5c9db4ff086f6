//! One task: load, decide, write the lease, POST, derive the outcome, write it, follow up.

use crate::{DeliverError, Deliverer, attempt::attempt, rate_limit};
use application::disabling;
use batch::Disposition;
use domain::{
    delivery::{
        Attempted, Decision, Delivery, DeliveryStatus, FollowUp, LEASE, Lease, Ready, Subject, Task, Trigger,
        unattempted_status,
    },
    event::Event,
    time::Timestamp,
    webhook::Webhook,
};
use endpoint::Admitted;
use std::time::Duration;
use store::{
    deliveries::{self, Put, Versioned},
    subjects::Subjects,
    tasks,
};
use telemetry::{log, metrics};

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

/// Handles one task.
pub(crate) async fn handle(
    deliverer: &Deliverer,
    task: &Task,
    subjects: &Subjects,
) -> Result<Disposition, DeliverError> {
    let (work, stored) = Work::load(deliverer, task, subjects).await?;
    work.run(stored).await
}

/// A task and what it is about.
struct Work<'a> {
    deliverer: &'a Deliverer,
    task: Task,
    /// `None` if the event's retention has ended.
    event: Option<&'a Event>,
    /// `None` if the webhook was deleted.
    webhook: Option<&'a Webhook>,
}

/// A delivery whose lease this worker holds.
struct Leased {
    delivery: Delivery,
    version: Versioned,
    until: Timestamp,
}

/// What the write of the lease came to.
enum Acquired {
    Leased(Leased),
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
    ) -> Result<(Self, Versioned), DeliverError> {
        let webhook = subjects.webhooks.get(&(task.account.clone(), task.webhook()));
        let event = subjects.events.get(&(task.account.clone(), task.delivery.event));
        let stored = subjects.deliveries.get(&(task.account.clone(), task.delivery)).cloned();
        let mut stored = stored.unwrap_or(Versioned::NONE);
        log::attempt(stored.delivery.as_ref().map_or(1, Delivery::next_number));
        // `subjects::load` skips the delivery of a first attempt, because the write of the lease shows whether there is one. Read it
        // here if that would be too late: for an expired event, and for a rate limit, or repeated tasks would reserve permits.
        let is_rate_limited = webhook.is_some_and(|webhook| webhook.rate_limit.is_some());
        if task.trigger == Trigger::FIRST && (event.is_none() || is_rate_limited) {
            stored = deliveries::get(&deliverer.app.store, &task.account, task.delivery).await?;
        }
        let recovered = webhook.and_then(|webhook| task.recovered(webhook));
        let task = recovered.unwrap_or_else(|| task.clone());
        Ok((Self { deliverer, task, event, webhook }, stored))
    }

    /// Decides what to do and does it. Decides again if another worker has written first.
    async fn run(&self, mut stored: Versioned) -> Result<Disposition, DeliverError> {
        let mut admission = None;
        for _ in 0..DECISION_TRIES {
            let Some(delivery) = self.present(&stored) else {
                tracing::error!("the event has expired before its first attempt");
                return Ok(Disposition::Delete);
            };
            stored = match delivery.decide(&self.task, self.subject(), self.deliverer.app.clock.now()) {
                Decision::Attempt(ready) => {
                    let admitted = match admission.take() {
                        Some(admitted) => admitted,
                        None => match self.prepare(ready.webhook).await? {
                            Prepared::Admitted(admitted) => admitted,
                            Prepared::Requeued => return Ok(Disposition::Delete),
                        },
                    };
                    match self.acquire_lease(delivery, &stored).await? {
                        Acquired::Leased(leased) => return self.attempt(admitted, ready, leased).await,
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
                Decision::FollowUp => return self.follow_up(delivery.follow_up(&self.task)).await,
                Decision::Nothing => {
                    tracing::debug!(status = delivery.status.as_str(), "nothing is left to do");
                    return Ok(Disposition::Delete);
                }
            };
        }
        Err(DeliverError::Contended)
    }

    fn subject(&self) -> Subject<'a> {
        match (self.event, self.webhook) {
            (None, _) => Subject::Expired,
            (Some(_), None) => Subject::Deleted,
            (Some(event), Some(webhook)) => Subject::Ready(Ready { event, webhook }),
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
            // A manual retry begins no run of the schedule: a held delivery stays held if it fails.
            Some(webhook) if matches!(self.task.trigger, Trigger::Manual { .. }) => {
                let status = unattempted_status(webhook, &event.into()).unwrap_or(DeliveryStatus::Held);
                Delivery { status, ..delivery }
            }
            _ => delivery,
        })
    }

    /// Writes the lease. For a first attempt, this write also creates the delivery.
    async fn acquire_lease(&self, delivery: Delivery, stored: &Versioned) -> Result<Acquired, DeliverError> {
        let app = &self.deliverer.app;
        let until = app.clock.now().plus(LEASE);
        let lease = Lease { holder: format!("{:032x}", app.random.number()), until };
        let delivery = delivery.leased(&self.task, lease);
        Ok(match deliveries::put(&app.store, stored, delivery.clone()).await? {
            Put::Written(version) => Acquired::Leased(Leased { delivery, version, until }),
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
        Ok(deliveries::put(&self.deliverer.app.store, stored, delivery.ended(status)).await?)
    }

    fn wait_for_lease(&self, until: Timestamp) -> Disposition {
        tracing::info!(%until, "the task returns after the lease");
        Disposition::ReturnAfter(until.since(self.deliverer.app.clock.now()) + AFTER_LEASE)
    }

    /// Waits until the request may be made: the endpoint has room for one more request, and the webhook's rate limit permits
    /// it. A task that cannot wait here, or whose endpoint is slow, is requeued.
    async fn prepare(&self, webhook: &'a Webhook) -> Result<Prepared<'a>, DeliverError> {
        let Deliverer { app, endpoints, slow, .. } = self.deliverer;
        if !self.task.slow && slow.contains(webhook.id, app.clock.now()) {
            tracing::info!("moved to the queue for slow endpoints");
            self.enqueue_slow(Duration::ZERO).await?;
            return Ok(Prepared::Requeued);
        }
        let Some(admitted) = endpoints.admit(&webhook.url).await else {
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
        let Leased { delivery, version, until } = leased;
        let Some(attempted) = attempt(self.deliverer, admitted, ready, delivery.next_number(), until).await else {
            return Ok(self.wait_for_lease(until));
        };
        slow.note(self.task.webhook(), &attempted.attempt, attempted.ended_at);
        let jitter = app.random.share();
        let outcome = delivery.outcome(&self.task.trigger, &attempted, &app.retry_schedule, jitter);
        let Attempted { attempt, .. } = attempted;
        let recorded = delivery.recorded(&self.task.trigger, attempt.clone(), outcome);
        let follow_up = recorded.follow_up(&self.task);
        let next = match follow_up {
            FollowUp::Next(_, due) => Some(due),
            FollowUp::Nothing | FollowUp::Disable(_) => None,
        };
        metrics::attempt(&attempt, &recorded, next);
        self.record(&version, &recorded, until).await?;
        self.follow_up(follow_up).await
    }

    /// Records the attempt. It tries again until the lease is nearly over, because an attempt that is not recorded is made
    /// again.
    async fn record(&self, version: &Versioned, recorded: &Delivery, until: Timestamp) -> Result<(), DeliverError> {
        let app = &self.deliverer.app;
        let mut wait = RECORD_WAIT_MIN;
        loop {
            let left = until.since(app.clock.now()).saturating_sub(RECORD_BEFORE_END);
            match tokio::time::timeout(left, deliveries::put(&app.store, version, recorded.clone())).await {
                Ok(Ok(Put::Written(_))) => return Ok(()),
                // An earlier try took effect although it returned an error.
                Ok(Ok(Put::Conflict(present))) if present.delivery.as_ref() == Some(recorded) => return Ok(()),
                // The lease ended and another worker acquired it: its record counts.
                Ok(Ok(Put::Conflict(_))) | Err(_) => return Err(DeliverError::LeaseEnded),
                Ok(Err(error)) if left <= wait => return Err(error.into()),
                Ok(Err(error)) => tracing::warn!(%error, "an attempt could not be recorded; trying again"),
            }
            tokio::time::sleep(wait.mul_f64(1.0 - app.random.share() / 2.0)).await;
            wait = (wait * 2).min(RECORD_WAIT_MAX);
        }
    }

    /// Makes what follows from the recorded attempt durable. Repeating it is harmless.
    async fn follow_up(&self, follow_up: FollowUp) -> Result<Disposition, DeliverError> {
        let app = &self.deliverer.app;
        match follow_up {
            FollowUp::Next(next, due) => tasks::schedule(&app.queues, &next, due).await?,
            FollowUp::Disable(reason) if self.webhook.is_some() => disabling::disable(app, &self.task, reason).await?,
            FollowUp::Nothing | FollowUp::Disable(_) => {}
        }
        Ok(Disposition::Delete)
    }
}
