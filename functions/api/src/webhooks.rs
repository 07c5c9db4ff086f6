//! `/v1/webhooks`: register, list, read, change, delete.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    ApiState,
    auth::Manager,
    body::{Query, SmallBody},
    page::Page,
    path::Path,
    problem::Problem,
};
use axum::{Json, extract::State, http::StatusCode};
use hookline::{
    app::App,
    disabling,
    endpoint::{EndpointPolicy, EndpointUrl},
    event_type::{Subscription, built_in, unknown_type},
    id::{AccountId, WebhookId},
    input::{self, Faults, Fields},
    secret::Secret,
    store::{
        StoreError, event_types,
        webhooks::{self as store, Created, Order},
    },
    time::Timestamp,
    webhook::{self, DisabledReason, SUBSCRIPTIONS_MAX, Webhook, WebhookStatus, WebhookView},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// A webhook with its secret: the answer to whoever has just set that.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct WebhookWithSecret {
    #[serde(flatten)]
    webhook: WebhookView,
    secret: String,
}

impl From<&Webhook> for WebhookWithSecret {
    fn from(webhook: &Webhook) -> Self {
        Self { webhook: webhook.into(), secret: webhook.secret.expose().to_owned() }
    }
}

/// Reads a webhook's id out of a path: what is no id names nothing.
pub(crate) fn parse_id(text: &str) -> Result<WebhookId, Problem> {
    text.parse().map_err(|_| Problem::not_found("webhook"))
}

/// Reads the account's webhook of that id.
pub(crate) async fn find(app: &App, account: &AccountId, id: WebhookId) -> Result<Webhook, Problem> {
    store::get(app, account, id).await?.ok_or_else(|| Problem::not_found("webhook"))
}

/// Register a webhook
///
/// This answer alone shows the secret: the one sent, or one made here.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/webhooks",
    operation_id = "createWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    request_body = requests::NewWebhook,
    responses(
        (status = 201, description = "The webhook, with its secret.", body = WebhookWithSecret),
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
    let url = fields.required("url", |raw| parse_url(app.config.endpoint_policy, raw));
    let events = fields.required("events", parse_subscriptions);
    let secret = fields.optional("secret", parse_secret);
    let description = fields.optional("description", parse_description);
    let rate_limit = fields.optional("rate_limit", parse_rate_limit);
    fields.finish()?;
    let (Some(url), Some(events)) = (url, events) else { return Err(Problem::invalid(vec![])) };
    let now = app.clock.now();
    let id = WebhookId::new(now, &app.random);
    let secret = secret.unwrap_or_else(|| Secret::generate(&app.random));
    let webhook = Webhook { description, rate_limit, ..Webhook::new(account, id, url, events, secret, now) };
    if store::create(app, &webhook).await? == Created::QuotaFull {
        let detail = format!("The account has {} webhooks, which is as many as it may have.", app.config.webhooks_max);
        return Err(Problem::quota_exceeded(detail));
    }
    tracing::info!(account = %webhook.account, webhook_id = %webhook.id, "webhook registered");
    Ok((StatusCode::CREATED, Json((&webhook).into())))
}

