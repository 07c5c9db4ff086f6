//! `/v1/events`: publish one or a batch, idempotently; list; read one with its deliveries.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    ApiState,
    auth::{Publisher, Reader, single},
    body::{BatchBody, EventBody, Query},
    deliveries::DeliveryView,
    page::Page,
    path::Path,
    problem::Problem,
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hookline::{
    answer::{ANSWER_BYTES_MAX, escaped_len},
    event::{NewEvent, REQUEST_BYTES_MAX},
    event_type::{EventType, UnknownTypes},
    id::{AccountId, EventId, WebhookId},
    input::{self, Fields},
    publishing::Publication,
    store::{
        deliveries, event_types, events as store,
        idempotency::{self, KEY_MAX},
        webhooks::{self, Order},
    },
    webhook::Webhook,
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{collections::BTreeMap, sync::Arc};

/// Events of one batch.
const BATCH_MAX: usize = 100;
/// Escaped bytes that the problem of one event of a batch may take of the answer: with all the events that a batch's bytes
/// can be beside a hundred of them, the answer stays within Lambda's 6 MB.
const PROBLEM_BYTES_MAX: usize = 7_000;
/// Webhooks whose deliveries one answer shows.
const DELIVERIES_MAX: usize = 100;

/// Publish an event
///
/// A 202 means that it is stored, and will reach every webhook that subscribes to it.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "publishEvent",
    tag = "Events",
    security(("bearer" = ["publish"])),
    params(requests::IdempotencyKey),
    request_body = requests::NewEvent,
    responses((
        status = 202,
        description = "The event as it will be delivered.",
        body = hookline::event::Payload,
        headers(("Idempotent-Replayed" = String, description = "`true` where this is the answer to an earlier request.")),
    )),
))]
pub(crate) async fn publish(
    Publisher(account): Publisher,
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    body: EventBody,
) -> Result<Response, Problem> {
    let app = &state.app;
    let key = idempotency_key(&headers)?;
    let parts: [&[u8]; 2] = [b"/v1/events", &body.0];
    let fields = body.fields()?;
    let mut unknown = event_types::unknown(app, event_type(&fields).into_iter().collect()).await?;
    if let Some(key) = &key
        && !unknown.is_empty()
        && idempotency::is_used(app, &account, key, &parts).await?
    {
        // The catalogue had the type when the key was first used.
        unknown = UnknownTypes::default();
    }
    let new = read_new_event(fields, &unknown)?;
    let publication = admit(&state, account, key, &parts, &unknown, 1).await?;
    let published = publication.publish(app, &[new]).await?;
    let payload = published.events.into_iter().next().map(|event| event.payload).unwrap_or_default();
    Ok(accepted(payload, published.replayed))
}

/// Publish up to 100 events
///
/// Each is judged by itself, as if it came alone. A batch may have 2.5 MiB in all.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/events/batch",
    operation_id = "publishEvents",
    tag = "Events",
    security(("bearer" = ["publish"])),
    params(requests::IdempotencyKey),
    request_body = requests::NewBatch,
    responses((
        status = 202,
        description = "Per event, in order, the event or a problem.",
        body = BatchAnswer,
        headers(("Idempotent-Replayed" = String, description = "`true` where this is the answer to an earlier request.")),
    )),
))]
pub(crate) async fn publish_batch(
    Publisher(account): Publisher,
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    body: BatchBody,
) -> Result<Response, Problem> {
    let app = &state.app;
    let key = idempotency_key(&headers)?;
    let mut fields = body.fields()?;
    let entries = fields.required("events", |raw| input::array(raw, BATCH_MAX, |raw| Ok(raw.to_owned())));
    fields.finish()?;
    let entries = entries.unwrap_or_default();
    let fields: Vec<_> = entries.iter().map(|raw| read_fields(raw)).collect();
    let unknown = event_types::unknown(app, fields.iter().flatten().filter_map(event_type).collect()).await?;
    let judge = |fields: Vec<Result<Fields, Problem>>, unknown: &UnknownTypes| {
        let (mut good, read) = (vec![], fields.into_iter().map(|fields| read_new_event(fields?, unknown)));
        let results: Vec<_> = read.map(|read| read.map(|new| good.push(new))).collect();
        (results, good)
    };
    let (mut results, mut good) = judge(fields, &unknown);
    let parts: [&[u8]; 2] = [b"/v1/events/batch", &body.0];
    let publication = admit(&state, account, key, &parts, &unknown, good.len()).await?;
    if let Some(first) = publication.unknown_types().filter(|first| **first != unknown) {
        (results, good) = judge(entries.iter().map(|raw| read_fields(raw)).collect(), first);
    }
    let published = publication.publish(app, &good).await?;
    let mut events = published.events.into_iter();
    let data = results.into_iter().map(|result| match (result, &mut events) {
        (Ok(()), events) => events.next().map(|event| json_raw(&event.payload)),
        (Err(problem), _) => Some(json_raw(problem.to_json_within(PROBLEM_BYTES_MAX).as_bytes())),
    });
    let answer = BatchAnswer { data: data.collect() };
    let answer = serde_json::to_vec(&answer).expect("an answer of JSON texts is JSON");
    Ok(accepted(answer.into(), published.replayed))
}

