//! The signature debugger: reads what the account has that may explain a request's signatures, and judges them.

use crate::{App, portal};
use domain::{
    account::AccountId,
    diagnosis::{Diagnosis, DiagnosisRequest, Evidence, diagnose},
    id::{EventId, WebhookId},
    page::Order,
    webhook::Webhook,
};
use std::time::Duration;
use store::{
    StoreError,
    account_limits::{self, Limited, Permit, Rate},
    deliveries, webhooks,
};

/// The most webhooks whose secrets are tried: the newest of the account, and the one that was asked for.
pub const WEBHOOKS_MAX: usize = 100;

/// How often an account may ask for a diagnosis. Each takes up to some 100 ms of the function's time.
pub const RATE: Rate = Rate { per_second: 10, burst: Duration::from_secs(6) };

/// Why there is no diagnosis.
#[derive(Debug, thiserror::Error)]
pub enum DiagnosisError {
    /// The account has no such webhook.
    #[error("there is no such webhook")]
    NoWebhook,
    /// The account asks too often.
    #[error("the account asks too often, for {0:?}")]
    TooMany(Duration),
    /// A call to AWS failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Judges the signatures of a request that a receiver of `account` got. Only what belongs to the account is read: what another account
/// has is as if it did not exist. With `only`, so is what the account has beside that webhook, its deliveries and their events.
///
/// # Errors
/// The account has no such webhook, or asks too often, or a call to AWS fails.
pub async fn debug(
    app: &App,
    account: &AccountId,
    only: Option<WebhookId>,
    request: DiagnosisRequest,
) -> Result<Diagnosis, DiagnosisError> {
    if let Permit::After(wait) = account_limits::reserve(&app.store, account, Limited::Diagnosis, 1, RATE).await? {
        return Err(DiagnosisError::TooMany(wait));
    }
    let asked = request.webhook().map_err(|_| DiagnosisError::NoWebhook)?;
    let webhooks = match only {
        Some(only) if asked.is_none_or(|asked| asked == only) => vec![find(app, account, only).await?],
        Some(_) => return Err(DiagnosisError::NoWebhook),
        None => candidates(app, account, asked).await?,
    };
    let evidence = Evidence { given: request.secret.into_iter().collect(), asked, webhooks, ..Evidence::default() };
    let evidence = with_event(app, account, request.received.event_ids(), (only.is_some(), evidence)).await?;
    let received = request.received;
    // It may take long enough to hold up other requests of the local process.
    let judged = tokio::task::spawn_blocking(move || diagnose(&received, &evidence)).await;
    Ok(judged.expect("a diagnosis does not panic"))
}

/// Reads the webhooks that may have sent the request.
async fn candidates(app: &App, account: &AccountId, asked: Option<WebhookId>) -> Result<Vec<Webhook>, DiagnosisError> {
    let newest = webhooks::page(&app.store, account, None, WEBHOOKS_MAX, Order::Newest).await?;
    let mut found = newest.items;
    found.retain(|webhook| !webhook.has_expired(app.clock.now()));
    if let Some(asked) = asked.filter(|asked| found.iter().all(|webhook| webhook.id != *asked)) {
        found.push(find(app, account, asked).await?);
    }
    Ok(found)
}

async fn find(app: &App, account: &AccountId, id: WebhookId) -> Result<Webhook, DiagnosisError> {
    webhooks::get(&app.store, account, id).await?.ok_or(DiagnosisError::NoWebhook)
}

/// Reads the events that the request names, and the attempts of the first one's deliveries.
async fn with_event(
    app: &App,
    account: &AccountId,
    ids: Vec<EventId>,
    (is_bound, mut evidence): (bool, Evidence),
) -> Result<Evidence, StoreError> {
    for id in ids {
        let only = evidence.webhooks.first().filter(|_| is_bound);
        let found = portal::event_seen(app, account, only, id).await?;
        if evidence.event.is_none() {
            evidence.event = found;
        } else {
            evidence.event_in_body = found;
        }
    }
    if let Some(event) = &evidence.event {
        let ids: Vec<_> = evidence.webhooks.iter().map(|webhook| webhook.id).collect();
        let found = deliveries::of_event(&app.store, account, event.id, &ids).await?;
        let attempts = found.into_iter().map(|(id, delivery)| (id, delivery.attempts.into_values().collect()));
        evidence.attempts = attempts.collect();
    }
    Ok(evidence)
}
