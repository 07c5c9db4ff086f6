//! `/v1/event-types`: list the catalogue of event types, add types and remove them.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::{Platform, Reader},
    body::SmallBody,
    fields,
    path::{Named, Path},
    problem::Problem,
    state::ApiState,
};
use axum::{Json, extract::State, http::StatusCode};
use domain::{
    answer::{ANSWER_BYTES_MAX, escaped_len},
    event_type::{CUSTOM_TYPES_MAX, CatalogueEntry, EventType, Sample, built_in, is_built_in},
    input::{self, Faults, Fields, InputError, OBJECT_POINTER},
    page::Page,
    schema::{Schema, Validation, Version},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use store::event_types;

/// An event type of the catalogue.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = EventType))]
pub(crate) struct EventTypeView {
    /// The type's name.
    name: EventType,
    /// What the event type is for.
    description: String,
    /// Whether the type is part of Hookline. If not, the platform has added it.
    built_in: bool,
    /// What a test delivery of the type carries.
    sample: SampleView,
    /// The JSON Schema (2020-12) of the `data.object` of the type's events, or `null`.
    #[cfg_attr(test, schema(value_type = Option<Object>))]
    schema: Option<Schema>,
    /// The platform's name for this version of the type, or `null`.
    #[cfg_attr(test, schema(value_type = Option<String>))]
    version: Option<Version>,
    /// Whether events that do not fit the schema are published (`off`), published with warnings (`warn`), or refused (`enforce`).
    validation: Validation,
}

/// The sample of an event type, in the form of an event.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = EventSample))]
struct SampleView {
    /// The sample's `data`.
    data: DataView,
    /// The sample's `previous_data`.
    #[cfg_attr(test, schema(value_type = Option<Object>))]
    previous_data: Option<Box<RawValue>>,
}

/// The `data` of an event.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = EventData))]
struct DataView {
    /// The publisher's own object.
    #[cfg_attr(test, schema(value_type = Object))]
    object: Box<RawValue>,
}

impl From<CatalogueEntry> for EventTypeView {
    fn from(entry: CatalogueEntry) -> Self {
        let Sample { object, previous_data } = entry.sample;
        Self {
            built_in: is_built_in(&entry.name),
            name: entry.name,
            description: entry.description,
            sample: SampleView { data: DataView { object }, previous_data },
            schema: entry.schema,
            version: entry.version,
            validation: entry.validation,
        }
    }
}

impl EventTypeView {
    /// Returns how many escaped bytes the entry takes in an answer, with its comma.
    fn escaped_len(&self) -> usize {
        let json = serde_json::to_vec(self).expect("an entry of strings is JSON");
        escaped_len(&json) + 1
    }
}

/// List the event types
///
/// Answers 200 with the whole catalogue in one page: the built-in types and those that the platform has added.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/event-types",
    operation_id = "listEventTypes",
    tag = "Event types",
    security(("bearer" = ["manage"]), ("bearer" = ["publish"])),
    responses((status = 200, description = "The whole catalogue, in one page.", body = Page<EventTypeView, EventType>)),
))]
pub(crate) async fn list(
    Reader(_): Reader,
    State(state): State<Arc<ApiState>>,
) -> Result<Json<Page<EventTypeView, EventType>>, Problem> {
    let catalogue = event_types::catalogue(&state.app.store).await?;
    Ok(Json(Page { items: catalogue.into_iter().map(EventTypeView::from).collect(), next: None }))
}

