//! Events. The payload is built once, from the publisher's own JSON text, and its bytes never change afterwards.

use crate::{account::AccountId, event_type::EventType, id::EventId, trace::TraceParent};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

/// The largest request for one event, in bytes.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// An event to publish.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event's type.
    pub event_type: EventType,
    /// The JSON object under `data.object`, as the publisher wrote it.
    pub object: Box<RawValue>,
    /// The JSON object under `previous_data`, as the publisher wrote it.
    pub previous_data: Option<Box<RawValue>>,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event's account.
    pub account: AccountId,
    /// The event's id, which contains the moment of its publication.
    pub id: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// The JSON document that is delivered, signed and shown, byte for byte.
    pub payload: Bytes,
    /// Whether the event is a test for one webhook. Fan-outs and recoveries leave tests out.
    pub test: bool,
    /// The trace of its publication, which every attempt passes on, or `None` if its publisher sent none.
    pub trace: Option<TraceParent>,
}

/// An event without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSummary {
    /// The event's id.
    pub id: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// Whether the event is a test.
    pub test: bool,
}

/// An event in a list, with its payload only if a filter needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedEvent {
    /// The event.
    pub summary: EventSummary,
    /// Its payload, if it was read.
    pub payload: Option<Bytes>,
}

impl From<&Event> for EventSummary {
    fn from(event: &Event) -> Self {
        Self { id: event.id, event_type: event.event_type.clone(), test: event.test }
    }
}

/// An event as it is delivered and shown.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Event))]
pub struct Payload<'a> {
    /// The event's id: the receiver's key for dropping duplicates.
    id: EventId,
    /// The event's type.
    r#type: &'a EventType,
    /// When the event was published.
    created_at: String,
    /// What happened.
    data: Data<'a>,
    /// The data that an update replaced, or `null`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    previous_data: Option<&'a RawValue>,
}

/// The `data` of an event.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventData))]
pub struct Data<'a> {
    /// The publisher's object.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    object: &'a RawValue,
}

impl Event {
    /// Creates the event with the payload of `new`. The same input gives the same bytes.
    pub fn new(account: AccountId, id: EventId, new: &NewEvent) -> Self {
        let payload = Payload {
            id,
            r#type: &new.event_type,
            created_at: id.made_at().to_string(),
            data: Data { object: &new.object },
            previous_data: new.previous_data.as_deref(),
        };
        let payload = serde_json::to_vec(&payload).expect("a payload serializes as JSON");
        Self { account, id, event_type: new.event_type.clone(), payload: payload.into(), test: false, trace: None }
    }

    /// Adds the trace of its publication.
    #[must_use]
    pub fn traced(self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    #[test]
    fn the_payload_has_its_fields_in_order_and_the_publishers_text_unchanged() {
        let new = NewEvent {
            event_type: "resource.updated".parse().expect("valid"),
            object: raw(r#"{"z":1.0,"a":12345678901234567890123, "e":"\u00e9"}"#),
            previous_data: None,
        };
        let id = EventId::first_at(Timestamp::parse_rfc3339("2025-02-18T10:30:00.5Z").expect("valid"));
        let event = Event::new("default".parse().expect("valid"), id, &new);
        let expected = format!(
            r#"{{"id":"{id}","type":"resource.updated","created_at":"2025-02-18T10:30:00Z","data":{{"object":{}}},"previous_data":null}}"#,
            new.object
        );
        assert_eq!(event.payload, expected.as_bytes());
    }
}