/// List the webhooks, newest first
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/webhooks",
    operation_id = "listWebhooks",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(requests::Limit, ("cursor" = Option<WebhookId>, Query, description = "The `next_cursor` of the page before.")),
    responses((status = 200, description = "A page of webhooks.", body = Page<WebhookView>)),
))]
pub(crate) async fn list(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Page<WebhookView>>, Problem> {
    let (limit, after) = (query.limit(), query.cursor());
    query.finish()?;
    let page = store::page(&state.app, &account, after, limit, Order::Newest).await?;
    Ok(Json(Page::new(page.webhooks.iter().map(WebhookView::from).collect(), page.next)))
}

/// Read a webhook
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/webhooks/{id}",
    operation_id = "readWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path)),
    responses((status = 200, description = "The webhook.", body = WebhookView)),
))]
pub(crate) async fn read(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<WebhookView>, Problem> {
    Ok(Json((&find(&state.app, &account, parse_id(&id)?).await?).into()))
}

/// What a PATCH asks for; what it does not name stays as it is.
#[allow(clippy::option_option, reason = "not named, null, and a value are three things in a PATCH")]
struct Change {
    url: Option<EndpointUrl>,
    events: Option<Vec<Subscription>>,
    secret: Option<Secret>,
    description: Option<Option<String>>,
    rate_limit: Option<Option<u32>>,
    status: Option<WebhookStatus>,
}

impl Change {
    fn read(fields: &mut Fields, policy: EndpointPolicy) -> Self {
        Self {
            url: fields.present("url", |raw| parse_url(policy, raw)),
            events: fields.present("events", parse_subscriptions),
            secret: fields.present("secret", parse_secret),
            description: fields.nullable("description", parse_description),
            rate_limit: fields.nullable("rate_limit", parse_rate_limit),
            status: fields.present("status", parse_status),
        }
    }

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
            // A secret set outright is the only one from now on; rotate-secret is there for an overlap.
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

fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

/// Change a webhook
///
/// What the body does not name stays as it is. `status: "enabled"` re-enables a disabled webhook.
#[cfg_attr(test, utoipa::path(
    patch,
    path = "/v1/webhooks/{id}",
    operation_id = "updateWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path)),
    request_body = requests::WebhookChange,
    responses((status = 200, description = "The webhook.", body = WebhookView), (status = 409, description = "")),
))]
pub(crate) async fn update(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    body: SmallBody,
) -> Result<Json<WebhookView>, Problem> {
    let app = &state.app;
    let id = parse_id(&id)?;
    let mut fields = body.fields()?;
    check_known(app, &mut fields).await?;
    let change = Change::read(&mut fields, app.config.endpoint_policy);
    fields.finish()?;
    if change.status == Some(WebhookStatus::Enabled)
        && let Some(webhook) = store::get(app, &account, id).await?
    {
        // What has still to tell of its disabling may not know of it any more once its deliveries are begun anew.
        disabling::tell(app, &webhook).await?;
    }
    let now = app.clock.now();
    let changed = store::change(app, &account, id, |webhook| -> Result<(), StoreError> {
        change.apply(webhook, now);
        Ok(())
    });
    let webhook = changed.await?.ok_or_else(|| Problem::not_found("webhook"))?;
    tracing::info!(account = %account, webhook_id = %id, "webhook changed");
    Ok(Json((&webhook).into()))
}

/// Delete a webhook
///
/// What was pending for it is cancelled.
#[cfg_attr(test, utoipa::path(
    delete,
    path = "/v1/webhooks/{id}",
    operation_id = "deleteWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path)),
    responses((status = 204, description = "It is deleted.")),
))]
pub(crate) async fn remove(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = parse_id(&id)?;
    if !store::delete(&state.app, &account, id).await? {
        return Err(Problem::not_found("webhook"));
    }
    tracing::info!(account = %account, webhook_id = %id, "webhook deleted");
    Ok(StatusCode::NO_CONTENT)
}

fn parse_url(policy: EndpointPolicy, raw: &RawValue) -> Result<EndpointUrl, Faults> {
    Ok(policy.judge_url(&input::string(raw)?)?)
}

fn parse_subscriptions(raw: &RawValue) -> Result<Vec<Subscription>, Faults> {
    let mut events: Vec<Subscription> = Vec::new();
    for subscription in input::array(raw, SUBSCRIPTIONS_MAX, input::parsed)? {
        if !events.contains(&subscription) {
            events.push(subscription);
        }
    }
    Ok(events)
}

pub(crate) fn parse_secret(raw: &RawValue) -> Result<Secret, Faults> {
    Ok(Secret::parse(&input::string(raw)?)?)
}

pub(crate) fn parse_description(raw: &RawValue) -> Result<String, Faults> {
    Ok(webhook::parse_description(&input::string(raw)?)?)
}

fn parse_rate_limit(raw: &RawValue) -> Result<u32, Faults> {
    Ok(webhook::parse_rate_limit(input::integer(raw)?)?)
}

fn parse_status(raw: &RawValue) -> Result<WebhookStatus, Faults> {
    match input::string(raw)?.as_str() {
        "enabled" => Ok(WebhookStatus::Enabled),
        "disabled" => Ok(WebhookStatus::Disabled),
        _ => Err("must be 'enabled' or 'disabled'".into()),
    }
}

/// Notes a fault for each well-formed subscription in `events` that covers no known event type, whatever else is wrong
/// there: it looks at the field before that is taken. Of too long an array nothing but its length is told.
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
    let catalogue = event_types::catalogue(app).await?;
    unknown.retain(|(_, subscription)| !catalogue.iter().any(|entry| subscription.covers(&entry.name)));
    for (index, _) in unknown {
        fields.fault(format_args!("/events/{index}"), unknown_type(&catalogue));
    }
    Ok(())
}
