//! `POST /v1/filters/test`: whether an event passes a filter.

#[cfg(test)]
use crate::openapi::requests;
use crate::{auth::Manager, body::EventBody, new_event, path::Named, problem::Problem, session::Only, state::ApiState};
use application::{App, portal};
use axum::{Json, extract::State};
use domain::{
    account::AccountId,
    event::Event,
    filter::{Document, Explanation, Filter},
    id::EventId,
    input,
};
use serde::Serialize;
use std::sync::Arc;

/// Whether an event passes a filter.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct FilterTest {
    /// Whether the filter matches.
    matches: bool,
    /// Where the filter does not match. Missing if it matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    explanation: Option<Explanation>,
}

impl FilterTest {
    /// `explanation` says where the filter does not match. It is `None` if it matches.
    pub(crate) fn new(explanation: Option<Explanation>) -> Self {
        Self { matches: explanation.is_none(), explanation }
    }
}

/// Try a filter on an event
///
/// Answers 200 with whether a webhook with this filter would receive the event and, if not, with the condition that failed. The event is
/// one of the account's, by its id, or one as it would be published. Nothing is stored. Fails with 404 if the account has no such
/// event, and with 422 if the filter or the event breaks rules.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/filters/test",
    operation_id = "testFilter",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    request_body = requests::NewFilterTest,
    responses(
        (status = 200, description = "Whether the filter matches.", body = FilterTest),
        (status = 404, description = ""),
    ),
))]
pub(crate) async fn test(
    Manager(account): Manager,
    only: Only,
    State(state): State<Arc<ApiState>>,
    body: EventBody,
) -> Result<Json<FilterTest>, Problem> {
    let app = &state.app;
    let mut fields = body.fields()?;
    let pattern = fields.required("filter", |raw| Filter::read(raw)?.compile());
    let (pattern, event) = if fields.peek("event_id").is_some() {
        let id = fields.required("event_id", input::string);
        let (pattern, id) = fields.finish(|| Ok((pattern?, id?)))?;
        (pattern, stored(app, &account, &only, &id).await?)
    } else {
        let findings = new_event::findings(app, &fields).await?;
        let new = new_event::take(&mut fields, 0, &findings);
        let (pattern, new) = fields.finish(|| Ok((pattern?, new?)))?;
        (pattern, Event::new(account, EventId::new(app.clock.now(), &app.random), &new))
    };
    let document = Document::parse(&event.payload);
    let explanation = document.as_ref().and_then(|document| pattern.explain(document));
    Ok(Json(FilterTest::new(explanation)))
}

/// Returns the stored event that the text `id` names.
async fn stored(app: &App, account: &AccountId, only: &Only, id: &str) -> Result<Event, Problem> {
    let no_event = || Problem::not_found(EventId::WHAT);
    let id = id.parse().map_err(|_| no_event())?;
    let only = only.webhook(app, account).await?;
    portal::event_seen(app, account, only.as_ref(), id).await?.ok_or_else(no_event)
}
