//! `/v1/events`, `/v1/events/batch` and `/v1/events/{id}`: publish events under an optional idempotency key, list them, and
//! read one with its deliveries.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::{Publisher, Reader, single},
    body::{BatchBody, EventBody, Query},
    delivery_view::DeliveryView,
    path::{Named, Path},
    problem::Problem,
    state::ApiState,
};
use application::{App, publishing::Publication};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::{
    account::AccountId,
    answer::{ANSWER_BYTES_MAX, escaped_len},
    event::{Event, NewEvent, REQUEST_BYTES_MAX},
    event_type::{EventType, UnknownTypes},
    id::{EventId, WebhookId},
    input::{self, Fields},
    page::{Order, Page},
    webhook::Webhook,
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{collections::BTreeMap, sync::Arc};
use store::{
    deliveries, event_types, events,
    idempotency::{self, KEY_MAX},
    webhooks,
};

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
/// is stored and will reach every webhook that is enabled and subscribed. Fails with 422 if the event breaks a rule or the
/// `Idempotency-Key` was used for another request, and with 429 if the account has reached its publish limit. Nothing is
/// published then. After a 409 or a 5xx, the event may be published or not: retry with the same `Idempotency-Key`.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "publishEvent",
    tag = "Events",
    security(("bearer" = ["publish"])),
    params(requests::IdempotencyKey),
    request_body = requests::NewEvent,
    responses(
        (
            status = 202,
            description = "The event as it will be delivered.",
            body = domain::event::Payload,
            headers(("Idempotent-Replayed" = String, description = "`true` if this repeats the answer to an earlier request.")),
        ),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn publish(
    Publisher(account): Publisher,
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    body: EventBody,
) -> Result<Response, Problem> {
    let app = &state.app;
    let key_use = KeyUse::of(&headers, [b"/v1/events", &body.0])?;
    let fields = body.fields()?;
    let mut unknown = event_types::unknown(&app.store, event_type(&fields).into_iter().collect()).await?;
    if let Some(key) = &key_use.key
        && !unknown.is_empty()
        && idempotency::is_used(&app.store, &account, key, &key_use.parts).await?
    {
        // The key was used for this request already, when the catalogue had the type.
        unknown = UnknownTypes::default();
    }
    let new = read_new_event(fields, &unknown)?;
    let publication = admit(&state, account, key_use, &unknown, 1).await?;
    let published = publication.publish(app, &[new]).await?;
    let payload = published.events.into_iter().next().map(|event| event.payload).unwrap_or_default();
    Ok(accepted(payload, published.replayed))
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
    params(requests::IdempotencyKey),
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
    headers: HeaderMap,
    body: BatchBody,
) -> Result<Response, Problem> {
    let app = &state.app;
    let key_use = KeyUse::of(&headers, [b"/v1/events/batch", &body.0])?;
    let mut fields = body.fields()?;
    let entries = fields.required("events", |raw| input::array(raw, BATCH_MAX, |raw| Ok(raw.to_owned())));
    let entries = fields.finish(|| entries)?;
    let fields: Vec<_> = entries.iter().map(|raw| read_fields(raw)).collect();
    let unknown = event_types::unknown(&app.store, fields.iter().flatten().filter_map(event_type).collect()).await?;
    let validate = |fields: Vec<Result<Fields, Problem>>, unknown: &UnknownTypes| {
        let (mut valid, read) = (vec![], fields.into_iter().map(|fields| read_new_event(fields?, unknown)));
        let results: Vec<_> = read.map(|read| read.map(|new| valid.push(new))).collect();
        (results, valid)
    };
    let (mut results, mut valid) = validate(fields, &unknown);
    let publication = admit(&state, account, key_use, &unknown, valid.len()).await?;
    if let Some(first) = publication.unknown_types().filter(|first| **first != unknown) {
        (results, valid) = validate(entries.iter().map(|raw| read_fields(raw)).collect(), first);
    }
    let published = publication.publish(app, &valid).await?;
    let mut events = published.events.into_iter();
    let data = results.into_iter().map(|result| match (result, &mut events) {
        (Ok(()), events) => events.next().map(|event| json_raw(&event.payload)),
        (Err(problem), _) => Some(json_raw(problem.to_json_within(PROBLEM_BYTES_MAX).as_bytes())),
    });
    let answer = BatchAnswer { data: data.collect() };
    let answer = serde_json::to_vec(&answer).expect("an answer of JSON texts is JSON");
    Ok(accepted(answer.into(), published.replayed))
}

/// The answer to a batch.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Batch))]
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

/// Returns the event's type, if it is well-formed, without reading the field.
fn event_type(fields: &Fields) -> Option<EventType> {
    fields.peek("type").and_then(|raw| input::parsed(raw).ok())
}

/// Reads an event to publish. `unknown` has the types that the catalogue lacks.
fn read_new_event(mut fields: Fields, unknown: &UnknownTypes) -> Result<NewEvent, Problem> {
    // An unknown type is reported together with all other faults.
    if let Some(detail) = event_type(&fields).as_ref().and_then(|name| unknown.fault(name)) {
        fields.fault("/type", detail);
    }
    let new = input::new_event(&mut fields);
    Ok(fields.finish(|| new)?)
}

/// The idempotency key of a request, and the parts that distinguish the request from others: its route and its body.
struct KeyUse<'a> {
    key: Option<String>,
    parts: [&'a [u8]; 2],
}

impl<'a> KeyUse<'a> {
    /// Reads the key from the headers of the request that consists of `parts`.
    fn of(headers: &HeaderMap, parts: [&'a [u8]; 2]) -> Result<Self, Problem> {
        Ok(Self { key: idempotency_key(headers)?, parts })
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
    unknown: &UnknownTypes,
    count: usize,
) -> Result<Publication, Problem> {
    state.throttle.admit(&state.app, &account, count).await?;
    let Some(key) = key else { return Ok(Publication::new(account)) };
    let publication = Publication::under_key(&state.app, account, key, &parts, unknown).await?;
    publication.ok_or_else(|| Problem::unprocessable("The Idempotency-Key was already used for a different request."))
}

/// Reads the header `Idempotency-Key`.
///
/// # Errors
/// 400 if it is malformed or sent twice.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let faulty = || Problem::malformed("Idempotency-Key must be sent once, with 1 to 255 printable ASCII characters.");
    let Some(value) = single(headers, "idempotency-key").map_err(|()| faulty())? else { return Ok(None) };
    // `to_str` alone allows tabs.
    let is_printable = |key: &&str| key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match value.to_str().ok().filter(is_printable) {
        Some(key) if (1..=KEY_MAX).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(faulty()),
    }
}

/// Returns a 202 with `body`. `replayed` marks the answer to an earlier request.
fn accepted(body: Bytes, replayed: bool) -> Response {
    let mut response = (StatusCode::ACCEPTED, Body::from(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if replayed {
        response.headers_mut().insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
    }
    response
}

/// Returns a payload or a problem document as part of an answer, byte for byte.
fn json_raw(payload: &[u8]) -> Box<RawValue> {
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
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Page<Box<RawValue>, EventId>>, Problem> {
    let (limit, after) = (query.limit(), query.cursor());
    let event_type: Option<EventType> = query.optional("type", "must be the name of an event type");
    query.finish()?;
    let page = events::list(&state.app.store, &account, event_type.as_ref(), after, limit).await?;
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
    State(state): State<Arc<ApiState>>,
    Path(id): Path<EventId>,
    mut query: Query,
) -> Result<Json<EventView>, Problem> {
    let app = &state.app;
    let after = query.cursor();
    query.finish()?;
    let event = events::get(&app.store, &account, id).await?.ok_or_else(|| Problem::not_found(EventId::WHAT))?;
    let (deliveries, next) = deliveries_of(app, &event, after).await?;
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

/// Returns a page of the event's deliveries, in the order of their webhooks, and the webhook after which the next page begins.
async fn deliveries_of(
    app: &App,
    event: &Event,
    after: Option<WebhookId>,
) -> Result<(Vec<DeliveryView>, Option<WebhookId>), Problem> {
    let (store, account) = (&app.store, &event.account);
    let page = webhooks::page(store, account, after, DELIVERIES_MAX, Order::Oldest).await?;
    // Deliveries to deleted webhooks stay part of the event's history.
    let is_in_page = |id: &WebhookId| after.is_none_or(|after| after < *id) && page.next.is_none_or(|next| *id <= next);
    let deleted = webhooks::deleted(store, account, DELIVERIES_MAX).await?.into_iter().filter(is_in_page);
    let mut shown: BTreeMap<WebhookId, Option<&Webhook>> = deleted.map(|id| (id, None)).collect();
    shown.extend(page.items.iter().map(|webhook| (webhook.id, Some(webhook))));
    let ids: Vec<_> = shown.keys().copied().collect();
    let stored = deliveries::of_event(store, account, event.id, &ids).await?;
    let summary = event.into();
    let views = shown.into_iter().map(|(id, webhook)| match (stored.get(&id), webhook) {
        (Some(delivery), webhook) => (id, Some(DeliveryView::new(delivery, webhook))),
        (None, Some(webhook)) => (id, DeliveryView::unattempted(&summary, webhook)),
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
