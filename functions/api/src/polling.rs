//! `GET /v1/webhooks/{id}/poll`: reads what a polled webhook would have been sent.

#[cfg(test)]
use crate::openapi::requests;
use crate::{auth::Manager, body::Query, path::Path, problem::Problem, state::ApiState, webhooks::find};
use application::polling::{self, Position};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use domain::{
    id::WebhookId,
    polling::{Cursor, Polled},
    time::Timestamp,
};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// How long a client waits that has read everything, in seconds.
const PAUSE_S: u32 = 1;

/// One page of a poll.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct PolledRequests {
    /// The requests, oldest first.
    data: Vec<PolledRequest>,
    /// The cursor of the next poll. A poll with it acknowledges the requests of this page.
    next_cursor: String,
    /// Whether the next poll may return more at once. If not, `Retry-After` says when to poll again.
    has_more: bool,
}

/// A request as it would have been sent to the webhook's URL.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct PolledRequest {
    /// The headers, by their names in lower case. They were signed when they were read.
    headers: BTreeMap<String, String>,
    /// The body, byte for byte: the event as JSON.
    body: String,
}

impl From<polling::Request> for PolledRequest {
    fn from(request: polling::Request) -> Self {
        let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = request.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        let body = String::from_utf8_lossy(&request.event.payload).into_owned();
        Self { headers: headers.collect(), body }
    }
}

/// Reads the parameter `from`.
fn read_from(text: &str) -> Result<Position, String> {
    match text {
        "now" => Ok(Position::Now),
        "start" => Ok(Position::Start),
        time => match Timestamp::parse_rfc3339(time) {
            Ok(moment) => Ok(Position::Since(moment)),
            Err(_) => Err("must be 'now', 'start', or a time in RFC 3339".to_owned()),
        },
    }
}

/// Poll a webhook's events
///
/// Returns what a webhook with `delivery` `poll` would have been sent, oldest first: the exact bytes and headers, signed when they
/// are read. The client keeps the cursor. A poll with `next_cursor` acknowledges everything before it; after a failure, poll with the
/// earlier cursor again. No event is skipped, and one may be repeated under the same `webhook-id`. The webhook's present `events`
/// and `filter` decide. Answers 200 with a page, and with `Retry-After` if there is no more to read now. Fails with 404 if the account has no
/// such webhook, with 409 if it is disabled or its events are sent, and with 422 if a parameter is invalid.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/webhooks/{id}/poll",
    operation_id = "pollWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(
        ("id" = WebhookId, Path, description = "The webhook's id."),
        requests::Limit,
        requests::PollCursor,
        ("from" = Option<String>, Query, description = "Where to begin without a cursor: `now`, what appears after this poll, which \
            itself returns nothing; `start`, the oldest event that is kept; or a time in RFC 3339. The default is the webhook's registration."),
    ),
    responses((status = 200, description = "A page of requests.", body = PolledRequests), (status = 409, description = "")),
))]
pub(crate) async fn poll(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
    mut query: Query,
) -> Result<Response, Problem> {
    let app = &state.app;
    let (limit, cursor) = (query.limit(), query.cursor::<Cursor>());
    let from = query.read("from", read_from);
    query.finish()?;
    let webhook = find(app, &account, id).await?;
    if !webhook.is_polled() {
        return Err(Problem::conflict(
            "The webhook's events are sent to its URL. Only one with 'delivery' 'poll' is polled.",
        ));
    }
    if !webhook.is_enabled() {
        return Err(Problem::webhook_disabled());
    }
    let position = cursor.map(Position::After).or(from).unwrap_or(Position::Since(webhook.created_at));
    let polled = polling::poll(app, &webhook, position, limit).await?;
    Ok(answer(polled))
}

fn answer(polled: Polled<polling::Request>) -> Response {
    let Polled { entries, cursor, has_more } = polled;
    let data = entries.into_iter().map(PolledRequest::from).collect();
    let page = Json(PolledRequests { data, next_cursor: cursor.to_string(), has_more });
    if has_more { page.into_response() } else { ([(header::RETRY_AFTER, PAUSE_S)], page).into_response() }
}
