//! Rotating a webhook's secret.

use crate::App;
use domain::{
    account::AccountId,
    id::WebhookId,
    secret::Secret,
    webhook::{SecretsFull, Webhook},
};
use std::time::Duration;
use store::{StoreError, webhooks};

/// A rotation that a user asks for.
#[derive(Debug)]
pub struct Rotation {
    /// The new secret, or `None` to generate one.
    pub secret: Option<Secret>,
    /// How long the replaced secret continues to sign.
    pub overlap: Duration,
}

/// Why a secret was not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The account has no such webhook.
    #[error("there is no such webhook")]
    NotFound,
    /// The webhook already has as many valid secrets as may sign.
    #[error(transparent)]
    Full(#[from] SecretsFull),
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
