//! `POST /v1/webhooks/{id}/recover` begins a recovery, which the `publish` function carries out. `…/recoveries` lists the
//! webhook's recoveries, and `…/recoveries/{recovery_id}` reads one.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::Manager,
    body::{Query, SmallBody},
    fields,
    path::{Named, Path},
    problem::Problem,
    session::Only,
    state::ApiState,
    webhooks::find,
};
use application::{
    Error,
    recovery::{self, BeginError},
};
use axum::{Json, extract::State, http::StatusCode};
use domain::{
    id::{RecoveryId, WebhookId},
    input::{self, Fault, Fields, InputError},
    page::Page,
    recovery::{NewRecovery, Recovery, RecoveryStatus},
    time::Timestamp,
    webhook::Webhook,
};
use serde::Serialize;
use std::sync::Arc;
use store::{recoveries, webhooks};

/// A recovery: the undelivered events of a time window are sent again.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Recovery))]
pub(crate) struct RecoveryView {
    /// The recovery's id, `rcv_…`.
    id: RecoveryId,
    /// The webhook that is recovered.
    webhook_id: WebhookId,
    /// `running`, or `done` once all deliveries are enqueued, or `stopped` if the webhook was disabled or deleted meanwhile.
    status: RecoveryStatus,
    /// The beginning of the window. It is the webhook's registration if the request asked for an earlier time without
    /// `backfill`.
    since: String,
    /// The end of the window. If the request has no `until`, it is 5 seconds after the request, because the clocks of workers
    /// differ.
    until: String,
    /// Whether failed deliveries are sent again.
    include_failed: bool,
    /// Whether events from before the webhook's registration are sent.
    backfill: bool,
    /// How many events of the window were looked at so far: all those of the account, without tests.
    looked_at: u64,
    /// For how many of them a delivery was enqueued so far.
    sent: u64,
    /// When it began.
    started_at: String,
    /// When it ended. `null` while it is running, and for a stopped one if the moment is not known.
    ended_at: Option<String>,
}

impl RecoveryView {
    /// `webhook` is the webhook as it is now, or `None` if it was deleted.
    pub(crate) fn new(recovery: &Recovery, webhook: Option<&Webhook>) -> Self {
        let (status, ended_at) = recovery.shown(webhook);
        Self {
            id: recovery.id,
            webhook_id: recovery.webhook,
            status,
            since: recovery.since.to_string(),
            until: recovery.until.to_string(),
            include_failed: recovery.include_failed,
            backfill: recovery.backfill,
            looked_at: recovery.looked_at,
            sent: recovery.sent,
            started_at: recovery.id.made_at().to_string(),
            ended_at: ended_at.map(|at| at.to_string()),
        }
    }
}

