//! `/v1/webhooks` and `/v1/webhooks/{id}`: register, list, read, change and delete webhooks.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::Manager,
    body::{Query, SmallBody},
    fields,
    path::{Named, Path},
    problem::Problem,
    state::ApiState,
};
use application::{App, disabling};
use axum::{Json, extract::State, http::StatusCode};
use domain::{
    account::AccountId,
    endpoint_policy::{EndpointPolicy, EndpointUrl},
    event_type::{Subscription, built_in, unknown_type},
    id::WebhookId,
    input::{self, Fields, InputError},
    page::{Order, Page},
    secret::Secret,
    time::Timestamp,
    webhook::{DisabledReason, SUBSCRIPTIONS_MAX, Webhook, WebhookStatus, WebhookView},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use store::{
    StoreError, event_types,
    webhooks::{self, Created},
};

/// A webhook with its secret: the answer to registering a webhook, and to rotating its secret.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct WebhookWithSecret {
    #[serde(flatten)]
    webhook: WebhookView,
    /// The secret that signs deliveries. Later answers do not show it.
    secret: String,
}

impl From<&Webhook> for WebhookWithSecret {
    fn from(webhook: &Webhook) -> Self {
        Self { webhook: webhook.into(), secret: webhook.secret.expose().to_owned() }
    }
}

/// Returns the account's webhook `id`.
///
/// # Errors
/// 404 if the account has no such webhook.
pub(crate) async fn find(app: &App, account: &AccountId, id: WebhookId) -> Result<Webhook, Problem> {
    webhooks::get(&app.store, account, id).await?.ok_or_else(|| Problem::not_found(WebhookId::WHAT))
}

/// A webhook to register.
struct NewWebhook {
    url: EndpointUrl,
    events: Vec<Subscription>,
    secret: Option<Secret>,
    description: Option<String>,
    rate_limit: Option<u32>,
}

impl NewWebhook {
    fn read(mut fields: Fields, policy: EndpointPolicy) -> Result<Self, InputError> {
        let url = fields.required("url", |raw| fields::url(policy, raw));
        let events = fields.required("events", fields::subscriptions);
        let secret = fields.optional("secret", fields::secret);
        let description = fields.optional("description", fields::description);
        let rate_limit = fields.optional("rate_limit", fields::rate_limit);
        fields.finish(|| {
            Ok(Self { url: url?, events: events?, secret: secret?, description: description?, rate_limit: rate_limit? })
        })
    }
}

/// Register a webhook
///
/// Registers an endpoint for the account. It receives the events that are published from now on. Answers 201 with the webhook
/// and its secret, which later answers do not show. Fails with 422 if the endpoint policy forbids the URL or the catalogue has
/// no matching type, and with 409 if the account has as many webhooks as it may have.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/webhooks",
    operation_id = "createWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    request_body = requests::NewWebhook,
    responses(
        (status = 201, description = "The webhook with its secret.", body = WebhookWithSecret),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn create(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    body: SmallBody,
) -> Result<(StatusCode, Json<WebhookWithSecret>), Problem> {
    let app = &state.app;
    let mut fields = body.fields()?;
    check_known(app, &mut fields).await?;
    let new = NewWebhook::read(fields, app.endpoint_policy)?;
    let id = WebhookId::new(app.clock.now(), &app.random);
    let secret = new.secret.unwrap_or_else(|| Secret::generate(&app.random));
    let webhook = Webhook {
        description: new.description,
        rate_limit: new.rate_limit,
        ..Webhook::new(account, id, new.url, new.events, secret)
    };
    if webhooks::create(&app.store, &webhook).await? == Created::QuotaFull {
        let quota = app.store.settings.webhooks_max;
        let detail = format!("The account already has {quota} webhooks, which is its quota.");
        return Err(Problem::quota_exceeded(detail));
    }
    tracing::info!(account = %webhook.account, webhook_id = %webhook.id, "webhook registered");
    Ok((StatusCode::CREATED, Json((&webhook).into())))
}

/// List the webhooks, newest first
///
/// Answers 200 with a page of the account's webhooks, without their secrets. Fails with 422 if `limit` or `cursor` is invalid.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/webhooks",
    operation_id = "listWebhooks",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(requests::Limit, ("cursor" = Option<WebhookId>, Query, description = "The `next_cursor` of the page before.")),
    responses((status = 200, description = "A page of webhooks.", body = Page<WebhookView, WebhookId>)),
))]
pub(crate) async fn list(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Page<WebhookView, WebhookId>>, Problem> {
    let (limit, after) = (query.limit(), query.cursor());
    query.finish()?;
    let page = webhooks::page(&state.app.store, &account, after, limit, Order::Newest).await?;
    Ok(Json(page.map(|webhook| WebhookView::from(&webhook))))
}

/// Read a webhook
///
/// Answers 200 with the webhook, without its secret. Fails with 404 if the account has no such webhook.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/webhooks/{id}",
    operation_id = "readWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path, description = "The webhook's id.")),
    responses((status = 200, description = "The webhook.", body = WebhookView)),
))]
pub(crate) async fn read(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
) -> Result<Json<WebhookView>, Problem> {
    Ok(Json((&find(&state.app, &account, id).await?).into()))
}

