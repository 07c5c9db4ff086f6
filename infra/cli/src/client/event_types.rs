//! The catalogue of event types.

use super::{Answer, Client, Error, call::Call, operation, page::Page};
use domain::event_type::EventType as Name;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An entry of the catalogue.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct EventType {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) built_in: bool,
    pub(crate) sample: Sample,
    pub(crate) validation: String,
    pub(crate) version: Option<String>,
}

/// What a test delivery of the type carries.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sample {
    pub(crate) data: SampleData,
    pub(crate) previous_data: Option<Box<RawValue>>,
}

/// What happened, in a sample.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SampleData {
    pub(crate) object: Box<RawValue>,
}

/// An event type to add to the catalogue, or a new version of one.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize), serde(deny_unknown_fields))]
pub(crate) struct NewEventType {
    pub(crate) name: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// `{data: {object}, previous_data}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample: Option<Box<RawValue>>,
    /// A JSON Schema (2020-12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) validation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
}

impl Client {
    /// Lists the catalogue.
    pub(crate) async fn list_event_types(&self) -> Result<Answer<Page<EventType>>, Error> {
        self.call(Call::new(operation::LIST_EVENT_TYPES)).await
    }

    /// Adds a type to the catalogue. `body` is [`NewEventType`] or the user's own JSON.
    pub(crate) async fn create_event_type(&self, body: &impl Serialize) -> Result<Answer<EventType>, Error> {
        self.call(Call::new(operation::CREATE_EVENT_TYPE).body(body)).await
    }

    /// Removes a type from the catalogue.
    pub(crate) async fn delete_event_type(&self, name: &Name) -> Result<Answer<()>, Error> {
        self.call(Call::new(operation::DELETE_EVENT_TYPE).id(name)).await
    }
}
