//! Decides which requests a portal session may make. A read-only session changes nothing. A session that is bound to one webhook sees
//! only that webhook, its deliveries and their events; whatever else the account has is not found.
//!
//! Invariant: a bound session is refused on every route that is not listed here, so that a new route is safe until somebody lists it.

use crate::{auth, path::Named, problem::Problem, state::ApiState, webhooks::find};
use application::App;
use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::{Method, request::Parts},
};
use domain::{
    account::AccountId,
    id::{DeliveryId, WebhookId},
    portal::Session,
    webhook::Webhook,
};
use std::sync::Arc;

/// The route that ends a session.
const OWN: (&str, &str) = ("DELETE", "/v1/portal-sessions");

/// Routes that change nothing, although their method is POST.
const READING: &[(&str, &str)] =
    &[("POST", "/v1/signatures/debug"), ("POST", "/v1/filters/test"), ("POST", "/v1/events/dry-run"), OWN];

const POLL: &str = "/v1/webhooks/{id}/poll";

/// The routes about no single webhook or delivery that a bound session may use. Their handlers take [`Only`], or show nothing of the
/// account.
const RESTRICTING: &[(&str, &str)] = &[
    ("GET", "/v1/webhooks"),
    ("POST", "/v1/webhooks/test"),
    ("GET", "/v1/events"),
    ("GET", "/v1/events/{id}"),
    ("POST", "/v1/events"),
    ("POST", "/v1/events/batch"),
    ("POST", "/v1/events/dry-run"),
    ("GET", "/v1/event-types"),
    ("POST", "/v1/signatures/debug"),
    ("POST", "/v1/filters/test"),
    OWN,
];

/// Whether a session may make a request.
///
/// # Errors
/// 403 if it may not. 404 if the request is about a webhook or a delivery that the session does not see.
pub(crate) fn judge(session: &Session, request: &Parts) -> Result<(), Problem> {
    let pattern = request.extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    let route = (request.method.as_str(), pattern);
    let is_safe = [Method::GET, Method::HEAD].contains(&request.method);
    if session.read_only && !is_safe && !READING.contains(&route) {
        return Err(Problem::forbidden("The session is read-only."));
    }
    if session.read_only && pattern == POLL {
        return Err(Problem::forbidden("A read-only session cannot poll: a polled event is signed when it is read."));
    }
    let Some(only) = session.webhook else { return Ok(()) };
    if RESTRICTING.contains(&route) {
        return Ok(());
    }
    let id = request.uri.path().split('/').nth(3).unwrap_or_default();
    if pattern.starts_with("/v1/webhooks/{id}") {
        return if id.parse() == Ok(only) { Ok(()) } else { Err(Problem::not_found(WebhookId::WHAT)) };
    }
    if pattern.starts_with("/v1/deliveries/{id}") {
        let is_seen = id.parse().is_ok_and(|id: DeliveryId| id.webhook == only);
        return if is_seen { Ok(()) } else { Err(Problem::not_found(DeliveryId::WHAT)) };
    }
    Err(Problem::forbidden("The session is bound to one webhook."))
}

/// The only webhook that the caller sees, or `None` for all of the account.
pub(crate) struct Only(pub(crate) Option<WebhookId>);

impl Only {
    /// Reads the webhook, if the caller sees one alone.
    ///
    /// # Errors
    /// 404 if it was deleted.
    pub(crate) async fn webhook(&self, app: &App, account: &AccountId) -> Result<Option<Webhook>, Problem> {
        match self.0 {
            Some(id) => Ok(Some(find(app, account, id).await?)),
            None => Ok(None),
        }
    }

    /// Judges a request that changes which events the webhook gets. `changes` is whether it does.
    ///
    /// # Errors
    /// 403 if it does and the caller sees one webhook alone: that would show it other events of the account.
    pub(crate) fn may_widen(&self, changes: bool) -> Result<(), Problem> {
        if changes && self.0.is_some() {
            return Err(Problem::forbidden("A session of one webhook cannot change which events that webhook gets."));
        }
        Ok(())
    }

    /// Whether the caller sees a webhook.
    pub(crate) fn sees(&self, id: WebhookId) -> bool {
        self.0.is_none_or(|only| only == id)
    }
}

impl FromRequestParts<Arc<ApiState>> for Only {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Self, Problem> {
        let caller = auth::caller(parts, state).await?;
        Ok(Self(caller.session().and_then(|session| session.webhook)))
    }
}