/// The changes of a PATCH. `None` leaves a field as it is, and `Some(None)` removes its value.
#[allow(clippy::option_option, reason = "a field of a PATCH is missing, null, or a value")]
struct Change {
    url: Option<EndpointUrl>,
    events: Option<Vec<Subscription>>,
    secret: Option<Secret>,
    description: Option<Option<String>>,
    rate_limit: Option<Option<u32>>,
    status: Option<WebhookStatus>,
}

impl Change {
    fn read(mut fields: Fields, policy: EndpointPolicy) -> Result<Self, InputError> {
        let url = fields.present("url", |raw| fields::url(policy, raw));
        let events = fields.present("events", fields::subscriptions);
        let secret = fields.present("secret", fields::secret);
        let description = fields.nullable("description", fields::description);
        let rate_limit = fields.nullable("rate_limit", fields::rate_limit);
        let status = fields.present("status", fields::status);
        fields.finish(|| {
            Ok(Self {
                url: url?,
                events: events?,
                secret: secret?,
                description: description?,
                rate_limit: rate_limit?,
                status: status?,
            })
        })
    }

    /// Changes `webhook` at `now`.
    fn apply(&self, webhook: &mut Webhook, now: Timestamp) {
        let Self { url, events, secret, description, rate_limit, status } = self;
        webhook.updated_at = now;
        set(&mut webhook.url, url.as_ref());
        if let Some(events) = events {
            webhook.set_events(events.clone(), now);
        }
        set(&mut webhook.description, description.as_ref());
        set(&mut webhook.rate_limit, rate_limit.as_ref());
        if let Some(secret) = secret {
            // It replaces all secrets at once. A rotation has an overlap.
            webhook.secret = secret.clone();
            webhook.previous_secrets.clear();
        }
        match status {
            Some(WebhookStatus::Enabled) if !webhook.is_enabled() => webhook.enable(now),
            Some(WebhookStatus::Disabled) => webhook.disable(DisabledReason::Manual, now),
            _ => {}
        }
    }
}

/// Sets `field` if there is a value.
fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

/// Change a webhook
///
/// Changes the fields that the body has and leaves the others as they are. `status: "disabled"` disables the webhook and holds
/// its pending deliveries. `status: "enabled"` enables a disabled webhook for new events; what is held stays held until a
/// recovery sends it. Answers 200 with the webhook. Fails with 404 if the account has no such webhook, and with 409 if too many
/// requests change it at once.
#[cfg_attr(test, utoipa::path(
    patch,
    path = "/v1/webhooks/{id}",
    operation_id = "updateWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path, description = "The webhook's id.")),
    request_body = requests::WebhookChange,
    responses((status = 200, description = "The changed webhook.", body = WebhookView), (status = 409, description = "")),
))]
pub(crate) async fn update(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
    body: SmallBody,
) -> Result<Json<WebhookView>, Problem> {
    let app = &state.app;
    let mut fields = body.fields()?;
    check_known(app, &mut fields).await?;
    let change = Change::read(fields, app.endpoint_policy)?;
    if change.status == Some(WebhookStatus::Enabled)
        && let Some(webhook) = webhooks::get(&app.store, &account, id).await?
    {
        // Announce the disabling before a recovery can begin. A recovery gives the deliveries a new run, after which their
        // tasks no longer announce it.
        disabling::announce(app, &webhook).await?;
    }
    let now = app.clock.now();
    let changed = webhooks::change(&app.store, &account, id, |webhook| -> Result<(), StoreError> {
        change.apply(webhook, now);
        Ok(())
    });
    let webhook = changed.await?.ok_or_else(|| Problem::not_found(WebhookId::WHAT))?;
    tracing::info!(account = %account, webhook_id = %id, "webhook changed");
    Ok(Json((&webhook).into()))
}

/// Delete a webhook
///
/// Deletes the webhook and cancels its pending and held deliveries. Answers 204. Fails with 404 if the account has no such
/// webhook.
#[cfg_attr(test, utoipa::path(
    delete,
    path = "/v1/webhooks/{id}",
    operation_id = "deleteWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path, description = "The webhook's id.")),
    responses((status = 204, description = "The webhook is deleted.")),
))]
pub(crate) async fn remove(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
) -> Result<StatusCode, Problem> {
    if !webhooks::delete(&state.app.store, &account, id).await? {
        return Err(Problem::not_found(WebhookId::WHAT));
    }
    tracing::info!(account = %account, webhook_id = %id, "webhook deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// Records a fault for each well-formed entry of `events` that matches no type of the catalogue. It does not read the field, so
/// the faults are reported together with all others. An array that is too long gets no such faults.
async fn check_known(app: &App, fields: &mut Fields) -> Result<(), Problem> {
    let entries = fields.peek("events").and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
    let entries = entries.filter(|entries| entries.len() <= SUBSCRIPTIONS_MAX).unwrap_or_default();
    let well_formed =
        entries.into_iter().enumerate().filter_map(|(index, raw)| Some((index, input::parsed(raw).ok()?)));
    let mut unknown: Vec<(usize, Subscription)> = well_formed.collect();
    unknown.retain(|(_, subscription)| !built_in().any(|entry| subscription.covers(&entry.name)));
    if unknown.is_empty() {
        return Ok(());
    }
    let catalogue = event_types::catalogue(&app.store).await?;
    unknown.retain(|(_, subscription)| !catalogue.iter().any(|entry| subscription.covers(&entry.name)));
    for (index, _) in unknown {
        fields.fault(format_args!("/events/{index}"), unknown_type(&catalogue));
    }
    Ok(())
}
