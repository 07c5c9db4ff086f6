//! `/v1/event-types`: the catalogue, and the operator's own additions to it.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    ApiState,
    auth::{Platform, Reader},
    body::SmallBody,
    page::Page,
    path::Path,
    problem::Problem,
    webhooks::parse_description,
};
use axum::{Json, extract::State, http::StatusCode};
use hookline::{
    answer::{ANSWER_BYTES_MAX, escaped_len},
    event_type::{CatalogueEntry, EventType, Sample, built_in, find_built_in},
    id::EventId,
    input::{self, Faults, Fields},
    store::event_types as store,
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// An entry of the catalogue as users see it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CatalogueEntry))]
pub(crate) struct EventTypeView {
    name: EventType,
    description: String,
    /// Whether every account of every deployment has it.
    built_in: bool,
    /// What a test delivery of the type carries.
    sample: SampleView,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Sample))]
struct SampleView {
    data: DataView,
    #[cfg_attr(test, schema(value_type = Option<Object>))]
    previous_data: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = EventData))]
struct DataView {
    #[cfg_attr(test, schema(value_type = Object))]
    object: Box<RawValue>,
}

impl From<CatalogueEntry> for EventTypeView {
    fn from(entry: CatalogueEntry) -> Self {
        let Sample { object, previous_data } = entry.sample;
        Self {
            built_in: find_built_in(&entry.name).is_some(),
            name: entry.name,
            description: entry.description,
            sample: SampleView { data: DataView { object }, previous_data },
        }
    }
}

impl EventTypeView {
    /// The bytes that it takes of an answer, its comma included.
    fn escaped_len(&self) -> usize {
        let json = serde_json::to_vec(self).expect("an entry of texts is JSON");
        escaped_len(&json) + 1
    }
}

/// List the event types
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/event-types",
    operation_id = "listEventTypes",
    tag = "Event types",
    security(("bearer" = ["manage"]), ("bearer" = ["publish"])),
    responses((status = 200, description = "The whole catalogue, in one page.", body = Page<EventTypeView>)),
))]
pub(crate) async fn list(
    Reader(_): Reader,
    State(state): State<Arc<ApiState>>,
) -> Result<Json<Page<EventTypeView>>, Problem> {
    let catalogue = store::catalogue(&state.app).await?;
    Ok(Json(Page::new(catalogue.into_iter().map(EventTypeView::from).collect(), None::<EventId>)))
}

/// Add an event type
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/event-types",
    operation_id = "createEventType",
    tag = "Event types",
    security(("bearer" = ["platform"])),
    request_body = requests::NewEventType,
    responses(
        (status = 201, description = "The event type.", body = EventTypeView),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn create(
    Platform(_): Platform,
    State(state): State<Arc<ApiState>>,
    body: SmallBody,
) -> Result<(StatusCode, Json<EventTypeView>), Problem> {
    let mut fields = body.fields()?;
    let name = fields.required("name", input::parsed::<EventType>);
    let description = fields.optional("description", parse_description);
    let sample = fields.optional("sample", parse_sample);
    fields.finish()?;
    let name = name.ok_or_else(|| Problem::invalid(vec![]))?;
    if store::find(&state.app, &name).await?.is_some() {
        return Err(Problem::conflict(format!("The event type '{name}' exists.")));
    }
    let empty = || Sample { object: RawValue::from_string("{}".to_owned()).expect("JSON"), previous_data: None };
    let entry =
        CatalogueEntry { name, description: description.unwrap_or_default(), sample: sample.unwrap_or_else(empty) };
    let view = EventTypeView::from(entry.clone());
    let catalogue = store::catalogue(&state.app).await?;
    if catalogue.len() >= store::CUSTOM_MAX + built_in().count() {
        return Err(Problem::quota_exceeded(format!("The catalogue has {} custom types already.", store::CUSTOM_MAX)));
    }
    let catalogue_len: usize = catalogue.into_iter().map(|entry| EventTypeView::from(entry).escaped_len()).sum();
    if catalogue_len + view.escaped_len() > ANSWER_BYTES_MAX {
        return Err(Problem::quota_exceeded("The catalogue must fit one answer: its samples are too large together."));
    }
    store::put(&state.app, &entry).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// `{data: {object}, previous_data?}`, as in an event.
fn parse_sample(raw: &RawValue) -> Result<Sample, Faults> {
    let mut fields = Fields::of(raw)?;
    let object = fields.required("data", input::data_object);
    let previous_data = fields.optional("previous_data", input::object);
    let faults = fields.into_faults();
    match object {
        Some(object) if faults.is_empty() => Ok(Sample { object, previous_data }),
        _ => Err(faults),
    }
}

/// Remove an event type that is not built in
#[cfg_attr(test, utoipa::path(
    delete,
    path = "/v1/event-types/{name}",
    operation_id = "deleteEventType",
    tag = "Event types",
    security(("bearer" = ["platform"])),
    params(("name" = EventType, Path)),
    responses((status = 204, description = "It is removed."), (status = 409, description = "")),
))]
pub(crate) async fn remove(
    Platform(_): Platform,
    State(state): State<Arc<ApiState>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let no_type = || Problem::not_found("event type");
    let name: EventType = name.parse().map_err(|_| no_type())?;
    if find_built_in(&name).is_some() {
        return Err(Problem::conflict(format!("The event type '{name}' is built in.")));
    }
    if store::delete(&state.app, &name).await? { Ok(StatusCode::NO_CONTENT) } else { Err(no_type()) }
}