/// Per event of a batch, in order, the event or a problem.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Batch))]
struct BatchAnswer {
    #[cfg_attr(test, schema(value_type = Vec<requests::BatchResult>))]
    data: Vec<Option<Box<RawValue>>>,
}

/// The fields of one event of a batch, by the rules of a single one.
fn read_fields(raw: &RawValue) -> Result<Fields, Problem> {
    if raw.get().len() > REQUEST_BYTES_MAX {
        return Err(Problem::too_large(REQUEST_BYTES_MAX / 1024));
    }
    Ok(Fields::of(raw)?)
}

/// The type that an event has, if it is well-formed; it is looked at, not taken.
fn event_type(fields: &Fields) -> Option<EventType> {
    fields.peek("type").and_then(|raw| input::parsed(raw).ok())
}

fn read_new_event(mut fields: Fields, unknown: &UnknownTypes) -> Result<NewEvent, Problem> {
    // Told of together with whatever else is wrong.
    if let Some(detail) = event_type(&fields).as_ref().and_then(|name| unknown.fault(name)) {
        fields.fault("/type", detail);
    }
    let new = input::new_event(&mut fields);
    fields.finish()?;
    new.ok_or_else(|| Problem::invalid(vec![]))
}

/// Begins a request's publication of `count` events, if the account may publish so many; `parts` tell it from others.
async fn admit(
    state: &ApiState,
    account: AccountId,
    key: Option<String>,
    parts: &[&[u8]],
    unknown: &UnknownTypes,
    count: usize,
) -> Result<Publication, Problem> {
    state.throttle.admit(&state.app, &account, count).await?;
    let Some(key) = key else { return Ok(Publication::new(account)) };
    let publication = Publication::under_key(&state.app, account, key, parts, unknown).await?;
    publication.ok_or_else(|| Problem::unprocessable("The Idempotency-Key was used for another request."))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let faulty = || Problem::malformed("Idempotency-Key must have 1 to 255 printable ASCII characters, once.");
    let Some(value) = single(headers, "idempotency-key").map_err(|()| faulty())? else { return Ok(None) };
    // `to_str` alone would let a tab through.
    let is_printable = |key: &&str| key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match value.to_str().ok().filter(is_printable) {
        Some(key) if (1..=KEY_MAX).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(faulty()),
    }
}

