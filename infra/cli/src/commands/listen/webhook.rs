//! The polled webhook of a listener: registered, found again, kept alive, and deleted.

use super::{
    position::Position,
    state::{Name, State},
};
use crate::{
    client::{
        Client, Error,
        webhooks::{Setting, WebhookFields},
    },
    connection::Connection,
};
use domain::{id::WebhookId, time::Clock};
use http::StatusCode;
use serde_json::value::RawValue;
use std::time::Duration;

/// How long a webhook outlives a listener without a name that was killed.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What a listener receives.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: Option<Name>,
    pub(super) events: Vec<String>,
    pub(super) filter: Option<Box<RawValue>>,
}

fn expiry() -> Setting<String> {
    Setting::Value(Clock::system().now().plus(LIFETIME).to_string())
}

/// Registers a webhook that expires in a day, so that none is left if this process dies now. It goes on at `position`: a cursor
/// belongs to the account. In place of an earlier webhook it has the secret of that one, which the receiver knows.
pub(super) async fn register(
    client: &Client,
    connection: &Connection,
    wanted: &Wanted,
    secret: Option<String>,
    position: Position,
) -> Result<State, Error> {
    let name = wanted.name.as_ref().map(|name| format!(" --name {name}")).unwrap_or_default();
    let fields = WebhookFields {
        delivery: Some("poll".to_owned()),
        expires_at: Some(expiry()),
        events: Some(wanted.events.clone()),
        filter: wanted.filter.clone().map(Setting::Value),
        description: Some(Setting::Value(format!("hookline listen{name}"))),
        secret,
        ..WebhookFields::default()
    };
    let created = client.create_webhook(&fields).await?.value;
    let unreadable = |fault| Error::Unreadable { operation: "createWebhook", cause: serde::de::Error::custom(fault) };
    Ok(State {
        url: connection.url.to_string(),
        account: connection.account.clone(),
        webhook: created.webhook.id.parse().map_err(unreadable)?,
        secret: created.secret,
        position,
    })
}

/// Changes the webhook of an earlier run to what is wanted now, whatever it was, and keeps it for good. Returns whether it is
/// still there.
pub(super) async fn change(client: &Client, webhook: WebhookId, wanted: &Wanted) -> Result<bool, Error> {
    let fields = WebhookFields {
        events: Some(wanted.events.clone()),
        filter: Some(wanted.filter.clone().map_or(Setting::Default, Setting::Value)),
        expires_at: Some(Setting::Default),
        ..WebhookFields::default()
    };
    match client.update_webhook(webhook, &fields).await {
        Ok(_) => Ok(true),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether Hookline says that there is no such webhook.
pub(super) fn is_gone(error: &Error) -> bool {
    error.is_answer_of_hookline() && error.status() == Some(StatusCode::NOT_FOUND)
}

/// Keeps a webhook for good, once its state is kept.
pub(super) async fn keep(client: &Client, webhook: WebhookId) -> Result<(), Error> {
    set_expiry(client, webhook, Setting::Default).await
}

/// Keeps a webhook for another day.
pub(super) async fn extend(client: &Client, webhook: WebhookId) -> Result<(), Error> {
    set_expiry(client, webhook, expiry()).await
}

async fn set_expiry(client: &Client, webhook: WebhookId, expires_at: Setting<String>) -> Result<(), Error> {
    let fields = WebhookFields { expires_at: Some(expires_at), ..WebhookFields::default() };
    client.update_webhook(webhook, &fields).await.map(|_| ())
}
