//! `/v1/webhooks` and `/v1/webhooks/{id}`: register, list, read, change and delete webhooks.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::Manager,
    body::{Query, SmallBody},
    fields,
    options::{OptionChanges, set},
    path::{Named, Path},
    problem::Problem,
    session::Only,
    state::ApiState,
};
use application::{App, disabling, enabling, trials};
use axum::{Json, extract::State, http::StatusCode};
use domain::{
    account::AccountId,
    endpoint_policy::{EndpointPolicy, EndpointUrl},
    event_type::{Subscription, built_in, unknown_type},
    filter::Filter,
    id::{RecoveryId, WebhookId},
    input::{self, Faults, Fields, InputError},
    page::Page,
    secret::Secret,
    time::Timestamp,
    webhook::{DeliveryMode, DisabledReason, Held, Options, SUBSCRIPTIONS_MAX, Webhook, WebhookStatus, WebhookView},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use store::{
    event_types,
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
    /// The secret in the form that the published verifiers of Standard Webhooks and Svix take: `secret` itself if it starts with
    /// `whsec_`, and `whsec_` followed by the base64 of its UTF-8 bytes otherwise.
    standard_secret: String,
}

impl WebhookWithSecret {
    pub(crate) fn new(webhook: WebhookView, secret: &Secret) -> Self {
        Self { webhook, secret: secret.expose().to_owned(), standard_secret: secret.standard_form() }
    }
}

/// A webhook after a change.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct ChangedWebhook {
    #[serde(flatten)]
    webhook: WebhookView,
    /// The recovery of what was held, if the change has begun one by enabling the webhook. Missing otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    recovery_id: Option<RecoveryId>,
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
    /// `None` if the events are polled.
    url: Option<EndpointUrl>,
    expires_at: Option<Timestamp>,
    events: Vec<Subscription>,
    secret: Option<Secret>,
    description: Option<String>,
    rate_limit: Option<u32>,
    options: Options,
    filter: Option<Filter>,
}

impl NewWebhook {
    fn read(mut fields: Fields, policy: EndpointPolicy, now: Timestamp) -> Result<Self, InputError> {
        let mode = fields.optional("delivery", fields::delivery_mode);
        let is_polled = matches!(mode, Ok(Some(DeliveryMode::Poll)));
        refuse_unfit(&mut fields, is_polled);
        let url = if is_polled {
            fields.optional("url", input::string).map(|_| None)
        } else {
            fields.required("url", |raw| fields::url(policy, raw)).map(Some)
        };
        let expires_at = fields.optional("expires_at", |raw| fields::expiry(now, raw));
        let events = fields.required("events", fields::subscriptions);
        let secret = fields.optional("secret", fields::secret);
        let description = fields.optional("description", fields::description);
        let rate_limit = fields.optional("rate_limit", fields::rate_limit);
        let options = OptionChanges::read(&mut fields, policy).and_then(|changes| {
            let mut options = Options::default();
            changes.apply(&mut options).map_err(|faults| fields.add(faults))?;
            Ok(options)
        });
        let filter = fields.optional("filter", Filter::read);
        fields.finish(|| {
            mode?;
            Ok(Self {
                url: url?,
                expires_at: expires_at?,
                events: events?,
                secret: secret?,
                description: description?,
                rate_limit: rate_limit?,
                options: options?,
                filter: filter?,
            })
        })
    }
}

/// The members that say how events are sent, which a polled webhook does not have.
const OF_SENDING: [&str; 8] =
    ["url", "rate_limit", "headers", "auth", "retry_schedule", "timeout_seconds", "disable_on", "auto_recover"];

/// Records a fault for each member that has a value and does not fit the webhook.
fn refuse_unfit(fields: &mut Fields, is_polled: bool) {
    let (unfit, fault): (&[&str], _) = if is_polled {
        (&OF_SENDING, "is not for a webhook whose events are polled")
    } else {
        (&["expires_at"], "is only for a webhook whose events are polled")
    };
    for name in unfit {
        if fields.peek(name).is_some_and(|raw| raw.get() != "null") {
            fields.fault(format_args!("/{name}"), fault);
        }
    }
}

