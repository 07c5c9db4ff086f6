//! `POST /v1/events/dry-run`: which webhooks an event would reach, why it would not reach the others, and the requests that would be
//! sent. It stores nothing and sends nothing.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::PublishingManager,
    body::{EventBody, Query},
    new_event,
    problem::Problem,
    request_view::RequestView,
    session::Only,
    state::ApiState,
    traceparent::Trace,
    warnings::with_warnings,
};
use application::dry_run::{self, Judged, JudgedPage, Refusal};
use axum::{Json, extract::State};
use domain::{
    answer::{ANSWER_BYTES_MAX, escaped_len},
    event::Event,
    filter::Explanation,
    id::{EventId, WebhookId},
    time::Timestamp,
    webhook::DeliveryMode,
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// What would become of an event.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct DryRun {
    /// The event as the answer to its publication would show it. Its id is made for this answer: no event has it.
    #[cfg_attr(test, schema(value_type = crate::warnings::PublishedEvent))]
    event: Box<RawValue>,
    /// A page of the account's webhooks, oldest first.
    webhooks: Vec<DryRunWebhook>,
    /// The `cursor` for further webhooks. `null` if there are no further webhooks.
    next_cursor: Option<WebhookId>,
}

/// What a webhook would receive.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct DryRunWebhook {
    /// The webhook's id.
    webhook_id: WebhookId,
    /// How the event would reach the receiver: it would be sent, or returned by polls.
    delivery: DeliveryMode,
    /// Whether the webhook would receive the event.
    delivers: bool,
    /// Why not, or `null` if it would.
    reason: Option<DryRunReason>,
    /// Where the filter does not match, if that is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    filter: Option<Explanation>,
    /// The request of the first attempt, or what a poll would return. Missing if the webhook would not receive the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    request: Option<RequestView>,
}

/// Why a webhook would not receive an event. The first that holds is given, in this order.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
enum DryRunReason {
    /// The webhook does not subscribe to the type.
    EventType,
    /// Its filter does not match.
    Filter,
    /// It is disabled.
    Disabled,
}

impl DryRunWebhook {
    pub(crate) fn new(Judged { webhook, refusal }: Judged, event: &Event, now: Timestamp) -> Self {
        let (reason, filter) = match refusal {
            None => (None, None),
            Some(Refusal::EventType) => (Some(DryRunReason::EventType), None),
            Some(Refusal::Filter(explanation)) => (Some(DryRunReason::Filter), Some(explanation)),
            Some(Refusal::Disabled) => (Some(DryRunReason::Disabled), None),
        };
        let delivers = reason.is_none();
        Self {
            webhook_id: webhook.id,
            delivery: DeliveryMode::of(&webhook),
            delivers,
            reason,
            filter,
            request: delivers.then(|| RequestView::new(&webhook, event, 1, now)),
        }
    }

    /// Returns how many bytes the entry takes in Lambda's answer.
    fn escaped_len(&self) -> usize {
        escaped_len(&serde_json::to_vec(self).expect("an entry is JSON"))
    }
}

/// Try an event without publishing it
///
/// Takes the body of a publication, and answers 200 with what publishing it now would do: the event, and for each webhook of the
/// account whether it would receive the event. If not, `reason` is the first that holds of `event_type`, `filter` (with the
/// condition that failed, what it expects, and what the event has) and `disabled`: so a disabled webhook whose reason is `disabled`
/// would receive the event if it were enabled. Otherwise, `request` is what would be sent first, or what a poll would return,
/// with `***` for every secret and signature. Stores nothing, sends nothing, and does not count towards the publish limit. The webhooks
/// come in pages, and a page may end early. Send the same body with `next_cursor` as `cursor` for the others. Fails with 422 if the event
/// could not be published, or if a parameter is invalid.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/events/dry-run",
    operation_id = "dryRunEvent",
    tag = "Events",
    security(("bearer" = ["publish", "manage"])),
    params(
        requests::TraceParent,
        requests::Limit,
        ("cursor" = Option<WebhookId>, Query, description = "The `next_cursor` of the answer before."),
    ),
    request_body = requests::NewEvent,
    responses((status = 200, description = "What would become of the event.", body = DryRun)),
))]
pub(crate) async fn dry_run(
    PublishingManager(account): PublishingManager,
    Only(only): Only,
    State(state): State<Arc<ApiState>>,
    Trace(trace): Trace,
    (mut query, body): (Query, EventBody),
) -> Result<Json<DryRun>, Problem> {
    let app = &state.app;
    let (limit, after) = (query.limit(), query.cursor());
    query.finish()?;
    let fields = body.fields()?;
    let findings = new_event::findings(app, &fields).await?;
    let new = new_event::read(fields, 0, &findings)?;
    let now = app.clock.now();
    let event = Event::new(account, EventId::new(now, &app.random), &new).traced(trace);
    let page = match only {
        Some(only) => dry_run::judge_one(app, &event, only).await?,
        None => dry_run::judge(app, &event, after, limit).await?,
    };
    let shown = with_warnings(event.payload.clone(), findings.warnings(0));
    let room = ANSWER_BYTES_MAX.saturating_sub(escaped_len(&shown));
    let (webhooks, next_cursor) = within(room, after, page, |judged| DryRunWebhook::new(judged, &event, now));
    Ok(Json(DryRun { event: crate::events::json_raw(&shown), webhooks, next_cursor }))
}

/// Returns the webhooks that fit into `room` escaped bytes, and if there are more, the one after which the next page begins. The largest
/// event fits, so that every page has a webhook.
fn within(
    mut room: usize,
    after: Option<WebhookId>,
    page: JudgedPage,
    view: impl Fn(Judged) -> DryRunWebhook,
) -> (Vec<DryRunWebhook>, Option<WebhookId>) {
    let (mut fitting, mut last) = (vec![], after);
    for view in page.webhooks.into_iter().map(view) {
        match room.checked_sub(view.escaped_len()) {
            Some(rest) => room = rest,
            None => return (fitting, last),
        }
        last = Some(view.webhook_id);
        fitting.push(view);
    }
    (fitting, page.next)
}
