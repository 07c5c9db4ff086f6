//! `/v1/portal-sessions`: begins a session of the portal by the code of a link, and ends it.

#[cfg(test)]
use crate::openapi::requests;
use crate::{auth::AnySession, body::SmallBody, problem::Problem, state::ApiState};
use application::portal::{self, BegunSession};
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    account::AccountId,
    id::WebhookId,
    input::{self, Fields, InputError},
    token::Scope,
};
use serde::Serialize;
use std::sync::Arc;
use store::tokens;

/// A session of the portal.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct PortalSession {
    /// The token of the session, to be sent as `Authorization: Bearer`. Later answers do not show it.
    token: String,
    /// When the session is over.
    expires_at: String,
    /// The account that the session is bound to.
    account: AccountId,
    /// Whether the session is read-only.
    read_only: bool,
    /// Whether the session may publish events.
    publish: bool,
    /// The only webhook that the session sees, with its deliveries and their events. `null` if it sees all of the account.
    webhook_id: Option<WebhookId>,
}

impl From<BegunSession> for PortalSession {
    fn from(BegunSession { token, link, until }: BegunSession) -> Self {
        Self {
            token,
            expires_at: until.to_string(),
            account: link.bound_to,
            read_only: link.read_only,
            publish: link.scopes.contains(&Scope::Publish),
            webhook_id: link.webhook,
        }
    }
}

/// Begin a session of the portal
///
/// Exchanges the code of a link for the token of a session. It needs no other token. A code works once, within five minutes. Answers
/// 201 with the session. Fails with 401 if the code is unknown, used or expired.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/portal-sessions",
    operation_id = "createPortalSession",
    tag = "Portal",
    request_body = requests::NewPortalSession,
    responses((status = 201, description = "The session.", body = PortalSession), (status = 401, description = "")),
))]
pub(crate) async fn create(State(state): State<Arc<ApiState>>, body: SmallBody) -> Result<Response, Problem> {
    let code = read_code(body.fields()?)?;
    let begun = portal::begin_session(&state.app, &code).await?;
    let session = PortalSession::from(begun.ok_or_else(Problem::code_refused)?);
    tracing::info!(account = %session.account, "portal session begun");
    let mut response = (StatusCode::CREATED, Json(session)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn read_code(mut fields: Fields) -> Result<String, InputError> {
    let code = fields.required("code", input::string);
    fields.finish(|| code)
}

/// End the session
///
/// Ends the session whose token the request carries. It is over at once. Answers 204. Fails with 403 if the token does not belong to a
/// portal session.
#[cfg_attr(test, utoipa::path(
    delete,
    path = "/v1/portal-sessions",
    operation_id = "deletePortalSession",
    tag = "Portal",
    security(("bearer" = ["manage"])),
    responses((status = 204, description = "The session is over.")),
))]
pub(crate) async fn remove(
    AnySession { token_hash }: AnySession,
    State(state): State<Arc<ApiState>>,
) -> Result<StatusCode, Problem> {
    tokens::delete_session(&state.app.store, &token_hash).await?;
    Ok(StatusCode::NO_CONTENT)
}
