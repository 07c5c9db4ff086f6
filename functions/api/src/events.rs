//! `/v1/events`, `/v1/events/batch` and `/v1/events/{id}`: publish events under an optional idempotency key, list them, and
//! read one with its deliveries.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::{Publisher, Reader},
    body::{BatchBody, EventBody, Query},
    idempotency_key, new_event,
    newline::PayloadBytes,
    path::{Named, Path},
    problem::Problem,
    session::Only,
    state::ApiState,
    traceparent::Trace,
    warnings::with_warnings,
};
use application::{App, portal, publishing::Publication};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::{
    account::AccountId,
    answer::{ANSWER_BYTES_MAX, escaped_len},
    delivery::DeliveryView,
    event::{Event, REQUEST_BYTES_MAX},
    event_type::EventType,
    findings::Findings,
    id::{EventId, WebhookId},
    input::{self, Fields},
    page::{Order, Page},
    webhook::Webhook,
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{collections::BTreeMap, sync::Arc};
use store::{deliveries, event_types, events, idempotency, webhooks};

/// The most events of one batch.
pub(crate) const BATCH_MAX: usize = 100;
/// The most escaped bytes that the problem of one event of a batch may take in the answer. The answer then stays within
/// Lambda's limit of 6 MB, even with the largest events beside a hundred problems.
const PROBLEM_BYTES_MAX: usize = 7_000;
/// The most webhooks whose deliveries one answer shows.
const DELIVERIES_MAX: usize = 100;

/// Publish an event
///
/// Stores the event and enqueues its deliveries. Answers 202 with the event as it will be delivered. A 202 means that the event
/// is stored and will reach every webhook that is enabled and subscribed. Fails with 422 if the event breaks a rule or does not
/// fit the schema that its type enforces, or if the `Idempotency-Key` was used for another request, and with 429 if the account
/// has reached its publish limit. Nothing is published then. After a 409 or a 5xx, the event may be published or not: retry with
/// the same `Idempotency-Key`.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "publishEvent",
    tag = "Events",
    security(("bearer" = ["publish"])),
    params(requests::IdempotencyKey, requests::TraceParent),
    request_body = requests::NewEvent,
    responses(
        (
            status = 202,
            description = "The event as it will be delivered.",
            body = crate::warnings::PublishedEvent,
            headers(("Idempotent-Replayed" = String, description = "`true` if this repeats the answer to an earlier request.")),
        ),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn publish(
    Publisher(account): Publisher,
    State(state): State<Arc<ApiState>>,
    Trace(trace): Trace,
    headers: HeaderMap,
    body: EventBody,
) -> Result<Response, Problem> {
    let app = &state.app;
    let key_use = KeyUse::of(&headers, [b"/v1/events", &body.0])?;
    let fields = body.fields()?;
    let mut findings = new_event::findings(app, &fields).await?;
    if let Some(key) = &key_use.key
        && findings.refuse_any()
        && idempotency::is_used(&app.store, &account, key, &key_use.parts).await?
    {
        // The key was used for this request already, when the catalogue had nothing against it.
        findings = Findings::default();
    }
    let new = new_event::read(fields, 0, &findings)?;
    let publication = admit(&state, account, key_use, &findings, 1).await?;
    let warnings = publication.findings().unwrap_or(&findings).warnings(0).to_vec();
    let published = publication.traced(trace).publish(app, &[new]).await?;
    let payload = published.events.into_iter().next().map(|event| event.payload).unwrap_or_default();
    let mut response = accepted(with_warnings(payload, &warnings), published.replayed);
    if warnings.is_empty() {
        response.extensions_mut().insert(PayloadBytes);
    }
    Ok(response)
}

/// Publish up to 100 events
///
/// Publishes each event by itself, by the rules of a single one: a fault in one does not stop the others. The body may have 2.5
/// MiB in all. Answers 202 with one entry for each event, in order: the event, or the problem why it was not published. So a
/// 202 does not mean that all were published. Fails as a whole with 413 or 422 for the form of the batch, with 422 if the
/// `Idempotency-Key` was used for another request, and with 429 if the account has reached its publish limit. Nothing is
/// published then. After a 409 or a 5xx, events may be published or not: retry with the same `Idempotency-Key`.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/events/batch",
    operation_id = "publishEvents",
    tag = "Events",
    security(("bearer" = ["publish"])),
    params(requests::IdempotencyKey, requests::TraceParent),
    request_body = requests::NewBatch,
    responses(
        (
            status = 202,
            description = "For each event, in order, the event or a problem.",
            body = BatchAnswer,
            headers(("Idempotent-Replayed" = String, description = "`true` if this repeats the answer to an earlier request.")),
        ),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn publish_batch(
    Publisher(account): Publisher,
    State(state): State<Arc<ApiState>>,
    Trace(trace): Trace,
    headers: HeaderMap,
    body: BatchBody,
) -> Result<Response, Problem> {
    let app = &state.app;
    let key_use = KeyUse::of(&headers, [b"/v1/events/batch", &body.0])?;
    let mut fields = body.fields()?;
    let entries = fields.required("events", |raw| input::array(raw, BATCH_MAX, |raw| Ok(raw.to_owned())));
    let entries = fields.finish(|| entries)?;
    let fields: Vec<_> = entries.iter().map(|raw| read_fields(raw)).collect();
    let types = fields.iter().flatten().filter_map(new_event::event_type).collect();
    let types = event_types::look_up(&app.store, types).await?;
    let judgements =
        fields.iter().map(|fields| fields.as_ref().map(|fields| new_event::judge(&types, fields)).unwrap_or_default());
    let findings = Findings::new(types.unknown.clone(), judgements);
    let validate = |fields: Vec<Result<Fields, Problem>>, findings: &Findings| {
        let read = fields.into_iter().enumerate().map(|(index, fields)| new_event::read(fields?, index, findings));
        let mut valid = vec![];
        let results: Vec<_> = read.map(|read| read.map(|new| valid.push(new))).collect();
        (results, valid)
    };
    let (mut results, mut valid) = validate(fields, &findings);
    let publication = admit(&state, account, key_use, &findings, valid.len()).await?;
    let first = publication.findings().filter(|first| **first != findings).cloned();
    if let Some(first) = &first {
        (results, valid) = validate(entries.iter().map(|raw| read_fields(raw)).collect(), first);
    }
    let findings = first.unwrap_or(findings);
    let published = publication.traced(trace).publish(app, &valid).await?;
    let mut events = published.events.into_iter();
    let data = results.into_iter().enumerate().map(|(index, result)| match (result, &mut events) {
        (Ok(()), events) => {
            events.next().map(|event| json_raw(&with_warnings(event.payload, findings.warnings(index))))
        }
        (Err(problem), _) => Some(json_raw(problem.to_json_within(PROBLEM_BYTES_MAX).as_bytes())),
    });
    let answer = BatchAnswer { data: data.collect() };
    let answer = serde_json::to_vec(&answer).expect("an answer of JSON texts is JSON");
    Ok(accepted(answer.into(), published.replayed))
}

/// The answer to a batch.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = EventBatch))]
struct BatchAnswer {
    /// For each event of the batch, in order, the event or a problem.
    #[cfg_attr(test, schema(value_type = Vec<requests::BatchResult>))]
    data: Vec<Option<Box<RawValue>>>,
}

/// Reads the fields of one event of a batch, by the rules of a single one.
fn read_fields(raw: &RawValue) -> Result<Fields, Problem> {
    if raw.get().len() > REQUEST_BYTES_MAX {
        return Err(Problem::too_large(REQUEST_BYTES_MAX / 1024));
    }
    Ok(Fields::of(raw)?)
}

/// The idempotency key of a request, and the parts that distinguish the request from others: its route and its body.
struct KeyUse<'a> {
    key: Option<String>,
    parts: [&'a [u8]; 2],
}

impl<'a> KeyUse<'a> {
    /// Reads the key from the headers of the request that consists of `parts`.
    fn of(headers: &HeaderMap, parts: [&'a [u8]; 2]) -> Result<Self, Problem> {
        Ok(Self { key: idempotency_key::read(headers)?, parts })
    }
}

/// Begins the publication of `count` events.
///
/// # Errors
/// 429 if the account has reached its publish limit. 422 if the key was used for another request.
async fn admit(
    state: &ApiState,
    account: AccountId,
    KeyUse { key, parts }: KeyUse<'_>,
    findings: &Findings,
    count: usize,
) -> Result<Publication, Problem> {
    state.throttle.admit(&state.app, &account, count).await?;
    let Some(key) = key else { return Ok(Publication::new(account)) };
    let publication = Publication::under_key(&state.app, account, key, &parts, findings).await?;
    publication.ok_or_else(Problem::idempotency_key_reused)
}

/// Returns a 202 with `body`. `replayed` marks the answer to an earlier request.
fn accepted(body: Bytes, replayed: bool) -> Response {
    let mut response = (StatusCode::ACCEPTED, Body::from(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    idempotency_key::mark_replayed(response, replayed)
}

/// Returns a payload or a problem document as part of an answer, byte for byte.
pub(crate) fn json_raw(payload: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(payload).into_owned();
    RawValue::from_string(text).expect("payloads and problem documents are JSON")
}

/// List the events, newest first
///
/// Answers 200 with a page of the account's events, as long as they are kept (30 days by default). Fails with 422 if a
/// parameter is invalid.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "listEvents",
    tag = "Events",
    security(("bearer" = ["manage"]), ("bearer" = ["publish"])),
    params(
        requests::Limit,
        ("cursor" = Option<EventId>, Query, description = "The `next_cursor` of the page before."),
        ("type" = Option<EventType>, Query, description = "Lists only events of this type."),
    ),
    responses((status = 200, description = "A page of events.", body = Page<domain::event::Payload, EventId>)),
))]
pub(crate) async fn list(
    Reader(account): Reader,
    only: Only,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Page<Box<RawValue>, EventId>>, Problem> {
    let (limit, after) = (query.limit(), query.cursor());
    let event_type: Option<EventType> = query.parsed("type");
    query.finish()?;
    let mut page = events::list(&state.app.store, &account, event_type.as_ref(), after, limit).await?;
    if let Some(webhook) = only.webhook(&state.app, &account).await? {
        let seen = portal::events_seen(&state.app, &webhook, &page.items).await?;
        page.items.retain(|event| seen.contains(&event.id));
    }
    Ok(Json(page.map(|event| json_raw(&event.payload))))
}

/// An event with its deliveries to the account's webhooks.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = EventWithDeliveries))]
pub(crate) struct EventView {
    /// The event's id.
    id: EventId,
    /// The event's type.
    r#type: EventType,
    /// When the event was published.
    created_at: String,
    /// What happened.
    #[cfg_attr(test, schema(value_type = domain::event::Data))]
    data: Box<RawValue>,
    /// The values that an update replaced, or `null`.
    #[cfg_attr(test, schema(value_type = Option<Object>))]
    previous_data: Box<RawValue>,
    /// The event's deliveries to at most 100 webhooks, oldest webhook first. Deliveries to webhooks that were deleted since are
    /// included.
    deliveries: Vec<DeliveryView>,
    /// The `cursor` for the deliveries to further webhooks. `null` if there are no further webhooks.
    next_cursor: Option<String>,
}

/// Read an event with its deliveries
///
/// Answers 200 with the event and its deliveries to at most 100 webhooks. Send `next_cursor` as `cursor` for the others. Fails
/// with 404 if the account has no such event, and with 422 if `cursor` is invalid.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/events/{id}",
    operation_id = "readEvent",
    tag = "Events",
    security(("bearer" = ["manage"]), ("bearer" = ["publish"])),
    params(
        ("id" = EventId, Path, description = "The event's id."),
        ("cursor" = Option<WebhookId>, Query, description = "The `next_cursor` of the answer before."),
    ),
    responses((status = 200, description = "The event with its deliveries.", body = EventView)),
))]
pub(crate) async fn read(
    Reader(account): Reader,
    only: Only,
    State(state): State<Arc<ApiState>>,
    (Path(id), mut query): (Path<EventId>, Query),
) -> Result<Json<EventView>, Problem> {
    let app = &state.app;
    let after = query.cursor();
    query.finish()?;
    let only = only.webhook(app, &account).await?;
    let event = portal::event_seen(app, &account, only.as_ref(), id).await?;
    let event = event.ok_or_else(|| Problem::not_found(EventId::WHAT))?;
    let (page, deleted) = match only {
        Some(webhook) => (Page { items: vec![webhook], next: None }, vec![]),
        None => (
            webhooks::page(&app.store, &account, after, DELIVERIES_MAX, Order::Oldest).await?,
            webhooks::deleted(&app.store, &account, DELIVERIES_MAX).await?,
        ),
    };
    let (deliveries, next) = deliveries_of(app, &event, (&page, deleted), after).await?;
    let mut payload = Fields::parse(&event.payload)?;
    let (data, previous_data) = (payload.required("data", keep), payload.required("previous_data", keep));
    Ok(Json(EventView {
        id,
        r#type: event.event_type.clone(),
        created_at: id.made_at().to_string(),
        data: data.unwrap_or_default(),
        previous_data: previous_data.unwrap_or_default(),
        deliveries,
        next_cursor: next.map(|next| next.to_string()),
    }))
}

/// Returns the event's deliveries to a page of webhooks, and to those of `deleted` that belong there, in the order of their webhooks,
/// and the webhook after which the next page begins.
async fn deliveries_of(
    app: &App,
    event: &Event,
    (page, deleted): (&Page<Webhook, WebhookId>, Vec<WebhookId>),
    after: Option<WebhookId>,
) -> Result<(Vec<DeliveryView>, Option<WebhookId>), Problem> {
    let (store, account) = (&app.store, &event.account);
    // Deliveries to deleted webhooks stay part of the event's history.
    let is_in_page = |id: &WebhookId| after.is_none_or(|after| after < *id) && page.next.is_none_or(|next| *id <= next);
    let deleted = deleted.into_iter().filter(is_in_page);
    let mut shown: BTreeMap<WebhookId, Option<&Webhook>> = deleted.map(|id| (id, None)).collect();
    shown.extend(page.items.iter().map(|webhook| (webhook.id, Some(webhook))));
    let ids: Vec<_> = shown.keys().copied().collect();
    let stored = deliveries::of_event(store, account, event.id, &ids).await?;
    let (summary, matcher) = (event.into(), app.filters.matcher(Some(&event.payload)));
    let views = shown.into_iter().map(|(id, webhook)| match (stored.get(&id), webhook) {
        (Some(delivery), webhook) => (id, Some(DeliveryView::new(delivery, webhook))),
        (None, Some(webhook)) => (id, DeliveryView::unattempted(&summary, webhook, matcher.passes(webhook))),
        (None, None) => (id, None),
    });
    let room = ANSWER_BYTES_MAX.saturating_sub(escaped_len(&event.payload));
    let (deliveries, cut) = within(room, after, views);
    Ok((deliveries, cut.or(page.next)))
}

/// Returns the deliveries that fit into `room` escaped bytes, and if there are more, the webhook after which the next page
/// begins.
fn within(
    mut room: usize,
    after: Option<WebhookId>,
    views: impl Iterator<Item = (WebhookId, Option<DeliveryView>)>,
) -> (Vec<DeliveryView>, Option<WebhookId>) {
    let (mut fitting, mut last) = (Vec::new(), after);
    for (id, view) in views {
        if let Some(view) = view {
            match room.checked_sub(view.escaped_len()) {
                Some(rest) => room = rest,
                None => return (fitting, last),
            }
            fitting.push(view);
        }
        last = Some(id);
    }
    (fitting, None)
}

/// Reads any value as it is.
#[allow(clippy::unnecessary_wraps, reason = "a reader of a field returns a result")]
fn keep(raw: &RawValue) -> Result<Box<RawValue>, input::Faults> {
    Ok(raw.to_owned())
}
