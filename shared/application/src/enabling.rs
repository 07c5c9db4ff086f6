//! The recovery that enabling a webhook begins.
//!
//! Invariant: a webhook that is enabled with a recovery of what is held keeps this recovery until its job is enqueued. A worker
//! that dies in between loses nothing, even if its user does not ask again: a job that was enqueued before the webhook was
//! enabled looks after it.

use crate::{App, Error, recovery::PACE};
use domain::{
    account::AccountId,
    id::{RecoveryId, WebhookId},
    job::{FinishEnabling, Job, Recover},
    recovery::Recovery,
    time::Timestamp,
    webhook::{HeldRecovery, Webhook},
};
use std::time::Duration;
use store::{StoreError, jobs, recoveries, webhooks};

/// When the job that finishes an enabling arrives. The request that enables the webhook has ended by then: the function's
/// timeout is 25 s.
const FINISH_AFTER: Duration = Duration::from_secs(60);

/// Enqueues the job that finishes the enabling of `webhook`, before the webhook is enabled. It does nothing if that fails.
pub async fn prepare(app: &App, webhook: &Webhook) -> Result<(), Error> {
    let job = FinishEnabling { account: webhook.account.clone(), webhook: webhook.id };
    Ok(jobs::enqueue_later(&app.queues, &webhook.account, &Job::FinishEnabling(job), FINISH_AFTER).await?)
}

/// Makes sure that the recovery of what was held when the webhook was enabled has its job. It sets no mark, because the function
/// that calls it may not write webhooks.
pub async fn finish(app: &App, account: &AccountId, webhook: WebhookId) -> Result<(), Error> {
    let webhook = webhooks::get(&app.store, account, webhook).await?;
    let unenqueued = webhook.and_then(|webhook| Some((webhook.unenqueued_recovery()?, webhook)));
    match unenqueued {
        Some((recovery, webhook)) => enqueue(app, &webhook, recovery).await.map(|_| ()),
        None => Ok(()),
    }
}

/// Enqueues the job of the recovery of what was held when `webhook` was enabled, unless that is done, and marks it as enqueued.
/// Returns the recovery's id.
///
/// The webhook is enabled before, because a job that finds it disabled stops.
pub async fn recover_held(app: &App, webhook: &Webhook) -> Result<Option<RecoveryId>, Error> {
    let Some(held) = webhook.unenqueued_recovery() else { return Ok(None) };
    let (id, job) = enqueue(app, webhook, held).await?;
    // A job that is faster stores the record itself.
    recoveries::create(&app.store, &webhook.account, &Recovery::begun_by(id, &job)).await?;
    let mark = |webhook: &mut Webhook| -> Result<(), StoreError> {
        webhook.mark_enqueued(held.window.run);
        Ok(())
    };
    webhooks::change(&app.store, &webhook.account, webhook.id, mark).await?;
    Ok(Some(id))
}

/// Enqueues the job of the recovery, and returns it with the recovery's id. Repeating it is harmless: all its jobs begin the
/// same run and have the same record.
async fn enqueue(app: &App, webhook: &Webhook, held: HeldRecovery) -> Result<(RecoveryId, Recover), Error> {
    let HeldRecovery { window, paced, .. } = held;
    let began_at = Timestamp::from_unix_ms(window.run);
    let id = RecoveryId::derived(began_at, webhook.id.to_string().as_bytes());
    // A rate limit paces its webhook already.
    let pace = Some(PACE).filter(|_| paced && webhook.rate_limit.is_none());
    let job = Recover { id: Some(id), held_only: true, pace, ..Recover::of_window(webhook, window) };
    jobs::enqueue(&app.queues, &webhook.account, &Job::Recover(job.clone())).await?;
    Ok((id, job))
}