/// Recover a webhook's deliveries
///
/// Sends every event that was published in the window, that the webhook subscribes to now, and that is neither delivered nor
/// cancelled: held, failed, never sent, or pending and overdue by more than 30 minutes. Each begins a new run of the retry
/// schedule. The oldest are enqueued first. Events from before the webhook's registration are sent only with `backfill`. Other
/// pending deliveries are left alone. The body may be left out. Answers 202 with the recovery when it has begun; `since` and
/// `until` show the window that it really has. Fails with 404 if the account has no such webhook, with 409 if the webhook is
/// disabled, and with 422 if the window ends before the registration.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/webhooks/{id}/recover",
    operation_id = "recoverWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path, description = "The webhook's id.")),
    request_body = Option<requests::NewRecovery>,
    responses(
        (status = 202, description = "The recovery has begun.", body = RecoveryView),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn recover(
    Manager(account): Manager,
    only: Only,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
    body: SmallBody,
) -> Result<(StatusCode, Json<RecoveryView>), Problem> {
    let app = &state.app;
    let webhook = find(app, &account, id).await?;
    let new = read_new(body.fields_if_any()?, app.clock.now())?;
    only.may_widen(new.backfill)?;
    let begun = recovery::begin(app, &account, webhook.id, new).await?;
    tracing::info!(
        %account, webhook_id = %id, recovery_id = %begun.id, since = %begun.since, until = %begun.until, "recovery begun"
    );
    Ok((StatusCode::ACCEPTED, Json(RecoveryView::new(&begun, Some(&webhook)))))
}

/// Reads `{since?, until?, include_failed?, backfill?}`.
fn read_new(mut fields: Fields, now: Timestamp) -> Result<NewRecovery, InputError> {
    let since = fields.optional("since", fields::time);
    let until = fields.optional("until", fields::time);
    let include_failed = fields.optional("include_failed", input::boolean);
    let backfill = fields.optional("backfill", input::boolean);
    let end = until.as_ref().ok().copied().flatten().unwrap_or(now);
    if since.as_ref().is_ok_and(|since| since.is_some_and(|since| since >= end)) {
        fields.fault("/since", "must be before 'until', which is now by default");
    }
    let default = NewRecovery::default();
    fields.finish(|| {
        Ok(NewRecovery {
            since: since?,
            until: until?,
            include_failed: include_failed?.unwrap_or(default.include_failed),
            backfill: backfill?.unwrap_or(default.backfill),
        })
    })
}

/// List a webhook's recoveries, newest first
///
/// Answers 200 with a page of the webhook's recoveries. Fails with 404 if the account has no such webhook, unless it was
/// deleted and its recoveries are still kept, and with 422 if `limit` or `cursor` is invalid.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/webhooks/{id}/recoveries",
    operation_id = "listRecoveries",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(
        ("id" = WebhookId, Path, description = "The webhook's id."),
        requests::Limit,
        ("cursor" = Option<RecoveryId>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of recoveries.", body = Page<RecoveryView, RecoveryId>)),
))]
pub(crate) async fn list(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
    mut query: Query,
) -> Result<Json<Page<RecoveryView, RecoveryId>>, Problem> {
    let store = &state.app.store;
    let (limit, after) = (query.limit(), query.cursor());
    query.finish()?;
    let page = recoveries::page(store, &account, id, after, limit).await?;
    // Read the webhook last, so that a recovery that is stopped is not shown as running.
    let webhook = webhooks::get(store, &account, id).await?;
    if webhook.is_none() && page.items.is_empty() {
        return Err(Problem::not_found(WebhookId::WHAT));
    }
    Ok(Json(page.map(|recovery| RecoveryView::new(&recovery, webhook.as_ref()))))
}

/// Read a recovery
///
/// Answers 200 with the recovery and its progress. Recoveries are kept as long as events, even if the webhook is deleted. Fails
/// with 404 if the webhook has no such recovery.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/webhooks/{id}/recoveries/{recovery_id}",
    operation_id = "readRecovery",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(
        ("id" = WebhookId, Path, description = "The webhook's id."),
        ("recovery_id" = RecoveryId, Path, description = "The recovery's id."),
    ),
    responses((status = 200, description = "The recovery.", body = RecoveryView)),
))]
pub(crate) async fn read(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path((id, recovery)): Path<(WebhookId, RecoveryId)>,
) -> Result<Json<RecoveryView>, Problem> {
    let store = &state.app.store;
    let recovery = recoveries::get(store, &account, id, recovery).await?;
    let recovery = recovery.ok_or_else(|| Problem::not_found(RecoveryId::WHAT))?;
    let webhook = webhooks::get(store, &account, id).await?;
    Ok(Json(RecoveryView::new(&recovery, webhook.as_ref())))
}

impl From<BeginError> for Problem {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::NotFound => Self::not_found(WebhookId::WHAT),
            BeginError::Disabled => Self::webhook_disabled(),
            BeginError::Polled => Self::polled("Poll it with 'from' to read earlier events again."),
            BeginError::Empty(_) => {
                let detail = "is before the webhook's registration; 'backfill' sends events of that time";
                Self::invalid(vec![Fault { pointer: "/until".to_owned(), detail: detail.to_owned() }])
            }
            BeginError::Failed(Error::Store(error)) => error.into(),
            BeginError::Failed(error) => error.into(),
        }
    }
}