fn accepted(body: Bytes, replayed: bool) -> Response {
    let mut response = (StatusCode::ACCEPTED, Body::from(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if replayed {
        response.headers_mut().insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
    }
    response
}

/// A payload as part of an answer, byte for byte.
fn json_raw(payload: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(payload).into_owned();
    RawValue::from_string(text).expect("payloads and problem documents are JSON")
}

/// List the events, newest first
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "listEvents",
    tag = "Events",
    security(("bearer" = ["manage"]), ("bearer" = ["publish"])),
    params(
        requests::Limit,
        ("cursor" = Option<EventId>, Query, description = "The `next_cursor` of the page before."),
        ("type" = Option<EventType>, Query, description = "Only those of this type."),
    ),
    responses((status = 200, description = "A page of events.", body = Page<hookline::event::Payload>)),
))]
pub(crate) async fn list(
    Reader(account): Reader,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Page<Box<RawValue>>>, Problem> {
    let (limit, after) = (query.limit(), query.cursor());
    let event_type: Option<EventType> = query.optional("type", "must be the name of an event type");
    query.finish()?;
    let page = store::list(&state.app, &account, event_type.as_ref(), after, limit).await?;
    Ok(Json(Page::new(page.items.iter().map(|event| json_raw(&event.payload)).collect(), page.next)))
}

/// An event with its deliveries.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = EventWithDeliveries))]
pub(crate) struct EventView {
    id: EventId,
    r#type: EventType,
    created_at: String,
    #[cfg_attr(test, schema(value_type = hookline::event::Data))]
    data: Box<RawValue>,
    #[cfg_attr(test, schema(value_type = Option<Object>))]
    previous_data: Box<RawValue>,
    /// To the account's webhooks, those that were deleted since included, oldest webhook first.
    deliveries: Vec<DeliveryView>,
    /// What to send as `cursor` for the deliveries to further webhooks; `null` where there are none.
    next_cursor: Option<String>,
}

/// Read an event, with its deliveries
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/events/{id}",
    operation_id = "readEvent",
    tag = "Events",
    security(("bearer" = ["manage"]), ("bearer" = ["publish"])),
    params(
        ("id" = EventId, Path),
        ("cursor" = Option<WebhookId>, Query, description = "The `next_cursor` of an earlier answer."),
    ),
    responses((status = 200, description = "The event.", body = EventView)),
))]
pub(crate) async fn read(
    Reader(account): Reader,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    mut query: Query,
) -> Result<Json<EventView>, Problem> {
    let app = &state.app;
    let after = query.cursor();
    query.finish()?;
    let no_event = || Problem::not_found("event");
    let id: EventId = id.parse().map_err(|_| no_event())?;
    let event = store::get(app, &account, id).await?.ok_or_else(no_event)?;
    let page = webhooks::page(app, &account, after, DELIVERIES_MAX, Order::Oldest).await?;
    // What was sent to deleted ones, or cancelled, is part of what became of the event.
    let is_in_page = |id: &WebhookId| after.is_none_or(|after| after < *id) && page.next.is_none_or(|next| *id <= next);
    let deleted = webhooks::deleted(app, &account, DELIVERIES_MAX).await?.into_iter().filter(is_in_page);
    let mut shown: BTreeMap<WebhookId, Option<&Webhook>> = deleted.map(|id| (id, None)).collect();
    shown.extend(page.webhooks.iter().map(|webhook| (webhook.id, Some(webhook))));
    let ids: Vec<_> = shown.keys().copied().collect();
    let stored = deliveries::of_event(app, &account, id, &ids).await?;
    let summary = (&event).into();
    let views = shown.into_iter().map(|(id, webhook)| match (stored.get(&id), webhook) {
        (Some(delivery), webhook) => (id, Some(DeliveryView::new(delivery, webhook))),
        (None, Some(webhook)) => (id, DeliveryView::before_claim(&summary, webhook)),
        (None, None) => (id, None),
    });
    let room = ANSWER_BYTES_MAX.saturating_sub(escaped_len(&event.payload));
    let (deliveries, cut) = within(room, after, views);
    let mut payload = Fields::parse(&event.payload)?;
    let (data, previous_data) = (payload.required("data", keep), payload.required("previous_data", keep));
    Ok(Json(EventView {
        id,
        r#type: event.event_type.clone(),
        created_at: id.made_at().to_string(),
        data: data.unwrap_or_default(),
        previous_data: previous_data.unwrap_or_default(),
        deliveries,
        next_cursor: cut.or(page.next).map(|next| next.to_string()),
    }))
}

/// The deliveries that fit into `room` escaped bytes, and where there are more, the webhook after which they go on.
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

#[allow(clippy::unnecessary_wraps, reason = "readers of fields may fail; this one takes every value")]
fn keep(raw: &RawValue) -> Result<Box<RawValue>, input::Faults> {
    Ok(raw.to_owned())
}
