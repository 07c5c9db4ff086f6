//! Rotating a webhook's secret.

use crate::App;
use domain::{
    account::AccountId,
    findings::Findings,
    id::WebhookId,
    secret::Secret,
    webhook::{Rotation, SecretsFull, Webhook},
};
use store::{
    StoreError,
    idempotency::{self, FirstUse},
    webhooks,
};

/// Why a secret was not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The account has no such webhook.
    #[error("there is no such webhook")]
    NotFound,
    /// The webhook already has as many valid secrets as may sign.
    #[error(transparent)]
    Full(#[from] SecretsFull),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// A table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Rotates a webhook's secret, and returns the webhook with the new one.
pub async fn rotate(
    app: &App,
    account: &AccountId,
    webhook: WebhookId,
    rotation: Rotation,
) -> Result<Webhook, RotationError> {
    let secret = rotation.secret.unwrap_or_else(|| Secret::generate(&app.random));
    let now = app.clock.now();
    let rotated = webhooks::change(&app.store, account, webhook, |webhook| -> Result<(), RotationError> {
        Ok(webhook.rotate_secret(&secret, rotation.overlap, now)?)
    });
    rotated.await?.ok_or(RotationError::NotFound)
}

/// The idempotency key of a request, and the parts that distinguish the request from others.
#[derive(Clone, Copy, Debug)]
pub struct KeyUse<'a> {
    /// The key.
    pub key: &'a str,
    /// The request's route and body.
    pub parts: &'a [&'a [u8]],
}

/// What the first request with an idempotency key has done.
#[derive(Debug)]
pub struct RotatedOnce {
    /// The webhook right after the rotation: the JSON of its view.
    pub webhook: String,
    /// The new secret.
    pub secret: Secret,
    /// Whether an earlier request with the same key has rotated it.
    pub replayed: bool,
}

/// Rotates a webhook's secret, unless an earlier request with the same key has done so. All requests with one key have the same
/// result, even concurrent ones, and one after a crash.
pub async fn rotate_once(
    app: &App,
    account: &AccountId,
    webhook: WebhookId,
    KeyUse { key, parts }: KeyUse<'_>,
    rotation: Rotation,
) -> Result<RotatedOnce, RotationError> {
    let present = webhooks::get(&app.store, account, webhook).await?.ok_or(RotationError::NotFound)?;
    let first = idempotency::begin(&app.store, account, key, parts, &Findings::default()).await?;
    let first = first.ok_or(RotationError::KeyReused)?;
    let (webhook, answer) = match first.answer.clone() {
        // Read again: `present` may be older than the rotation.
        Some(answer) => (webhooks::get(&app.store, account, webhook).await?.ok_or(RotationError::NotFound)?, answer),
        None => {
            let rotated = carry_out(app, &present, &rotation, &first).await?;
            let answer = serde_json::to_string(&app.view(&rotated)).expect("a view is JSON");
            (rotated, idempotency::finish_with(&app.store, account, key, &first, answer).await?)
        }
    };
    let secret = webhook.rotated_secret(&rotation, &first.seed);
    let secret = secret.ok_or_else(|| StoreError::Malformed(format!("{} has no rotations under keys", webhook.id)))?;
    Ok(RotatedOnce { webhook: answer, secret, replayed: first.done })
}

/// Rotates the webhook's secret, unless it was done already for the key with this first use.
async fn carry_out(
    app: &App,
    Webhook { account, id, .. }: &Webhook,
    rotation: &Rotation,
    first: &FirstUse,
) -> Result<Webhook, RotationError> {
    let (now, new_root) = (app.clock.now(), Secret::generate(&app.random));
    let rotated = webhooks::change(&app.store, account, *id, |webhook| -> Result<(), RotationError> {
        Ok(webhook.rotate_secret_once(rotation, &first.seed, &new_root, now)?)
    });
    rotated.await?.ok_or(RotationError::NotFound)
}

/// Ends the overlap of a rotation now: only the webhook's newest secret signs from now on. Returns `None` if there is no such
/// webhook.
pub async fn finish(app: &App, account: &AccountId, webhook: WebhookId) -> Result<Option<Webhook>, StoreError> {
    let now = app.clock.now();
    let finished = webhooks::change(&app.store, account, webhook, |webhook| -> Result<(), StoreError> {
        webhook.finish_rotation(now);
        Ok(())
    });
    finished.await
}