/// Add an event type, or a new version of one
///
/// Adds a type to the catalogue of the deployment, for all accounts. It works at once. Answers 201 with the type. If the type
/// exists and has another `version`, it is replaced as a whole, in one step; for up to 30 seconds more, events may be judged by
/// the replaced version. Fails with 409 if the type exists otherwise, if 1,000 types were added already, or if the catalogue would
/// not fit one answer. Fails with 422 if the schema is not valid, or if the sample does not fit it.
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
    let entry = read_entry(body.fields()?)?;
    let present = event_types::find(&state.app.store, &entry.name).await?;
    if let Some(present) = &present {
        let is_new_version = entry.version.is_some() && entry.version != present.version;
        if is_built_in(&entry.name) || !is_new_version {
            return Err(Problem::already_exists(format!("The event type '{}' exists already.", entry.name)));
        }
    }
    let view = EventTypeView::from(entry.clone());
    let mut catalogue = event_types::catalogue(&state.app.store).await?;
    catalogue.retain(|other| other.name != entry.name);
    if catalogue.len() >= CUSTOM_TYPES_MAX + built_in().count() {
        return Err(Problem::quota_exceeded(format!("The catalogue already has {CUSTOM_TYPES_MAX} custom types.")));
    }
    let catalogue_len: usize = catalogue.into_iter().map(|entry| EventTypeView::from(entry).escaped_len()).sum();
    if catalogue_len + view.escaped_len() > ANSWER_BYTES_MAX {
        return Err(Problem::quota_exceeded(
            "The samples and schemas are too large together: the whole catalogue must fit one answer.",
        ));
    }
    event_types::put(&state.app.store, &entry).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// Reads `{name, description?, sample?, schema?, version?, validation?}`. Without a sample, the sample is an empty object.
pub(crate) fn read_entry(mut fields: Fields) -> Result<CatalogueEntry, InputError> {
    let name = fields.required("name", input::parsed::<EventType>);
    let description = fields.optional("description", fields::description);
    let sample = fields.optional("sample", read_sample);
    let schema = fields.optional("schema", Schema::parse);
    let version = fields.optional("version", read_version);
    let validation = fields.optional("validation", input::parsed::<Validation>);
    if let (Ok(Some(sample)), Ok(Some(schema))) = (&sample, &schema) {
        fields.add(schema.faults(&sample.object).within(format_args!("/sample{OBJECT_POINTER}")));
    }
    if let (Ok(None), Ok(Some(Validation::Warn | Validation::Enforce))) = (&schema, &validation) {
        fields.fault("/validation", "needs a schema");
    }
    let empty = || Sample { object: RawValue::from_string("{}".to_owned()).expect("JSON"), previous_data: None };
    fields.finish(|| {
        Ok(CatalogueEntry {
            name: name?,
            description: description?.unwrap_or_default(),
            sample: sample?.unwrap_or_else(empty),
            schema: schema?,
            version: version?,
            validation: validation?.unwrap_or_default(),
        })
    })
}

/// Reads a version. A whole number stands for its digits.
fn read_version(raw: &RawValue) -> Result<Version, Faults> {
    let text = input::string(raw).or_else(|_| input::integer(raw).map(|number| number.to_string()));
    Ok(Version::try_from(text.map_err(|_| "must be a string or a whole number")?)?)
}

/// Reads a sample, `{data: {object}, previous_data?}`.
fn read_sample(raw: &RawValue) -> Result<Sample, Faults> {
    let mut fields = Fields::of(raw)?;
    let object = fields.required("data", input::data_object);
    let previous_data = fields.optional("previous_data", input::object);
    fields.finish_part(|| Ok(Sample { object: object?, previous_data: previous_data? }))
}

/// Remove an event type
///
/// Removes a type from the catalogue of the deployment. For up to 30 seconds more, events of the type may be accepted. Answers
/// 204. Fails with 404 if the catalogue has no such type, and with 409 if the type is built in.
#[cfg_attr(test, utoipa::path(
    delete,
    path = "/v1/event-types/{name}",
    operation_id = "deleteEventType",
    tag = "Event types",
    security(("bearer" = ["platform"])),
    params(("name" = EventType, Path, description = "The name of the event type.")),
    responses((status = 204, description = "The event type is removed."), (status = 409, description = "")),
))]
pub(crate) async fn remove(
    Platform(_): Platform,
    State(state): State<Arc<ApiState>>,
    Path(name): Path<EventType>,
) -> Result<StatusCode, Problem> {
    if is_built_in(&name) {
        return Err(Problem::conflict(format!("The event type '{name}' is built in and cannot be removed.")));
    }
    if event_types::delete(&state.app.store, &name).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found(EventType::WHAT))
    }
}