/// Register a webhook
///
/// Registers an endpoint for the account, or with `delivery` `poll` a webhook without a URL, whose events are read with
/// `GET /v1/webhooks/{id}/poll`. It receives the events that are published from now on. Answers 201 with the webhook
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
    check_known(app, &mut fields, None).await?;
    let new = NewWebhook::read(fields, app.endpoint_policy, app.clock.now())?;
    let id = WebhookId::new(app.clock.now(), &app.random);
    let secret = new.secret.unwrap_or_else(|| Secret::generate(&app.random));
    let webhook = Webhook {
        description: new.description,
        rate_limit: new.rate_limit,
        options: new.options,
        filter: new.filter,
        expires_at: new.expires_at,
        ..Webhook::new(account, id, new.url, new.events, secret)
    };
    if webhooks::create(&app.store, &webhook).await? == Created::QuotaFull {
        let quota = app.store.settings.webhooks_max;
        let detail = format!("The account already has {quota} webhooks, which is its quota.");
        return Err(Problem::quota_exceeded(detail));
    }
    tracing::info!(account = %webhook.account, webhook_id = %webhook.id, "webhook registered");
    Ok((StatusCode::CREATED, Json(WebhookWithSecret::new(app.view(&webhook), &webhook.secret))))
}

/// List the webhooks, newest first
///
/// Answers 200 with a page of the account's webhooks, without their secrets. Fails with 422 if a parameter is invalid.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/webhooks",
    operation_id = "listWebhooks",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(
        requests::Limit,
        ("cursor" = Option<WebhookId>, Query, description = "The `next_cursor` of the page before."),
        ("status" = Option<WebhookStatus>, Query, description = "Lists only webhooks with this status."),
    ),
    responses((status = 200, description = "A page of webhooks.", body = Page<WebhookView, WebhookId>)),
))]
pub(crate) async fn list(
    Manager(account): Manager,
    Only(only): Only,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Page<WebhookView, WebhookId>>, Problem> {
    let (limit, after) = (query.limit(), query.cursor());
    let status: Option<WebhookStatus> = query.parsed("status");
    query.finish()?;
    let store = &state.app.store;
    let is_wanted = |webhook: &Webhook| status.is_none_or(|status| webhook.status == status);
    let page = match only {
        Some(only) => {
            let found = webhooks::get(store, &account, only).await?.filter(is_wanted);
            Page { items: found.filter(|_| after.is_none_or(|after| only < after)).into_iter().collect(), next: None }
        }
        None => webhooks::newest_where(store, &account, after, limit, is_wanted).await?,
    };
    Ok(Json(page.map(|webhook| state.app.view(&webhook))))
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
    Ok(Json(state.app.view(&find(&state.app, &account, id).await?)))
}

/// The changes of a PATCH. `None` leaves a field as it is, and `Some(None)` removes its value.
#[allow(clippy::option_option, reason = "a field of a PATCH is missing, null, or a value")]
struct Change {
    url: Option<EndpointUrl>,
    expires_at: Option<Option<Timestamp>>,
    events: Option<Vec<Subscription>>,
    secret: Option<Secret>,
    description: Option<Option<String>>,
    rate_limit: Option<Option<u32>>,
    options: OptionChanges,
    filter: Option<Option<Filter>>,
    status: Option<WebhookStatus>,
    /// What becomes of held deliveries if `status` enables the webhook.
    held: Option<Held>,
}

impl Change {
    /// Reads the changes of a webhook that is polled or not.
    fn read(mut fields: Fields, policy: EndpointPolicy, is_polled: bool, now: Timestamp) -> Result<Self, InputError> {
        refuse_unfit(&mut fields, is_polled);
        if fields.peek("delivery").is_some() {
            fields.fault("/delivery", "cannot be changed: register another webhook");
        }
        let mode = fields.present("delivery", fields::delivery_mode);
        let url = fields.present("url", |raw| fields::url(policy, raw));
        let expires_at = fields.nullable("expires_at", |raw| fields::expiry(now, raw));
        let events = fields.present("events", fields::subscriptions);
        let secret = fields.present("secret", fields::secret);
        let description = fields.nullable("description", fields::description);
        let rate_limit = fields.nullable("rate_limit", fields::rate_limit);
        let options = OptionChanges::read(&mut fields, policy);
        let filter = fields.nullable("filter", Filter::read);
        let status = fields.present("status", fields::status);
        let held = fields.present("held", fields::held);
        if matches!((&held, &status), (Ok(Some(_)), Ok(None | Some(WebhookStatus::Disabled)))) {
            fields.fault("/held", "is only allowed together with the status 'enabled'");
        }
        if is_polled && matches!(held, Ok(Some(_))) {
            fields.fault("/held", "is not for a webhook whose events are polled: nothing is held for it");
        }
        fields.finish(|| {
            mode?;
            Ok(Self {
                url: url?,
                expires_at: expires_at?,
                events: events?,
                secret: secret?,
                description: description?,
                rate_limit: rate_limit?,
                options: options?,
                filter: filter?,
                status: status?,
                held: held?,
            })
        })
    }

    /// Changes `webhook` at `now`.
    ///
    /// # Errors
    /// The faults of options that do not fit what is stored.
    fn apply(&self, webhook: &mut Webhook, now: Timestamp) -> Result<(), Faults> {
        let Self { url, expires_at, events, secret, description, rate_limit, options, filter, status, held } = self;
        options.apply(&mut webhook.options)?;
        webhook.updated_at = now;
        if let Some(url) = url {
            webhook.url = Some(url.clone());
        }
        set(&mut webhook.expires_at, expires_at.as_ref());
        if let Some(events) = events {
            webhook.set_events(events.clone(), now);
        }
        set(&mut webhook.description, description.as_ref());
        set(&mut webhook.rate_limit, rate_limit.as_ref());
        if let Some(filter) = filter {
            webhook.set_filter(filter.clone(), now);
        }
        if let Some(secret) = secret {
            // It replaces all secrets at once. A rotation has an overlap.
            webhook.secret = secret.clone();
            webhook.previous_secrets.clear();
        }
        match status {
            Some(WebhookStatus::Enabled) => webhook.enable_with(held.unwrap_or(Held::Recover), now),
            Some(WebhookStatus::Disabled) => webhook.disable(DisabledReason::Manual, now),
            None => {}
        }
        Ok(())
    }
}

/// Change a webhook
///
/// Changes the fields that the body has and leaves the others as they are. What is pending for a type that `events` no longer
/// covers is cancelled. `status: "disabled"` disables the webhook and holds its pending deliveries. `status: "enabled"` enables a
/// disabled webhook for new events, and recovers what is held, oldest first, or cancels it (`held: "cancel"`). Failed deliveries
/// stay as they are. If the webhook is enabled already, nothing is held, and `held` has no effect. Answers 200 with the webhook,
/// and with the `recovery_id` of a recovery that it has begun. Fails with 404 if the account has no such webhook, and with 409 if too many requests change it at once.
#[cfg_attr(test, utoipa::path(
    patch,
    path = "/v1/webhooks/{id}",
    operation_id = "updateWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path, description = "The webhook's id.")),
    request_body = requests::WebhookChange,
    responses((status = 200, description = "The changed webhook.", body = ChangedWebhook), (status = 409, description = "")),
))]
pub(crate) async fn update(
    Manager(account): Manager,
    only: Only,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
    body: SmallBody,
) -> Result<Json<ChangedWebhook>, Problem> {
    let app = &state.app;
    let mut fields = body.fields()?;
    check_known(app, &mut fields, Some((&account, id))).await?;
    let webhook = find(app, &account, id).await?;
    let change = Change::read(fields, app.endpoint_policy, webhook.is_polled(), app.clock.now())?;
    only.may_widen(change.events.is_some() || change.filter.is_some())?;
    if change.status == Some(WebhookStatus::Enabled) {
        // Announce the disabling before a recovery can begin. A recovery gives the deliveries a new run, after which their
        // tasks no longer announce it.
        disabling::announce(app, &webhook).await?;
        if !webhook.is_polled() && change.held != Some(Held::Cancel) {
            enabling::prepare(app, &webhook).await?;
        }
    }
    let now = app.clock.now();
    let changed = webhooks::change(&app.store, &account, id, |webhook| -> Result<(), Problem> {
        change.apply(webhook, now)?;
        webhook.set_trials(app.trials_of(webhook), now);
        Ok(())
    });
    let webhook = changed.await?.ok_or_else(|| Problem::not_found(WebhookId::WHAT))?;
    if change.options.sets_auto_recover() {
        trials::place(app, &webhook).await?;
    }
    // Another change may only finish an enabling whose request has died.
    let recovery_id = enabling::recover_held(app, &webhook).await?;
    let recovery_id = recovery_id.filter(|_| change.status == Some(WebhookStatus::Enabled));
    tracing::info!(account = %account, webhook_id = %id, "webhook changed");
    Ok(Json(ChangedWebhook { webhook: app.view(&webhook), recovery_id }))
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
///
/// An entry that the `changed` webhook has already is no fault: its type may have been removed from the catalogue since, and
/// the webhook must still be changeable.
async fn check_known(app: &App, fields: &mut Fields, changed: Option<(&AccountId, WebhookId)>) -> Result<(), Problem> {
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
    if let Some((account, id)) = changed.filter(|_| !unknown.is_empty()) {
        let webhook = webhooks::get(&app.store, account, id).await?;
        let present = webhook.map(|webhook| webhook.events).unwrap_or_default();
        unknown.retain(|(_, subscription)| !present.contains(subscription));
    }
    for (index, _) in unknown {
        fields.fault(format_args!("/events/{index}"), unknown_type(&catalogue));
    }
    Ok(())
}
